//! Groups 10, 11 and 13: bombs in bounded pieces, output that is pending without input, and limits that apply to
//! every format.

use super::*;

/// Zeros, compressed as well as the format can.
fn bomb(format: Format, len: usize) -> Vec<u8> {
    let mut sender = sender(&Compression::from(format).flush(torsade_protocols::Flush::Manual));
    let (mut wire, zeros) = (Vec::new(), vec![0; 1 << 20]);
    for _mebibyte in 0..len >> 20 {
        sender.write(&zeros, &mut wire, NOW).unwrap();
    }
    sender.finish(&mut wire).unwrap();
    wire
}

#[test]
fn a_bomb_comes_in_rooms_and_needs_no_new_input() {
    for format in formats() {
        let wire = bomb(format, 16 << 20);
        let mut receiver = detecting();
        let mut plain = Vec::with_capacity(ROOM);
        let (mut rest, mut total, mut turns) = (&wire[..], 0, 0);
        loop {
            plain.clear();
            let progress = receiver.read(rest, &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
            assert!(plain.len() <= ROOM);
            assert_eq!(plain.capacity(), ROOM, "{format}: the buffer did not grow");
            rest = &rest[progress.consumed..];
            total += plain.len();
            turns += 1;
            if !progress.more {
                break;
            }
        }
        assert_eq!((total, rest.len()), (16 << 20, 0), "{format}");
        assert!(turns >= 256, "{format}: {turns}");
        assert!(receiver.stats().stream_ended);
    }
}

#[test]
fn every_room_down_to_one_byte_gives_the_same() {
    for format in formats() {
        let plain = [text(700), vec![0; 2000]].concat();
        let wire = stream(&format.into(), &[&plain]);
        for room in [1, 2, 3, 17, 2699, 2700, 2701, 5000] {
            for piece in [1, 10, usize::MAX] {
                let mut receiver = detecting();
                let (got, reason) = receive_in(&mut receiver, &wire, piece, room);
                assert!(reason.is_none(), "{format} room {room}: {reason:?}");
                assert!(got == plain, "{format} room {room} piece {piece}");
                assert!(receiver.stats().stream_ended, "{format}: full exactly at the end");
            }
        }
    }
}

#[test]
fn output_is_bounded_whatever_the_buffer_has_room_for() {
    let wire = bomb(Format::Deflate, 1 << 20);
    for (capacity, filled) in [(0, 0), (10, 3), (1 << 20, 0), (1 << 20, 500), (1000, 1000)] {
        let mut plain = Vec::with_capacity(capacity);
        plain.resize(filled, 7);
        let progress = detecting().read(&wire, &mut plain, 1000, &Work::unlimited(), NOW).unwrap();
        assert_eq!(plain.len(), filled + 1000);
        assert!(progress.more);
        assert!(plain[..filled].iter().all(|&byte| byte == 7));
    }
}

#[test]
fn the_total_is_limited_to_the_byte_in_every_format() {
    for format in formats() {
        let wire = stream(&format.into(), &[text(10_000)]);
        for (max, piece, room) in [(0, 1, 1), (1, 10, 100), (5000, usize::MAX, ROOM), (9999, 100, 64)] {
            let mut receiver = expecting(Decompression::from(format).max_total(Some(max)));
            let (plain, reason) = receive_in(&mut receiver, &wire, piece, room);
            assert_eq!(plain.len() as u64, max, "{format}: up to the limit everything is delivered");
            assert_eq!(kind(reason), Some(DecompressErrorKind::LimitTotal { max }), "{format}");
        }
        let mut receiver = expecting(Decompression::from(format).max_total(Some(10_000)));
        assert_eq!(receive(&mut receiver, &wire).len(), 10_000);
        assert!(receiver.stats().stream_ended, "{format}: exactly the limit is allowed");
    }
}

#[test]
fn the_ratio_is_limited_in_every_format() {
    for format in formats() {
        let wire = bomb(format, 4 << 20);
        let options = Decompression::from(format).max_ratio(Some((50, 100_000)));
        let (plain, reason) = receive_in(&mut expecting(options.clone()), &wire, usize::MAX, 4096);
        assert_eq!(kind(reason), Some(DecompressErrorKind::LimitRatio { max: 50 }), "{format}");
        assert!((100_000..wire.len() * 50 + 110_000).contains(&plain.len()), "{format}: {}", plain.len());
        let honest = stream(&format.into(), &[text(300_000)]);
        assert_eq!(receive(&mut expecting(options), &honest).len(), 300_000, "{format}");
    }
}

#[test]
fn limits_hold_for_detected_streams_too() {
    for format in formats() {
        let mut receiver = detecting();
        receiver.set_limits(&Decompression::deflate().max_total(Some(5)));
        let (plain, reason) = receive_in(&mut receiver, &stream(&format.into(), &["123456"]), 1000, ROOM);
        assert_eq!(plain, b"12345");
        assert_eq!(kind(reason), Some(DecompressErrorKind::LimitTotal { max: 5 }), "{format}");
    }
}

#[test]
fn limits_for_every_format_leave_each_its_own_defaults() {
    for format in formats() {
        let read = |limits: Decompression| {
            let mut receiver = detecting();
            receiver.set_limits(&limits.max_total(Some(1 << 20)));
            let one = stream(&format.into(), &["data"]);
            kind(receive_in(&mut receiver, &one.repeat(2), 1000, ROOM).1)
        };
        let trailing =
            (!matches!(format, Format::Gzip | Format::Zstd | Format::Lz4)).then_some(DecompressErrorKind::TrailingData);
        assert_eq!(read(Decompression::deflate()), trailing, "{format}");
        assert_eq!(read(Decompression::gzip()), trailing, "{format}");
        assert_eq!(read(Decompression::deflate().after_end(AfterEnd::NextStream)), None, "{format}");
        assert_eq!(read(Decompression::gzip().after_end(AfterEnd::Error)), Some(DecompressErrorKind::TrailingData), "{format}");
    }
}

#[test]
fn a_gzip_header_without_end_is_refused() {
    let mut receiver = expecting(Format::Gzip);
    let mut wire = vec![0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3];
    wire.resize(140_000, b'a');
    let (_, reason) = receive_in(&mut receiver, &wire, 1000, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Skipped { max: 128 << 10 }));
}

