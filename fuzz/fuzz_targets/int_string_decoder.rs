//! Length-prefixed strings do not depend on how their input is cut, and encoding them again gives the input.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_fuzz::{Cut, frames};
use torsade_protocols::{IntStringDecoder, StringDecoder};

fn check<const N: usize>(cut: &Cut<'_>) {
    let whole = frames(IntStringDecoder::<N>, &[cut.whole], 1000);
    assert_eq!(frames(IntStringDecoder::<N>, &cut.pieces, 1000), whole);
    let mut wire = Vec::new();
    for string in &whole.0 {
        IntStringDecoder::<N>::encode(string, &mut wire).unwrap();
    }
    assert!(cut.whole.starts_with(&wire));
}

fuzz_target!(|input: &[u8]| {
    let Some(cut) = Cut::new(input) else { return };
    check::<1>(&cut);
    check::<2>(&cut);
    check::<4>(&cut);
});
