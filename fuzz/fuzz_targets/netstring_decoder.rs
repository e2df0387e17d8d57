//! Netstrings do not depend on how their input is cut, and encoding them again gives the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_fuzz::{Cut, frames};
use torsade_protocols::{NetstringDecoder, StringDecoder};

fuzz_target!(|input: &[u8]| {
    let Some(cut) = Cut::new(input) else { return };
    let whole = frames(NetstringDecoder, &[cut.whole], 1000);
    assert_eq!(frames(NetstringDecoder, &cut.pieces, 1000), whole);
    let mut wire = Vec::new();
    for string in &whole.0 {
        NetstringDecoder::encode(string, &mut wire).unwrap();
    }
    assert!(cut.whole.starts_with(&wire));
});