/// The beginning of a stream, and input that goes on for ever without output.
fn nothing(format: Format) -> Vec<(Vec<u8>, Vec<u8>)> {
    let header = |format: Format| stream(&Compression::from(format).announce(false), &["x"]);
    let blocks = [vec![0, 0, 0, 0xff, 0xff], vec![0x02, 0x08, 0x20, 0x80, 0x00]];
    match format {
        Format::Deflate => blocks.map(|block| (vec![0x78, 0x9c], block)).into(),
        Format::DeflateRaw => blocks.map(|block| (vec![], block)).into(),
        Format::Gzip => {
            let member = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[3, 0], &[0; 8]].concat();
            let in_a_member = blocks.map(|block| (header(format)[..10].to_vec(), block));
            [&in_a_member[..], &[(vec![], member)]].concat()
        }
        Format::Zstd => {
            let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0];
            let mixed = [&frame[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(9)].concat();
            let begun = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38].to_vec();
            [(begun.clone(), vec![0, 0, 0]), (begun, vec![2, 0, 0, b'a']), (vec![], frame.to_vec()), (vec![], mixed)].into()
        }
        Format::Lz4 => {
            let begun = [4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
            let frame = [&begun[..], &[0; 4]].concat();
            vec![(begun.to_vec(), vec![0, 0, 0, 0x80]), (begun.to_vec(), vec![1, 0, 0, 0, 0]), (vec![], frame)]
        }
        _ => Vec::new(),
    }
}

#[test]
fn what_gives_nothing_is_taken_up_to_the_limit_in_every_format() {
    const MAX: u64 = 10_000;
    for format in formats() {
        let options = Decompression::from(format).max_skipped(MAX).after_end(AfterEnd::NextStream);
        for (begin, unit) in nothing(format) {
            let refused = Some(DecompressErrorKind::Skipped { max: MAX });
            let endless = |len: usize| [&begin[..], &unit.repeat(len / unit.len())].concat();
            // Most of a block may wait in the decoder of zstd.
            for piece in [1, 100, usize::MAX] {
                let (plain, reason) = receive_in(&mut expecting(options.clone()), &endless(200_000), piece, ROOM);
                assert_eq!((&plain[..], kind(reason)), (&b""[..], refused.clone()), "{format} {unit:02x?} in pieces of {piece}");
            }
            let (_, reason) = receive_in(&mut expecting(options.clone()), &endless(MAX as usize - 100), 100, ROOM);
            assert!(reason.is_none(), "{format} {unit:02x?}: {reason:?}");
        }
    }
}

#[test]
#[cfg(feature = "lz4")]
fn the_size_of_an_lz4_block_is_part_of_the_block() {
    let wire = stream(&Compression::lz4(), &["sixteen bytes..."]);
    // An announcement has 19 bytes, and the size 4.
    let mut receiver = detecting_within(&Decompression::lz4().max_skipped(20));
    let (plain, reason) = receive_in(&mut receiver, &wire, 1, ROOM);
    assert_eq!((&plain[..], kind(reason)), (&b"sixteen bytes..."[..], None));
}

