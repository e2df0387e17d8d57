//! The limit on the memory of all decoders of a reactor: a window is cheap to ask for, and each peer may ask for one.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::DecompressErrorKind;
use torsade_reactor::Reactor;
use torsade_reactor::spi::{Ready, Token};

use super::decoder::Codec;

/// The default limit, in bytes: enough for 5,000 decoders of deflate, or for 110 with the windows of zstd's default level.
const LIMIT: usize = 256 << 20;

/// One decoder may hold one part in this many of the limit.
const SHARE_OF_ONE: usize = 2;

/// Unpaid memory may be one part in this many of the limit.
const SHARE_UNPAID: usize = 8;

/// The bytes that a decoder may hold without paying: enough for deflate, and for zstd with a peer that sends small messages.
const FREE: usize = 256 << 10;

/// The bytes that each compressed byte pays for. Ordinary text shrinks to a third or a tenth.
const PAID: u64 = 256;

/// The time after which a peer's input counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// The token of a decoder without a connection.
pub(super) const NOBODY: Token = Token::from_usize(usize::MAX);

/// The memory of all decoders of one reactor, and its limit.
///
/// A decoder that grows gets what it needs, up to half of the limit. Above the limit the least active give way, one after the
/// other: those that hold most for each byte that they were sent lately. So a peer that has many decoders, and keeps them awake
/// with a byte now and then, loses them before one that is used; to keep a window, a peer has to send as much for its size as
/// others do. Decoders that hold less than the average come last: large windows take nothing from them.
///
/// Memory that is not paid for, beyond [`FREE`] and [`PAID`], has a lower limit, and gives way only to its own
/// kind: so streams of a few hundred bytes that fill windows of megabytes take nothing from others.
pub(crate) struct DecoderMemory {
    limit: Cell<usize>,
    held: Cell<usize>,
    /// How much of it is not paid for.
    unpaid: Cell<usize>,
    ended: Cell<u64>,
    /// It was logged that the limit is reached; it is logged again once half of the memory has been free.
    reported: Cell<bool>,
    /// The decoders that hold something.
    slots: RefCell<Vec<Rc<Slot>>>,
    /// The reactor whose connections they belong to.
    reactor: Option<Reactor>,
}

/// The memory of one decoder; dropping it returns the memory.
pub(super) struct Share {
    memory: Rc<DecoderMemory>,
    slot: Rc<Slot>,
}

/// A codec, in a slot from which it can be dropped to free its memory.
struct Slot {
    codec: RefCell<Option<Box<dyn Codec>>>,
    /// Its connection; [`NOBODY`] for a decoder without one, which notices the loss when it is next used.
    owner: Token,
    bytes: Cell<usize>,
    unpaid: Cell<usize>,
    gave_way: Cell<bool>,
    /// Its index in the list of all.
    index: Cell<usize>,
    /// Compressed bytes taken; older ones count less.
    recent: Cell<u64>,
    /// When `recent` was last halved.
    since: Cell<Duration>,
}

impl Default for DecoderMemory {
    fn default() -> Self {
        Self {
            limit: Cell::new(LIMIT),
            held: Cell::new(0),
            unpaid: Cell::new(0),
            ended: Cell::new(0),
            reported: Cell::new(false),
            slots: RefCell::default(),
            reactor: None,
        }
    }
}

impl DecoderMemory {
    /// The memory of this reactor, whose connections check their decoders when these have given way.
    pub(crate) fn of(reactor: &Reactor) -> Self {
        Self { reactor: Some(reactor.clone()), ..Self::default() }
    }

    /// Sets the limit, in bytes. What exceeds a smaller limit gives way when a decoder next takes something.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// The memory of all decoders now, in bytes.
    pub(crate) const fn held(&self) -> usize {
        self.held.get()
    }

    /// How many streams have ended because they gave way or needed too much.
    pub(crate) const fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// Keeps the sums within their limits by ending other decoders than `asks`; false if that one needs too much alone.
    fn make_room(&self, asks: &Slot, now: Duration) -> bool {
        let (limit, limit_unpaid) = (self.limit.get(), self.limit.get() / SHARE_UNPAID);
        if asks.bytes.get() > limit / SHARE_OF_ONE || asks.unpaid.get() > limit_unpaid {
            self.end_one();
            return false;
        }
        if self.unpaid.get() > limit_unpaid {
            self.end_others(asks, now, |slot| slot.unpaid.get() > 0, || self.unpaid.get() <= below(limit_unpaid));
        }
        if self.held.get() > limit {
            // Decoders that hold less than the average are spared, however long they have been silent.
            let mean = self.held.get() / self.slots.borrow().len().max(1);
            self.end_others(asks, now, |slot| slot.bytes.get() >= mean, || self.held.get() <= below(limit));
        }
        if self.held.get() > limit {
            self.end_others(asks, now, |_| true, || self.held.get() <= below(limit));
        }
        true
    }

    /// Makes others give way, the least active first, until that is enough.
    #[cold]
    fn end_others(&self, asks: &Slot, now: Duration, which: impl Fn(&Slot) -> bool, enough: impl Fn() -> bool) {
        let is_candidate = |slot: &&Rc<Slot>| !std::ptr::eq(&raw const ***slot, asks) && which(slot);
        let mut others: Vec<_> = self.slots.borrow().iter().filter(is_candidate).cloned().collect();
        others.sort_by_cached_key(|slot| (slot.bytes_for_each(now), Reverse(slot.since.get())));
        while !enough()
            && let Some(slot) = others.pop()
        {
            self.end_one();
            self.count(&slot, 0, 0);
            // Not in use: nothing is decoded while a decoder asks for room.
            drop(slot.codec.take());
            slot.gave_way.set(true);
            if let Some(reactor) = &self.reactor {
                reactor.requeue(slot.owner, Ready::NONE);
            }
        }
    }

