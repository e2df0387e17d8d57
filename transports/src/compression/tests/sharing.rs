//! Groups 15, 16 and 20: encoders shared by many connections, and what idle ones cost.

use proptest::prelude::{prop, prop_assert, proptest};
use torsade_protocols::Flush;

use super::*;

const DEFLATES: [Format; 3] = [Format::Deflate, Format::DeflateRaw, Format::Gzip];
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ten_thousand_messages_with_the_encoder_stolen_at_random_are_one_stream() {
    let pool = EncoderPool::with_limits(1, SECOND);
    let luck = noise(10_000);
    let mut connections: Vec<_> = (0..3)
        .map(|index| {
            let (mut sender, receiver) = (layer(&pool), detecting());
            // The levels differ: an encoder passes from one level to another.
            sender.compress(&Compression::from(DEFLATES[index]).level([6, 1, 9][index]).history(4096)).unwrap();
            (sender, receiver)
        })
        .collect();
    for (message, luck) in messages(10_000).into_iter().zip(luck) {
        let (sender, receiver) = &mut connections[usize::from(luck) % 16 % 3];
        let wire = send(sender, &[&message]);
        assert_eq!(receive(receiver, &wire), message);
    }
    assert_eq!(pool.borrow().encoders(), 1);
    for (sender, receiver) in &mut connections {
        let mut wire = Vec::new();
        sender.finish(&mut wire).unwrap();
        receive(receiver, &wire);
        assert!(receiver.stats().stream_ended, "the checksum over all of it is right");
        assert!(sender.stats().hibernations > 1000, "{:?}", sender.stats());
    }
}

#[test]
fn connections_that_share_an_encoder_never_see_each_others_bytes() {
    let pool = EncoderPool::with_limits(1, SECOND);
    let (mut one, mut other) = (layer(&pool), layer(&pool));
    one.compress(&Compression::deflate_raw()).unwrap();
    other.compress(&Compression::deflate_raw().announce(false)).unwrap();
    let canary = noise(200);
    let mut alone = layer(&EncoderPool::shared());
    alone.compress(&Compression::deflate_raw().announce(false)).unwrap();
    for message in messages(50) {
        send(&mut one, &[&canary]);
        let wire = send(&mut other, &[&message]);
        let wanted = send(&mut alone, &[&message]);
        // If the other stream's bytes were in reach, lengths would differ, and a reader without them would fail.
        assert!(wire.len().abs_diff(wanted.len()) <= 16, "{} {}", wire.len(), wanted.len());
    }
    let guess = send(&mut other, &[&canary]);
    assert!(guess.len() > 200, "the other connection's canary was found: {}", guess.len());
    let mut receiver = expecting(Format::DeflateRaw);
    let mut again = layer(&pool);
    again.compress(&Compression::deflate_raw().announce(false)).unwrap();
    let wire = send(&mut again, &[&canary[..100], &canary[..100]]);
    assert!(receive(&mut receiver, &wire) == [&canary[..100], &canary[..100]].concat());
}

#[test]
fn an_idle_connection_gives_its_encoder_back_after_a_second() {
    let pool = EncoderPool::shared();
    let (mut sender, mut receiver) = (layer(&pool), detecting());
    sender.compress(&Compression::deflate()).unwrap();
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    let start = Duration::from_secs(5);
    sender.write(b"hello hello", &mut wire, start).unwrap();

    sender.flush(&mut wire, start).unwrap();
    assert_eq!(sender.deadline(), Some(start + SECOND));
    sender.expire(&mut wire, &mut plain, start + SECOND / 2).unwrap();
    assert_eq!((pool.borrow().lent(), sender.stats().hibernations), (1, 0), "too early");
    sender.expire(&mut wire, &mut plain, start + SECOND).unwrap();
    assert_eq!((pool.borrow().lent(), sender.stats().hibernations), (0, 1));
    assert_eq!(sender.deadline(), None);
    let first = wire.len();
    sender.write(b"hello hello", &mut wire, start + SECOND).unwrap();
    sender.flush(&mut wire, start + SECOND).unwrap();
    assert!(wire.len() - first < 12, "the history is still known: {}", wire.len() - first);
    assert_eq!(receive(&mut receiver, &wire), b"hello hellohello hello");
}

