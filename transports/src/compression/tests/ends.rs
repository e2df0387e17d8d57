//! Groups 9 and 12, ends: trailers, what follows them, and each row of the table of ends.

use super::*;
use torsade_protocols::Truncation;

#[test]
fn a_finished_stream_has_ended_and_an_unfinished_one_has_not() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = send(&mut sender, &messages(3));
        let mut receiver = detecting();
        receive(&mut receiver, &wire);
        assert!(!receiver.stats().stream_ended);
        let start = wire.len();
        sender.finish(&mut wire).unwrap();
        receive(&mut receiver, &wire[start..]);
        assert!(receiver.stats().stream_ended, "{format}");
        let trailer = match format {
            Format::Deflate => 6,
            Format::DeflateRaw => 2,
            Format::Gzip => 10,
            Format::Lz4 => 8,
            _ => 7, // an empty last block and four bytes of checksum
        };
        assert_eq!(wire.len() - start, trailer, "{format}");
    }
}

#[test]
fn a_stream_that_was_opened_by_a_flush_ends_properly() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = Vec::new();
        sender.force_flush(&mut wire, NOW).unwrap();
        sender.finish(&mut wire).unwrap();
        let mut receiver = detecting();
        assert_eq!(receive_all(&mut receiver, &wire).0, b"");
        assert!(receiver.stats().stream_ended, "{format}");
    }
}

#[test]
fn writing_and_finishing_without_a_flush_loses_nothing() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = Vec::new();
        sender.write(b"last words", &mut wire, NOW).unwrap();
        sender.finish(&mut wire).unwrap();
        let (plain, reason) = receive_all(&mut detecting(), &wire);
        assert!(reason.is_none(), "{format}: {reason:?}");
        assert_eq!(plain, b"last words");
    }
}

#[test]
fn reading_goes_on_after_our_own_end() {
    let mut here = sender(&Compression::deflate());
    let mut wire = send(&mut here, &["bye"]);
    here.finish(&mut wire).unwrap();
    let answer = stream(&Compression::deflate(), &["answer"]);
    assert_eq!(receive(&mut here, &answer), b"answer");
}

#[test]
fn a_stop_at_a_flush_is_an_error_if_announced_and_clean_if_expected() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let wire = send(&mut sender, &messages(3));
        let (plain, reason) = receive_all(&mut detecting(), &wire);
        assert_eq!(plain, messages(3).concat(), "what arrived is delivered");
        assert_eq!(kind(reason), Some(DecompressErrorKind::Truncated), "{format}");

        let mut receiver = expecting(format);
        let (plain, reason) = receive_all(&mut receiver, &wire);
        assert_eq!(plain, messages(3).concat());
        assert!(reason.is_none(), "{format}");
        assert!(!receiver.stats().stream_ended);

        let strict = Decompression::from(format).truncation(Truncation::Error);
        let (_, reason) = receive_all(&mut expecting(strict), &wire);
        assert_eq!(kind(reason), Some(DecompressErrorKind::Truncated), "{format}");

        let mut lenient = detecting();
        lenient.set_limits(&Decompression::from(format).truncation(Truncation::Allow));
        assert!(receive_all(&mut lenient, &wire).1.is_none(), "{format}");
    }
}

#[test]
fn truncation_is_seen_at_every_byte_of_an_announced_stream() {
    for (sending, reading) in kinds() {
        let wire = stream(&sending, &messages(3));
        let header = match sending.format {
            Format::Deflate => 2,
            Format::Gzip => 10,
            Format::Zstd => 6,
            Format::Lz4 => 7,
            _ => 0,
        };
        let id = sending.dictionary.as_ref().and_then(|dictionary| dictionary.id(sending.format));
        let mark = wire.len() - stream(&sending.clone().announce(false), &messages(3)).len();
        let opening = header + id.map_or(0, |_| 4) + mark;
        for cut in 0..wire.len() {
            let (plain, reason) = receive_all(&mut detecting_within(&reading), &wire[..cut]);
            if cut < opening {
                assert_eq!(plain, wire[..cut], "{sending:?}: no whole announcement, so it is plain");
                assert!(reason.is_none());
            } else {
                assert!(messages(3).concat().starts_with(&plain));
                assert_eq!(kind(reason), Some(DecompressErrorKind::Truncated), "{sending:?} cut at {cut}");
            }
        }
    }
}

