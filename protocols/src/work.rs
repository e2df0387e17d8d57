//! Limits the work of a connection in a turn, so that input that is cheap to send and expensive to process does not hold up
//! others.

use std::cell::Cell;
use std::rc::Rc;

use torsade_reactor::Reactor;

/// The work of all ready connections together in a turn, in units; each gets an equal share.
const TURN: u64 = 500_000;

/// The least and the most a share can be. The most is more than enough to inflate 64 KiB of ordinary text, so that a single
/// connection reads whole buffers.
const LEAST: u64 = 6_000;
const MOST: u64 = 250_000;

/// A step of at least this many units is expensive, and is limited apart from the shares.
const EXPENSIVE: u64 = 100_000;

/// What all connections of a reactor share in a turn.
#[derive(Debug, Default)]
pub struct Turn {
    number: Cell<u64>,
    /// The number of ready connections, and the share of each.
    ready: Cell<usize>,
    share: Cell<i64>,
    /// A turn's number, and the work left in it for expensive steps.
    expensive: Cell<(u64, i64)>,
}

/// The work that a connection may still do in this turn.
///
/// A unit is about a nanosecond. Code that processes a connection's input counts its cost here, by the table in [`weight`], and
/// stops when the next step [is not allowed](Self::allows): the rest is processed in a later turn, before anything else is read.
/// A step that costs more than was left is paid for in the following turns. Work is counted, not timed: the same input takes the
/// same number of turns on every machine, and in a simulation.
#[derive(Debug, Default)]
pub struct Work {
    left: Cell<i64>,
    /// Whether data was wanted at the last check, and nothing was called on the connection since that could change it.
    wanted: Cell<bool>,
    turn: Rc<Turn>,
}

/// The cost of each step, in units.
///
/// About the nanoseconds needed for the most expensive input of each kind. Those of deflate were measured on the codec alone, the
/// others are estimates. `cargo run --release -p torsade-bench --all-features --bin hostile` checks them against the clock: it
/// prints how long a turn with 64 peers of each kind takes. Bytes of a plain stream are not counted, because the size of a read
/// limits them.
pub mod weight {
    /// Bytes of a file per unit, when the system sends it by itself.
    pub const FILE_BYTES: u64 = 8;

    /// A received datagram: mostly the system call.
    pub const DATAGRAM: u64 = 1_500;
    /// Bytes of a datagram per unit.
    pub const DATAGRAM_BYTES: u64 = 4;

    /// A message delivered by a framing protocol, without the user's own work.
    pub const MESSAGE: u64 = 64;

    /// A byte of decompressor output: 1.3 ns for text in deflate, less in others.
    pub const PLAIN: u64 = 2;

    /// A byte of a deflate block, up to [`DEFLATE_BLOCK`] per block: code tables cost most.
    pub const DEFLATE: u64 = 105;
    /// The most expensive deflate block, apart from its output: one with two full code tables takes 2,900 ns for 28 bytes. (Small
    /// tables take 450 ns for 11 bytes, fixed codes 29 ns for 10 bits, a stored block 23 ns for 5 bytes.)
    pub const DEFLATE_BLOCK: u64 = 3_000;
    /// The beginning and the end of a stream of the deflate family, or of a gzip member.
    pub const DEFLATE_STREAM: u64 = 700;
    /// Bytes of a dictionary per unit, copied into a decompressor's window.
    pub const DICTIONARY_BYTES: u64 = 8;
    /// A byte of a gzip header.
    pub const GZIP_HEADER: u64 = 3;

    /// A TLS record.
    pub const TLS_RECORD: u64 = 300;
    /// A byte of a TLS record.
    pub const TLS: u64 = 1;
    /// A record without data: it may change the keys.
    pub const TLS_SILENT: u64 = 3_000;
    /// A byte of a handshake record, up to [`TLS_HANDSHAKE_RECORD`] per record: large ones contain keys and certificates.
    pub const TLS_HANDSHAKE: u64 = 700;
    /// The most expensive handshake record.
    pub const TLS_HANDSHAKE_RECORD: u64 = 200_000;

