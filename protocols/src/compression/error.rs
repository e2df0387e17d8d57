use std::convert::Infallible;
use std::error::Error;
use std::fmt;

use super::Format;

/// Why compression was not switched on. The connection is unchanged.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum CompressionError {
    /// This direction is already compressed in another format. One stream has to end before the next can begin.
    AlreadyOn {
        /// The format in use.
        running: Format,
        /// The format asked for.
        wanted: Format,
    },
    /// The outgoing direction is closed or closing.
    Closed,
    /// The dictionary has the header of one trained for the format, but is damaged or truncated: make it again.
    DictionaryInvalid {
        /// The format.
        format: Format,
    },
    /// The format has no dictionaries. Do without one, or use another format ([`Format::Deflate`] instead of gzip).
    DictionaryUnsupported {
        /// The format.
        format: Format,
    },
    /// The format does not have this level.
    Level {
        /// The format.
        format: Format,
        /// The level asked for.
        level: u32,
        /// The lowest level.
        min: u32,
        /// The highest level.
        max: u32,
    },
    /// The format's codec is not compiled in.
    NotBuilt {
        /// The format asked for.
        format: Format,
        /// The cargo feature that enables it.
        feature: &'static str,
    },
    /// No format has this name.
    UnknownFormat(String),
    /// This transport cannot be compressed, for example because it carries datagrams.
    Unsupported,
}

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOn { running, wanted } => write!(
                f,
                "cannot switch to {wanted}: this direction is already compressed as {running}; end the connection or keep {running}"
            ),
            Self::Closed => {
                f.write_str("cannot switch compression on: the connection is closing; call it before lose_connection")
            }
            Self::DictionaryInvalid { format } => {
                write!(f, "the dictionary begins like one trained for {format}, but is damaged: train it again")
            }
            Self::DictionaryUnsupported { format } => {
                write!(f, "{format} does not use dictionaries: leave the dictionary out, or choose another format")
            }
            Self::Level { format, level, min, max } => {
                write!(f, "{format} has no level {level}: choose one from {min} to {max}")
            }
            Self::NotBuilt { format, feature } => {
                write!(f, "{format} is not built in: enable the cargo feature `{feature}` of torsade")
            }
            Self::UnknownFormat(name) => {
                write!(f, "unknown compression format {name:?}: choose one of ")?;
                for (index, format) in Format::ALL.into_iter().enumerate() {
                    write!(f, "{}{format}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
            Self::Unsupported => {
                f.write_str("this transport cannot be compressed: only byte streams can; compress the messages themselves")
            }
        }
    }
}

torsade_reactor::debug_as_display!(CompressionError);

impl Error for CompressionError {}

/// Lets a call take any type that converts into the options, including the options themselves.
impl From<Infallible> for CompressionError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Why a compressed stream could not be read, and where.
///
/// Everything decoded before the error was delivered; nothing after it is. TCP does not corrupt bytes, so the peer, or something
/// in between, has sent data that is not a stream of this format.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct DecompressError {
    /// The format that was being read.
    pub format: Format,
    /// Compressed bytes read so far; may be slightly past the error.
    pub input_offset: u64,
    /// What is wrong.
    pub kind: DecompressErrorKind,
    /// Plain bytes delivered before the error.
    pub output_offset: u64,
}

impl DecompressError {
    /// An error of this kind at this place.
    pub const fn new(format: Format, kind: DecompressErrorKind, input_offset: u64, output_offset: u64) -> Self {
        Self { format, input_offset, kind, output_offset }
    }
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, input_offset, kind, output_offset } = self;
        write!(f, "{format} stream, at byte {input_offset} ({output_offset} plain bytes were delivered): {kind}")
    }
}

torsade_reactor::debug_as_display!(DecompressError);

impl Error for DecompressError {}

