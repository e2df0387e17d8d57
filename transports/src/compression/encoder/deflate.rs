//! Deflate streams, raw or in zlib or gzip: our own header and trailer around a borrowed raw encoder.

use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Compression, CompressionStats, Dictionary, Format, StoredBytes};
use zlib_rs::{Deflate, DeflateFlush};

use super::{Codec, FLUSH_ROOM, Failure, FlushForm};
use crate::compression::announcement::{self, Position};
use crate::compression::checksum::Checksum;
use crate::compression::fragment::{Fragment, Kind};
use crate::compression::history::History;
use crate::compression::pool::{Holds, Lease, SharedPool};

/// Plain bytes over which the gain is measured.
const GAUGE: u32 = 64 << 10;
/// Plain bytes sent uncompressed once there was no gain.
const PASS: u32 = 256 << 10;
/// Compressing is worth its time if the output is at most this percentage of the input.
const WORTH_PERCENT: u32 = 97;
/// The most plain bytes that are gathered until the flush: calls of the encoder are expensive, each block has a header,
/// and until then the stream needs no encoder.
const GATHER: usize = 8 << 10;
/// The longest stored block, RFC 1951, 3.2.4.
const BLOCK: usize = 65_535;
/// An empty last block with fixed codes, RFC 1951, 3.2.6, for a stream at a byte boundary.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

/// A deflate stream whose encoder is borrowed from the pool.
///
/// After each flush the stream is *readable*: the reader has every plain byte (`unflushed` is zero), and the pool may take the
/// encoder. After a sync flush it is also *settled*: at a byte boundary, which stored blocks and the trailer need. A settled
/// stream can go on with any encoder that is primed with its history. After a partial flush up to seven bits stay in the encoder;
/// if the pool takes the encoder, it keeps them, completed to whole bytes, which the stream sends first.
pub(in crate::compression) struct DeflateEncoder {
    /// The checksum of everything in the stream except the last `unsummed` bytes.
    checksum: Checksum,
    /// What precedes the history; `None` once the history no longer has everything that the stream has carried.
    dictionary: Option<Dictionary>,
    format: Format,
    /// Written bytes that are not in the stream yet. The buffer comes from the pool, and goes back when it is empty.
    gathered: Vec<u8>,
    hibernations: u32,
    history: History,
    lease: Option<Lease>,
    level: u8,
    mode: Mode,
    /// Bits of the stream may still be in the encoder.
    off_boundary: bool,
    partial_flushes: u32,
    pool: SharedPool,
    stored: StoredBytes,
    /// A flush of fewer bytes does not borrow an encoder.
    threshold: usize,
    /// How many bytes the encoder got since its last flush.
    unflushed: u32,
    /// How many of the last bytes of the history are not in the checksum yet: summing many at once costs a tenth.
    unsummed: u16,
    window_bits: u8,
}

#[derive(Clone, Copy)]
enum Mode {
    /// Through an encoder, measuring the gain.
    Compress { plain: u32, wire: u32 },
    /// In stored blocks, for this many more bytes.
    Pass { left: u32 },
    /// In stored blocks always.
    Store,
}

impl Mode {
    const COMPRESS: Self = Self::Compress { plain: 0, wire: 0 };
}

impl DeflateEncoder {
    pub(super) fn new(options: &Compression, pool: &SharedPool) -> Self {
        Self::with_window(options, 15, pool)
    }

    /// An encoder with a window of two to the power of `window_bits`, which are 9 to 15.
    pub(in crate::compression) fn with_window(options: &Compression, window_bits: u8, pool: &SharedPool) -> Self {
        let level = options.level.unwrap_or_else(|| options.format.default_level());
        // Level 0 is stored blocks and nothing else: it takes no encoder at all.
        let mode = if level == 0 { Mode::Store } else { Mode::COMPRESS };
        Self {
            checksum: Checksum::new(options.format),
            dictionary: options.dictionary.clone(),
            format: options.format,
            gathered: Vec::new(),
            hibernations: 0,
            history: History::new(if level == 0 { 0 } else { options.history.min(1 << window_bits) }),
            lease: None,
            level: level as u8, // 0 to 9
            mode,
            off_boundary: false,
            partial_flushes: 0,
            pool: Rc::clone(pool),
            stored: StoredBytes::default(),
            threshold: options.threshold,
            unflushed: 0,
            unsummed: 0,
            window_bits,
        }
    }

