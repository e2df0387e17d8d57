//! The bound on what all decoders of a reactor hold together: a window is cheap to ask for, and each peer may ask for one.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::DecompressErrorKind;
use torsade_reactor::Reactor;
use torsade_reactor::spi::{Ready, Token};

use super::decoder::Codec;

/// The default bound, in bytes: enough for 5,000 decoders of deflate, or for 110 with the windows of zstd's default level.
const LIMIT: usize = 256 << 20;

/// The share of the bound that one decoder may hold.
const SHARE_OF_ONE: usize = 2;

/// The share of the bound for what nobody has paid for.
const SHARE_UNPAID: usize = 8;

/// What a decoder may hold without paying, in bytes: any of deflate does, and one of zstd whose peer sends small messages.
const FREE: usize = 256 << 10;

/// What it may hold for each compressed byte that it has taken. Ordinary text shrinks to a third or a tenth.
const PAID: u64 = 256;

/// After so long without input, what a peer has sent counts half.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// The token of no connection.
pub(super) const NOBODY: Token = Token::from_usize(usize::MAX);

/// The sum of what the decoders of one reactor hold, and its bound.
///
/// A decoder that grows gets what it needs, up to half of the bound. Above the bound the least active give way, one after the
/// other: those that hold most for each byte that they were sent lately. So whoever has many decoders, and keeps them awake with
/// a byte now and then, loses them before one that is used; to keep a window from others, one has to send as much for its size as
/// they do. Those that hold less than the mean come last: large windows take nothing from them.
///
/// What was filled without being paid for, beyond [`FREE`] and [`PAID`], is bounded more tightly, and makes room only for its own
/// kind: so streams of a few hundred bytes that fill windows of megabytes take nothing from anybody else.
pub(crate) struct DecoderMemory {
    limit: Cell<usize>,
    held: Cell<usize>,
    /// How much of that was not paid for.
    unpaid: Cell<usize>,
    ended: Cell<u64>,
    /// It was logged that the bound is met; it is again, once half of the memory has been free.
    told: Cell<bool>,
    /// Those that hold something.
    places: RefCell<Vec<Rc<Place>>>,
    /// Whose connections they belong to.
    reactor: Option<Reactor>,
}

/// What one decoder holds; given back when this is dropped.
pub(super) struct Share {
    memory: Rc<DecoderMemory>,
    place: Rc<Place>,
}

/// A codec, where it can be taken away.
struct Place {
    codec: RefCell<Option<Box<dyn Codec>>>,
    /// The connection that it belongs to; [`NOBODY`] for a decoder outside of one, which notices when it is used next.
    owner: Token,
    bytes: Cell<usize>,
    unpaid: Cell<usize>,
    gave_way: Cell<bool>,
    /// Its index in the list of all.
    index: Cell<usize>,
    /// Compressed bytes that it has taken, of which the older count less.
    recent: Cell<u64>,
    /// When they were last halved.
    since: Cell<Duration>,
}

impl Default for DecoderMemory {
    fn default() -> Self {
        Self {
            limit: Cell::new(LIMIT),
            held: Cell::new(0),
            unpaid: Cell::new(0),
            ended: Cell::new(0),
            told: Cell::new(false),
            places: RefCell::default(),
            reactor: None,
        }
    }
}

impl DecoderMemory {
    /// That of this reactor, whose connections look at their decoders once these have given way.
    pub(crate) fn of(reactor: &Reactor) -> Self {
        Self { reactor: Some(reactor.clone()), ..Self::default() }
    }

    /// Sets the bound, in bytes. What is above a smaller one gives way when the next decoder takes something.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// What all decoders hold now, in bytes.
    pub(crate) const fn held(&self) -> usize {
        self.held.get()
    }

    /// How many streams had to end, because they gave way or wanted too much.
    pub(crate) const fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// Keeps the sums within their bounds, at the cost of others than the one that asks; false if that one needs too much alone.
    fn make_room(&self, asks: &Place, now: Duration) -> bool {
        let (limit, limit_unpaid) = (self.limit.get(), self.limit.get() / SHARE_UNPAID);
        if asks.bytes.get() > limit / SHARE_OF_ONE || asks.unpaid.get() > limit_unpaid {
            self.end_one();
            return false;
        }
        if self.unpaid.get() > limit_unpaid {
            self.end_others(asks, now, |place| place.unpaid.get() > 0, || self.unpaid.get() <= below(limit_unpaid));
        }
        if self.held.get() > limit {
            // Those that hold less than most have no part in it, however long they have been silent.
            let mean = self.held.get() / self.places.borrow().len().max(1);
            self.end_others(asks, now, |place| place.bytes.get() >= mean, || self.held.get() <= below(limit));
        }
        if self.held.get() > limit {
            self.end_others(asks, now, |_| true, || self.held.get() <= below(limit));
        }
        true
    }

    /// Has others give way, the least active first, until that is enough.
    #[cold]
    fn end_others(&self, asks: &Place, now: Duration, which: impl Fn(&Place) -> bool, enough: impl Fn() -> bool) {
        let is_candidate = |place: &&Rc<Place>| !std::ptr::eq(&raw const ***place, asks) && which(place);
        let mut others: Vec<_> = self.places.borrow().iter().filter(is_candidate).cloned().collect();
        others.sort_by_cached_key(|place| (place.bytes_for_each(now), Reverse(place.since.get())));
        while !enough()
            && let Some(place) = others.pop()
        {
            self.end_one();
            self.count(&place, 0, 0);
            // Not in use: nothing is decoded while a decoder asks for room.
            drop(place.codec.take());
            place.gave_way.set(true);
            if let Some(reactor) = &self.reactor {
                reactor.requeue(place.owner, Ready::NONE);
            }
        }
    }