/// What is wrong with a compressed stream.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DecompressErrorKind {
    /// An announcement arrived in pieces too far apart in time: its first bytes had already been delivered as plain.
    AnnouncementSplit,
    /// The data does not match the checksum in the stream.
    Checksum,
    /// A block that no encoder writes, or a distance that reaches back before the beginning.
    Data,
    /// The header is not one of this format, or uses options that do not exist.
    Header,
    /// The data does not have the length stated in the stream.
    Length,
    /// The output is too many times larger than the input.
    LimitRatio {
        /// The limit, [`Decompression::max_ratio`](super::Decompression::max_ratio).
        max: u32,
    },
    /// The stream has more plain bytes than allowed.
    LimitTotal {
        /// The limit in bytes, [`Decompression::max_total`](super::Decompression::max_total).
        max: u64,
    },
    /// This reactor's decompressors together would exceed their memory limit, and this one was the least recently active or needs
    /// more than half of the limit by itself: see `ReactorTcp::set_decompression_memory`.
    Memory {
        /// The limit in bytes, for all decompressors together.
        max: u64,
    },
    /// The stream was compressed with a dictionary that was not given to
    /// [`Decompression::dictionary`](super::Decompression::dictionary).
    NeedDictionary {
        /// The id in the stream, which is the [`Dictionary::id`](super::Dictionary::id) for the format.
        id: u32,
    },
    /// The announced stream's codec is not compiled in.
    NotBuilt {
        /// The cargo feature that enables it.
        feature: &'static str,
    },
    /// Too many consecutive bytes gave no data: skippable frames, empty blocks, or a very long header.
    Skipped {
        /// The limit in bytes, [`Decompression::max_skipped`](super::Decompression::max_skipped).
        max: u64,
    },
    /// Bytes follow the end of the stream.
    TrailingData,
    /// The input ended before the stream did.
    Truncated,
    /// The stream asks the decoder to keep a larger window than allowed.
    Window {
        /// The window the stream asks for, in bytes.
        asked: u64,
        /// The limit in bytes, [`Decompression::max_window`](super::Decompression::max_window).
        max: u64,
    },
}

impl fmt::Display for DecompressErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnnouncementSplit => f.write_str(
                "its announcement arrived in pieces too far apart and was delivered as plain text; expect the compression \
                 explicitly",
            ),
            Self::Checksum => f.write_str("wrong checksum; the peer sent damaged data"),
            Self::Data => f.write_str("invalid data; the peer sends another format, or sent plain bytes in between"),
            Self::Header => f.write_str("invalid header; the peer sends another format (raw and zlib are easily confused)"),
            Self::Length => f.write_str("wrong length in the trailer; the peer sent damaged data"),
            Self::LimitRatio { max } => write!(f, "it expands more than {max} times; raise max_ratio if that is legitimate"),
            Self::LimitTotal { max } => write!(f, "it has more than {max} plain bytes; raise max_total if that is legitimate"),
            Self::Memory { max } => write!(
                f,
                "all streams together need more than {max} bytes of memory, and this one holds the most for what it was sent; \
                 raise set_decompression_memory, or use smaller windows or fewer connections"
            ),
            Self::NeedDictionary { id } => {
                write!(
                    f,
                    "it needs the dictionary with id {id} ({id:#x}); pass it to Decompression::dictionary, or have the peer \
                     compress without it"
                )
            }
            Self::NotBuilt { feature } => {
                write!(f, "the peer announced a format that is not built in; enable the cargo feature `{feature}` of torsade")
            }
            Self::Skipped { max } => write!(f, "more than {max} bytes without any data; raise max_skipped if that is legitimate"),
            Self::TrailingData => f.write_str("bytes follow its end; if they are plain, set after_end to AfterEnd::Plain"),
            Self::Truncated => f.write_str("the connection ended before the stream did; the peer crashed or was cut off"),
            Self::Window { asked, max } => {
                write!(
                    f,
                    "it asks for {asked} bytes of memory, but {max} are allowed; raise max_window, or lower the peer's level"
                )
            }
        }
    }
}