    /// Puts bytes into the stream; `flush` is for the last piece, if it goes through an encoder.
    fn place(&mut self, plain: &[u8], wire: &mut Vec<u8>, flush: DeflateFlush) -> Result<(), Failure> {
        let mut rest = plain;
        while !rest.is_empty() {
            rest = match self.mode {
                Mode::Compress { plain, .. } => {
                    let measure = GAUGE.saturating_sub(plain).max(1) as usize;
                    let (piece, rest) = rest.split_at(rest.len().min(measure));
                    if self.borrow_encoder(wire)? {
                        self.feed(piece, wire, if rest.is_empty() { flush } else { DeflateFlush::NoFlush })?;
                        self.measure_gain(wire)?;
                    } else {
                        self.stored.no_encoder += piece.len() as u64;
                        self.write_stored(piece, wire);
                    }
                    rest
                }
                Mode::Pass { left } => {
                    let (piece, rest) = rest.split_at(rest.len().min(left as usize));
                    self.stored.incompressible += piece.len() as u64;
                    self.write_stored(piece, wire);
                    let left = left - piece.len() as u32; // at most `left`
                    self.mode = if left > 0 { Mode::Pass { left } } else { Mode::COMPRESS };
                    rest
                }
                Mode::Store => {
                    self.stored.asked += rest.len() as u64;
                    self.write_stored(rest, wire);
                    &[]
                }
            };
        }
        Ok(())
    }