#[test]
fn a_stream_that_nobody_flushes_gives_its_encoder_back_too() {
    let pool = EncoderPool::shared();
    let mut sender = layer(&pool);
    sender.compress(&Compression::deflate().flush(Flush::Manual)).unwrap();
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    sender.write(b"hello", &mut wire, NOW).unwrap();
    assert_eq!(sender.deadline(), Some(SECOND));
    sender.expire(&mut wire, &mut plain, SECOND).unwrap();
    assert_eq!(pool.borrow().lent(), 0);
    assert_eq!(receive(&mut detecting(), &wire), b"hello");
}

#[test]
fn an_encoder_is_not_taken_for_idle_while_small_writes_go_on() {
    let pool = EncoderPool::with_limits(1, SECOND);
    send(&mut layer(&pool), &[b"somebody else, at the beginning of time"]);
    let mut sender = layer(&pool);
    let rarely = Flush::After { bytes: usize::MAX, delay: 100 * SECOND };
    sender.compress(&Compression::deflate().flush(rarely)).unwrap();
    let mut wire = Vec::new();
    let start = Duration::from_secs(200);
    sender.write(&text(5000), &mut wire, start).unwrap();
    sender.write(&text(5000), &mut wire, start).unwrap();
    assert_eq!((pool.borrow().lent(), sender.deadline()), (1, Some(start + SECOND)));
    sender.write(b"x", &mut wire, start + SECOND / 2).unwrap();
    assert_eq!(sender.deadline(), Some(start + SECOND * 3 / 2));
}

#[test]
fn small_writes_take_no_encoder_before_the_flush() {
    let pool = EncoderPool::shared();
    let mut sender = layer(&pool);
    sender.compress(&Compression::deflate()).unwrap();
    let mut wire = Vec::new();
    for message in messages(10) {
        sender.write(&message, &mut wire, NOW).unwrap();
    }
    assert_eq!(pool.borrow().encoders(), 0);
    sender.flush(&mut wire, NOW).unwrap();
    assert_eq!(pool.borrow().lent(), 1);
    assert_eq!(receive(&mut detecting(), &wire), messages(10).concat());
}

#[test]
fn the_encoder_that_was_idle_longest_is_stolen() {
    let pool = EncoderPool::with_limits(3, SECOND);
    let mut all: Vec<_> = (0..4).map(|_| layer(&pool)).collect();
    let turn = |who: &mut CompressionLayer, second: u64| {
        who.compress(&Compression::deflate()).unwrap();
        let (mut wire, now) = (Vec::new(), Duration::from_secs(second));
        who.write(b"x", &mut wire, now).unwrap();
        who.flush(&mut wire, now).unwrap();
    };
    for (second, who) in [0, 1, 2, 0, 3].into_iter().enumerate() {
        turn(&mut all[who], second as u64);
    }
    let stolen: Vec<u64> = all.iter().map(|layer| layer.stats().hibernations).collect();
    assert_eq!(stolen, [0, 1, 0, 0]);
}

/// After a partial flush the encoder has bits of the last byte. It can still be taken away: the bits are kept for the stream.
#[test]
fn among_partial_flushers_the_encoder_that_was_idle_longest_is_stolen_and_no_bit_lost() {
    let pool = EncoderPool::with_limits(3, SECOND);
    let mut all: Vec<_> = (0..4)
        .map(|index| {
            let mut sender = layer(&pool);
            sender.compress(&Compression::from(DEFLATES[index % 3]).flush(Flush::Partial)).unwrap();
            (sender, detecting())
        })
        .collect();
    let order = [0, 1, 2, 0, 3, 1, 2, 0, 3, 3, 1, 0, 2];
    for (second, (who, message)) in order.into_iter().zip(messages(order.len())).enumerate() {
        let (sender, receiver) = &mut all[who];
        let (mut wire, now) = (Vec::new(), Duration::from_secs(second as u64));
        sender.write(&message, &mut wire, now).unwrap();
        sender.flush(&mut wire, now).unwrap();
        assert_eq!(receive(receiver, &wire), message);
        if second == 4 {
            let stolen: Vec<u64> = all.iter().map(|(layer, _)| layer.stats().hibernations).collect();
            assert_eq!(stolen, [0, 1, 0, 0]);
        }
    }
    for (sender, receiver) in &mut all {
        let mut wire = Vec::new();
        sender.finish(&mut wire).unwrap();
        receive(receiver, &wire);
        assert!(receiver.stats().stream_ended);
        assert_eq!(sender.stats().stored.total(), 0);
    }
}