    /// Counts a stream that has to end, and says so, once.
    fn end_one(&self) {
        self.ended.set(self.ended.get() + 1);
        if !self.told.replace(true) {
            log::warn!(
                "decompressors hold {} bytes, {} of them for hardly any input, and may hold {} (set_decompression_memory): streams end, \
                 those first that hold most for what they are sent; allow more, or smaller windows (Decompression::max_window), or \
                 fewer connections",
                self.held.get(),
                self.unpaid.get(),
                self.limit.get(),
            );
        }
    }

    /// Sets what one decoder holds, in the sums too.
    fn count(&self, place: &Rc<Place>, bytes: usize, unpaid: usize) {
        if (bytes, unpaid) == (place.bytes.get(), place.unpaid.get()) {
            return; // nearly always
        }
        let before = place.bytes.replace(bytes);
        self.held.set(self.held.get() - before + bytes);
        self.unpaid.set(self.unpaid.get() - place.unpaid.replace(unpaid) + unpaid);
        let mut places = self.places.borrow_mut();
        if before == 0 && bytes > 0 {
            place.index.set(places.len());
            places.push(Rc::clone(place));
        } else if before > 0 && bytes == 0 {
            places.swap_remove(place.index.get());
            if let Some(moved) = places.get(place.index.get()) {
                moved.index.set(place.index.get());
            }
        }
        let limit = self.limit.get();
        if self.held.get() <= limit / 2 && self.unpaid.get() <= limit / SHARE_UNPAID / 2 {
            self.told.set(false);
        }
    }
}

/// How much is left when others have given way: a little less than the bound, so that they need not be ranked for each that asks.
const fn below(bound: usize) -> usize {
    bound - bound / 64
}

impl Place {
    /// How many half-lives have passed since `recent` was last halved.
    fn half_lives(&self, now: Duration) -> u32 {
        u32::try_from(now.saturating_sub(self.since.get()).as_secs() / HALF_LIFE.as_secs()).unwrap_or(u32::MAX)
    }

    /// What was taken, of which it counts half what came a half-life ago.
    fn recent(&self, now: Duration) -> u64 {
        self.recent.get().checked_shr(self.half_lives(now)).unwrap_or(0)
    }

    fn take(&self, bytes: u64, now: Duration) {
        self.recent.set(self.recent(now) + bytes);
        self.since.set(self.since.get() + HALF_LIFE * self.half_lives(now));
    }

    /// How much it holds for each byte that it has taken lately, in 256ths of a byte.
    fn bytes_for_each(&self, now: Duration) -> u64 {
        ((self.bytes.get() as u64) << 8) / (self.recent(now) + 1)
    }
}

impl Share {
    /// The share of a decoder that belongs to no connection.
    pub(super) fn new(memory: &Rc<DecoderMemory>) -> Self {
        Self::of(memory, NOBODY)
    }

    /// The share of a decoder that belongs to `owner`.
    pub(super) fn of(memory: &Rc<DecoderMemory>, owner: Token) -> Self {
        let place = Place {
            codec: RefCell::new(None),
            owner,
            bytes: Cell::new(0),
            unpaid: Cell::new(0),
            gave_way: Cell::new(false),
            index: Cell::new(0),
            recent: Cell::new(0),
            since: Cell::new(Duration::ZERO),
        };
        Self { memory: Rc::clone(memory), place: Rc::new(place) }
    }

    /// The codec, which is gone once another decoder has been given its memory.
    pub(super) fn codec(&self) -> &RefCell<Option<Box<dyn Codec>>> {
        &self.place.codec
    }

    /// Whether the codec was taken away.
    pub(super) fn gave_way(&self) -> bool {
        self.place.gave_way.get()
    }

    /// The time by the reactor's clock.
    pub(super) fn now(&self) -> Duration {
        self.memory.reactor.as_ref().map_or(Duration::ZERO, Reactor::now)
    }

    /// The error of a decoder that gave way, or needs too much alone.
    pub(super) fn too_much(&self) -> DecompressErrorKind {
        DecompressErrorKind::Memory { max: self.memory.limit.get() as u64 }
    }

    /// Notes that `taken` bytes were decoded just now, and what the codec holds after that; `all_taken` are those of the whole
    /// stream.
    ///
    /// # Errors
    /// [`DecompressErrorKind::Memory`], if that is too much for one.
    pub(super) fn note(&self, taken: u64, all_taken: u64, now: Duration) -> Result<(), DecompressErrorKind> {
        let bytes = self.place.codec.borrow().as_ref().map_or(0, |codec| codec.memory());
        let paid = FREE.saturating_add(usize::try_from(PAID.saturating_mul(all_taken)).unwrap_or(usize::MAX));
        self.place.take(taken, now);
        self.memory.count(&self.place, bytes, bytes.saturating_sub(paid));
        if self.memory.make_room(&self.place, now) { Ok(()) } else { Err(self.too_much()) }
    }

    /// Drops the codec.
    pub(super) fn clear(&self) {
        drop(self.place.codec.take());
        self.memory.count(&self.place, 0, 0);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.count(&self.place, 0, 0);
    }
}
