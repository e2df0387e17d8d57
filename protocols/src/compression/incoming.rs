use super::Format;

/// Says how incoming bytes are decompressed, and within which limits.
///
/// The limits are counted outside the codecs and hold for every format alike. What bounds *memory* is that nothing is
/// collected: a protocol gets at most 64 KiB a turn, so a bomb is only a long stream, which the protocol's own limits
/// (line length, message size) cut.
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
    /// What follows the end of the stream. Default [`AfterEnd::Error`], for gzip and zstd [`AfterEnd::NextStream`].
    pub after_end: AfterEnd,
    /// The stream format.
    pub format: Format,
    /// A ratio, and the plain bytes after which it is checked. Default none, for zstd 1000 after 16 MiB.
    pub max_ratio: Option<(u32, u64)>,
    /// Bytes that may be taken without giving any: skippable frames, long headers. Default 65,536.
    pub max_skipped: u64,
    /// Plain bytes of the whole stream. Default none, which is unlimited.
    pub max_total: Option<u64>,
    /// Bytes a stream may ask the decoder to keep: zstd's window, lz4's block. Default 8 MiB.
    pub max_window: u64,
    /// What an end of input without an end of stream means. Default [`Truncation::Auto`].
    pub truncation: Truncation,
}

impl Decompression {
    /// Reads zlib, RFC 1950, which the web calls `"deflate"`.
    pub const fn deflate() -> Self {
        Self::new(Format::Deflate)
    }

    /// Reads bare deflate, RFC 1951.
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

    /// Sets what follows the end of the stream.
    ///
    /// Default [`AfterEnd::Error`]; for gzip and zstd, whose files may hold several streams, [`AfterEnd::NextStream`].
    #[must_use]
    pub const fn after_end(mut self, after_end: AfterEnd) -> Self {
        self.after_end = after_end;
        self
    }

    /// Sets what an end of input without an end of stream means. Default [`Truncation::Auto`].
    #[must_use]
    pub const fn truncation(mut self, truncation: Truncation) -> Self {
        self.truncation = truncation;
        self
    }

    /// Sets how many plain bytes the whole stream may give. Default none: unlimited.
    ///
    /// The limit itself is still delivered; the first byte beyond it ends the connection.
    #[must_use]
    pub const fn max_total(mut self, bytes: Option<u64>) -> Self {
        self.max_total = bytes;
        self
    }

    /// Sets how many times larger than its input the output may be, checked after so many plain bytes.
    ///
    /// Default none: honest zeros reach 1029 in deflate, its own limit is 1032. For zstd, whose blocks of one repeated
    /// byte reach 32,600, the default is 1000 after 16 MiB.
    #[must_use]
    pub const fn max_ratio(mut self, ratio_after: Option<(u32, u64)>) -> Self {
        self.max_ratio = ratio_after;
        self
    }

    /// Sets how many bytes a stream may ask the decoder to keep. Default 8 MiB, as RFC 8878 recommends.
    ///
    /// It bounds zstd's window and lz4's block size, which the *sender* chooses, and is checked before anything is
    /// allocated. A deflate stream never needs more than 32 KiB. Too small refuses streams of high zstd levels.
    #[must_use]
    pub const fn max_window(mut self, bytes: u64) -> Self {
        self.max_window = bytes;
        self
    }

    /// Sets how many bytes in a row the stream may take without giving any: skippable frames, names in a gzip header, empty
    /// blocks, members and frames. Default 65,536. The part of a block that has come does not count before its end.
    #[must_use]
    pub const fn max_skipped(mut self, bytes: u64) -> Self {
        self.max_skipped = bytes;
        self
    }

    const fn new(format: Format) -> Self {
        let (after_end, max_ratio) = match format {
            Format::Zstd => (AfterEnd::NextStream, Some((1000, 16 << 20))),
            Format::Gzip => (AfterEnd::NextStream, None),
            Format::Deflate | Format::DeflateRaw | Format::Lz4 => (AfterEnd::Error, None),
        };
        Self {
            after_end,
            format,
            max_ratio,
            max_skipped: 64 << 10,
            max_total: None,
            max_window: 8 << 20,
            truncation: Truncation::Auto,
        }
    }
}

impl From<Format> for Decompression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// Says what bytes after the end of a compressed stream are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AfterEnd {
    /// A violation: the connection ends with [`TrailingData`](super::DecompressErrorKind::TrailingData).
    Error,
    /// Another stream of the same format: members of gzip, frames of zstd.
    NextStream,
    /// Plain bytes, as in MCCP.
    Plain,
}

/// Says what it means that the input ends before the compressed stream does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Truncation {
    /// A clean close. The statistics tell that the stream did not end.
    Allow,
    /// An error if the stream was announced, for a torsade peer always ends its streams; a clean close if it was
    /// expected, for many peers never do (INN and ngircd among them). The default.
    #[default]
    Auto,
    /// Always [`Truncated`](super::DecompressErrorKind::Truncated).
    Error,
}

/// Says where the receiving side looks for an announced stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Detect {
    /// Also in mid-stream: a peer may begin to compress at any byte.
    ///
    /// # Security
    ///
    /// To notice a switch in mid-stream the receiver has to look at plain bytes, and plain bytes can be chosen by
    /// somebody else: a stored file, a chat line, a header that a server merely repeats. Whoever gets a mark in front
    /// of this reader makes it inflate what follows, and what is inflated has passed no escaping and no filter on its
    /// way (forged responses, injected lines). Therefore the mark carries the number of plain bytes sent before it,
    /// so that copies, replays and files never match, and it works once per direction. But somebody who can place
    /// *binary* bytes at an offset he can *compute* still wins. Use this only with peers whose plain bytes are their
    /// own: never in an HTTP or WebSocket client, a proxy, or anything that carries payload of third parties.
    /// [`Detect::AtStart`] has nothing to forge, and `expect_compression` is exact.
    Anywhere,
    /// Only at the very first byte. The default where we connect.
    AtStart,
    /// Nowhere: incoming bytes pass untouched and unseen. The default where we listen.
    #[default]
    Off,
}