#[test]
fn a_gzip_header_with_the_longest_extra_field_is_accepted() {
    let extra = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0xff, 0xff][..], &[0; 65_535]].concat();
    let wire = [&extra, &stream(&Compression::gzip().announce(false), &["data"])[10..]].concat();
    for piece in [1000, 65_547, usize::MAX] {
        let (plain, reason) = receive_in(&mut expecting(Format::Gzip), &wire, piece, ROOM);
        assert!(reason.is_none(), "{reason:?}");
        assert_eq!(plain, b"data");
    }
}

#[test]
#[cfg(feature = "zstd")]
fn a_zstd_window_is_refused_before_it_is_allocated() {
    for (descriptor, asked) in [(0x88, 1 << 27), (0x69, (1 << 23) + (1 << 20)), (0xa8, 1 << 31)] {
        let wire = [0x28, 0xb5, 0x2f, 0xfd, 0x00, descriptor];
        let (_, reason) = receive_in(&mut expecting(Format::Zstd), &wire, 1, ROOM);
        assert_eq!(kind(reason), Some(DecompressErrorKind::Window { asked, max: 8 << 20 }));
    }
    // One segment of 100 MiB: its size is the window.
    let size = 100u32 << 20;
    let wire = [&[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..], &size.to_le_bytes()].concat();
    let (_, reason) = receive_in(&mut expecting(Format::Zstd), &wire, 1, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Window { asked: 100 << 20, max: 8 << 20 }));
    // Windows that the codec itself would refuse give the same error, whatever the limit.
    let wire = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8];
    let (_, reason) = receive_in(&mut expecting(Decompression::zstd().max_window(u64::MAX)), &wire, 1, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Window { asked: 1 << 31, max: 1 << 30 }));
    // Our highest level fits the default.
    let wire = stream(&Compression::zstd().level(22), &["data"]);
    assert_eq!(receive(&mut detecting(), &wire), b"data");
}

#[test]
fn skippable_frames_are_skipped_up_to_a_limit() {
    for format in formats().filter(|format| matches!(format, Format::Zstd | Format::Lz4)) {
        let data = stream(&Compression::from(format).announce(false), &["data"]);
        let frame = |len: u32, bytes: &[u8]| [&[0x53, 0x2a, 0x4d, 0x18][..], &len.to_le_bytes(), bytes].concat();
        let wire = [frame(5, b"12345"), frame(0, b""), data.clone()].concat();
        for piece in [1, 2, 1000] {
            let (plain, reason) = receive_in(&mut expecting(format), &wire, piece, ROOM);
            assert!(reason.is_none(), "{format}: {reason:?}");
            assert_eq!(plain, b"data", "{format}");
        }
        let refused = Some(DecompressErrorKind::Skipped { max: 128 << 10 });
        let (_, reason) = receive_in(&mut expecting(format), &frame(u32::MAX, b""), 1, ROOM);
        assert_eq!(kind(reason), refused, "{format}: 4 GiB");
        let (_, reason) = receive_in(&mut expecting(format), &frame(0, b"").repeat(16_385), 1000, ROOM);
        assert_eq!(kind(reason), refused, "{format}: many");
    }
}

#[test]
#[cfg(feature = "zstd")]
fn a_zstd_bomb_of_repeated_bytes_is_bounded_by_the_default_ratio() {
    // RLE blocks of 128 KiB: four bytes each.
    let mut wire = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
    for _block in 0..2000 {
        wire.extend([0x02, 0x00, 0x10, b'a']);
    }
    let (plain, reason) = receive_in(&mut expecting(Format::Zstd), &wire, usize::MAX, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::LimitRatio { max: 1000 }));
    assert!(plain.len() < 17 << 20, "{}", plain.len());
}

#[test]
#[cfg(feature = "lz4")]
fn lz4_blocks_are_bounded_by_the_window() {
    let sum = crate::compression::checksum::lz4_header_sum(&[0x60, 0x70]);
    let wire = [4, 0x22, 0x4d, 0x18, 0x60, 0x70, sum, 0, 0, 0, 0];
    assert_eq!(receive(&mut expecting(Format::Lz4), &wire), b"");
    let small = Decompression::lz4().max_window(1 << 20);
    let (_, reason) = receive_in(&mut expecting(small), &wire, 1, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Window { asked: 4 << 20, max: 1 << 20 }));
}
