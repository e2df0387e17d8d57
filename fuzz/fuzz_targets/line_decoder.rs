//! Lines do not depend on how their input is cut, and no more is buffered than the limit allows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use torsade_fuzz::{Cut, lines};

fuzz_target!(|input: &[u8]| {
    let Some((limit, rest)) = input.split_first() else { return };
    let Some((length, rest)) = rest.split_first() else { return };
    let Some((delimiter, rest)) = rest.split_at_checked(usize::from(length % 4) + 1) else { return };
    let Some(cut) = Cut::new(rest) else { return };
    let limit = usize::from(*limit) + 1;
    assert_eq!(lines(&cut.pieces, delimiter, limit), lines(&[cut.whole], delimiter, limit));
});
