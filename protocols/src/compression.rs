//! Options, errors and statistics of compression.
//!
//! Nothing here compresses, so a protocol can use compression without depending on a codec. Each direction has its own options,
//! [`Compression`] for sending and [`Decompression`] for receiving, because the two are switched on at different moments.

mod dictionary;
mod error;
mod format;
mod incoming;
mod outgoing;
mod stats;

pub use dictionary::Dictionary;
pub use error::{CompressionError, DecompressError, DecompressErrorKind};
pub use format::Format;
pub use incoming::{AfterEnd, Decompression, Detect, Truncation};
pub use outgoing::{Compression, Flush};
pub use stats::{CompressionStats, StoredBytes};

/// Implements the conversions that, with `FromStr`, let one call take `"gzip"`, `b"gzip"`, a `Format` or the full options.
macro_rules! from_names {
    ($options:ty) => {
        impl TryFrom<&str> for $options {
            type Error = CompressionError;

            fn try_from(name: &str) -> Result<Self, CompressionError> {
                name.parse()
            }
        }

        impl TryFrom<&[u8]> for $options {
            type Error = CompressionError;

            fn try_from(name: &[u8]) -> Result<Self, CompressionError> {
                // Bytes that are not UTF-8 are no format's name; the error shows the replacement character.
                String::from_utf8_lossy(name).parse()
            }
        }

        impl<const N: usize> TryFrom<&[u8; N]> for $options {
            type Error = CompressionError;

            fn try_from(name: &[u8; N]) -> Result<Self, CompressionError> {
                Self::try_from(name.as_slice())
            }
        }
    };
}

from_names!(Compression);
from_names!(Decompression);
