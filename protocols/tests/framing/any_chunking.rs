//! Decoders give the same frames however their input is cut.

use proptest::collection::vec;
use proptest::prelude::*;
use torsade_protocols::{IntStringDecoder, NetstringDecoder};

#[expect(unreachable_pub, reason = "the library of the fuzz targets exports them")]
mod feed;

use self::feed::{frames, lines};

fn pieces<'a>(data: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (data.len() + 1)).chain([0, data.len()]).collect();
    places.sort_unstable();
    places.windows(2).map(|pair| &data[pair[0]..pair[1]]).collect()
}

/// Bytes, many of which mean something to one of the decoders.
fn input() -> impl Strategy<Value = Vec<u8>> {
    const BYTES: &[u8] = b"\r\n\r\naa::,,00123456789\0\x01\x02\x03\x05\x08";
    vec(any::<u8>(), 0..150).prop_map(|all| all.iter().map(|byte| BYTES[usize::from(*byte) % BYTES.len()]).collect())
}

/// Netstrings, a few of them broken.
fn netstrings() -> impl Strategy<Value = Vec<u8>> {
    let one = (vec(any::<u8>(), 0..20), prop_oneof![9 => Just(","), 1 => Just(";")]);
    vec(one, 0..8).prop_map(|all| {
        all.iter().flat_map(|(body, end)| [format!("{}:", body.len()).as_bytes(), body, end.as_bytes()].concat()).collect()
    })
}

proptest! {
    #[test]
    fn lines_do_not_depend_on_chunks(
        data in input(), cuts in vec(any::<usize>(), 0..20), limit in 1..20_usize,
        delimiter in proptest::sample::select(vec!["\r\n", "\n", "aa0", "\r\n\r\n"]),
    ) {
        let delimiter = delimiter.as_bytes();
        prop_assert_eq!(lines(&pieces(&data, &cuts), delimiter, limit), lines(&[&data], delimiter, limit));
    }

    #[test]
    fn netstrings_do_not_depend_on_chunks(
        data in prop_oneof![netstrings(), input()], cuts in vec(any::<usize>(), 0..20), limit in 1..25_usize,
    ) {
        prop_assert_eq!(frames(NetstringDecoder, &pieces(&data, &cuts), limit), frames(NetstringDecoder, &[&data], limit));
    }

    #[test]
    fn length_prefixed_strings_do_not_depend_on_chunks(
        data in input(), cuts in vec(any::<usize>(), 0..20), limit in 1..70_000_usize,
    ) {
        let pieces = pieces(&data, &cuts);
        prop_assert_eq!(frames(IntStringDecoder::<1>, &pieces, limit), frames(IntStringDecoder::<1>, &[&data], limit));
        prop_assert_eq!(frames(IntStringDecoder::<2>, &pieces, limit), frames(IntStringDecoder::<2>, &[&data], limit));
        prop_assert_eq!(frames(IntStringDecoder::<4>, &pieces, limit), frames(IntStringDecoder::<4>, &[&data], limit));
    }
}
