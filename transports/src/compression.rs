//! Stream compression as a byte layer.
//!
//! One [`CompressionLayer`] serves both directions of a connection. A [`sniffer`] on the other side recognises the stream that
//! it sends by its [`announcement`]; input goes through a [`decoder`] in bounded pieces. Encoders are large, so idle connections
//! give theirs back to a [`pool`] that the whole reactor shares. [`decoder_memory`] limits what all decoders hold together.

mod announcement;
mod checksum;
pub mod content_coding;
mod decoder;
mod decoder_memory;
#[cfg(feature = "zstd")]
mod digests;
mod encoder;
mod encoder_error;
mod fragment;
mod history;
mod layer;
pub mod permessage_deflate;
mod pool;
mod sniffer;
pub(crate) mod unsought;

pub use encoder_error::EncoderError;
pub(crate) use layer::CompressionLayer;
pub(crate) use pool::{EncoderPool, SharedPool};

use torsade_protocols::{CompressionError, Format};

/// The cargo feature that the format needs, if this build lacks it.
const fn missing_feature(format: Format) -> Option<&'static str> {
    match format {
        Format::Lz4 if !cfg!(feature = "lz4") => Some("lz4"),
        Format::Zstd if !cfg!(feature = "zstd") => Some("zstd"),
        _ => None,
    }
}

/// An error if this build lacks the format's codec.
fn check_built(format: Format) -> Result<(), CompressionError> {
    missing_feature(format).map_or(Ok(()), |feature| Err(CompressionError::NotBuilt { format, feature }))
}

#[cfg(test)]
mod tests;
