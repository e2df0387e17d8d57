//! Groups 15, 17 and 20: all operations on a stream, in any order, while encoders are shared with other streams.

use std::collections::HashMap;

use proptest::prelude::{Just, Strategy, prop, prop_assert, prop_oneof, proptest};
use proptest::test_runner::Config;
use torsade_protocols::Flush;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Act {
    Barrier,
    /// Bytes that are compressed once for all, perhaps already by another stream.
    Share,
    /// Nothing happens for a second.
    Sleep,
    Store,
    /// A turn ends, or a flush is requested: what was written can be read.
    Flush,
    Write,
}

#[derive(Clone, Copy, Debug)]
enum End {
    BreakOff,
    Finish,
    /// Plain bytes follow.
    Plain,
}

struct Connection {
    sender: CompressionLayer,
    receiver: CompressionLayer,
    wire: Vec<u8>,
    sent: Vec<u8>,
}

impl Connection {
    fn new(sending: &Compression, reading: &Decompression, pool: &SharedPool) -> Self {
        let (mut sender, mut receiver) = (layer(pool), layer(&EncoderPool::shared()));
        sender.compress(sending).unwrap();
        receiver.expect(reading, b"").unwrap();
        Self { sender, receiver, wire: Vec::new(), sent: Vec::new() }
    }

    fn act(&mut self, act: Act, plain: &[u8], shared: &SharedBytes, now: Duration) {
        let Self { sender, wire, sent, .. } = self;
        match act {
            Act::Barrier => sender.barrier(wire, now).unwrap(),
            Act::Sleep => sender.expire(wire, &mut Vec::new(), now).unwrap(),
            Act::Flush => {
                sender.flush(wire, now).unwrap();
                sender.force_flush(wire, now).unwrap();
                self.read();
            }
            Act::Share => {
                write_shared(sender, shared, wire, now);
                sent.extend_from_slice(shared);
            }
            Act::Store | Act::Write => {
                sender.set_uncompressed(matches!(act, Act::Store));
                sender.write(plain, wire, now).unwrap();
                sender.set_uncompressed(false);
                sent.extend_from_slice(plain);
            }
        }
    }

    /// Everything sent has arrived.
    fn read(&mut self) {
        let (got, reason) = receive_in(&mut self.receiver, &std::mem::take(&mut self.wire), 7000, ROOM);
        assert!(reason.is_none(), "{reason:?}");
        let sent = std::mem::take(&mut self.sent);
        assert!(got == sent, "{} bytes instead of {}", got.len(), sent.len());
    }

    fn end(&mut self, end: End, now: Duration) -> Option<DecompressErrorKind> {
        let Self { sender, wire, sent, .. } = self;
        match end {
            End::BreakOff => sender.break_off(wire, now).unwrap(),
            End::Finish => sender.finish(wire).unwrap(),
            End::Plain => {
                sender.end_stream(wire).unwrap();
                sender.write(b"plain again", wire, now).unwrap();
                sent.extend_from_slice(b"plain again");
            }
        }
        self.read();
        kind(self.receiver.read_end(&mut Vec::new()).err())
    }
}

fn acts() -> impl Strategy<Value = Vec<(usize, Act, usize, usize)>> {
    let act = prop_oneof![
        6 => Just(Act::Write),
        4 => Just(Act::Flush),
        4 => Just(Act::Share),
        2 => Just(Act::Store),
        2 => Just(Act::Sleep),
        1 => Just(Act::Barrier),
    ];
    let length = prop_oneof![20 => 1usize..200, 10 => 1usize..9000, 1 => 60_000usize..350_000];
    prop::collection::vec((0usize..3, act, 0usize..40, length), 1..50)
}

proptest! {
    #![proptest_config(Config { cases: 48, ..Config::default() })]
    #[test]
    fn whatever_streams_are_told_and_in_which_order_all_of_it_arrives_and_ends_as_it_should(
        kinds in prop::collection::vec(prop::sample::select(kinds().collect::<Vec<_>>()), 3),
        (end, levels) in (prop::sample::select(vec![End::BreakOff, End::Finish, End::Plain]), [0u32..10, 0u32..10, 0u32..10]),
        (threshold, history) in (prop::sample::select(vec![0usize, 50, 10_000]), prop::sample::select(vec![0usize, 10, 5000, 32 << 10])),
        (limit, by_hand) in (0usize..3, prop::sample::select(vec![false, false, true])),
        acts in acts(),
    ) {
        let pool = EncoderPool::with_limits(limit, SECOND);
        let source = [text(400_000), noise(400_000)].concat();
        let mut all: Vec<_> = kinds.into_iter().zip(levels).map(|((sending, reading), level)| {
            let level = level.clamp(*sending.format.levels().start(), *sending.format.levels().end());
            let sending = sending.level(level).threshold(threshold).history(history);
            let sending = if by_hand { sending.flush(Flush::Manual) } else { sending };
            let after_end = if let End::Plain = end { AfterEnd::Plain } else { reading.after_end };
            // In zstd a barrier makes several streams.
            let several = matches!((sending.format, end), (Format::Zstd, End::Plain));
            let reading = reading.after_end(if several { AfterEnd::NextStream } else { after_end });
            Connection::new(&sending, &reading, &pool)
        }).collect();
        let mut shared = HashMap::new();
        let mut now = NOW;
        for (who, act, at, length) in acts {
            now += if let Act::Sleep = act { SECOND } else { Duration::from_millis(1) };
            // Text, but every fourth piece is incompressible.
            let from = if at % 4 == 0 { 400_000 + at * 1000 } else { at * 1000 };
            let plain = &source[from..from + length];
            let shared = shared.entry((from, length / 500)).or_insert_with(|| SharedBytes::from(plain.to_vec()).compressed_once());
            all[who].act(act, plain, shared, now);
        }
        for connection in &mut all {
            let stats = connection.sender.stats();
            let (zstd, begun) = (stats.format_out == Some(Format::Zstd), stats.wire_out > 0);
            let end = if matches!(end, End::Plain) && (zstd || !begun) { End::Finish } else { end };
            let error = connection.end(end, now);
            let wanted = matches!(end, End::BreakOff) && begun;
            prop_assert!(error == wanted.then_some(DecompressErrorKind::Truncated), "{:?} {:?}", error, end);
        }
        drop(all);
        prop_assert!(pool.borrow().lent() == 0);
    }
}