#[test]
fn an_idle_partial_flusher_gives_its_encoder_back_and_sends_nothing_for_it() {
    for then in [Compression::deflate().flush(Flush::Partial), Compression::deflate().flush(Flush::Manual)] {
        let pool = EncoderPool::shared();
        let (mut sender, mut receiver) = (layer(&pool), detecting());
        receive(&mut sender, b"");
        sender.compress(&then).unwrap();
        receive(&mut sender, &stream(&Compression::deflate(), &["I am Torsade"]));
        let mut wire = Vec::new();
        sender.write(b"hello hello", &mut wire, NOW).unwrap();
        sender.force_flush(&mut wire, NOW).unwrap();
        assert_eq!(receive(&mut receiver, &std::mem::take(&mut wire)), b"hello hello");
        sender.expire(&mut wire, &mut Vec::new(), SECOND).unwrap();
        assert_eq!((pool.borrow().lent(), sender.stats().hibernations, wire.len()), (0, 1, 0));
        sender.write(b"hello hello", &mut wire, SECOND).unwrap();
        sender.force_flush(&mut wire, SECOND).unwrap();
        assert_eq!(receive(&mut receiver, &std::mem::take(&mut wire)), b"hello hello");
        sender.expire(&mut wire, &mut Vec::new(), SECOND * 2).unwrap();
        sender.finish(&mut wire).unwrap();
        receive(&mut receiver, &wire);
        assert!(receiver.stats().stream_ended, "what was pending arrived before the end");
    }
}

#[test]
fn an_encoder_that_was_stolen_stays_counted_at_the_end() {
    let pool = EncoderPool::with_limits(1, Duration::from_secs(1));
    let [mut robbed, mut thief] = [(); 2].map(|()| layer(&pool));
    for one in [&mut robbed, &mut thief] {
        one.compress(&Compression::deflate()).unwrap();
        send(one, &["something"]);
    }
    assert_eq!(robbed.stats().hibernations, 1);
    robbed.barrier(&mut Vec::new(), NOW).unwrap();
    assert_eq!(robbed.stats().hibernations, 1);
    send(&mut robbed, &["more"]);
    send(&mut thief, &["more"]);
    robbed.finish(&mut Vec::new()).unwrap();
    assert_eq!(robbed.stats().hibernations, 2);
}

#[test]
fn a_used_encoder_writes_what_a_new_one_would_at_every_level() {
    for level in 1..=9 {
        let pool = EncoderPool::with_limits(1, SECOND);
        let mut before = layer(&pool);
        before.compress(&Compression::deflate().level(10 - level)).unwrap();
        send(&mut before, &[text(50_000)]);
        let mut used = layer(&pool);
        used.compress(&Compression::deflate().level(level)).unwrap();
        let wanted = stream(&Compression::deflate().level(level), &messages(100));
        let mut wire = send(&mut used, &messages(100));
        used.finish(&mut wire).unwrap();
        assert!(wire == wanted, "level {level}: {} bytes instead of {}", wire.len(), wanted.len());
    }
}

#[test]
fn at_most_64_encoders_serve_any_number_of_connections_in_one_turn() {
    let pool = EncoderPool::shared();
    let mut room: Vec<_> = (0..300)
        .map(|_| {
            let mut sender = layer(&pool);
            sender.compress(&Compression::deflate()).unwrap();
            (sender, detecting(), Vec::new())
        })
        .collect();
    for message in messages(4) {
        // A chat room: all members are written to before any is flushed.
        for (sender, _, wire) in &mut room {
            sender.write(&message, wire, NOW).unwrap();
        }
        for (sender, receiver, wire) in &mut room {
            sender.flush(wire, NOW).unwrap();
            assert_eq!(receive(receiver, wire), message);
            wire.clear();
        }
        assert_eq!(pool.borrow().encoders(), 64);
    }
    let stored: u64 = room.iter().map(|(sender, ..)| sender.stats().stored.total()).sum();
    assert_eq!(stored, 0, "those who had to wait were compressed once the others had let go");
    drop(room);
    assert!(pool.borrow().encoders() <= 4, "unused ones are freed");
    assert_eq!(pool.borrow().lent(), 0);
}

