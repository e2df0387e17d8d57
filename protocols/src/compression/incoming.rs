use std::str::FromStr;

use super::{CompressionError, Dictionary, Format};

/// How incoming bytes are decompressed, and within which limits.
///
/// The limits are counted outside of the codecs and hold for every format alike. *Memory* is bounded because nothing is
/// collected: a protocol gets at most 64 KiB a turn, so that a decompression bomb is only a long stream, which the protocol's
/// own limits (line length, message size) end.
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
    /// What follows the end of the stream. Default [`AfterEnd::Error`], for gzip, zstd and lz4 [`AfterEnd::NextStream`].
    pub after_end: AfterEnd,
    /// The dictionaries that a stream may ask for. Default none.
    pub dictionaries: Vec<Dictionary>,
    /// The stream format.
    pub format: Format,
    /// A ratio, and the plain bytes after which it is checked. Default none, for zstd 1000 after 16 MiB.
    pub max_ratio: Option<(u32, u64)>,
    /// Bytes in a row that may give no data: skippable frames, long headers. Default 131,072.
    pub max_skipped: u64,
    /// Plain bytes of the whole stream. Default none: unlimited.
    pub max_total: Option<u64>,
    /// Bytes a stream may ask the decoder to keep: zstd's window, lz4's block. Default 8 MiB.
    pub max_window: u64,
    /// Zlib may also be raw deflate: see [`deflate_any`](Self::deflate_any). Default false.
    pub or_raw: bool,
    /// What an end of input without an end of stream means. Default [`Truncation::Auto`].
    pub truncation: Truncation,
}

impl Decompression {
    /// Reads zlib, RFC 1950, which the web calls `"deflate"`.
    pub const fn deflate() -> Self {
        Self::new(Format::Deflate)
    }

    /// Reads zlib, or raw deflate where the first two bytes are not a header of zlib; by name `"deflate-any"`.
    ///
    /// As browsers read what the web calls `deflate`, of which some servers send the one and some the other.
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

    /// Adds a dictionary that the stream may have been compressed with; called again, another one.
    ///
    /// The stream says by an id which one it wants; without an id, the last one that has none is taken ([`Dictionary`] has the
    /// table). Streams without a dictionary are read as ever. One that is wanted and not here ends the connection with
    /// [`NeedDictionary`](super::DecompressErrorKind::NeedDictionary). Several are for a time of change, when some peers have the
    /// newer one already.
    #[must_use]
    pub fn dictionary(mut self, dictionary: &Dictionary) -> Self {
        self.dictionaries.push(dictionary.clone());
        self
    }

    /// Checks the options against the format.
    ///
    /// # Errors
    ///
    /// [`CompressionError::DictionaryUnsupported`] if it has no dictionaries, and there is one.
    pub const fn check(&self) -> Result<(), CompressionError> {
        if self.dictionaries.is_empty() { Ok(()) } else { self.format.check_dictionaries() }
    }

    /// Sets what follows the end of the stream.
    ///
    /// Default [`AfterEnd::Error`]; for gzip, zstd and lz4, whose files may hold several streams, [`AfterEnd::NextStream`].
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

    /// Sets how many plain bytes the whole stream may have. Default none: unlimited.
    ///
    /// That many are delivered; one more ends the connection.
    #[must_use]
    pub const fn max_total(mut self, bytes: Option<u64>) -> Self {
        self.max_total = bytes;
        self
    }

    /// Sets how many times larger than its input the output may be, and after how many plain bytes that is checked.
    ///
    /// Default none: deflate cannot exceed 1032, and honest zeros reach 1029. In zstd, blocks of one repeated byte reach
    /// 32,600, and the default is 1000 after 16 MiB.
    #[must_use]
    pub const fn max_ratio(mut self, ratio_after: Option<(u32, u64)>) -> Self {
        self.max_ratio = ratio_after;
        self
    }

    /// Sets how many bytes a stream may ask the decoder to keep. Default 8 MiB, as RFC 8878 recommends.
    ///
    /// It bounds zstd's window and lz4's block size, which the *sender* chooses, and is checked before anything is
    /// allocated. A deflate stream never needs more than 32 KiB. If it is too small, streams of high zstd levels are refused.
    #[must_use]
    pub const fn max_window(mut self, bytes: u64) -> Self {
        self.max_window = bytes;
        self
    }

