//! Groups 7 and 8: the order of writes and switches, and one flush per turn that leaves nothing behind.

use flate2::{Decompress, FlushDecompress};
use torsade_protocols::Flush;

use super::*;

#[test]
fn what_is_written_before_the_switch_is_plain_and_after_it_compressed() {
    let mut sender = layer(&EncoderPool::shared());
    let mut wire = Vec::new();
    sender.write(b"before", &mut wire, NOW).unwrap();
    sender.compress(&Compression::deflate_raw().announce(false)).unwrap();
    assert_eq!(wire, b"before", "the switch itself writes nothing");
    sender.write(b"after", &mut wire, NOW).unwrap();
    sender.flush(&mut wire, NOW).unwrap();
    let mut receiver = layer(&EncoderPool::shared());
    let (plain, rest) = wire.split_at(6);
    assert_eq!(receive(&mut receiver, plain), b"before");
    receiver.expect(&Decompression::deflate_raw(), b"").unwrap();
    assert_eq!(receive(&mut receiver, rest), b"after");
}

#[test]
fn a_connection_that_says_nothing_sends_nothing() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = Vec::new();
        sender.write(b"", &mut wire, NOW).unwrap();
        sender.flush(&mut wire, NOW).unwrap();
        sender.barrier(&mut wire, NOW).unwrap();
        sender.finish(&mut wire).unwrap();
        assert_eq!(wire, b"", "{format}");
    }
}

#[test]
fn switching_twice_is_nothing_and_to_another_format_is_refused() {
    let mut sender = sender(&Compression::deflate());
    assert_eq!(sender.compress(&Compression::deflate().level(1)), Ok(()));
    let error = sender.compress(&Compression::gzip()).unwrap_err();
    assert!(error.to_string().contains("already compressed as deflate"), "{error}");
    let mut receiver = expecting(Format::Deflate);
    assert_eq!(receiver.expect(&Decompression::deflate(), b""), Ok(()));
    assert!(receiver.expect(&Decompression::gzip(), b"").is_err());
}

#[test]
fn after_the_end_switching_is_refused_and_nothing_is_written() {
    for compressed in [false, true] {
        let mut sender = layer(&EncoderPool::shared());
        if compressed {
            sender.compress(&Compression::deflate()).unwrap();
        }
        let mut wire = send(&mut sender, &["x"]);
        sender.finish(&mut wire).unwrap();
        let len = wire.len();
        sender.finish(&mut wire).unwrap();
        sender.force_flush(&mut wire, NOW).unwrap();
        assert_eq!(wire.len(), len);
        assert_eq!(sender.compress(&Compression::deflate()), Err(torsade_protocols::CompressionError::Closed));
    }
}

#[test]
fn a_refused_switch_changes_nothing() {
    let mut sender = layer(&EncoderPool::shared());
    assert!(sender.compress(&Compression::deflate().level(10)).is_err());
    assert_eq!(send(&mut sender, &["still plain"]), b"still plain");
}

#[test]
fn each_byte_is_readable_within_its_turn() {
    for format in formats() {
        let (mut sender, mut receiver) = (sender(&format.into()), detecting());
        for byte in text(300) {
            let wire = send(&mut sender, &[[byte]]);
            assert_eq!(receive(&mut receiver, &wire), [byte], "{format}");
        }
    }
}

#[test]
fn a_flush_is_whole_at_every_capacity_of_the_buffer() {
    for format in formats() {
        for len in [1, 50, 3000] {
            let plain = text(len);
            let wanted = {
                let mut sender = sender(&format.into());
                send(&mut sender, &[&plain, &plain])
            };
            for capacity in 0..=100 {
                let mut sender = sender(&format.into());
                let mut wire = Vec::new();
                for _turn in 0..2 {
                    let mut piece = Vec::with_capacity(capacity);
                    sender.write(&plain, &mut piece, NOW).unwrap();
                    let mut rest = Vec::with_capacity(capacity);
                    sender.flush(&mut rest, NOW).unwrap();
                    wire.extend(piece);
                    wire.extend(rest);
                }
                // The same bytes: nothing is missing, and no marker is repeated.
                assert!(wire == wanted, "{format}: {len} bytes, capacity {capacity}");
            }
        }
    }
}