#[test]
fn an_expected_stream_may_stop_where_its_sender_has_flushed_and_nowhere_else() {
    for format in formats() {
        let mut sender = sender(&Compression::from(format).announce(false));
        let mut wire = Vec::new();
        sender.force_flush(&mut wire, NOW).unwrap();
        let (mut flushes, mut written) = (vec![(0, 0), (wire.len(), 0)], 0);
        for message in messages(20) {
            written += message.len();
            wire.extend(send(&mut sender, &[message]));
            flushes.push((wire.len(), written));
        }
        for cut in 0..=wire.len() {
            let (plain, reason) = receive_all(&mut expecting(format), &wire[..cut]);
            match kind(reason) {
                // Nothing is missing between a block and the flush after it either.
                None => {
                    let whole = flushes.iter().any(|(at, whole)| cut <= *at && *whole == plain.len());
                    assert!(whole, "{format} cut at {cut}, behind a flush and not at one");
                }
                Some(DecompressErrorKind::Truncated) => {
                    assert!(!flushes.iter().any(|(at, _)| *at == cut), "{format} cut at {cut}")
                }
                other => panic!("{format} cut at {cut}: {other:?}"),
            }
        }
    }
}

#[test]
fn trailing_bytes_that_begin_like_a_further_stream_are_all_there() {
    for format in formats().filter(|format| matches!(format, Format::Gzip | Format::Zstd | Format::Lz4)) {
        // `S` may begin a skippable frame of zstd or lz4.
        let behind: &[u8] = if format == Format::Gzip { b"\x1fUCCESS" } else { b"SUCCESS" };
        let wire = [&stream(&format.into(), &["data"])[..], behind].concat();
        let mut receiver = expecting(Decompression::from(format).after_end(AfterEnd::NextStream));
        let (plain, reason) = receive_in(&mut receiver, &wire, usize::MAX, ROOM);
        assert_eq!((&plain[..], kind(reason)), (&b"data"[..], Some(DecompressErrorKind::TrailingData)), "{format}");
        assert_eq!(receiver.take_trailing(), behind, "{format}");
    }
}

#[test]
fn trailing_bytes_are_an_error_and_can_be_taken() {
    for format in [Format::Deflate, Format::DeflateRaw] {
        for piece in [1, 1000] {
            let mut wire = stream(&format.into(), &["data"]);
            wire.extend(b"plain");
            let mut receiver = detecting();
            let (plain, reason) = receive_in(&mut receiver, &wire, piece, ROOM);
            assert_eq!(plain, b"data");
            assert_eq!(kind(reason), Some(DecompressErrorKind::TrailingData), "{format}");
            assert_eq!(receiver.take_trailing(), if piece == 1 { &b"p"[..] } else { b"plain" });
            assert!(receiver.stats().stream_ended);
        }
    }
}

#[test]
fn bytes_after_the_end_may_be_plain() {
    for format in formats() {
        let mut wire = stream(&format.into(), &["data "]);
        wire.extend(b"and plain text");
        for piece in [1, 7, 1000] {
            for room in [1, 5, 100] {
                let mut receiver = expecting(Decompression::from(format).after_end(AfterEnd::Plain));
                let (plain, reason) = receive_in(&mut receiver, &wire, piece, room);
                assert!(reason.is_none(), "{format}: {reason:?}");
                assert_eq!(plain, b"data and plain text", "{format}");
                assert!(receiver.reads_directly());
                assert!(receiver.stats().stream_ended);
            }
        }
    }
}

#[test]
fn a_stream_that_was_broken_off_is_read_and_never_taken_for_a_whole_one() {
    for (format, announce, between) in
        formats().flat_map(|format| [(format, true, false), (format, false, false), (format, false, true)])
    {
        let mut sender = sender(&Compression::from(format).announce(announce));
        let mut wire = send(&mut sender, &messages(3));
        if between {
            // Here zstd is between two frames.
            sender.barrier(&mut wire, NOW).unwrap();
        }
        sender.break_off(&mut wire, NOW).unwrap();
        assert_eq!(sender.stats().wire_out, wire.len() as u64, "{format}");
        let padded = Decompression::from(format).after_end(AfterEnd::Padded);
        for mut receiver in [if announce { detecting() } else { expecting(format) }, expecting(padded)] {
            let (plain, reason) = receive_all(&mut receiver, &wire);
            assert_eq!(plain, messages(3).concat(), "{format}");
            assert_eq!(kind(reason), Some(DecompressErrorKind::Truncated), "{format}");
        }
    }
    let mut silent = sender(&Compression::deflate());
    let mut wire = Vec::new();
    silent.break_off(&mut wire, Duration::ZERO).unwrap();
    assert!(wire.is_empty(), "a stream that was never opened leaves nothing");
}

