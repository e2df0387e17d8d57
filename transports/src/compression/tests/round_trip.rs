//! Groups 1 and 20, round trips: every format and level, with all sizes of data, writes, flushes, pieces and rooms.

use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

use super::*;

#[test]
fn every_format_and_level_returns_what_was_written() {
    let (short, long) = (messages(20), text(30_000));
    for format in formats() {
        for level in format.levels().filter(|level| format != Format::Zstd || level % 7 == 1) {
            let options = Compression::from(format).level(level);
            let wire = stream(&options, &short);
            assert_eq!(receive(&mut expecting(format), &wire), short.concat(), "{format} {level}");
            let wire = stream(&options, &[&long]);
            assert_eq!(receive(&mut expecting(format), &wire), long, "{format} {level}");
        }
    }
}

#[test]
fn every_size_returns() {
    for format in formats() {
        for len in [0, 1, 2, 3, 100, 4095, 4096, 65_534, 65_535, 65_536, 65_537, 200_000] {
            for plain in [text(len), noise(len), vec![0; len]] {
                let wire = stream(&format.into(), &[&plain]);
                let (got, reason) = receive_all(&mut expecting(format), &wire);
                assert!(reason.is_none(), "{format} {len}: {reason:?}");
                assert!(got == plain, "{format}: {len} bytes came back wrong");
            }
        }
    }
}

#[test]
fn ten_megabytes_return() {
    let plain = [text(6 << 20), noise(4 << 20)].concat();
    for format in formats() {
        let level = *format.levels().start().max(&1);
        let wire = stream(&Compression::from(format).level(level), &plain.chunks(100_000).collect::<Vec<_>>());
        assert!(wire.len() < plain.len() * 7 / 10, "{format}: {}", wire.len());
        assert!(receive(&mut detecting(), &wire) == plain, "{format}");
    }
}

#[test]
fn statistics_agree_on_both_sides() {
    for format in formats() {
        let mut sender = sender(&format.into());
        let mut wire = send(&mut sender, &messages(10));
        sender.finish(&mut wire).unwrap();
        let mut receiver = detecting();
        let plain = receive(&mut receiver, &wire);
        let (out, back) = (sender.stats(), receiver.stats());
        assert_eq!((out.format_out, back.format_in), (Some(format), Some(format)));
        assert_eq!((out.plain_out, out.wire_out), (plain.len() as u64, wire.len() as u64), "{format}");
        assert_eq!((back.plain_in, back.wire_in), (plain.len() as u64, wire.len() as u64), "{format}");
        assert_eq!(out.flushes, 10);
        assert!(out.ratio_out().unwrap() < 0.9, "{format}: {out:?}");
    }
}

#[test]
fn both_directions_are_independent() {
    let pool = EncoderPool::shared();
    let (mut here, mut there) = (layer(&pool), layer(&pool));
    here.compress(&Compression::deflate()).unwrap();
    there.compress(&Compression::gzip()).unwrap();
    for message in messages(20) {
        let wire = send(&mut here, &[&message]);
        assert_eq!(receive(&mut there, &wire), message);
        let wire = send(&mut there, &[&message]);
        assert_eq!(receive(&mut here, &wire), message);
    }
}

proptest! {
    #[test]
    fn any_writes_flushes_pieces_and_rooms_return_what_was_written(
        (sending, reading) in prop::sample::select(kinds().collect::<Vec<_>>()),
        writes in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), any::<bool>()), 0..12),
        history in prop::sample::select(vec![0usize, 1, 100, 4096, 32 << 10]),
        piece in 1usize..400,
        room in 1usize..400,
    ) {
        let mut sender = sender(&sending.history(history));
        let (mut wire, mut plain) = (Vec::new(), Vec::new());
        for (bytes, flush, barrier) in writes {
            sender.write(&bytes, &mut wire, NOW).unwrap();
            plain.extend(bytes);
            if flush {
                sender.flush(&mut wire, NOW).unwrap();
            }
            if flush && barrier {
                sender.barrier(&mut wire, NOW).unwrap();
            }
        }
        sender.finish(&mut wire).unwrap();
        // A barrier in zstd begins a new frame, which is what zstd's default expects; the others go on.
        let mut receiver = expecting(reading);
        let (got, reason) = receive_in(&mut receiver, &wire, piece, room);
        prop_assert!(reason.is_none(), "{:?}", reason);
        prop_assert_eq!(got, plain);
        prop_assert!(wire.is_empty() || receiver.stats().stream_ended);
    }
}

#[test]
fn reading_nothing_any_number_of_times_changes_nothing() {
    for format in formats() {
        let plain = text(2000);
        let wire = stream(&Compression::from(format), &[&plain]);
        let mut receiver = expecting(format);
        let mut got = Vec::new();
        for byte in &wire {
            // Like TLS whose records come in pieces.
            for piece in [&[*byte][..]].into_iter().chain([&[][..]; 30]) {
                receiver.read(piece, &mut got, ROOM, &Work::unlimited(), NOW).unwrap();
            }
        }
        assert!(got == plain, "{format:?}: {} bytes", got.len());
    }
}