/// Found by the property suite, seed 48 on a calm network: with level 0 the bytes were never sent.
#[test]
fn what_is_to_be_flushed_by_hand_leaves_after_a_second_of_silence() {
    let stored = formats().map(Compression::from).filter(|options| options.clone().level(0).check().is_ok());
    let stored: Vec<_> = stored.map(|options| options.level(0)).collect();
    for options in formats().map(Compression::from).chain(stored) {
        let mut sender = sender(&options.clone().flush(Flush::Manual));
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        sender.write(b"one", &mut wire, NOW).unwrap();
        sender.write(b"two", &mut wire, NOW + Duration::from_millis(900)).unwrap();
        sender.flush(&mut wire, NOW + Duration::from_millis(900)).unwrap();
        let due = sender.deadline().unwrap();
        assert_eq!(due, Duration::from_millis(1900), "{options:?}");
        sender.expire(&mut wire, &mut plain, due).unwrap();
        assert_eq!(receive(&mut detecting(), &wire), b"onetwo", "{options:?}");
        assert_eq!(plain, b"");
    }
}

#[test]
fn a_thousand_writes_in_a_turn_are_one_flush() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = Vec::new();
        for message in messages(1000) {
            sender.write(&message, &mut wire, NOW).unwrap();
        }
        sender.flush(&mut wire, NOW).unwrap();
        assert_eq!(sender.stats().flushes, 1, "{format}");
        assert_eq!(receive(&mut detecting(), &wire), messages(1000).concat(), "{format}");
    }
}

#[test]
fn idle_turns_write_nothing() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = send(&mut sender, &["x"]);
        let len = wire.len();
        for _turn in 0..10 {
            sender.flush(&mut wire, NOW).unwrap();
            sender.force_flush(&mut wire, NOW).unwrap();
        }
        assert_eq!((wire.len(), sender.stats().flushes), (len, 1), "{format}");
    }
}

#[test]
fn manual_flushes_only_when_asked() {
    for format in formats() {
        let mut sender = sender(&Compression::from(format).flush(Flush::Manual));
        let mut receiver = detecting();
        let wire = send(&mut sender, &["one", "two"]);
        assert_eq!(receive(&mut receiver, &wire), b"", "{format}");
        let mut wire = Vec::new();
        sender.force_flush(&mut wire, NOW).unwrap();
        assert_eq!(receive(&mut receiver, &wire), b"onetwo", "{format}");
    }
}

#[test]
fn flush_after_waits_for_bytes_or_for_time() {
    let delay = Duration::from_millis(5);
    let policy = Flush::After { bytes: 10, delay };
    let (mut sender, mut receiver) = (sender(&Compression::deflate().flush(policy)), detecting());
    let wire = send(&mut sender, &["12345"]);
    assert_eq!(receive(&mut receiver, &wire), b"");
    assert_eq!(sender.deadline(), Some(delay));
    let wire = send(&mut sender, &["67890"]);
    assert_eq!(receive(&mut receiver, &wire), b"1234567890", "enough bytes");

    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    let start = Duration::from_millis(100);
    sender.write(b"abc", &mut wire, start).unwrap();
    sender.flush(&mut wire, start).unwrap();
    assert_eq!(sender.deadline(), Some(start + delay));
    sender.expire(&mut wire, &mut plain, start + delay / 2).unwrap();
    assert_eq!(receive(&mut receiver, &std::mem::take(&mut wire)), b"", "too early");
    sender.expire(&mut wire, &mut plain, start + delay).unwrap();
    assert_eq!(receive(&mut receiver, &wire), b"abc", "enough time");
}

#[test]
fn writing_in_the_steady_state_does_not_grow_the_buffer() {
    let mut sender = sender(&Compression::deflate());
    let mut wire = Vec::with_capacity(4096);
    let before = wire.as_ptr();
    for message in messages(200) {
        sender.write(&message, &mut wire, NOW).unwrap();
        sender.flush(&mut wire, NOW).unwrap();
        wire.clear();
    }
    assert_eq!((wire.as_ptr(), wire.capacity()), (before, 4096));
}

fn partial(format: Format) -> Compression {
    Compression::from(format).flush(Flush::Partial)
}

#[test]
fn the_bytes_of_a_partial_flush_are_those_of_zlib() {
    let mut sender = sender(&partial(Format::DeflateRaw).announce(false));
    // Python: c = zlib.compressobj(6, zlib.DEFLATED, -15), then c.compress(m) + c.flush(zlib.Z_PARTIAL_FLUSH) for each.
    assert_eq!(send(&mut sender, &["hello"]), [0xca, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x08]);
    assert_eq!(send(&mut sender, &["hello"]), [0xa0, 0x0c, 0x10, 0x01, 0x10]);
    assert_eq!(send(&mut sender, &["x"]), [0x40, 0x15, 0x00, 0x01]);
    let mut wire = Vec::new();
    sender.finish(&mut wire).unwrap();
    assert_eq!(wire, [0x06, 0x00], "the bits that were left, and an empty last block");
    let stats = sender.stats();
    assert_eq!((stats.flushes, stats.partial_flushes, stats.sync_flushes), (3, 3, 0));
}

