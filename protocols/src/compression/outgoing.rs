use std::str::FromStr;
use std::time::Duration;

use super::{CompressionError, Dictionary, Format};

/// How outgoing bytes are compressed.
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
    /// Whether the stream begins with Torsade's announcement. Default true.
    pub announce: bool,
    /// The dictionary the stream begins with. Default none.
    pub dictionary: Option<Dictionary>,
    /// When compressed bytes are flushed. Default [`Flush::EveryTurn`].
    pub flush: Flush,
    /// The stream format.
    pub format: Format,
    /// Bytes of history kept while the connection is idle. Default 32,768.
    pub history: usize,
    /// The level. Default: [`Format::default_level`].
    pub level: Option<u32>,
    /// The fewest plain bytes for which a flush borrows an encoder. Default 0.
    pub threshold: usize,
}

impl Compression {
    /// Compresses as zlib, RFC 1950, which the web calls `"deflate"`.
    pub const fn deflate() -> Self {
        Self::new(Format::Deflate)
    }

    /// Compresses as raw deflate, RFC 1951.
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

    /// Sets the level. Default 6, for zstd 3, for lz4 1.
    ///
    /// A higher level gives smaller output and takes longer. Under load use level 1, which is about ten times faster than 6 (see
    /// the figures in the manual's chapter on compression). Outside of [`Format::levels`], switching on fails with
    /// [`CompressionError::Level`].
    #[must_use]
    pub const fn level(mut self, level: u32) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets when compressed bytes are flushed. Default [`Flush::EveryTurn`].
    #[must_use]
    pub const fn flush(mut self, flush: Flush) -> Self {
        self.flush = flush;
        self
    }

    /// Sets whether the stream begins with Torsade's announcement. Default true.
    ///
    /// The announcement is 15 to 60 bytes that decode to nothing in any decoder and tell a receiving Torsade that compression has
    /// begun. Turn it off where the output is compared byte by byte.
    #[must_use]
    pub const fn announce(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Sets the dictionary the stream begins with. The reader needs it too.
    ///
    /// Small messages gain most: a stream of few messages is often half as long. In deflate and lz4 the dictionary counts as text
    /// before the first byte. It moves out of reach as the stream goes on (after 32 KiB), at a
    /// [`compression_barrier`](crate::Transport::compression_barrier) or a
    /// [`write_uncompressed`](crate::Transport::write_uncompressed), or when the connection becomes idle after writing more than
    /// its [`history`](Self::history). zstd keeps it. With gzip, switching on fails with
    /// [`CompressionError::DictionaryUnsupported`]; with a damaged trained dictionary, with `DictionaryInvalid`.
    #[must_use]
    pub fn dictionary(mut self, dictionary: &Dictionary) -> Self {
        self.dictionary = Some(dictionary.clone());
        self
    }

    /// Sets how many bytes of history an idle connection keeps. Default 32,768, which is also the maximum.
    ///
    /// An idle connection gives its encoder (300 KB) back and keeps only the last bytes it sent, from which any encoder can
    /// continue. With less history, what follows a silence compresses less well; with 0, an idle connection keeps nothing. This
    /// applies to the deflate family and to lz4, which refers back no further than this even while in use; a zstd stream keeps
    /// its encoder.
    #[must_use]
    pub const fn history(mut self, bytes: usize) -> Self {
        self.history = bytes;
        self
    }

    /// Sets the fewest plain bytes for which a flush borrows an encoder. Default 0: any.
    ///
    /// A stream without an encoder (nothing was written for a second, or the encoder was lent to another stream) stores a smaller
    /// flush uncompressed, at a cost of 5 header bytes. The bytes still enter the history. A stream with an encoder compresses
    /// every flush, since giving the encoder back would cost more than storing saves. A threshold pays off where many idle
    /// connections send a few bytes now and then (a heartbeat, an acknowledgement): borrowing takes tens of microseconds with a
    /// full history, and beyond 64 active connections it takes the encoder from another one. To store data for certain, call
    /// [`write_uncompressed`](crate::Transport::write_uncompressed). This applies to the deflate family, up to 8 KiB; lz4 and
    /// zstd borrow nothing.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Checks the options against the format.
    ///
    /// # Errors
    ///
    /// [`CompressionError::Level`] if the format does not have the level: use one of [`Format::levels`].
    /// [`CompressionError::DictionaryUnsupported`] if a dictionary is set and the format has none.
    pub fn check(&self) -> Result<(), CompressionError> {
        if self.dictionary.is_some() {
            self.format.check_dictionaries()?;
        }
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
        let history = 32 << 10;
        Self { announce: true, dictionary: None, flush: Flush::EveryTurn, format, history, level: None, threshold: 0 }
    }
}

impl FromStr for Compression {
    type Err = CompressionError;

    /// Parses the name of a [`Format`].
    fn from_str(name: &str) -> Result<Self, CompressionError> {
        name.parse::<Format>().map(Self::from)
    }
}

impl From<Format> for Compression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// When compressed bytes are flushed. After a flush the peer can read everything written before it.
///
/// Letting messages share a flush saves more than any level does: see the table in the manual's chapter on compression.
///
/// A deflate stream has two kinds of flush. A *sync* flush ends at a byte boundary with the marker `00 00 ff ff`, and every
/// inflater outputs everything before it. A *partial* flush (`Z_PARTIAL_FLUSH`) is 3 to 4 bytes shorter; most inflaters output
/// everything after it too: zlib and what is built on it, Java and Node. Go's does not, and a custom one may not. By default a
/// flush is a sync flush until the peer has announced a stream of its own, which identifies it as Torsade, and a partial flush
/// from then on. Either way the stream is valid. The other formats have one kind only.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flush {
    /// When this many plain bytes are waiting, or the oldest has waited this long. For telemetry and logs.
    After {
        /// Plain bytes. 16 KiB is a good start; more than 64 KiB gains nothing.
        bytes: usize,
        /// The longest a byte waits. 5 ms is a good start; zero is [`Flush::EveryTurn`].
        delay: Duration,
    },
    /// At the end of each turn of the loop in which something was written. Adds no latency. The default.
    #[default]
    EveryTurn,
    /// Only on request, at the end of the stream, and after a second without writes, because an encoder that holds bytes cannot
    /// be lent to another connection. For bulk transfers.
    Manual,
    /// As [`Flush::EveryTurn`], always as a partial flush: for peers known to accept it, such as those of SSH.
    #[doc(alias = "Z_PARTIAL_FLUSH")]
    Partial,
    /// As [`Flush::EveryTurn`], always as a sync flush: for protocols that cut messages at the marker, such as
    /// permessage-deflate.
    #[doc(alias = "Z_SYNC_FLUSH")]
    Sync,
}
