//! Deflate streams, bare or in a container: our own header and trailer around a borrowed raw encoder.

use std::rc::Rc;
use std::time::Duration;

use flate2::{Compress, FlushCompress};
use torsade_protocols::{Compression, Format};

use super::{FLUSH_ROOM, Failure};
use crate::compression::announcement::{self, Place};
use crate::compression::checksum::Checksum;
use crate::compression::history::History;
use crate::compression::pool::{Lease, SharedPool};

/// Plain bytes over which the gain is measured.
const GAUGE: u32 = 64 << 10;
/// Plain bytes sent uncompressed once there was no gain.
const PASS: u64 = 256 << 10;
/// The gain below which compressing is a waste: 3%.
const WORTH_PERCENT: u32 = 97;
/// Writes shorter than this are gathered before they become a stored block, whose header is five bytes.
const SMALL: usize = 1 << 10;
/// Plain bytes gathered at most while no encoder is free.
const GATHER: usize = 8 << 10;
/// The longest stored block, RFC 1951, 3.2.4.
const BLOCK: usize = 65_535;
/// An empty last block with fixed codes, RFC 1951, 3.2.6, standing on a byte boundary.
const LAST_BLOCK: [u8; 2] = [0x03, 0x00];

pub(super) struct DeflateEncoder {
    /// When it was last written to or flushed.
    active: Duration,
    checksum: Checksum,
    format: Format,
    /// Bytes that are in the checksum but not yet in the stream: they wait for an encoder or a stored block.
    gathered: Vec<u8>,
    hibernations: u64,
    history: History,
    lease: Option<Lease>,
    level: u32,
    mode: Mode,
    pool: SharedPool,

    stored: u64,
    /// The encoder was fed since the stream last stood on a byte boundary: it holds bytes, and nobody may take it.
    unsettled: usize,
}

#[derive(Clone, Copy)]
enum Mode {
    /// Through an encoder, measuring the gain.
    Compress { plain: u32, wire: u32 },
    /// In stored blocks, for so many bytes more.
    Pass { left: u64 },
}

impl Mode {
    const COMPRESS: Self = Self::Compress { plain: 0, wire: 0 };
}

impl DeflateEncoder {
    pub(super) fn new(options: &Compression, pool: &SharedPool) -> Self {
        let level = options.level.unwrap_or_else(|| options.format.default_level());
        // Level 0 is stored blocks and nothing else: it takes no encoder at all.
        let mode = if level == 0 { Mode::Pass { left: u64::MAX } } else { Mode::COMPRESS };
        Self {
            active: Duration::ZERO,
            checksum: Checksum::new(options.format),
            format: options.format,
            gathered: Vec::new(),
            hibernations: 0,
            history: History::new(if level == 0 { 0 } else { options.history }),
            lease: None,
            level,
            mode,
            pool: Rc::clone(pool),

            stored: 0,
            unsettled: 0,
        }
    }

    pub(super) fn open(&self, announce: Option<Place>, wire: &mut Vec<u8>) {
        announcement::write_header(self.format, self.level, wire);
        if let Some(place) = announce {
            announcement::write_mark(self.format, place, wire);
        }
    }

    pub(super) fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        self.active = now;
        self.checksum.update(plain);
        let mut rest = plain;
        while !rest.is_empty() {
            rest = match self.mode {
                Mode::Compress { plain, .. } => {
                    let measure = GAUGE.saturating_sub(plain).max(1) as usize;
                    let (piece, rest) = rest.split_at(rest.len().min(measure));
                    self.compress(piece, wire)?;
                    rest
                }
                Mode::Pass { left } => {
                    let piece = usize::try_from(left).map_or(rest.len(), |left| rest.len().min(left));
                    let (piece, rest) = rest.split_at(piece);
                    self.pass(piece, left, wire);
                    rest
                }
            };
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        self.place_gathered(wire)?;
        self.sync(wire)?;
        self.active = now;
        if let Some(lease) = self.lease {
            self.pool.borrow_mut().settle(lease, now);
        }
        self.weigh(wire)
    }

    pub(super) fn forget(&mut self) {
        self.release();
        self.history.clear();
    }