#[test]
fn a_stream_of_zlib_or_raw_deflate_is_read_as_either() {
    let stored = [[8, 4, 0, 0xfb, 0xff].as_slice(), b"data", &[1, 0, 0, 0xff, 0xff]].concat();
    let raw = stream(&Compression::deflate_raw().announce(false), &["data"]);
    let announced = stream(&Compression::deflate_raw(), &["data"]);
    let zlib = stream(&Compression::deflate(), &["data"]);
    for wire in [stored, raw, announced, zlib] {
        for piece in [1, 1000] {
            let mut receiver = expecting(Decompression::deflate_any());
            let (plain, reason) = receive_in(&mut receiver, &wire, piece, ROOM);
            assert_eq!((&plain[..], kind(reason)), (&b"data"[..], None), "{wire:?}");
            assert!(receiver.stats().stream_ended);
        }
        assert_eq!("deflate-any".parse::<Decompression>(), Ok(Decompression::deflate_any()));
    }
}

#[test]
fn what_follows_a_stream_may_be_padding_or_nothing_to_care_for() {
    for format in formats() {
        let one = stream(&Compression::from(format).announce(false), &["one "]);
        let padded = [&one[..], &[0; 700], &one, &[0; 3]].concat();
        let spoiled = [&one[..], &[0, 0, 7]].concat();
        for piece in [1, 600, 2000] {
            let padding = || expecting(Decompression::from(format).after_end(AfterEnd::Padded));
            let mut receiver = padding();
            assert_eq!(receive_in(&mut receiver, &padded, piece, ROOM).0, b"one one ", "{format}");
            receiver.read_end(&mut Vec::new()).unwrap();
            let (plain, reason) = receive_all(&mut padding(), &spoiled);
            assert!(plain == b"one " && reason.is_some(), "{format}");

            let mut receiver = expecting(Decompression::from(format).after_end(AfterEnd::Drop));
            let (plain, reason) = receive_in(&mut receiver, &spoiled, piece, ROOM);
            assert_eq!((&plain[..], kind(reason)), (&b"one "[..], None), "{format}");
            assert_eq!(receiver.stats().dropped_in, 3);
        }
        let endless = [&one[..], &vec![0; 200 << 10]].concat();
        let padding = Decompression::from(format).after_end(AfterEnd::Padded);
        let (_, reason) = receive_in(&mut expecting(padding), &endless, 1000, ROOM);
        assert_eq!(kind(reason), Some(DecompressErrorKind::Skipped { max: 128 << 10 }), "{format}");
    }
}

#[test]
fn streams_may_follow_each_other() {
    for format in formats() {
        let one = stream(&format.into(), &["one "]);
        let two = stream(&Compression::from(format).announce(false), &["two"]);
        let wire = [&one[..], &two, &one].concat();
        let options = Decompression::from(format).after_end(AfterEnd::NextStream);
        for piece in [1, 3, 1000] {
            let mut receiver = expecting(options.clone());
            let (plain, reason) = receive_in(&mut receiver, &wire, piece, 5);
            assert!(reason.is_none(), "{format}: {reason:?}");
            assert_eq!(plain, b"one twoone ", "{format}");
            assert!(receiver.stats().stream_ended);
            receiver.read_end(&mut Vec::new()).unwrap();
        }
        // For gzip members, and frames of zstd and lz4, this is the default.
        let by_default = receive_in(&mut detecting(), &wire, 1000, ROOM).1.is_none();
        assert_eq!(by_default, matches!(format, Format::Gzip | Format::Zstd | Format::Lz4), "{format}");
    }
}

