//! The outgoing stream: opened by its first byte, flushed by its policy, ended once.

mod deflate;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
mod zstd;

use std::time::Duration;

use torsade_protocols::{Compression, CompressionError, Flush, Format};

use super::announcement::Place;
use super::pool::SharedPool;
use deflate::DeflateEncoder;

/// What went wrong inside a codec. It is never the peer's doing.
pub(super) type Failure = String;

/// Room made before a flush begins. With less than six bytes zlib repeats the marker (madler/zlib#149).
const FLUSH_ROOM: usize = 64;

/// How long a stream that is flushed by hand keeps bytes to itself after the last write.
const MANUAL_IDLE: Duration = Duration::from_secs(1);

/// One outgoing stream.
pub(super) struct Encoder {
    codec: Codec,
    announce: bool,
    ended: bool,
    flush: Flush,
    /// When [`Flush::After`] wants its flush, and [`Flush::Manual`] one after silence.
    flush_at: Option<Duration>,
    flushes: u64,
    format: Format,
    opened: bool,
    /// Plain bytes of this direction before the stream.
    passed: u64,
    plain_out: u64,
    /// Plain bytes written since the last flush.
    unflushed: usize,
    wire_out: u64,
}

/// The format's own part.
enum Codec {
    Deflate(DeflateEncoder),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Lz4Encoder),
    #[cfg(feature = "zstd")]
    Zstd(zstd::ZstdEncoder),
}

impl Encoder {
    /// An encoder for a direction that has carried `passed` plain bytes so far. It writes nothing yet.
    pub(super) fn new(options: &Compression, passed: u64, pool: &SharedPool) -> Result<Self, CompressionError> {
        options.check()?;
        let format = options.format;
        if let Some(feature) = super::missing_feature(format) {
            return Err(CompressionError::NotBuilt { format, feature });
        }
        Ok(Self {
            codec: Codec::new(options, pool)?,
            announce: options.announce,
            ended: false,
            flush: options.flush,
            flush_at: None,
            flushes: 0,
            format,
            opened: false,
            passed,
            plain_out: 0,
            unflushed: 0,
            wire_out: 0,
        })
    }

    pub(super) const fn format(&self) -> Format {
        self.format
    }

    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Plain bytes of this direction so far, those of the stream included.
    pub(super) const fn passed(&self) -> u64 {
        self.passed + self.plain_out
    }