    fn place_gathered(&mut self, wire: &mut Vec<u8>, flush: DeflateFlush) -> Result<(), Failure> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        let placed = self.place(&gathered, wire, flush);
        self.pool.borrow_mut().give_buffer(gathered);
        placed
    }

    /// Stores the gathered bytes if that saves borrowing an encoder for few of them; returns whether it did.
    fn store_small(&mut self, wire: &mut Vec<u8>) -> Result<bool, Failure> {
        self.notice_loss(wire)?;
        if self.lease.is_some() || self.gathered.len() >= self.threshold {
            return Ok(false);
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.stored.below_threshold += gathered.len() as u64;
        self.write_stored(&gathered, wire);
        self.pool.borrow_mut().give_buffer(gathered);
        Ok(true)
    }

    /// Feeds the encoder, and for a flush calls it until it has nothing left, which is known only when a call leaves
    /// room unused.
    fn feed(&mut self, plain: &[u8], wire: &mut Vec<u8>, flush: DeflateFlush) -> Result<(), Failure> {
        let before = wire.len();
        let keeps = matches!(flush, DeflateFlush::NoFlush);
        // Room for everything at once: a flush that ends exactly where the room does looks unfinished, and another call would
        // write the marker again. The encoder's own buffers limit what it can hold.
        let mut room =
            FLUSH_ROOM + if keeps { plain.len() / 2 } else { (self.unflushed.min(128 << 10) as usize + plain.len()) * 9 / 8 };
        let mut rest = plain;
        self.with_encoder(|encoder| {
            loop {
                let (taken, made) = step(encoder, rest, wire, room, flush)?;
                rest = &rest[taken..];
                if rest.is_empty() && (keeps || made < room) {
                    return Ok(());
                }
                room *= 2;
            }
        })?;
        self.unflushed = if keeps { self.unflushed.saturating_add(plain.len() as u32) } else { 0 }; // at most GAUGE
        let partial = matches!(flush, DeflateFlush::PartialFlush);
        self.partial_flushes = self.partial_flushes.saturating_add(partial.into());
        self.off_boundary = keeps || partial;
        self.remember(plain);
        self.note(plain.len(), wire.len() - before);
        Ok(())
    }

    /// Settles the stream.
    fn sync(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.notice_loss(wire)?;
        if self.off_boundary { self.feed(&[], wire, DeflateFlush::SyncFlush) } else { Ok(()) }
    }

    /// If the pool has taken the encoder, appends what it has kept of the stream.
    fn notice_loss(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let mut pool = self.pool.borrow_mut();
        if let Some(lease) = self.lease.take_if(|lease| !pool.holds(*lease)) {
            self.hibernations = self.hibernations.saturating_add(1);
            self.off_boundary = false;
            wire.extend_from_slice(&pool.take_owed(lease)?);
        }
        Ok(())
    }

    /// Measures whether compressing is worth its time, and stops it for a while if not.
    fn measure_gain(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let Mode::Compress { plain, wire: out } = self.mode else {
            return Ok(());
        };
        if plain < GAUGE {
            return Ok(());
        }
        // The encoder may still hold back half of what was measured. The gain is measured exactly, after a flush, only if
        // it may be poor, so that a stream that shrinks well does not pay for a flush.
        if out >= plain * 4 / 10 {
            self.sync(wire)?;
        }
        let Mode::Compress { wire: out, .. } = self.mode else {
            return Ok(());
        };
        self.mode = Mode::COMPRESS;
        if out * 100 > plain * WORTH_PERCENT && !self.off_boundary {
            // After stored blocks the encoder would not know their bytes: its distances would be too short, and
            // decode to wrong bytes without an error. So it is given back, and another is primed with the history later.
            self.release();
            self.mode = Mode::Pass { left: PASS };
        }
        Ok(())
    }

    /// Appends stored blocks and gives the encoder back. The stream has to be settled.
    fn write_stored(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        debug_assert!(!self.off_boundary, "a stored block inside an encoder's block: flush first");
        self.release();
        for block in plain.chunks(BLOCK) {
            let len = block.len() as u16; // at most BLOCK
            wire.push(0);
            wire.extend_from_slice(&len.to_le_bytes());
            wire.extend_from_slice(&(!len).to_le_bytes());
            wire.extend_from_slice(block);
        }
        self.remember(plain);
    }

    /// Adds what the stream has just carried to the history and the checksum.
    fn remember(&mut self, plain: &[u8]) {
        let unsummed = usize::from(self.unsummed) + plain.len();
        if unsummed <= self.history.keep() {
            self.unsummed = unsummed as u16; // the history keeps at most 32 KiB
        } else {
            self.sum();
            self.checksum.update(plain);
        }
        self.keep(plain);
    }

    /// Adds what the stream has just carried to the history.
    fn keep(&mut self, plain: &[u8]) {
        if !self.history.has_room(plain.len()) {
            self.dictionary = None;
        }
        self.history.push(plain);
    }

    /// Brings the checksum up to date.
    fn sum(&mut self) {
        let (older, newer) = self.history.latest(usize::from(std::mem::take(&mut self.unsummed)));
        self.checksum.update(older);
        self.checksum.update(newer);
    }

    const fn note(&mut self, more_plain: usize, more_wire: usize) {
        if let Mode::Compress { plain, wire } = &mut self.mode {
            // Small numbers: pieces of at most GAUGE bytes, and their output.
            *plain += more_plain as u32;
            *wire += more_wire as u32;
        }
    }

    /// Borrows an encoder, unless the stream has one; false if none is free (then the stream is settled).
    fn borrow_encoder(&mut self, wire: &mut Vec<u8>) -> Result<bool, Failure> {
        self.notice_loss(wire)?;
        if self.lease.is_none() {
            let dictionary = self.dictionary.as_ref().map_or(&[][..], Dictionary::bytes);
            self.lease =
                self.pool.borrow_mut().lend(self.level.into(), self.window_bits, dictionary, self.history.oldest_first())?;
        }
        Ok(self.lease.is_some())
    }

    fn with_encoder(&self, work: impl FnOnce(&mut Deflate) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut pool = self.pool.borrow_mut();
        let encoder = self.lease.and_then(|lease| pool.encoder(lease));
        work(encoder.ok_or("the encoder of an unfinished block was lent to another stream")?)
    }

    /// Flushes; returns whether the output ends with the flush's marker, the empty stored block.
    ///
    /// It does not if there was nothing to flush, or stored blocks came last.
    pub(in crate::compression) fn flush_to_marker(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<bool, Failure> {
        let before = wire.len();
        self.flush(FlushForm::Sync, wire, now)?;
        Ok(wire.len() > before && self.lease.is_some())
    }

    /// Gives the encoder of a settled stream back.
    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.pool.borrow_mut().release(lease);
        }
    }
}