#[test]
#[cfg(feature = "lz4")]
fn legacy_frames_of_lz4_are_read_and_end_with_the_input_or_the_next_frame() {
    let block = |text: &str| {
        let block = lz4_flex::block::compress(text.as_bytes());
        [&u32::try_from(block.len()).unwrap().to_le_bytes()[..], &block].concat()
    };
    let legacy = [&[0x02, 0x21, 0x4c, 0x18][..], &block("one "), &block("two ")].concat();
    let modern = stream(&Compression::lz4().announce(false), &["three "]);
    let sized = lz4_flex::frame::FrameInfo::new().content_size(Some(4));
    let mut sized = lz4_flex::frame::FrameEncoder::with_frame_info(sized, Vec::new());
    std::io::Write::write_all(&mut sized, b"four").unwrap();
    let sized = sized.finish().unwrap();
    let strict = || expecting(Decompression::lz4().truncation(Truncation::Error));
    for (wire, wanted) in [
        (legacy.clone(), "one two "),
        ([&legacy[..], &modern].concat(), "one two three "),
        ([&legacy[..], &sized].concat(), "one two four"),
        ([&legacy[..], &legacy].concat(), "one two one two "),
        ([&modern[..], &legacy].concat(), "three one two "),
    ] {
        for piece in [1, 5, 1000] {
            let mut receiver = strict();
            let (plain, reason) = receive_in(&mut receiver, &wire, piece, 3);
            assert_eq!((plain, kind(reason)), (wanted.into(), None));
            assert!(receiver.stats().stream_ended);
            receiver.read_end(&mut Vec::new()).unwrap();
        }
    }
    for cut in 1..legacy.len() {
        let whole = cut == 4 || cut == 4 + block("one ").len();
        let (_, reason) = receive_all(&mut strict(), &legacy[..cut]);
        assert_eq!(kind(reason), (!whole).then_some(DecompressErrorKind::Truncated), "cut at {cut}");
    }
    // A block whose stated length is impossible, and a window above the limit.
    let (_, reason) = receive_all(&mut strict(), &[0x02, 0x21, 0x4c, 0x18, 0, 0, 0, 1]);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Data));
    let (_, reason) = receive_all(&mut expecting(Decompression::lz4().max_window(4 << 20)), &legacy);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Window { asked: 8 << 20, max: 4 << 20 }));
}

#[test]
fn frames_that_are_skipped_after_a_stream_do_not_begin_another_one() {
    for format in formats().filter(|format| matches!(format, Format::Zstd | Format::Lz4)) {
        let stream = stream(&Compression::from(format).announce(false), &["data"]);
        // A seekable zstd file ends like this.
        let skipped = [0x5e, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, b'n', b'o'];
        for cut in 0..=skipped.len() {
            let options = Decompression::from(format).after_end(AfterEnd::NextStream).truncation(Truncation::Error);
            let mut receiver = expecting(options);
            let (plain, reason) = receive_all(&mut receiver, &[&stream[..], &skipped[..cut]].concat());
            assert_eq!(plain, b"data");
            let whole = cut == 0 || cut == skipped.len();
            assert_eq!(kind(reason), (!whole).then_some(DecompressErrorKind::Truncated), "{format} cut at {cut}");
            assert_eq!(receiver.stats().stream_ended, whole);
        }
    }
}

#[test]
fn what_is_not_a_stream_after_a_stream_is_trailing_data() {
    for format in formats().filter(|format| matches!(format, Format::Gzip | Format::Zstd)) {
        let wire = [&stream(&format.into(), &["one"])[..], b"garbage"].concat();
        let mut receiver = detecting();
        let (plain, reason) = receive_in(&mut receiver, &wire, 1000, ROOM);
        assert_eq!(plain, b"one");
        assert_eq!(kind(reason), Some(DecompressErrorKind::TrailingData), "{format}");
        assert!(receiver.stats().stream_ended, "{format}");
    }
}

#[test]
fn a_failed_stream_stays_failed_and_keeps_its_counts() {
    let mut wire = stream(&Compression::deflate(), &["data"]);
    let last = wire.len() - 1;
    wire[last] ^= 1;
    let mut receiver = detecting();
    let (plain, reason) = receive_in(&mut receiver, &wire, usize::MAX, ROOM);
    assert_eq!(plain, b"data", "what was decoded before is delivered");
    let Some(Reason::Decompress(error)) = reason else { panic!("{reason:?}") };
    assert_eq!(error.kind, DecompressErrorKind::Checksum);
    assert_eq!((error.input_offset, error.output_offset), (wire.len() as u64, 4));
    assert_eq!((receiver.stats().plain_in, receiver.stats().stream_ended), (4, false));
    let mut none = Vec::new();
    assert!(receiver.read(b"more", &mut none, ROOM, &Work::unlimited(), NOW).is_err());
    assert!(receiver.read_end(&mut none).is_err());
    assert_eq!(none, b"");
}

