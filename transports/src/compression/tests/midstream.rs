//! Switches in mid-stream, found by their mark and the count in it.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

fn anywhere() -> CompressionLayer {
    CompressionLayer::new(&EncoderPool::shared(), Detect::Anywhere, 0, 0)
}

/// Plain bytes, a switch, compressed ones.
fn switched(format: Format, plain: &[u8], compressed: &[u8]) -> Vec<u8> {
    let mut sender = layer(&EncoderPool::shared());
    let mut wire = Vec::new();
    sender.write(plain, &mut wire, NOW).unwrap();
    sender.compress(&format.into()).unwrap();
    sender.write(compressed, &mut wire, NOW).unwrap();
    sender.flush(&mut wire, NOW).unwrap();
    sender.finish(&mut wire).unwrap();
    wire
}

/// lz4 has no free bits for a count.
fn marked() -> impl Iterator<Item = Format> {
    formats().filter(|&format| format != Format::Lz4)
}

#[test]
fn plain_then_compressed_in_one_segment_and_under_every_split() {
    for format in marked() {
        let wire = switched(format, b"220 ready\r\n", b"and the rest");
        assert_eq!(receive(&mut anywhere(), &wire), b"220 ready\r\nand the rest", "{format}");
        for cut in 0..wire.len() {
            let mut receiver = anywhere();
            let mut plain = receive(&mut receiver, &wire[..cut]);
            plain.extend(receive(&mut receiver, &wire[cut..]));
            assert_eq!(plain, b"220 ready\r\nand the rest", "{format} cut at {cut}");
            assert!(receiver.stats().detected, "{format} cut at {cut}");
        }
        let (plain, _) = receive_in(&mut anywhere(), &wire, 1, ROOM);
        assert_eq!(plain, b"220 ready\r\nand the rest", "{format}");
    }
}

#[test]
fn plain_bytes_that_lead_up_to_a_mark_do_not_hide_it() {
    let leads: [&[u8]; 8] = [b"x", b"xx", b"x\x9c", b"x^x", b"\xa0\0\0\xff\xff", b"\x1f\x8b\x08", b"(\xb5", b"xx\x9c\xa0\0"];
    for format in marked() {
        for lead in leads {
            let wire = switched(format, lead, b"data");
            let wanted = [lead, b"data"].concat();
            for piece in [1, 2, 3, 7, 1000] {
                let (plain, reason) = receive_in(&mut anywhere(), &wire, piece, ROOM);
                assert!(reason.is_none(), "{format} {lead:x?} {piece}: {reason:?}");
                assert_eq!(plain, wanted, "{format} {lead:x?} {piece}");
            }
        }
    }
}

#[test]
fn the_mark_at_a_wrong_offset_stays_plain() {
    for format in marked() {
        let wire = switched(format, b"12345", b"data");
        let copy = [b"1234", &wire[5..]].concat();
        for piece in [1, 5, 1000] {
            let mut receiver = anywhere();
            let (mut plain, _) = receive_in(&mut receiver, &copy, piece, ROOM);
            receiver.read_end(&mut plain).unwrap();
            assert_eq!(plain, copy, "{format}");
            assert!(!receiver.stats().detected);
        }
    }
}

#[test]
fn detection_at_the_start_does_not_see_mid_stream_marks() {
    let wire = switched(Format::Deflate, b"hello", b"data");
    assert_eq!(receive(&mut detecting(), &wire), wire);
}

#[test]
fn the_count_includes_what_passed_before_the_layer_was_there() {
    let pool = EncoderPool::shared();
    let mut sender = CompressionLayer::new(&pool, Detect::Off, 0, 1000);
    sender.compress(&Compression::deflate()).unwrap();
    let wire = send(&mut sender, &["data"]);
    let mut receiver = CompressionLayer::new(&pool, Detect::Anywhere, 1000, 0);
    assert_eq!(receive(&mut receiver, &wire), b"data");
    // The same with detection switched on later.
    let mut receiver = layer(&pool);
    receiver.passed_in(400);
    receiver.passed_in(600);
    receiver.set_detect(Detect::Anywhere);
    assert_eq!(receive(&mut receiver, &wire), b"data");
    let mut wrong = CompressionLayer::new(&pool, Detect::Anywhere, 999, 0);
    assert_eq!(receive(&mut wrong, &wire), wire);
}