#[test]
fn without_any_encoder_bytes_still_go_out_uncompressed() {
    let pool = EncoderPool::with_limits(0, SECOND);
    for format in DEFLATES {
        let (mut sender, mut receiver) = (layer(&pool), detecting());
        sender.compress(&format.into()).unwrap();
        let plain = text(100_000);
        let mut wire = Vec::new();
        for piece in plain.chunks(700) {
            sender.write(piece, &mut wire, NOW).unwrap();
        }
        sender.flush(&mut wire, NOW).unwrap();
        sender.finish(&mut wire).unwrap();
        assert!(receive(&mut receiver, &wire) == plain, "{format}");
        assert!(receiver.stats().stream_ended);
        assert_eq!(sender.stats().stored.total(), 100_000);
        assert!(wire.len() < 101_000);
    }
}

#[test]
fn an_encoder_in_the_middle_of_bytes_is_never_stolen() {
    let pool = EncoderPool::with_limits(1, SECOND);
    let (mut one, mut other) = (layer(&pool), layer(&pool));
    one.compress(&Compression::gzip()).unwrap();
    other.compress(&Compression::gzip()).unwrap();
    let (mut one_wire, mut other_wire) = (Vec::new(), Vec::new());
    // More than is gathered without an encoder.
    let long = text(10_000);
    one.write(&long, &mut one_wire, NOW).unwrap();
    assert_eq!(pool.borrow().lent(), 1);
    for waiting in [&b"waiting"[..], &long] {
        other.write(waiting, &mut other_wire, NOW).unwrap();
        other.flush(&mut other_wire, NOW).unwrap();
    }
    one.write(b"and more", &mut one_wire, NOW).unwrap();
    one.finish(&mut one_wire).unwrap();
    assert_eq!((one.stats().hibernations, one.stats().stored.total()), (0, 0));
    other.finish(&mut other_wire).unwrap();
    assert!(receive(&mut detecting(), &one_wire) == [&long[..], b"and more"].concat());
    assert!(receive(&mut detecting(), &other_wire) == [&b"waiting"[..], &long].concat());
    assert_eq!(other.stats().stored.total(), 10_007, "it did not wait forever");
    assert_eq!(pool.borrow().lent(), 0);
}

#[test]
fn a_dropped_connection_gives_its_encoder_back() {
    let pool = EncoderPool::with_limits(1, SECOND);
    for flushed in [false, true] {
        let mut sender = layer(&pool);
        sender.compress(&Compression::deflate()).unwrap();
        let mut wire = Vec::new();
        sender.write(&text(10_000), &mut wire, NOW).unwrap();
        if flushed {
            sender.flush(&mut wire, NOW).unwrap();
        }
        assert_eq!(pool.borrow().lent(), 1);
        drop(sender);
        assert_eq!(pool.borrow().lent(), 0);
    }
}

#[test]
fn the_ratio_survives_hibernation_as_far_as_history_is_kept() {
    let sizes: Vec<usize> = [0, 4096, 32 << 10]
        .into_iter()
        .map(|history| {
            let pool = EncoderPool::shared();
            let mut sender = layer(&pool);
            sender.compress(&Compression::deflate().history(history)).unwrap();
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            for messages in messages(400).chunks(8) {
                wire.extend(send(&mut sender, messages));
                sender.expire(&mut Vec::new(), &mut plain, SECOND).unwrap();
            }
            assert_eq!(sender.stats().hibernations, 50);
            assert!(receive(&mut detecting(), &wire) == messages(400).concat());
            wire.len()
        })
        .collect();
    let mut awake = sender(&Compression::deflate());
    let wire = send(&mut awake, &messages(400));
    assert!(sizes[0] > sizes[1] && sizes[1] >= sizes[2], "{sizes:?}");
    assert!(sizes[2] < wire.len() * 103 / 100, "{sizes:?} against {}", wire.len());
}