    /// Counts a stream that has to end, and logs the first.
    fn end_one(&self) {
        self.ended.set(self.ended.get() + 1);
        if !self.reported.replace(true) {
            log::warn!(
                "decompressors hold {} bytes, {} of them for hardly any input, and may hold {} (set_decompression_memory): \
                 streams that hold the most for what they were sent are ended first; allow more, or smaller windows \
                 (Decompression::max_window), or fewer connections",
                self.held.get(),
                self.unpaid.get(),
                self.limit.get(),
            );
        }
    }

    /// Sets the memory of one decoder, and updates the sums.
    fn count(&self, slot: &Rc<Slot>, bytes: usize, unpaid: usize) {
        if (bytes, unpaid) == (slot.bytes.get(), slot.unpaid.get()) {
            return; // nearly always
        }
        let before = slot.bytes.replace(bytes);
        self.held.set(self.held.get() - before + bytes);
        self.unpaid.set(self.unpaid.get() - slot.unpaid.replace(unpaid) + unpaid);
        let mut slots = self.slots.borrow_mut();
        if before == 0 && bytes > 0 {
            slot.index.set(slots.len());
            slots.push(Rc::clone(slot));
        } else if before > 0 && bytes == 0 {
            slots.swap_remove(slot.index.get());
            if let Some(moved) = slots.get(slot.index.get()) {
                moved.index.set(slot.index.get());
            }
        }
        let limit = self.limit.get();
        if self.held.get() <= limit / 2 && self.unpaid.get() <= limit / SHARE_UNPAID / 2 {
            self.reported.set(false);
        }
    }
}

/// How much is left when others have given way: slightly less than the limit, so that they are not ranked for every request.
const fn below(bound: usize) -> usize {
    bound - bound / 64
}

impl Slot {
    /// How many half-lives have passed since `recent` was last halved.
    fn half_lives(&self, now: Duration) -> u32 {
        u32::try_from(now.saturating_sub(self.since.get()).as_secs() / HALF_LIFE.as_secs()).unwrap_or(u32::MAX)
    }

    /// The bytes taken, where those of a half-life ago count half.
    fn recent(&self, now: Duration) -> u64 {
        self.recent.get().checked_shr(self.half_lives(now)).unwrap_or(0)
    }

    fn take(&self, bytes: u64, now: Duration) {
        self.recent.set(self.recent(now) + bytes);
        self.since.set(self.since.get() + HALF_LIFE * self.half_lives(now));
    }

    /// The memory for each byte taken lately, in 256ths of a byte.
    fn bytes_for_each(&self, now: Duration) -> u64 {
        ((self.bytes.get() as u64) << 8) / (self.recent(now) + 1)
    }
}

impl Share {
    /// The share of a decoder without a connection.
    pub(super) fn new(memory: &Rc<DecoderMemory>) -> Self {
        Self::of(memory, NOBODY)
    }

    pub(super) fn of(memory: &Rc<DecoderMemory>, owner: Token) -> Self {
        let slot = Slot {
            codec: RefCell::new(None),
            owner,
            bytes: Cell::new(0),
            unpaid: Cell::new(0),
            gave_way: Cell::new(false),
            index: Cell::new(0),
            recent: Cell::new(0),
            since: Cell::new(Duration::ZERO),
        };
        Self { memory: Rc::clone(memory), slot: Rc::new(slot) }
    }

    /// The codec; `None` once it gave way to another decoder.
    pub(super) fn codec(&self) -> &RefCell<Option<Box<dyn Codec>>> {
        &self.slot.codec
    }

    /// Whether the codec gave way.
    pub(super) fn gave_way(&self) -> bool {
        self.slot.gave_way.get()
    }

    /// The time by the reactor's clock.
    pub(super) fn now(&self) -> Duration {
        self.memory.reactor.as_ref().map_or(Duration::ZERO, Reactor::now)
    }

    /// The error of a decoder that gave way, or needs too much alone.
    pub(super) fn too_much(&self) -> DecompressErrorKind {
        DecompressErrorKind::Memory { max: self.memory.limit.get() as u64 }
    }

    /// Notes that `taken` bytes were just decoded, and what the codec now holds; `all_taken` counts the whole stream.
    ///
    /// # Errors
    /// [`DecompressErrorKind::Memory`] if that is too much for one decoder.
    pub(super) fn note(&self, taken: u64, all_taken: u64, now: Duration) -> Result<(), DecompressErrorKind> {
        let bytes = self.slot.codec.borrow().as_ref().map_or(0, |codec| codec.memory());
        let paid = FREE.saturating_add(usize::try_from(PAID.saturating_mul(all_taken)).unwrap_or(usize::MAX));
        self.slot.take(taken, now);
        self.memory.count(&self.slot, bytes, bytes.saturating_sub(paid));
        if self.memory.make_room(&self.slot, now) { Ok(()) } else { Err(self.too_much()) }
    }

    pub(super) fn clear(&self) {
        drop(self.slot.codec.take());
        self.memory.count(&self.slot, 0, 0);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.count(&self.slot, 0, 0);
    }
}
