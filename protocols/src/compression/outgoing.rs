use std::time::Duration;

use super::{CompressionError, Format};

/// Says how outgoing bytes are compressed.
///
/// ```
/// use torsade::prelude::*;
///
/// let fast = Compression::deflate().level(1).flush(Flush::Manual);
/// assert_eq!(fast.level, Some(1));
/// assert_eq!(Compression::try_from("deflate"), Ok(Compression::deflate()));
/// assert_eq!(Compression::try_from(b"deflate"), Ok(Compression::deflate()));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Compression {
    /// Whether the stream opens with torsade's announcement. Default true.
    pub announce: bool,
    /// When compressed bytes are pushed out. Default [`Flush::EveryTurn`].
    pub flush: Flush,
    /// The stream format.
    pub format: Format,
    /// Bytes of history kept while the connection is idle. Default 32,768.
    pub history: usize,
    /// The effort; none takes [`Format::default_level`].
    pub level: Option<u32>,
}

impl Compression {
    /// Compresses as zlib, RFC 1950, which the web calls `"deflate"`.
    pub const fn deflate() -> Self {
        Self::new(Format::Deflate)
    }

    /// Compresses as bare deflate, RFC 1951.
    pub const fn deflate_raw() -> Self {
        Self::new(Format::DeflateRaw)
    }

    /// Compresses as gzip, RFC 1952.
    pub const fn gzip() -> Self {
        Self::new(Format::Gzip)
    }

    /// Compresses as LZ4 frames (cargo feature `lz4`).
    pub const fn lz4() -> Self {
        Self::new(Format::Lz4)
    }

    /// Compresses as Zstandard, RFC 8878 (cargo feature `zstd`).
    pub const fn zstd() -> Self {
        Self::new(Format::Zstd)
    }

    /// Sets the effort. Default 6, for zstd 3.
    ///
    /// A higher level is smaller and slower. Under load level 1 is the right choice: about ten times faster than 6 (the manual's
    /// chapter on compression has the figures). The range is [`Format::levels`]; outside it switching on is refused with
    /// [`CompressionError::Level`].
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets when compressed bytes are pushed out. Default [`Flush::EveryTurn`].
    #[must_use]
    pub const fn flush(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// Sets whether the stream opens with torsade's announcement. Default true.
    ///
    /// The announcement is 15 to 60 bytes that any decoder reads as nothing, and by which a receiving torsade finds
    /// out by itself that compression has begun. Turn it off for protocols that are compared byte by byte.
    #[must_use]
    pub const fn announce(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Sets how many bytes of history an idle connection keeps. Default 32,768; more than that is the same.
    ///
    /// An idle connection gives its encoder (380 KB) away and keeps only the end of what it sent, from which any
    /// encoder can go on. With less, what follows a sleep shrinks less; with 0 a sleeping connection keeps nothing. Only the deflate family and lz4
    /// heed this; a zstd stream keeps its encoder.
    #[must_use]
    pub const fn history(mut self, bytes: usize) -> Self {
        self.history = bytes;
        self
    }

    /// Checks the options against the format.
    ///
    /// # Errors
    ///
    /// [`CompressionError::Level`] if the format does not know the level: take one of [`Format::levels`].
    pub fn check(&self) -> Result<(), CompressionError> {
        let Some(level) = self.level else {
            return Ok(());
        };
        let levels = self.format.levels();
        if levels.contains(&level) {
            return Ok(());
        }
        Err(CompressionError::Level { format: self.format, level, min: *levels.start(), max: *levels.end() })
    }

    const fn new(format: Format) -> Self {
        Self { announce: true, flush: Flush::EveryTurn, format, history: 32 << 10, level: None }
    }
}

impl From<Format> for Compression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// Says when compressed bytes are pushed out, so that the peer can read everything written before.
///
/// Four messages a push save more than any level does: see the table in the manual's chapter on compression.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flush {
    /// When this many plain bytes are waiting, or the oldest of them has waited this long. For telemetry and logs.
    After {
        /// Plain bytes. 16 KiB is a good start; beyond 64 KiB nothing is gained.
        bytes: usize,
        /// The longest a byte waits. 5 ms is a good start; zero is [`Flush::EveryTurn`].
        delay: Duration,
    },
    /// Once at the end of each turn of the loop in which something was written. Adds no latency. The default.
    #[default]
    EveryTurn,
    /// Only when asked to, when the stream ends, and when nothing was written for a second: an encoder that holds
    /// bytes can serve no other connection. For bulk transfers.
    Manual,
}
