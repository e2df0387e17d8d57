//! The encoders of a whole reactor, lent to the streams that are being written.
//!
//! A deflate encoder takes 300 KB (zlib-rs), and after a flush it holds nothing that the decoder needs, except bits of the last
//! byte. So an idle connection gives its encoder back and keeps only its history. When it writes again, any encoder that is reset
//! and primed with *that connection's own* history can go on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Reactor;
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::decoder_memory::DecoderMemory;
use super::history::WINDOW;

/// Blocks of at most 4,096 symbols, where zlib's default is 16,384: zlib-rs clears the space for them after each block,
/// which with the default is a seventh of the time of a message. The sizes on the wire differ by less than 0.3 percent.
const MEM_LEVEL: i32 = 6;

/// The pool as its connections share it.
pub(crate) type SharedPool = Rc<RefCell<EncoderPool>>;

/// Raw deflate encoders, up to a limit.
///
/// Each encoder is free, or lent under a [`Lease`]. A lease is valid until the borrower gives it back or, once its reader has
/// everything, until another borrower gets the encoder: a borrower therefore checks [`holds`](Self::holds) before each use. An
/// encoder that has bytes which the reader still needs is never taken away. One that only has bits of the last byte may be: the
/// pool then brings that stream to a byte boundary, and keeps the resulting bytes until the stream asks for them
/// ([`take_owed`](Self::take_owed)). The pool never calls code of others.
pub(crate) struct EncoderPool {
    /// The memory of the same reactor's decoders, which are not shared, but have a common limit.
    decoders: Rc<DecoderMemory>,
    #[cfg(feature = "zstd")]
    digests: super::digests::Digests,
    idle_after: Duration,
    /// Counts leases, so that a lease is not valid for a slot that was lent again.
    leases: u64,
    limit: usize,
    /// What the streams of ended leases have to send first.
    owed: HashMap<NonZeroU64, Owed>,
    slots: Vec<Slot>,
    /// A buffer for the next stream to gather in.
    spare: Vec<u8>,
}

/// The bytes that bring a stream to a byte boundary, or why there are none.
pub(super) type Owed = Result<Vec<u8>, String>;

/// The right to use one encoder, which the pool may take back whenever the reader has everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Lease {
    /// Never zero, so that `Option<Lease>` is no larger.
    number: NonZeroU64,
    slot: usize,
}

struct Slot {
    /// `None` once it was freed; the slot stays, since leases refer to it by index.
    encoder: Option<Deflate>,
    /// The lease; `None` while it is free.
    lease: Option<NonZeroU64>,
    holds: Holds,
    /// When it was last written to or flushed, as reported by the borrower.
    active: Duration,
    window_bits: u8,
}

/// What an encoder holds of its borrower's stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Holds {
    /// Nothing, after a sync flush: the stream is at a byte boundary.
    Nothing,
    /// Up to seven bits, after a partial flush: the reader has every plain byte.
    Bits,
    /// Plain bytes that were not flushed.
    Bytes,
}

impl EncoderPool {
    /// How many unused encoders are kept for the next borrower; more are freed.
    const SPARE: usize = 1;

    /// The pool of a reactor, with the memory of its decoders.
    pub(crate) fn of(reactor: &Reactor) -> SharedPool {
        let pool = Self::shared();
        pool.borrow_mut().decoders = Rc::new(DecoderMemory::of(reactor));
        pool
    }

    /// A pool of at most 64 encoders, which idle connections give back after one second.
    pub(crate) fn shared() -> SharedPool {
        Self::with_limits(64, Duration::from_secs(1))
    }

    /// A pool of at most `limit` encoders (19 MB for 64), which connections give back when idle for `idle_after`.
    ///
    /// With too few, connections that write alternately keep taking encoders from each other, and each time prime them with a
    /// history (`compression wake` in the benchmarks). With none at all, everything is sent uncompressed.
    pub(crate) fn with_limits(limit: usize, idle_after: Duration) -> SharedPool {
        Rc::new(RefCell::new(Self {
            decoders: Rc::default(),
            #[cfg(feature = "zstd")]
            digests: super::digests::Digests::default(),
            idle_after,
            leases: 0,
            limit,
            owed: HashMap::new(),
            slots: Vec::new(),
            spare: Vec::new(),
        }))
    }

    /// When the encoder should be given back, if the lease is still valid.
    pub(super) fn idle_at(&self, lease: Lease) -> Option<Duration> {
        self.holds(lease).then(|| self.slots[lease.slot].active.saturating_add(self.idle_after))
    }

    /// The memory of all decoders.
    pub(crate) const fn decoders(&self) -> &Rc<DecoderMemory> {
        &self.decoders
    }

    /// The dictionaries that streams of zstd share.
    #[cfg(feature = "zstd")]
    pub(super) const fn digests(&mut self) -> &mut super::digests::Digests {
        &mut self.digests
    }

    /// How many encoders exist, lent or not.
    pub(crate) fn encoders(&self) -> usize {
        self.slots.iter().filter(|slot| slot.encoder.is_some()).count()
    }

    /// How many encoders are lent.
    pub(crate) fn lent(&self) -> usize {
        self.slots.iter().filter(|slot| slot.lease.is_some()).count()
    }

    /// Whether the lease is still valid: no other borrower has got the encoder.
    pub(super) fn holds(&self, lease: Lease) -> bool {
        self.slots.get(lease.slot).is_some_and(|slot| slot.lease == Some(lease.number))
    }