    /// Takes plain bytes and appends what they become, which may be nothing yet.
    pub(super) fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if plain.is_empty() || self.ended {
            return Ok(());
        }
        let before = wire.len();
        self.open(wire)?;
        self.plain_out += plain.len() as u64;
        self.unflushed += plain.len();
        match (self.flush, self.flush_at) {
            (Flush::After { delay, .. }, None) => self.flush_at = Some(now.saturating_add(delay)),
            // Also where no encoder is held that others wait for: stored blocks, what waits for an encoder, other formats.
            (Flush::Manual, _) => self.flush_at = Some(now.saturating_add(MANUAL_IDLE)),
            _ => {}
        }
        let written = self.codec.write(plain, wire, now);
        self.wire_out += (wire.len() - before) as u64;
        written
    }

    /// The end of a turn: flushes if the policy says so.
    pub(super) fn turn_ends(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        let due = match self.flush {
            Flush::Manual => false,
            Flush::After { bytes, .. } => self.unflushed >= bytes || self.flush_at.is_some_and(|at| at <= now),
            _ => true,
        };
        if due && self.unflushed > 0 { self.force_flush(wire, now) } else { Ok(()) }
    }

    /// Appends whatever the peer needs to read everything written so far; the stream's opening if nothing was.
    pub(super) fn force_flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.ended {
            return Ok(());
        }
        let before = wire.len();
        self.open(wire)?;
        self.flush_at = None;
        let flushed = if self.unflushed > 0 { self.codec.flush(wire, now) } else { Ok(()) };
        self.unflushed = 0;
        self.flushes += u64::from(wire.len() > before);
        self.wire_out += (wire.len() - before) as u64;
        flushed
    }

    /// Flushes, and makes what follows independent of what went before.
    pub(super) fn barrier(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        if self.ended || !self.opened {
            return Ok(());
        }
        self.force_flush(wire, now)?;
        let before = wire.len();
        let forgotten = self.codec.forget(wire);
        self.wire_out += (wire.len() - before) as u64;
        forgotten
    }

    /// Ends the stream. One that never got a byte was never opened, and leaves none.
    pub(super) fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        let before = wire.len();
        let must_end = self.opened && !self.ended;
        self.ended = true;
        self.flush_at = None;
        let finished = if must_end { self.codec.finish(wire) } else { Ok(()) };
        self.wire_out += (wire.len() - before) as u64;
        finished
    }

    /// When [`Encoder::expire`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let idle = self.codec.deflate().and_then(DeflateEncoder::idle_at);
        [self.flush_at, idle].into_iter().flatten().min()
    }

    /// Does what has become due. Too early a call does nothing.
    pub(super) fn expire(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        // Looked at before the flush, which begins the wait anew. Who is flushed by hand has been silent for as long.
        let silent = self.flush == Flush::Manual && due(self.flush_at);
        let idle = silent || due(self.codec.deflate().and_then(DeflateEncoder::idle_at));
        if due(self.flush_at) {
            self.force_flush(wire, now)?;
        }
        if idle {
            // Whatever the policy says: an encoder with bytes in it can serve nobody else.
            if self.unflushed > 0 {
                self.force_flush(wire, now)?;
            }
            self.codec.hibernate();
        }
        Ok(())
    }

    /// Adds this stream's counts.
    pub(super) fn count(&self, stats: &mut torsade_protocols::CompressionStats) {
        stats.format_out = Some(self.format);
        stats.plain_out += self.plain_out;
        stats.wire_out += self.wire_out;
        stats.flushes += self.flushes;
        if let Some(deflate) = self.codec.deflate() {
            stats.hibernations += deflate.hibernations();
            stats.stored_bytes += deflate.stored();
        }
    }

    fn open(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        if self.opened {
            return Ok(());
        }
        self.opened = true;
        self.codec.open(self.announce.then(|| Place::after(self.passed)), wire)
    }
}

impl Codec {
    fn new(options: &Compression, pool: &SharedPool) -> Result<Self, CompressionError> {
        match options.format {
            #[cfg(feature = "lz4")]
            Format::Lz4 => Ok(Self::Lz4(lz4::Lz4Encoder::new(options))),
            #[cfg(feature = "zstd")]
            Format::Zstd => Ok(Self::Zstd(zstd::ZstdEncoder::new(options))),
            Format::Deflate | Format::DeflateRaw | Format::Gzip => Ok(Self::Deflate(DeflateEncoder::new(options, pool))),
            // A format that was added to the names, and not here.
            _ => Err(CompressionError::Unsupported),
        }
    }

    /// The only kind that borrows its encoder.
    const fn deflate(&self) -> Option<&DeflateEncoder> {
        match self {
            Self::Deflate(deflate) => Some(deflate),
            #[cfg(any(feature = "lz4", feature = "zstd"))]
            _ => None,
        }
    }

    fn hibernate(&mut self) {
        match self {
            Self::Deflate(deflate) => deflate.hibernate(),
            #[cfg(any(feature = "lz4", feature = "zstd"))]
            _ => {}
        }
    }

    fn open(&mut self, announce: Option<Place>, wire: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Deflate(deflate) => {
                deflate.open(announce, wire);
                Ok(())
            }
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => {
                lz4.open(announce, wire);
                Ok(())
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.open(announce, wire),
        }
    }

    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        match self {
            Self::Deflate(deflate) => deflate.write(plain, wire, now),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.write(plain, wire),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.write(plain, wire),
        }
    }

    fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Failure> {
        match self {
            Self::Deflate(deflate) => deflate.flush(wire, now),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.flush(wire),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.flush(wire),
        }
    }

    /// After a flush: what follows will not refer to what went before.
    #[cfg_attr(not(feature = "zstd"), allow(unused_variables, clippy::ptr_arg, reason = "only zstd writes here"))]
    fn forget(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Deflate(deflate) => {
                deflate.forget();
                Ok(())
            }
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => {
                lz4.forget();
                Ok(())
            }
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.forget(wire),
        }
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Failure> {
        match self {
            Self::Deflate(deflate) => deflate.finish(wire),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.finish(wire),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.finish(wire),
        }
    }
}