    pub(super) fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        self.place_gathered(wire)?;
        if self.unsettled > 0 {
            self.drain(wire, FlushCompress::Finish)?;
        } else {
            wire.extend_from_slice(&LAST_BLOCK);
        }
        let (trailer, len) = self.checksum.trailer();
        wire.extend_from_slice(&trailer[..len]);
        self.forget();
        Ok(())
    }

    /// When the encoder should be given back.
    pub(super) fn idle_at(&self) -> Option<Duration> {
        self.lease?;
        Some(self.active.saturating_add(self.pool.borrow().idle_after()))
    }

    /// Gives the encoder back, and keeps the history.
    pub(super) fn hibernate(&mut self) {
        if self.unsettled == 0 && self.release() {
            self.hibernations += 1;
        }
    }

    pub(super) fn hibernations(&self) -> u64 {
        let stolen = self.lease.is_some_and(|lease| !self.pool.borrow().holds(lease));
        self.hibernations + u64::from(stolen)
    }

    pub(super) const fn stored(&self) -> u64 {
        self.stored
    }

    fn compress(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        // What was gathered goes first; and whoever had to wait once waits for the flush, when others have let go.
        if !self.gathered.is_empty() || !self.borrow_encoder()? {
            return self.gather(plain, wire);
        }
        self.feed(plain, wire)?;
        self.weigh(wire)
    }

    fn feed(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        let before = wire.len();
        self.unsettled += plain.len();
        let mut rest = plain;
        self.with_encoder(|encoder| {
            while !rest.is_empty() {
                wire.reserve(FLUSH_ROOM + rest.len() / 2);
                let taken = step(encoder, rest, wire, FlushCompress::None)?;
                rest = &rest[taken..];
            }
            Ok(())
        })?;
        self.history.push(plain);
        self.note(plain.len(), wire.len() - before);
        Ok(())
    }

    /// Brings the stream to a byte boundary.
    fn sync(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        if self.unsettled == 0 {
            return Ok(());
        }
        let before = wire.len();
        self.drain(wire, FlushCompress::Sync)?;
        self.note(0, wire.len() - before);
        Ok(())
    }

    /// Calls the encoder until it has nothing left, which only spare room after the call can tell.
    fn drain(&mut self, wire: &mut Vec<u8>, flush: FlushCompress) -> Result<(), Failure> {
        // Room for all of it at once: a call that ends exactly at the end of the room looks unfinished, and the
        // call after it would write the marker again. What it may hold is bounded by its own buffers.
        let mut room = FLUSH_ROOM + self.unsettled.min(128 << 10) * 9 / 8;
        self.with_encoder(|encoder| {
            loop {
                wire.reserve(room);
                step(encoder, &[], wire, flush)?;
                if wire.len() < wire.capacity() {
                    return Ok(());
                }
                room = wire.len().max(FLUSH_ROOM);
            }
        })?;
        self.unsettled = 0;
        Ok(())
    }

    /// Looks whether compressing is worth its time, and stops it for a while if not.
    fn weigh(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let Mode::Compress { plain, wire: out } = self.mode else {
            return Ok(());
        };
        if plain < GAUGE {
            return Ok(());
        }
        // The encoder may still hold half of the measure back. Only what may be bad with that is measured exactly, by
        // a flush, which would cost a stream that shrinks well.
        if out >= plain * 4 / 10 {
            self.sync(wire)?;
        }
        let Mode::Compress { wire: out, .. } = self.mode else {
            return Ok(());
        };
        self.mode = Mode::COMPRESS;
        if out * 100 > plain * WORTH_PERCENT && self.unsettled == 0 {
            // A stored block after a mere sync flush of a *living* encoder shifts its distances: what it writes next
            // decodes to wrong bytes without any error. So it goes, and a fresh one is primed with the history.
            self.release();
            self.mode = Mode::Pass { left: PASS };
        }
        Ok(())
    }

    /// Sends bytes uncompressed.
    fn pass(&mut self, plain: &[u8], left: u64, wire: &mut Vec<u8>) {
        let left = if left == u64::MAX { left } else { left - plain.len() as u64 };
        if plain.len() < SMALL && left > 0 {
            self.gathered.extend_from_slice(plain);
            if self.gathered.len() >= GATHER {
                self.store_gathered(wire);
            }
        } else {
            self.store_gathered(wire);
            self.store(plain, wire);
        }
        self.mode = if left > 0 { Mode::Pass { left } } else { Mode::COMPRESS };
    }

    fn gather(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), Failure> {
        if self.gathered.len() + plain.len() <= GATHER {
            self.gathered.extend_from_slice(plain);
            return Ok(());
        }
        self.place_gathered(wire)?;
        if self.borrow_encoder()? {
            self.feed(plain, wire)?;
            return self.weigh(wire);
        }
        self.store(plain, wire);
        Ok(())
    }

    /// Puts gathered bytes into the stream: through an encoder if one is to be had.
    fn place_gathered(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if matches!(self.mode, Mode::Pass { .. }) || !self.borrow_encoder()? {
            self.store_gathered(wire);
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        self.feed(&gathered, wire)
    }

    fn store_gathered(&mut self, wire: &mut Vec<u8>) {
        if !self.gathered.is_empty() {
            let gathered = std::mem::take(&mut self.gathered);
            self.store(&gathered, wire);
        }
    }

    /// Appends stored blocks. The stream stands on a byte boundary, and no encoder lives.
    fn store(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        debug_assert!(self.unsettled == 0, "a stored block inside an encoder's block: flush first");
        self.release();
        for block in plain.chunks(BLOCK) {
            let len = block.len() as u16; // at most BLOCK
            wire.push(0);
            wire.extend_from_slice(&len.to_le_bytes());
            wire.extend_from_slice(&(!len).to_le_bytes());
            wire.extend_from_slice(block);
        }
        self.stored += plain.len() as u64;
        self.history.push(plain);
    }

    const fn note(&mut self, more_plain: usize, more_wire: usize) {
        if let Mode::Compress { plain, wire } = &mut self.mode {
            // Small numbers: pieces of at most the measure, and what they become.
            *plain += more_plain as u32;
            *wire += more_wire as u32;
        }
    }

    /// Sees to it that an encoder is in hand; false if none is to be had now.
    fn borrow_encoder(&mut self) -> Result<bool, Failure> {
        let mut pool = self.pool.borrow_mut();
        if let Some(lease) = self.lease.take() {
            if pool.holds(lease) {
                self.lease = Some(lease);
                return Ok(true);
            }
            self.hibernations += 1;
        }
        self.lease = pool.lend(self.level, self.history.in_order())?;
        Ok(self.lease.is_some())
    }

    fn with_encoder(&self, work: impl FnOnce(&mut Compress) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut pool = self.pool.borrow_mut();
        let encoder = self.lease.and_then(|lease| pool.encoder(lease));
        work(encoder.ok_or("the encoder of an unfinished block was lent to another stream")?)
    }

    /// Gives the encoder back; says whether there was one to give.
    fn release(&mut self) -> bool {
        let Some(lease) = self.lease.take() else {
            return false;
        };
        self.unsettled = 0;
        self.pool.borrow_mut().release(lease);
        true
    }
}

impl Drop for DeflateEncoder {
    fn drop(&mut self) {
        // The pool calls nobody, so no stream is dropped while it is borrowed.
        debug_assert!(self.pool.try_borrow_mut().is_ok(), "a stream was dropped from inside its pool");
        if let (Some(lease), Ok(mut pool)) = (self.lease, self.pool.try_borrow_mut()) {
            pool.release(lease);
        }
    }
}

/// One call of the encoder. Fails where it would spin: with input and room, and yet nothing happened.
fn step(encoder: &mut Compress, plain: &[u8], wire: &mut Vec<u8>, flush: FlushCompress) -> Result<usize, Failure> {
    let (taken, made) = (encoder.total_in(), wire.len());
    encoder.compress_vec(plain, wire, flush).map_err(|error| error.to_string())?;
    let taken = (encoder.total_in() - taken) as usize; // at most `plain.len()`
    if taken == 0 && wire.len() == made && !plain.is_empty() {
        return Err("the encoder takes no input although it has room".to_owned());
    }
    Ok(taken)
}
