use std::str::FromStr;

use super::{CompressionError, Dictionary, Format};

/// How incoming bytes are decompressed, and within which limits.
///
/// The limits are enforced outside the codecs and apply to every format alike. *Memory* is bounded because output is not
/// collected: a protocol gets at most 64 KiB a turn, so a decompression bomb is only a long stream, which the protocol's own
/// limits (line length, message size) end.
///
/// ```
/// use torsade::{AfterEnd, Decompression};
///
/// let mccp = Decompression::deflate().after_end(AfterEnd::Plain).max_total(Some(1 << 30));
/// assert_eq!(mccp.after_end, AfterEnd::Plain);
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Decompression {
    /// How bytes after the end of the stream are treated. Default [`AfterEnd::Error`]; for gzip, zstd and lz4
    /// [`AfterEnd::NextStream`].
    pub after_end: AfterEnd,
    /// The dictionaries a stream may ask for. Default none.
    pub dictionaries: Vec<Dictionary>,
    /// The stream format.
    pub format: Format,
    /// The maximum ratio, and the number of plain bytes after which it is checked. Default none; for zstd 1000 after 16 MiB.
    pub max_ratio: Option<(u32, u64)>,
    /// The most consecutive bytes that may give no data: skippable frames, long headers. Default 131,072.
    pub max_skipped: u64,
    /// The most plain bytes the whole stream may have. Default none: unlimited.
    pub max_total: Option<u64>,
    /// The most bytes a stream may ask the decoder to keep: zstd's window, lz4's block. Default 8 MiB.
    pub max_window: u64,
    /// Whether raw deflate is accepted in place of zlib: see [`deflate_any`](Self::deflate_any). Default false.
    pub or_raw: bool,
    /// How input that ends before the stream does is treated. Default [`Truncation::Auto`].
    pub truncation: Truncation,
}

impl Decompression {
    /// Reads zlib, RFC 1950, which the web calls `"deflate"`.
    pub const fn deflate() -> Self {
        Self::new(Format::Deflate)
    }

    /// Reads zlib, or raw deflate if the first two bytes are not a zlib header; by name `"deflate-any"`.
    ///
    /// This is how browsers read what the web calls `deflate`: some servers send zlib, others raw deflate.
    pub const fn deflate_any() -> Self {
        let mut options = Self::new(Format::Deflate);
        options.or_raw = true;
        options
    }

    /// Reads raw deflate, RFC 1951.
    pub const fn deflate_raw() -> Self {
        Self::new(Format::DeflateRaw)
    }

    /// Reads gzip, RFC 1952.
    pub const fn gzip() -> Self {
        Self::new(Format::Gzip)
    }

    /// Reads LZ4 frames (cargo feature `lz4`).
    pub const fn lz4() -> Self {
        Self::new(Format::Lz4)
    }

    /// Reads Zstandard, RFC 8878 (cargo feature `zstd`).
    pub const fn zstd() -> Self {
        Self::new(Format::Zstd)
    }

    /// Adds a dictionary that the stream may have been compressed with. May be called several times.
    ///
    /// The stream names its dictionary by id; if it has none, the last dictionary added without an id is used (see the table at
    /// [`Dictionary`]). Streams without a dictionary are still read. A stream whose dictionary is missing ends the connection
    /// with [`NeedDictionary`](super::DecompressErrorKind::NeedDictionary). Several dictionaries allow for a transition, while
    /// only some peers have the new one.
    #[must_use]
    pub fn dictionary(mut self, dictionary: &Dictionary) -> Self {
        self.dictionaries.push(dictionary.clone());
        self
    }

    /// Checks the options against the format.
    ///
    /// # Errors
    ///
    /// [`CompressionError::DictionaryUnsupported`] if a dictionary is set and the format has none.
    pub const fn check(&self) -> Result<(), CompressionError> {
        if self.dictionaries.is_empty() { Ok(()) } else { self.format.check_dictionaries() }
    }

    /// Sets how bytes after the end of the stream are treated.
    ///
    /// Default [`AfterEnd::Error`]; for gzip, zstd and lz4, whose files may hold several streams, [`AfterEnd::NextStream`].
    #[must_use]
    pub const fn after_end(mut self, after_end: AfterEnd) -> Self {
        self.after_end = after_end;
        self
    }

    /// Sets how input that ends before the stream does is treated. Default [`Truncation::Auto`].
    #[must_use]
    pub const fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Sets the most plain bytes the whole stream may have. Default `None`: unlimited.
    ///
    /// That many are delivered; one more ends the connection.
    #[must_use]
    pub const fn max_total(mut self, bytes: Option<u64>) -> Self {
        self.max_total = bytes;
        self
    }

    /// Sets how many times larger than its input the output may be, and after how many plain bytes that is checked.
    ///
    /// Default `None`, because deflate cannot exceed 1032 and plain zeros already reach 1029. In zstd, blocks of one repeated
    /// byte reach 32,600, so its default is 1000 after 16 MiB.
    #[must_use]
    pub const fn max_ratio(mut self, ratio_after: Option<(u32, u64)>) -> Self {
        self.max_ratio = ratio_after;
        self
    }

