//! What a connection may do in one turn: the cheapest input to send must not be the dearest to take.

use std::cell::Cell;
use std::rc::Rc;

use torsade_reactor::Reactor;

/// The work of all connections that are ready in a turn, in units; each has an equal share.
const TURN: u64 = 500_000;

/// The least and the most that a share may be. The most is what 64 KiB of ordinary text take to be inflated, with room to
/// spare: who is alone reads whole buffers.
const LEAST: u64 = 6_000;
const MOST: u64 = 250_000;

/// A step is dear from here on: no share is meant for it.
const DEAR: u64 = 100_000;

/// What all connections of a reactor share of a turn.
#[derive(Debug, Default)]
pub struct Turn {
    number: Cell<u64>,
    /// How many connections are ready, and what each may do.
    ready: Cell<usize>,
    share: Cell<i64>,
    /// A turn, and the work that may be done in it in dear steps.
    dear: Cell<(u64, i64)>,
}

/// The work that a connection may still do in this turn.
///
/// A unit is about a nanosecond. Whoever takes input in on behalf of a connection counts here what that costs, by the table
/// in [`weight`], and stops when the next step [is not allowed](Self::allows): the rest waits, and comes in a later turn
/// before anything else is read. A step that was dearer than what was left is paid for in the turns that follow. It is
/// counted, not timed: the same input takes the same turns on every machine, and in a simulation.
#[derive(Debug, Default)]
pub struct Work {
    left: Cell<i64>,
    turn: Rc<Turn>,
}

/// What each step costs, in units.
///
/// About the nanoseconds that the dearest input of each kind takes; those of deflate were measured on the codec alone, the others
/// are estimates. `cargo run --release -p torsade-bench --all-features --bin hostile` holds all of them against the clock: it prints
/// what a turn beside 64 peers of each kind takes. Bytes of a plain stream are not here: they are bounded by the size of a
/// read.
pub mod weight {
    /// A message that a framing protocol delivers, besides what the user does with it.
    pub const MESSAGE: u64 = 64;

    /// A byte that a decompressor gives: 1.3 ns for text in deflate, less in others.
    pub const PLAIN: u64 = 2;

    /// A byte of a deflate block that a decompressor takes: code tables are the dearest, up to so many units a block.
    pub const DEFLATE: u64 = 105;
    /// The dearest block of deflate, besides what it gives: one with two full code tables takes 2,900 ns for 28 bytes. (Small
    /// tables take 450 ns for 11, fixed codes 29 ns for 10 bits, a stored block 23 ns for 5 bytes.)
    pub const DEFLATE_BLOCK: u64 = 3_000;
    /// The beginning and the end of a stream of the deflate family; of a gzip member, where others follow.
    pub const DEFLATE_STREAM: u64 = 700;
    /// A byte of a gzip header.
    pub const GZIP_HEADER: u64 = 3;

    /// A TLS record.
    pub const TLS_RECORD: u64 = 300;
    /// A byte of one.
    pub const TLS: u64 = 1;
    /// A record that gives nothing: it may change the keys.
    pub const TLS_SILENT: u64 = 3_000;
    /// A byte of a handshake's record, up to so many units a record: large ones have keys in them, and certificates.
    pub const TLS_HANDSHAKE: u64 = 700;
    /// The dearest record of a handshake.
    pub const TLS_HANDSHAKE_RECORD: u64 = 200_000;

    /// A byte of a zstd frame's header.
    pub const ZSTD_HEADER: u64 = 50;
    /// The beginning of a zstd frame.
    pub const ZSTD_FRAME: u64 = 700;
    /// A call of zstd's decoder, for a block or its header; a byte of a block, up to so many units a block.
    pub const ZSTD_CALL: u64 = 100;
    /// A byte of a zstd block: as in deflate, tables are the dearest.
    pub const ZSTD: u64 = 100;
    /// The dearest block of zstd, besides what it gives.
    pub const ZSTD_BLOCK: u64 = 10_000;

    /// A piece of an lz4 frame: a header, a block or its size.
    pub const LZ4_PIECE: u64 = 20;
    /// A byte of an lz4 block.
    pub const LZ4: u64 = 1;
    /// A byte that an lz4 block holds.
    pub const LZ4_PLAIN: u64 = 1;
}

impl Turn {
    /// A connection's share of a turn in which so many are ready.
    #[inline]
    fn share(&self, ready: usize) -> i64 {
        if self.ready.replace(ready) != ready || self.share.get() == 0 {
            self.share.set((TURN / (ready as u64).max(1)).clamp(LEAST, MOST) as i64);
        }
        self.share.get()
    }

    /// What may still be done in this turn in dear steps: at first twice the shares of all.
    fn dear_left(&self) -> i64 {
        let (number, left) = self.dear.get();
        if number == self.number.get() { left } else { 2 * self.share.get() * self.ready.get().max(1) as i64 }
    }
}

impl Work {
    /// The work of one connection of those that share `turn`; none before a turn has begun.
    #[must_use]
    pub const fn new(turn: Rc<Turn>) -> Self {
        Self { left: Cell::new(0), turn }
    }

    /// As much as anybody wants; for what belongs to no connection.
    #[must_use]
    pub fn unlimited() -> Self {
        let work = Self::default();
        work.left.set(i64::MAX);
        work.turn.dear.set((0, i64::MAX));
        work
    }

    /// A turn begins for this connection.
    #[inline]
    pub fn begin_turn(&self, reactor: &Reactor) {
        if self.is_left() && self.left.get() == self.turn.share.get() {
            return; // nothing was spent
        }
        self.turn.number.set(reactor.turn_number());
        let share = self.turn.share(reactor.ready_count());
        self.left.set(self.left.get().saturating_add(share).min(share));
    }

    /// Counts what was done.
    #[inline]
    pub fn spend(&self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.left.set(self.left.get().saturating_sub(units));
        if units >= DEAR as i64 {
            self.turn.dear.set((self.turn.number.get(), self.turn.dear_left().saturating_sub(units)));
        }
    }

    /// Whether a step may be made now that may cost so much. Of dear steps, such as a block that can only be decoded as a
    /// whole, all connections together make about as many in a turn as come to twice their shares.
    #[must_use]
    pub fn allows(&self, units: u64) -> bool {
        let allowed = self.is_left() && (units < DEAR || self.turn.dear_left() > 0);
        if !allowed {
            self.spend(1); // so that the next turn is seen to begin
        }
        allowed
    }

    /// Spends so much if anything is left; says whether.
    #[inline]
    pub fn take(&self, units: u64) -> bool {
        let left = self.left.get();
        if left <= 0 {
            return false;
        }
        self.left.set(left - units as i64);
        true
    }

    /// Whether an ordinary step may be made now.
    #[must_use]
    #[inline]
    pub fn is_left(&self) -> bool {
        self.left.get() > 0
    }
}