    /// Sets how many bytes in a row may give no data: skippable frames, names in a gzip header, empty blocks, members and frames.
    /// Default 131,072, twice what one field of a gzip header may have. An unfinished block does not count. They are counted
    /// after each read, of which no byte counts if it gave data.
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

    /// Reads the name of a [`Format`], or `deflate-any`: see [`Decompression::deflate_any`].
    fn from_str(name: &str) -> Result<Self, CompressionError> {
        if name.eq_ignore_ascii_case("deflate-any") { Ok(Self::deflate_any()) } else { name.parse::<Format>().map(Self::from) }
    }
}

impl From<Format> for Decompression {
    fn from(format: Format) -> Self {
        Self::new(format)
    }
}

/// What bytes after the end of a compressed stream are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum AfterEnd {
    /// Bytes of no use, which are dropped and counted ([`CompressionStats::dropped_in`](super::CompressionStats::dropped_in)), as
    /// browsers do.
    Drop,
    /// A violation: the connection ends with [`TrailingData`](super::DecompressErrorKind::TrailingData).
    Error,
    /// Another stream of the same format: members of gzip, frames of zstd and lz4.
    NextStream,
    /// Another stream likewise, and zero bytes before it or to the end, as tapes are padded and some servers pad. They count for
    /// [`Decompression::max_skipped`].
    Padded,
    /// Plain bytes, as in MCCP.
    Plain,
}

/// What it means that the input ends before the compressed stream does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Truncation {
    /// A clean close. The statistics say that the stream did not end.
    Allow,
    /// An error, unless the stream was expected, not announced, and stops where the sender has flushed: many peers never end a
    /// stream (INN and ngircd among them), and nothing that they have written is missing there. A Torsade peer always ends its
    /// streams, unless it closes for a fault. The default.
    ///
    /// A deflate stream that was only flushed partially (`Z_PARTIAL_FLUSH`) stops within a byte, which is not seen to be such a
    /// place: for peers that do so, and never end a stream, there is [`Allow`](Self::Allow).
    #[default]
    Auto,
    /// Always [`Truncated`](super::DecompressErrorKind::Truncated).
    Error,
}

/// Where the receiving side looks for an announced stream.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Detect {
    /// Also in mid-stream: a peer may begin to compress at any byte.
    ///
    /// # Security
    ///
    /// To notice a switch in mid-stream the receiver has to look at plain bytes, and plain bytes can be chosen by
    /// a third party: a stored file, a chat line, a header that a server only repeats. Whoever gets a mark to this reader makes
    /// it inflate what follows, which has passed no escaping and no filter on its way (forged responses, injected lines).
    /// Therefore the mark states the number of plain bytes before it, so that copies, replays and files never match, and it
    /// works once per direction. But an attacker who can place *binary* bytes at an offset that can be *computed* still
    /// succeeds. Use this only with peers whose plain bytes are their own: never in an HTTP or WebSocket client, a proxy, or
    /// anything that carries payload of third parties. `expect_compression` is exact.
    Anywhere,
    /// Only at the very first byte. The default where we connect.
    ///
    /// # Security
    ///
    /// A server whose *first* bytes are somebody else's content (a stored file over a bare connection, with no greeting, status
    /// line or length before it) can be made to hand out an announcement. The client then delivers what that content decodes to,
    /// in place of the content. Who has stored it could have stored the decoded bytes as well, so that it gains nothing but to
    /// get past a filter on the server's side; the limits of [`Decompression`] hold, and whatever the server sends behind it is
    /// an error or garbage, never mistaken for something else. Where that matters, switch detection off
    /// ([`set_detection`](crate::Transport::set_detection), before the first byte) or call `expect_compression`.
    ///
    /// The announcement is not bound to the connection, since before TLS there is nothing to bind it to. It only tells what a
    /// server has sent to a client that has said nothing, so that it would have to name something that both ends know and a file
    /// cannot: but addresses and ports differ between the ends behind NAT, clocks differ anyway and can be foreseen, and what the
    /// client has said so far is nothing, or known to everybody.
    AtStart,
    /// Nowhere: incoming bytes are passed on without a look at them. The default where we listen.
    #[default]
    Off,
}