    /// Sets the most bytes a stream may ask the decoder to keep. Default 8 MiB, as RFC 8878 recommends.
    ///
    /// It limits zstd's window and lz4's block size, which the *sender* chooses, and is checked before anything is allocated. A
    /// deflate stream never needs more than 32 KiB. If the limit is too small, streams of high zstd levels are refused.
    #[must_use]
    pub const fn max_window(mut self, bytes: u64) -> Self {
        self.max_window = bytes;
        self
    }

    /// Sets the most consecutive bytes that may give no data: skippable frames, names in a gzip header, empty blocks, members and
    /// frames. Default 131,072, twice the longest field of a gzip header. An unfinished block does not count. Bytes are counted
    /// after each read; a read that gave data counts none.
    #[must_use]
    pub const fn max_skipped(mut self, bytes: u64) -> Self {
        self.max_skipped = bytes;
        self
    }

    const fn new(format: Format) -> Self {
        let (after_end, max_ratio) = match format {
            Format::Zstd => (AfterEnd::NextStream, Some((1000, 16 << 20))),
            Format::Gzip | Format::Lz4 => (AfterEnd::NextStream, None),
            Format::Deflate | Format::DeflateRaw => (AfterEnd::Error, None),
        };
        Self {
            after_end,
            dictionaries: Vec::new(),
            format,
            max_ratio,
            max_skipped: 128 << 10,
            max_total: None,
            max_window: 8 << 20,
            or_raw: false,
            truncation: Truncation::Auto,
        }
    }
}

impl FromStr for Decompression {
    type Err = CompressionError;

    /// Parses the name of a [`Format`], or `deflate-any`: see [`Decompression::deflate_any`].
    fn from_str(name: &str) -> Result<Self, CompressionError> {
        if name.eq_ignore_ascii_case("deflate-any") { Ok(Self::deflate_any()) } else { name.parse::<Format>().map(Self::from) }
    }
}

impl From<Format> for Decompression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// How bytes after the end of a compressed stream are treated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AfterEnd {
    /// They are dropped and counted ([`CompressionStats::dropped_in`](super::CompressionStats::dropped_in)), as in browsers.
    Drop,
    /// They are an error: the connection ends with [`TrailingData`](super::DecompressErrorKind::TrailingData).
    Error,
    /// They are another stream of the same format: gzip members, zstd and lz4 frames.
    NextStream,
    /// As [`NextStream`](Self::NextStream), but zero bytes may come before the next stream or fill the rest, as tapes are padded
    /// and some servers pad. They count towards [`Decompression::max_skipped`].
    Padded,
    /// They are plain, as in MCCP.
    Plain,
}

/// How input that ends before the compressed stream does is treated.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Truncation {
    /// As a clean close. The statistics say that the stream did not end.
    Allow,
    /// As an error, with one exception: an expected (not announced) stream may stop where the sender has flushed. Many peers
    /// never end their streams (INN and ngircd among them), and nothing they wrote is missing then. A Torsade peer always ends
    /// its streams unless it closes because of an error. The default.
    ///
    /// A stop after `Z_PARTIAL_FLUSH`, which ends within a byte, is not recognized as such a place. For peers that flush that way
    /// and never end a stream, use [`Allow`](Self::Allow).
    #[default]
    Auto,
    /// Always as the error [`Truncated`](super::DecompressErrorKind::Truncated).
    Error,
}

/// Where the receiver looks for an announced stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Detect {
    /// At every byte: a peer may begin to compress in mid-stream.
    ///
    /// # Security
    ///
    /// To notice a switch in mid-stream the receiver has to look at plain bytes, and a third party may have chosen those: a
    /// stored file, a chat line, a header that a server repeats. An attacker who gets a mark to this reader makes it inflate what
    /// follows, which bypasses all escaping and filtering on the way (forged responses, injected lines). Therefore the mark
    /// states the number of plain bytes before it, so that copies, replays and files never match, and it works once per
    /// direction. But an attacker who can place *binary* bytes at a *predictable* offset still succeeds. Use this only with peers
    /// whose plain bytes are their own: never in an HTTP or WebSocket client, a proxy, or anything that carries payload of third
    /// parties. `expect_compression` has no such risk.
    Anywhere,
    /// Only at the very first byte. The default for connections we make.
    ///
    /// # Security
    ///
    /// If a server's *first* bytes are third-party content (a stored file over a bare connection, with no greeting, status line
    /// or length before it), that content can be an announcement. The client then delivers what the content decodes to instead of
    /// the content. Whoever stored it could have stored the decoded bytes as well, so all they gain is to evade a filter on the
    /// server. The limits of [`Decompression`] hold, and whatever the server sends afterwards is an error or garbage, never
    /// mistaken for something else. Where this matters, switch detection off ([`set_detection`](crate::Transport::set_detection),
    /// before the first byte) or call `expect_compression`.
    ///
    /// The announcement is not bound to the connection, because before TLS there is nothing to bind it to. A binding would need
    /// something that both ends know and a file cannot contain. But addresses and ports differ between the ends behind NAT,
    /// clocks differ and are predictable, and what the client has sent so far is nothing, or known to everybody.
    AtStart,
    /// Nowhere: incoming bytes are passed on without inspection. The default for connections we accept.
    #[default]
    Off,
}