#[test]
fn the_last_letter_of_a_segment_is_held_for_25_ms() {
    let mut receiver = anywhere();
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    receiver.read(b"a linux", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"a linu");
    let due = Duration::from_millis(25);
    assert_eq!(receiver.deadline(), Some(due));
    receiver.expire(&mut wire, &mut plain, due).unwrap();
    assert_eq!(plain, b"a linux");
    receiver.read(b" box\r\n", &mut plain, ROOM, &Work::unlimited(), due).unwrap();
    assert_eq!(plain, b"a linux box\r\n");
    assert_eq!(receiver.deadline(), None);
}

#[test]
fn a_late_rest_is_a_typed_error_in_mid_stream_too() {
    let wire = switched(Format::Deflate, b"hello", b"data");
    for cut in 6..57 {
        let mut receiver = anywhere();
        let (mut none, mut plain) = (Vec::new(), Vec::new());
        receiver.read(&wire[..cut], &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
        receiver.expire(&mut none, &mut plain, Duration::from_secs(9)).unwrap();
        assert_eq!(plain, wire[..cut]);
        let (_, reason) = receive_in(&mut receiver, &wire[cut..], 1000, ROOM);
        assert_eq!(kind(reason), Some(DecompressErrorKind::AnnouncementSplit), "cut at {cut}");
    }
}

/// Found by the property suite, seed 10495 on a hostile network: if a byte in the middle looked like a beginning too,
/// the compressed stream was delivered as plain bytes.
#[test]
fn a_rest_whose_every_byte_is_late_is_a_typed_error_at_every_place() {
    let wait = Duration::from_secs(3);
    for format in marked() {
        for before in 0..600 {
            let wire = switched(format, &vec![b'.'; before], b"data");
            let mut receiver = anywhere();
            let (mut none, mut plain, mut reason, mut now) = (Vec::new(), Vec::new(), None, NOW);
            for byte in &wire[before..] {
                let (ahead, _) = wire.split_at(if plain.is_empty() { before } else { 0 });
                if !ahead.is_empty() {
                    receiver.read(ahead, &mut plain, ROOM, &Work::unlimited(), now).unwrap();
                }
                let failed = receiver.read(&[*byte], &mut plain, ROOM, &Work::unlimited(), now).err();
                reason = reason.or(failed);
                now += wait;
                receiver.expire(&mut none, &mut plain, now).unwrap();
            }
            assert_eq!(kind(reason), Some(DecompressErrorKind::AnnouncementSplit), "{format} after {before} bytes");
        }
    }
}

#[test]
fn small_rooms_cut_plain_bytes_and_lose_none() {
    let wire = switched(Format::Gzip, &text(300), &text(300));
    for room in [1, 2, 7, 59, 60, 61] {
        let (plain, reason) = receive_in(&mut anywhere(), &wire, 1000, room);
        assert!(reason.is_none(), "{reason:?}");
        assert_eq!(plain, [text(300), text(300)].concat(), "room {room}");
    }
}

#[test]
fn a_byte_that_turns_out_not_to_be_a_beginning_is_not_left_behind_when_the_room_is_used_up() {
    let mut receiver = anywhere();
    let mut plain = Vec::new();
    let progress = receiver.read(b"axb", &mut plain, 2, &Work::unlimited(), NOW).unwrap();
    assert_eq!((&plain[..], progress.more), (&b"ax"[..], true));
    receiver.read(b"", &mut plain, 2, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"axb");
}

proptest! {
    #[test]
    fn any_plain_bytes_before_a_switch_come_out_the_same(
        plain in prop::collection::vec(prop::sample::select(vec![0x78u8, 0x9c, 0xa0, 0, 0xff, 0x50, 0x1f, 0x8b, 8, b'a']), 0..80),
        compressed in prop::collection::vec(any::<u8>(), 1..80),
        piece in 1usize..40,
        room in 1usize..100,
    ) {
        // Random bytes that start with M0 would be an announcement: all of these are shorter or differ.
        let wire = switched(Format::Deflate, &plain, &compressed);
        let (got, reason) = receive_in(&mut anywhere(), &wire, piece, room);
        prop_assert!(reason.is_none(), "{:?}", reason);
        prop_assert_eq!(got, [plain, compressed].concat());
    }
}
