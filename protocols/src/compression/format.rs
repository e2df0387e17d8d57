use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::CompressionError;

/// A compression format.
///
/// Every variant exists in every build. Where the codec of [`Format::Zstd`] or [`Format::Lz4`] is not compiled in, switching it
/// on fails with [`CompressionError::NotBuilt`].
///
/// The names are those of the web's Compression Streams API, so **`"deflate"` is the zlib format**, as in HTTP (RFC 9110,
/// 8.4.1.2). The raw stream used by IMAP, NNTP and WebSocket is `"deflate-raw"`.
///
/// ```
/// use torsade::prelude::*;
///
/// assert_eq!("GZIP".parse(), Ok(Format::Gzip));
/// assert_eq!("zlib".parse(), Ok(Format::Deflate));
/// assert_eq!(Format::DeflateRaw.to_string(), "deflate-raw");
/// ```
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Format {
    /// The zlib format, RFC 1950: two bytes of header, deflate, Adler-32. Its name is `"deflate"`, alias `"zlib"`.
    Deflate,
    /// Raw deflate, RFC 1951: no header, no checksum. Its name is `"deflate-raw"`.
    DeflateRaw,
    /// The gzip format, RFC 1952: ten bytes of header, deflate, CRC-32 and length. Its name is `"gzip"`.
    Gzip,
    /// The LZ4 frame format, version 1.6.x. Its name is `"lz4"`; cargo feature `lz4`.
    Lz4,
    /// Zstandard, RFC 8878. Its name is `"zstd"`; cargo feature `zstd`.
    Zstd,
}

impl Format {
    /// Every format, whether compiled in or not.
    pub const ALL: [Self; 5] = [Self::Deflate, Self::DeflateRaw, Self::Gzip, Self::Lz4, Self::Zstd];

    /// Returns the format's name, as in the web's Compression Streams API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deflate => "deflate",
            Self::DeflateRaw => "deflate-raw",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Returns the levels of the format, from the fastest to the smallest output.
    ///
    /// 0 to 9 for the deflate family (0 does not compress), 1 to 22 for zstd, only 1 for lz4.
    pub const fn levels(self) -> RangeInclusive<u32> {
        match self {
            Self::Deflate | Self::DeflateRaw | Self::Gzip => 0..=9,
            Self::Lz4 => 1..=1,
            Self::Zstd => 1..=22,
        }
    }

    /// Returns the default level: 6, for zstd 3, for lz4 1.
    pub const fn default_level(self) -> u32 {
        match self {
            Self::Deflate | Self::DeflateRaw | Self::Gzip => 6,
            Self::Lz4 => 1,
            Self::Zstd => 3,
        }
    }

    /// Returns an error if the format does not support dictionaries.
    pub(super) const fn check_dictionaries(self) -> Result<(), CompressionError> {
        match self {
            Self::Gzip => Err(CompressionError::DictionaryUnsupported { format: self }),
            Self::Deflate | Self::DeflateRaw | Self::Lz4 | Self::Zstd => Ok(()),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = CompressionError;

    /// Parses a name, ignoring case; `zlib` is an alias of `deflate`.
    fn from_str(name: &str) -> Result<Self, CompressionError> {
        if name.eq_ignore_ascii_case("zlib") {
            return Ok(Self::Deflate);
        }
        Self::ALL
            .into_iter()
            .find(|format| name.eq_ignore_ascii_case(format.name()))
            .ok_or_else(|| CompressionError::UnknownFormat(name.to_owned()))
    }
}