#[test]
fn after_a_partial_flush_any_zlib_has_everything() {
    for level in [0, 1, 6, 9] {
        let mut sender = sender(&partial(Format::Deflate).level(level));
        let mut inflate = Decompress::new(true);
        for message in messages(1000) {
            let wire = send(&mut sender, &[&message]);
            let mut plain = Vec::with_capacity(message.len() + 64);
            let before = inflate.total_in();
            inflate.decompress_vec(&wire, &mut plain, FlushDecompress::None).unwrap();
            assert_eq!(inflate.total_in() - before, wire.len() as u64);
            assert!(plain == message, "level {level}: {} bytes of {}", plain.len(), message.len());
        }
    }
}

#[test]
fn flushes_are_partial_once_the_peer_is_known_to_be_torsade() {
    let (mut one, mut other) = (sender(&Compression::deflate()), sender(&Compression::gzip()));
    let marked = |wire: &[u8]| wire.ends_with(&[0, 0, 0xff, 0xff]);
    let wire = send(&mut one, &["who are you?"]);
    assert!(marked(&wire), "an unknown peer is sent the form that everyone accepts");
    assert_eq!(receive(&mut other, &wire), b"who are you?");
    let wire = send(&mut other, &["Torsade, and you announced yourself"]);
    assert!(!marked(&wire));
    receive(&mut one, &wire);
    let wire = send(&mut one, &["then so are you"]);
    assert!(!marked(&wire));
    assert_eq!(receive(&mut other, &wire), b"then so are you");
    let stats = one.stats();
    assert_eq!((stats.flushes, stats.partial_flushes, stats.sync_flushes), (2, 1, 1));

    // The peer's stream came before ours.
    let mut answering = detecting();
    receive(&mut answering, &stream(&Compression::deflate(), &["hello"]));
    answering.compress(&Compression::deflate()).unwrap();
    assert!(!marked(&send(&mut answering, &["hello"])));

    // A stream that was expected does not say who sent it.
    let mut told = expecting(Format::Deflate);
    receive(&mut told, &stream(&Compression::deflate(), &["hello"]));
    told.compress(&Compression::deflate()).unwrap();
    assert!(marked(&send(&mut told, &["hello"])));
}

#[test]
fn sync_is_the_marker_whoever_reads() {
    let mut answering = sender(&Compression::deflate().flush(Flush::Sync));
    receive(&mut answering, &stream(&Compression::deflate(), &["hello"]));
    for message in messages(10) {
        assert!(send(&mut answering, &[message]).ends_with(&[0, 0, 0xff, 0xff]));
    }
}

#[test]
fn what_needs_a_byte_boundary_gets_one_after_partial_flushes() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        for count in 1..40 {
            let messages = messages(count);
            let mut sender = sender(&partial(format));
            let mut wire = send(&mut sender, &messages[..count / 2]);
            sender.barrier(&mut wire, NOW).unwrap();
            wire.extend(send(&mut sender, &messages[count / 2..]));
            let cut = {
                let mut wire = wire.clone();
                sender.break_off(&mut wire, NOW).unwrap();
                wire
            };
            assert_eq!(receive_all(&mut detecting(), &cut).0, messages.concat(), "{format}");
            let mut told = expecting(format);
            let (plain, reason) = receive_all(&mut told, &cut);
            assert_eq!((plain, kind(reason)), (messages.concat(), Some(DecompressErrorKind::Truncated)), "{format}");
        }
    }
}

/// 64 incompressible KiB are stored, in blocks that the encoder does not know, and that begin at a byte boundary.
#[test]
fn stored_blocks_follow_partial_flushes() {
    let (mut sender, mut receiver) = (sender(&partial(Format::Deflate)), detecting());
    let noise = noise(200_000);
    for piece in noise.chunks(1000).chain([&text(500)[..]; 300]) {
        let wire = send(&mut sender, &[piece]);
        assert!(receive(&mut receiver, &wire) == piece);
    }
    let mut wire = Vec::new();
    sender.finish(&mut wire).unwrap();
    receive(&mut receiver, &wire);
    assert!(receiver.stats().stream_ended && sender.stats().stored.total() > 100_000);
}

#[test]
fn a_partial_flush_saves_four_bytes_of_a_chat_line() {
    let sizes = [Flush::Sync, Flush::Partial].map(|flush| {
        let mut sender = sender(&Compression::deflate().flush(flush));
        let mut lines = text(50_000);
        lines.truncate(50_000);
        lines.chunks(50).map(|line| send(&mut sender, &[line]).len()).sum::<usize>()
    });
    let saved = sizes[0] - sizes[1];
    assert!(saved > 3 * 1000, "{saved} bytes of 1,000 lines");
}