#[test]
fn bytes_held_for_detection_belong_to_a_stream_expected_then() {
    let wire = stream(&Compression::deflate().announce(false), &["data"]);
    let mut receiver = detecting();
    let mut plain = Vec::new();
    receiver.read(&wire[..1], &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    receiver.expect(&Decompression::deflate(), b"").unwrap();
    assert_eq!(receiver.deadline(), None);
    assert_eq!(receive(&mut receiver, &wire[1..]), b"data");
}

#[test]
fn an_ended_stream_is_followed_by_plain_bytes_and_by_another_stream() {
    for format in formats() {
        let mut sender = sender(&Compression::from(format).announce(false));
        let mut wire = send(&mut sender, &["one "]);
        sender.end_stream(&mut wire).unwrap();
        sender.end_stream(&mut wire).unwrap();
        let first = wire.len();
        sender.write(b"plain ", &mut wire, NOW).unwrap();
        sender.flush(&mut wire, NOW).unwrap();
        assert_eq!(&wire[first..], b"plain ", "{format}");
        sender.compress(&Compression::gzip().announce(false)).unwrap();
        wire.extend(send(&mut sender, &["two"]));
        sender.finish(&mut wire).unwrap();

        let mut receiver = expecting(Decompression::from(format).after_end(AfterEnd::Plain));
        assert_eq!(receive(&mut receiver, &wire[..first + 6]), b"one plain ", "{format}");
        receiver.expect(&Decompression::gzip(), b"").unwrap();
        let (plain, reason) = receive_all(&mut receiver, &wire[first + 6..]);
        assert!(plain == b"two" && reason.is_none(), "{format}: {reason:?}");
        let (sent, got) = (sender.stats(), receiver.stats());
        assert_eq!((sent.plain_out, sent.format_out), (7, Some(Format::Gzip)));
        assert_eq!((got.plain_in, got.wire_in), (7, sent.wire_out), "the plain bytes between are in neither");
        assert_eq!(sent.wire_out as usize, wire.len() - 6);
    }
}

#[test]
fn a_stream_without_a_byte_ends_without_one() {
    let mut sender = sender(&Compression::deflate());
    let mut wire = Vec::new();
    sender.end_stream(&mut wire).unwrap();
    sender.write(b"plain", &mut wire, NOW).unwrap();
    assert_eq!(wire, b"plain");
    // The next announcement states its own place: after five plain bytes.
    sender.compress(&Compression::deflate_raw()).unwrap();
    let wire = send(&mut sender, &["x"]);
    let mut receiver = CompressionLayer::new(&EncoderPool::shared(), Detect::Anywhere, 5, 0);
    assert_eq!(receive(&mut receiver, &wire), b"x");
}

#[test]
fn nothing_is_sent_after_the_end_of_the_connection() {
    let mut sender = sender(&Compression::deflate());
    let mut wire = send(&mut sender, &["x"]);
    sender.finish(&mut wire).unwrap();
    let end = wire.len();
    sender.end_stream(&mut wire).unwrap();
    sender.write(b"late", &mut wire, NOW).unwrap();
    assert_eq!(wire.len(), end);
}

#[test]
fn what_followed_a_stream_and_was_not_delivered_belongs_to_the_next_one() {
    let mut wire = stream(&Compression::deflate().announce(false), &["one"]);
    wire.extend(stream(&Compression::gzip().announce(false), &["two"]));
    let mut receiver = layer(&EncoderPool::shared());
    receiver.expect(&Decompression::deflate().after_end(AfterEnd::Plain), &wire).unwrap();
    let mut plain = Vec::new();
    // So little room that all plain bytes after the stream except the first have to wait.
    assert!(receiver.read(b"", &mut plain, 4, &Work::unlimited(), NOW).unwrap().more);
    assert_eq!(plain, b"one\x1f");
    receiver.expect(&Decompression::gzip(), b"\x1f").unwrap();
    plain.clear();
    receiver.read(b"", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"two");
}
