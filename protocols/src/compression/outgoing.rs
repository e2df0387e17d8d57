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
    /// What the first message is compressed against. Default none.
    pub dictionary: Option<Dictionary>,
    /// When compressed bytes are flushed. Default [`Flush::EveryTurn`].
    pub flush: Flush,
    /// The stream format.
    pub format: Format,
    /// Bytes of history kept while the connection is idle. Default 32,768.
    pub history: usize,
    /// The level; if none is set, [`Format::default_level`].
    pub level: Option<u32>,
    /// Plain bytes that a flush must have to be worth an encoder. Default 0.
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

    /// Sets the level. Default 6, for zstd 3.
    ///
    /// With a higher level the output is smaller and takes longer. Under load, level 1 is the right choice: about ten times
    /// faster than 6 (the manual's chapter on compression has the figures). The range is [`Format::levels`]; outside of it
    /// switching on fails with [`CompressionError::Level`].
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
    /// The announcement is 15 to 60 bytes that decode to nothing in any decoder, and by which a receiving Torsade notices
    /// that compression has begun. Turn it off where output is compared byte by byte.
    #[must_use]
    pub const fn announce(mut self, announce: bool) -> Self {
        self.announce = announce;
        self
    }

    /// Has the stream begin with a dictionary behind it, which the reader has to have too.
    ///
    /// Small messages gain most: a stream of few messages is often half as long. With deflate and lz4 it is the text before
    /// the first byte, and moves out of reach as the stream goes on (after 32 KiB), at a
    /// [`compression_barrier`](crate::Transport::compression_barrier) or a
    /// [`write_uncompressed`](crate::Transport::write_uncompressed), or when the connection falls asleep after it has
    /// written more than it keeps of its [`history`](Self::history); zstd keeps it. Gzip has none: switching on
    /// fails with [`CompressionError::DictionaryUnsupported`], and with `DictionaryInvalid` where a trained one is damaged.
    #[must_use]
    pub fn dictionary(mut self, dictionary: &Dictionary) -> Self {
        self.dictionary = Some(dictionary.clone());
        self
    }

    /// Sets how many bytes of history an idle connection keeps. Default 32,768, which is also the most.
    ///
    /// An idle connection gives its encoder (300 KB) back and keeps only the last bytes that it sent, from which any
    /// encoder can go on. With less history, what follows a silence is compressed less well; with 0, an idle connection keeps
    /// nothing. This is for the deflate family and lz4, which refers no further back while it is in use, either; a zstd stream
    /// keeps its encoder.
    #[must_use]
    pub const fn history(mut self, bytes: usize) -> Self {
        self.history = bytes;
        self
    }

    /// Sets how many plain bytes a flush must have to be worth borrowing an encoder for. Default 0: any.
    ///
    /// A stream that has no encoder at the moment (nothing was written for a second, or it was lent to another) stores a flush of
    /// fewer bytes, which costs 5 bytes of header; they stay in the history. One that has an encoder compresses whatever comes,
    /// since giving it back would cost more than that saves. It is worth its bytes where many idle connections now and then say a
    /// few words (a heartbeat, an acknowledgement): borrowing takes tens of microseconds with the whole history, and takes the
    /// encoder from somebody else once more than 64 connections speak. To have something stored for certain, call
    /// [`write_uncompressed`](crate::Transport::write_uncompressed). This is for the deflate family, and for 8 KiB at most: lz4
    /// and zstd borrow nothing.
    #[must_use]
    pub const fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// Checks the options against the format.
    ///
    /// # Errors
    ///
    /// [`CompressionError::Level`] if the format does not have the level: take one of [`Format::levels`].
    /// [`CompressionError::DictionaryUnsupported`] if it has no dictionaries.
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

    /// Reads the name of a [`Format`].
    fn from_str(name: &str) -> Result<Self, CompressionError> {
        name.parse::<Format>().map(Self::from)
    }
}

impl From<Format> for Compression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// When compressed bytes are flushed, so that the peer can read everything that was written before.
///
/// Messages that share a flush save more than any level does: see the table in the manual's chapter on compression.
///
/// A deflate stream has two forms of it. The *sync* form ends at a byte boundary with the marker `00 00 ff ff`, and every
/// inflater gives everything out after it. The *partial* form (`Z_PARTIAL_FLUSH`) is 3 to 4 bytes shorter, and most inflaters do:
/// zlib and what is made of it, Java and Node. Go's does not, nor may one of your own. Unless said otherwise, a flush is in the
/// sync form until the peer has announced a stream of its own, by which we know it to be Torsade, and in the partial form from
/// then on. In either form the stream is legal. The other formats have one form only.
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
    /// Only when it is asked for, when the stream ends, and when nothing was written for a second, since an encoder that holds
    /// bytes cannot be lent to another connection. For bulk transfers.
    Manual,
    /// As [`Flush::EveryTurn`], always in the partial form: for peers that are known to take it, as those of SSH are.
    #[doc(alias = "Z_PARTIAL_FLUSH")]
    Partial,
    /// As [`Flush::EveryTurn`], always in the sync form: for protocols that cut messages at the marker, such as
    /// permessage-deflate.
    #[doc(alias = "Z_SYNC_FLUSH")]
    Sync,
}
