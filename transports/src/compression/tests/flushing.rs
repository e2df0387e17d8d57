//! Groups 7 and 8: the order of writes and switches, and one flush a turn that never sticks.

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
                // The same bytes: nothing is missing, and no marker stands twice.
                assert!(wire == wanted, "{format}: {len} bytes, capacity {capacity}");
            }
        }
    }
}

/// Found by the property suite, seed 48 on a calm network: with level 0 they stayed for ever.
#[test]
fn what_is_to_be_flushed_by_hand_leaves_after_a_second_of_silence() {
    let stored = formats().map(Compression::from).filter(|options| options.clone().level(0).check().is_ok());
    let stored: Vec<_> = stored.map(|options| options.level(0)).collect();
    for options in formats().map(Compression::from).chain(stored) {
        let mut sender = sender(&options.clone().flush(torsade_protocols::Flush::Manual));
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
        let mut sender = sender(&Compression::from(format).flush(torsade_protocols::Flush::Manual));
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
    let policy = torsade_protocols::Flush::After { bytes: 10, delay };
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
