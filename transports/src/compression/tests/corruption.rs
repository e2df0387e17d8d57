//! Groups 12 and 20, corruption: every byte flipped, every cut, arbitrary input. Never a panic, never a hang, never
//! more output than room, and never undetected wrong bytes if the format has a checksum.

use proptest::prelude::{any, prop, prop_assert, proptest};

use super::*;

fn wire(sending: &Compression) -> Vec<u8> {
    stream(sending, &messages(3))
}

#[test]
fn every_flipped_bit_is_an_error_or_harmless() {
    let plain = messages(3).concat();
    for (sending, reading) in kinds() {
        let good = wire(&sending);
        assert!(good.len() > 50, "{}", good.len());
        for at in 0..good.len() {
            for bit in [1, 2, 8, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                let options = reading.clone().max_total(Some(1 << 20));
                let (got, reason) = receive_all(&mut expecting(options), &bad);
                // Raw deflate has no checksum; in other formats a stream that ends without an error is right.
                let mut receiver = expecting(reading.clone());
                let whole = receive_all(&mut receiver, &bad).1.is_none() && receiver.stats().stream_ended;
                let raw = sending.format == Format::DeflateRaw;
                if whole && !raw {
                    assert_eq!(got, plain, "{sending:?}: byte {at} xor {bit:#x} passed for right");
                }
                assert!(reason.is_some() || !whole || got == plain || raw);
            }
        }
    }
}

#[test]
fn a_flipped_byte_is_handled_alike_under_every_split() {
    for (sending, reading) in kinds() {
        let good = wire(&sending);
        for at in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[at] ^= 0x55;
            let (whole, reason) = receive_all(&mut expecting(reading.clone()), &bad);
            let mut receiver = expecting(reading.clone());
            let (mut pieces, mut split_reason) = receive_in(&mut receiver, &bad, 1, 7);
            if split_reason.is_none() {
                split_reason = receiver.read_end(&mut pieces).err();
            }
            assert_eq!(kind(reason), kind(split_reason), "{sending:?}: byte {at}");
            assert!(pieces == whole, "{sending:?}: byte {at}: {} bytes of {}", whole.len(), pieces.len());
        }
    }
}

#[test]
fn what_was_flushed_before_the_damage_is_delivered_also_when_both_come_at_once() {
    for (sending, reading) in kinds() {
        let mut sender = sender(&sending);
        let mut wire = send(&mut sender, &messages(2));
        wire.extend([0xff; 40]);
        let (got, reason) = receive_all(&mut expecting(reading), &wire);
        assert!(reason.is_some(), "{sending:?}");
        assert!(got.starts_with(&messages(2).concat()), "{sending:?}: {} bytes", got.len());
    }
}

#[test]
fn a_wrong_checksum_is_an_error_even_where_the_length_after_it_is_cut_off() {
    let mut bad = wire(&Compression::gzip());
    bad.truncate(bad.len() - 4);
    let checksum = bad.len() - 4;
    bad[checksum] ^= 1;
    let (got, reason) = receive_all(&mut expecting(Format::Gzip), &bad);
    assert_eq!((got, kind(reason)), (messages(3).concat(), Some(DecompressErrorKind::Checksum)));
}

#[test]
fn every_flipped_byte_of_an_announcement_makes_it_plain_or_an_error() {
    for (sending, reading) in kinds() {
        let good = wire(&sending);
        for at in 0..good.len().min(40) {
            let mut bad = good.clone();
            bad[at] ^= 0x21;
            let (got, reason) = receive_all(&mut detecting_within(&reading), &bad);
            let right = got == bad || got == messages(3).concat();
            assert!(right || reason.is_some() || sending.format == Format::DeflateRaw, "{sending:?} {at}");
        }
    }
}

#[test]
fn every_cut_delivers_a_beginning_and_no_more() {
    let plain = messages(3).concat();
    for (sending, reading) in kinds() {
        let wire = wire(&sending);
        for cut in 0..wire.len() {
            let mut receiver = expecting(reading.clone());
            let (got, reason) = receive_all(&mut receiver, &wire[..cut]);
            assert!(matches!(kind(reason), None | Some(DecompressErrorKind::Truncated)), "{sending:?} cut at {cut}");
            assert!(plain.starts_with(&got), "{sending:?} cut at {cut}");
            assert!(!receiver.stats().stream_ended, "{sending:?} cut at {cut}");
        }
    }
}

#[test]
fn every_split_in_two_and_in_pieces_delivers_the_same() {
    let plain = messages(3).concat();
    for (sending, reading) in kinds() {
        let wire = wire(&sending);
        for cut in 0..=wire.len() {
            let mut receiver = detecting_within(&reading);
            let mut got = receive(&mut receiver, &wire[..cut]);
            got.extend(receive(&mut receiver, &wire[cut..]));
            assert_eq!(got, plain, "{sending:?} cut at {cut}");
        }
        for piece in 1..50 {
            assert_eq!(receive_in(&mut detecting_within(&reading), &wire, piece, ROOM).0, plain, "{sending:?} in {piece}");
        }
    }
}

/// Reads to the end or the first error, with limits that keep it short.
fn survives(detect: Detect, reading: &Decompression, wire: &[u8], piece: usize, room: usize) {
    let mut receiver = CompressionLayer::new(&EncoderPool::shared(), detect, 0, 0);
    let limits = reading.clone().max_total(Some(1 << 20));
    if detect == Detect::Off {
        receiver.expect(&limits, b"").unwrap();
    }
    receiver.set_limits(&limits);
    let (mut plain, reason) = receive_in(&mut receiver, wire, piece, room);
    if reason.is_none() {
        let end = receiver.read_end(&mut plain);
        assert!(end.is_ok() || matches!(end, Err(Reason::Decompress(_))));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_or_spin(
        (_, reading) in prop::sample::select(kinds().collect::<Vec<_>>()),
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        piece in 1usize..100,
        room in 1usize..1000,
    ) {
        survives(Detect::Off, &reading, &bytes, piece, room);
        survives(Detect::AtStart, &reading, &bytes, piece, room);
        survives(Detect::Anywhere, &reading, &bytes, piece, room);
    }

    #[test]
    fn arbitrary_bytes_behind_a_true_beginning_never_panic_or_spin(
        (sending, reading) in prop::sample::select(kinds().collect::<Vec<_>>()),
        keep in 0usize..200,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        piece in 1usize..100,
        room in 1usize..1000,
    ) {
        let good = wire(&sending);
        let wire = [&good[..keep.min(good.len())], &bytes].concat();
        survives(Detect::Off, &reading, &wire, piece, room);
        survives(Detect::AtStart, &reading, &wire, piece, room);
    }

    #[test]
    fn plain_bytes_pass_detection_unchanged(
        bytes in prop::collection::vec(prop::sample::select(b"x^\x78\x9c\x01\xda\xa0\0\xff\x1f\x8b(\xb5/\x04\"M\x18ab".to_vec()), 0..200),
        piece in 1usize..30,
        room in 1usize..30,
    ) {
        for detect in [Detect::AtStart, Detect::Anywhere] {
            let mut receiver = CompressionLayer::new(&EncoderPool::shared(), detect, 0, 0);
            let (mut plain, reason) = receive_in(&mut receiver, &bytes, piece, room);
            receiver.read_end(&mut plain).unwrap();
            prop_assert!(reason.is_none());
            prop_assert!(plain == bytes);
        }
    }
}