    /// The encoder under a valid lease. Until [`EncoderPool::flushed`] nobody can take it.
    pub(super) fn encoder(&mut self, lease: Lease) -> Option<&mut Deflate> {
        let slot = self.slots.get_mut(lease.slot)?;
        if slot.lease != Some(lease.number) {
            return None;
        }
        slot.holds = Holds::Bytes;
        slot.encoder.as_mut()
    }

    /// Lends an encoder with this window, primed with `before` and `history`; `None` if all are lent and have bytes.
    pub(super) fn lend(&mut self, level: u32, window_bits: u8, before: &[u8], history: &[u8]) -> Result<Option<Lease>, String> {
        let Some(index) = self.vacant() else {
            return Ok(None);
        };
        // Before anything can fail: after an error the last borrower must not have it.
        self.take_back(index);
        self.leases += 1;
        let number = NonZeroU64::MIN.saturating_add(self.leases);
        let level = level as i32; // 0 to 9
        let slot = &mut self.slots[index];
        slot.holds = Holds::Bytes;
        let encoder = match &mut slot.encoder {
            Some(encoder) if slot.window_bits == window_bits => {
                encoder.reset();
                encoder.set_level(level).map_err(|error| error.as_str())?;
                encoder
            }
            other => other.insert(encoder(level, window_bits)),
        };
        slot.window_bits = window_bits;
        let out_of_reach = before.len().saturating_sub(WINDOW.saturating_sub(history.len()));
        for known in [&before[out_of_reach..], history] {
            if !known.is_empty() {
                encoder.set_dictionary(known).map_err(|error| error.as_str())?;
            }
        }
        slot.lease = Some(number);
        Ok(Some(Lease { number, slot: index }))
    }

    /// Notes that the reader has everything: the encoder, which now has at most `holds` of the stream, may be taken away.
    pub(super) fn flushed(&mut self, lease: Lease, holds: Holds, now: Duration) {
        if self.holds(lease) {
            self.slots[lease.slot].holds = holds;
            self.touch(lease, now);
        }
    }

    pub(super) fn touch(&mut self, lease: Lease, now: Duration) {
        if self.holds(lease) {
            self.slots[lease.slot].active = now;
        }
    }

    /// Gives back an encoder whose stream may go on: keeps what the stream has to send first.
    pub(super) fn hibernate(&mut self, lease: Lease) {
        if self.holds(lease) {
            self.take_back(lease.slot);
            self.free(lease.slot);
        }
    }

    /// Gives back an encoder, and drops what is left of its stream.
    pub(super) fn release(&mut self, lease: Lease) {
        self.owed.remove(&lease.number);
        if self.holds(lease) {
            self.slots[lease.slot].lease = None;
            self.free(lease.slot);
        }
    }

    /// After the pool has taken the encoder: what the stream has to send first.
    pub(super) fn take_owed(&mut self, lease: Lease) -> Owed {
        self.owed.remove(&lease.number).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// An empty buffer, with the capacity of the one last given back.
    pub(super) fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    pub(super) fn give_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.spare = buffer;
    }

    /// Ends the lease of a slot, whose encoder has no bytes of the stream, but may have bits.
    fn take_back(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if let (Some(lease), Some(encoder), Holds::Bits) = (slot.lease, &mut slot.encoder, slot.holds) {
            self.owed.insert(lease, settle(encoder));
        }
        slot.lease = None;
    }

    /// Frees the encoder of a slot that is not lent, unless it is kept for the next borrower.
    fn free(&mut self, index: usize) {
        if self.encoders() - self.lent() > Self::SPARE {
            self.slots[index].encoder = None;
        }
    }

    /// The slot of an encoder to lend: a free one, a new one, or the one without bytes that has been idle longest.
    fn vacant(&mut self) -> Option<usize> {
        let free = |slot: &&Slot| slot.lease.is_none();
        let built = |slot: &Slot| free(&slot) && slot.encoder.is_some();
        if let Some(index) = self.slots.iter().position(built) {
            return Some(index);
        }
        if let Some(index) = self.slots.iter().position(|slot| free(&slot)) {
            return Some(index);
        }
        if self.slots.len() < self.limit {
            self.slots.push(Slot { encoder: None, lease: None, holds: Holds::Nothing, active: Duration::ZERO, window_bits: 15 });
            return Some(self.slots.len() - 1);
        }
        let flushed = self.slots.iter().enumerate().filter(|(_, slot)| slot.holds != Holds::Bytes);
        flushed.min_by_key(|(_, slot)| slot.active).map(|(at, _)| at)
    }
}

fn encoder(level: i32, window_bits: u8) -> Deflate {
    let window_bits = -i32::from(window_bits); // negative: without a container
    Deflate::new_with_config(DeflateConfig { level, window_bits, mem_level: MEM_LEVEL, ..DeflateConfig::default() })
}

/// The last bits of a stream, and an empty stored block, which ends at a byte boundary.
fn settle(encoder: &mut Deflate) -> Owed {
    let mut owed = vec![0; 16]; // at most six are used, but an encoder that fills its room repeats itself
    let before = encoder.total_out();
    encoder.compress(&[], &mut owed, DeflateFlush::SyncFlush).map_err(|error| error.as_str())?;
    owed.truncate((encoder.total_out() - before) as usize);
    Ok(owed)
}