#[test]
fn a_few_words_below_the_threshold_do_not_wake_an_encoder() {
    let pool = EncoderPool::shared();
    let (mut sender, mut receiver) = (layer(&pool), detecting());
    sender.compress(&Compression::deflate().threshold(20)).unwrap();
    let mut say = |sender: &mut CompressionLayer, words: &str| {
        let wire = send(sender, &[words]);
        assert_eq!(receive(&mut receiver, &wire), words.as_bytes());
        wire.len()
    };
    say(&mut sender, "ping from one, 1");
    assert_eq!((pool.borrow().encoders(), sender.stats().stored.below_threshold), (0, 16));
    let first = say(&mut sender, "ping from one, 2; ping from one, 3");
    assert!(first < 30, "what was stored is in the history: {first}");
    assert!(say(&mut sender, "ping from one, 2") < 16, "an encoder that is there is used");
    sender.expire(&mut Vec::new(), &mut Vec::new(), SECOND).unwrap();
    assert_eq!(say(&mut sender, "ping from one, 4"), 16 + 5, "it was given back");
    assert_eq!((pool.borrow().lent(), sender.stats().stored.below_threshold), (0, 32));
    let last = say(&mut sender, "ping from one, 2; ping from one, 4");
    assert!(last < 20, "{last}");
}

#[test]
fn an_idle_layer_is_small() {
    // Together with 32 KiB of history and a plain connection this is 100 bytes below 33 KiB (`compression idle` measures).
    let sizes = (size_of::<CompressionLayer>(), size_of::<crate::compression::encoder::Encoder>());
    assert!(sizes.0 <= 112 && sizes.1 <= 296, "{sizes:?}");
}

proptest! {
    #[test]
    fn any_interleaving_of_connections_on_few_encoders_is_right(
        steps in prop::collection::vec((0usize..5, 0usize..5, 1usize..3000, 0u8..3), 1..60),
        limit in 0usize..3,
        history in prop::sample::select(vec![0usize, 10, 5000, 32 << 10]),
    ) {
        let pool = EncoderPool::with_limits(limit, SECOND);
        let source = [text(3000), noise(3000)].concat();
        let mut all: Vec<_> = (0..5).map(|index| {
            let mut sender = layer(&pool);
            let flush = [Flush::Partial, Flush::EveryTurn, Flush::Partial, Flush::Partial, Flush::Partial][index];
            let options = Compression::from(DEFLATES[index % 3]).history(history).level([6, 1, 3, 9, 0][index]).flush(flush);
            sender.compress(&options).unwrap();
            (sender, detecting(), Vec::new(), Vec::new())
        }).collect();
        let mut now = NOW;
        for (who, what, len, kind) in steps {
            let (sender, receiver, wire, plain) = &mut all[who];
            let piece = &source[who * 500..][..len];
            match what {
                0 | 4 => {
                    sender.flush(wire, now).unwrap();
                    let (got, reason) = receive_in(receiver, wire, usize::MAX, ROOM);
                    prop_assert!(reason.is_none(), "{:?}", reason);
                    prop_assert!(got == *plain, "{} bytes of {} after a flush", got.len(), plain.len());
                    wire.clear();
                    plain.clear();
                }
                1 if kind == 0 => sender.barrier(wire, NOW).unwrap(),
                3 if kind == 0 => { write_uncompressed(sender, piece, wire); plain.extend_from_slice(piece); }
                1 => { now += SECOND; sender.expire(wire, &mut Vec::new(), now).unwrap(); }
                _ => { sender.write(piece, wire, now).unwrap(); plain.extend_from_slice(piece); }
            }
        }
        for (sender, receiver, wire, plain) in &mut all {
            sender.finish(wire).unwrap();
            let (got, reason) = receive_in(receiver, wire, usize::MAX, ROOM);
            prop_assert!(reason.is_none(), "{:?}", reason);
            prop_assert!(got == *plain);
            prop_assert!(sender.stats().wire_out == 0 || receiver.stats().stream_ended);
        }
        prop_assert!(pool.borrow().encoders() <= limit);
    }
}