    /// A byte of a zstd frame's header.
    pub const ZSTD_HEADER: u64 = 50;
    /// The beginning of a zstd frame.
    pub const ZSTD_FRAME: u64 = 700;
    /// A call of zstd's decoder, for a block or its header.
    pub const ZSTD_CALL: u64 = 100;
    /// A byte of a zstd block, up to [`ZSTD_BLOCK`] per block: as in deflate, tables cost most.
    pub const ZSTD: u64 = 100;
    /// The most expensive zstd block, apart from its output.
    pub const ZSTD_BLOCK: u64 = 10_000;

    /// A part of an lz4 frame: a header, a block or its size.
    pub const LZ4_PIECE: u64 = 20;
    /// A byte of an lz4 block.
    pub const LZ4: u64 = 1;
    /// A byte of lz4 output.
    pub const LZ4_PLAIN: u64 = 1;
}

impl Turn {
    /// The share of each connection in a turn with `ready` ready connections.
    #[inline]
    fn share(&self, ready: usize) -> i64 {
        if self.ready.replace(ready) != ready || self.share.get() == 0 {
            self.share.set((TURN / (ready as u64).max(1)).clamp(LEAST, MOST) as i64);
        }
        self.share.get()
    }

    /// The work left in this turn for expensive steps; at first twice the sum of all shares.
    fn expensive_left(&self) -> i64 {
        let (number, left) = self.expensive.get();
        if number == self.number.get() { left } else { 2 * self.share.get() * self.ready.get().max(1) as i64 }
    }
}

impl Work {
    /// The work of one of the connections that share `turn`; nothing is left before its first turn begins.
    #[must_use]
    pub const fn new(turn: Rc<Turn>) -> Self {
        Self { left: Cell::new(0), wanted: Cell::new(false), turn }
    }

    /// Unlimited work, for what belongs to no connection.
    #[must_use]
    pub fn unlimited() -> Self {
        let work = Self::default();
        work.left.set(i64::MAX);
        work.turn.expensive.set((0, i64::MAX));
        work
    }

    /// Begins a turn for this connection.
    #[inline]
    pub fn begin_turn(&self, reactor: &Reactor) {
        if self.is_left() && self.left.get() == self.turn.share.get() {
            return; // nothing was spent
        }
        self.turn.number.set(reactor.turn_number());
        let share = self.turn.share(reactor.ready_count());
        self.left.set(self.left.get().saturating_add(share).min(share));
    }

    /// Counts work that was done.
    #[inline]
    pub fn spend(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.left.set(self.left.get().saturating_sub(units));
        if units >= EXPENSIVE as i64 {
            self.turn.expensive.set((self.turn.number.get(), self.turn.expensive_left().saturating_sub(units)));
        }
    }

    /// Returns whether a step that may cost `units` is allowed now. Expensive steps, such as decoding a block that can only be
    /// decoded whole, are limited for all connections together to about twice the sum of their shares in a turn.
    #[must_use]
    pub fn allows(&self, units: u64) -> bool {
        let allowed = self.is_left() && (units < EXPENSIVE || self.turn.expensive_left() > 0);
        if !allowed {
            self.spend(1); // so that `begin_turn` does not take the share for unspent
        }
        allowed
    }

    /// Spends `units` if anything is left. Returns whether it was.
    #[inline]
    pub fn take(&self, units: u64) -> bool {
        let left = self.left.get();
        if left <= 0 {
            return false;
        }
        self.left.set(left - units as i64);
        true
    }

    /// Notes that the connection wants data, so this need not be checked again until [`reconsider`](Self::reconsider).
    #[inline]
    pub fn record_wanted(&self) {
        self.wanted.set(true);
    }

    /// Notes a call after which the connection may not want data any more.
    #[inline]
    pub fn reconsider(&self) {
        self.wanted.set(false);
    }

    /// Spends the cost of a message and returns true if data is known to be wanted and work is left. Otherwise ask
    /// [`can_deliver`](crate::spi::Connection::can_deliver).
    #[inline]
    pub fn take_message(&self) -> bool {
        self.wanted.get() && self.take(weight::MESSAGE)
    }

    /// The units left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left.get().try_into().unwrap_or(0)
    }

    /// Returns whether an ordinary step is allowed now.
    #[must_use]
    #[inline]
    pub fn is_left(&self) -> bool {
        self.left.get() > 0
    }
}