impl Codec for DeflateEncoder {
    fn open(&mut self, announce: Option<Position>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let dictionary = self.dictionary.as_ref().and_then(|dictionary| dictionary.id(self.format));
        announcement::write_header(self.format, self.level.into(), dictionary, wire);
        if let Some(position) = announce {
            announcement::write_mark(self.format, position, wire);
        }
        Ok(())
    }

    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.gathered.len() + plain.len() > GATHER {
            self.place_gathered(wire, DeflateFlush::NoFlush)?;
        }
        if plain.len() > GATHER {
            self.place(plain, wire, DeflateFlush::NoFlush)?;
        } else {
            if self.gathered.capacity() == 0 {
                self.gathered = self.pool.borrow_mut().take_buffer();
            }
            self.gathered.extend_from_slice(plain);
        }
        if let Some(lease) = self.lease {
            self.pool.borrow_mut().touch(lease, now);
        }
        Ok(())
    }

    fn flush(&mut self, form: FlushForm, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.store_small(wire)? {
            return Ok(());
        }
        let flush = match form {
            FlushForm::Partial => DeflateFlush::PartialFlush,
            FlushForm::Sync => DeflateFlush::SyncFlush,
        };
        self.place_gathered(wire, flush)?;
        match form {
            FlushForm::Partial if self.unflushed > 0 => self.feed(&[], wire, flush)?,
            FlushForm::Partial => {}
            FlushForm::Sync => self.sync(wire)?,
        }
        if let Some(lease) = self.lease {
            let holds = if self.off_boundary { Holds::Bits } else { Holds::Nothing };
            self.pool.borrow_mut().flushed(lease, holds, now);
        }
        Ok(())
    }

    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.write_stored(plain, wire);
        self.forget(wire)
    }

    fn fragment_kind(&self) -> Option<Kind> {
        (!matches!(self.mode, Mode::Store)).then_some(Kind::Deflate { level: self.level })
    }

    fn make_fragment(&self, plain: &[u8], now: Duration) -> Result<Vec<u8>, Failure> {
        let mut alone = Self::new(&Compression::deflate_raw().level(self.level.into()), &self.pool);
        let mut wire = Vec::new();
        alone.write(plain, &mut wire, now)?;
        alone.flush(FlushForm::Sync, &mut wire, now)?;
        Ok(wire)
    }

    /// As before stored blocks, gives the encoder back, since it does not know these bytes.
    fn pass_fragment(&mut self, plain: &[u8], fragment: &Fragment, _wire: &mut Vec<u8>) -> Result<(), Failure> {
        debug_assert!(!self.off_boundary, "a fragment inside an encoder's block: flush first");
        self.release();
        self.sum();
        self.checksum.combine(&fragment.sums);
        self.keep(plain);
        Ok(())
    }

    fn forget(&mut self, _wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.release();
        self.sum();
        self.history.clear();
        self.dictionary = None;
        Ok(())
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.place_gathered(wire, DeflateFlush::NoFlush)?;
        self.notice_loss(wire)?;
        if self.off_boundary {
            self.feed(&[], wire, DeflateFlush::Finish)?;
        } else {
            wire.extend_from_slice(&LAST_BLOCK);
        }
        self.sum();
        let (trailer, len) = self.checksum.trailer();
        wire.extend_from_slice(&trailer[..len]);
        self.forget(wire)
    }

    fn idle_at(&self) -> Option<Duration> {
        self.pool.borrow().idle_at(self.lease?)
    }

    fn hibernate(&mut self) {
        if let (Some(lease), 0) = (self.lease, self.unflushed) {
            self.pool.borrow_mut().hibernate(lease);
        }
    }

    fn count(&self, stats: &mut CompressionStats) {
        let stolen = self.lease.is_some_and(|lease| !self.pool.borrow().holds(lease));
        stats.hibernations += u64::from(self.hibernations) + u64::from(stolen);
        stats.partial_flushes += u64::from(self.partial_flushes);
        stats.stored.asked += self.stored.asked;
        stats.stored.below_threshold += self.stored.below_threshold;
        stats.stored.incompressible += self.stored.incompressible;
        stats.stored.no_encoder += self.stored.no_encoder;
        stats.incompressible |= matches!(self.mode, Mode::Pass { .. });
    }
}

impl Drop for DeflateEncoder {
    fn drop(&mut self) {
        // The pool calls no code of others, so no stream is dropped while it is borrowed.
        debug_assert!(self.pool.try_borrow_mut().is_ok(), "a stream was dropped from inside its pool");
        if let (Some(lease), Ok(mut pool)) = (self.lease, self.pool.try_borrow_mut()) {
            pool.release(lease);
        }
    }
}

/// Calls the encoder once, with room for so many bytes; returns how many it took and produced. An error if it does
/// nothing although it has input and room: the caller would spin.
fn step(
    encoder: &mut Deflate,
    plain: &[u8],
    wire: &mut Vec<u8>,
    room: usize,
    flush: DeflateFlush,
) -> Result<(usize, usize), Failure> {
    let (total_in, total_out, start) = (encoder.total_in(), encoder.total_out(), wire.len());
    wire.resize(start + room, 0);
    let result = encoder.compress(plain, &mut wire[start..], flush);
    // At most the lengths of `plain` and the room, so the casts fit.
    let (taken, made) = ((encoder.total_in() - total_in) as usize, (encoder.total_out() - total_out) as usize);
    wire.truncate(start + made);
    result.map_err(|error| error.as_str())?;
    if taken + made == 0 && !plain.is_empty() {
        return Err("the encoder takes no input although it has room".to_owned());
    }
    Ok((taken, made))
}
