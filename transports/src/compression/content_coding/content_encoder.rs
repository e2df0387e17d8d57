//! Compressing a body.

use std::fmt;
use std::time::Duration;

use torsade_protocols::{Compression, CompressionError};

use crate::compression::encoder::Encoder;
use crate::compression::encoder_error::EncoderError;
use crate::compression::pool::EncoderPool;

/// Compresses one body, in pieces.
///
/// It owns an encoder (300 KB for the deflate family, from the first 8 KiB or the first flush on) until it is finished
/// or dropped.
pub struct ContentEncoder {
    encoder: Encoder,
}

impl ContentEncoder {
    /// Makes an encoder for a body, from a [`Format`](torsade_protocols::Format), a name, or a [`Compression`] with a level.
    ///
    /// Whatever the options say, only [`flush`](Self::flush) flushes, and there is no announcement.
    ///
    /// # Errors
    /// [`CompressionError::Level`], `NotBuilt`, `UnknownFormat`, or those of a dictionary.
    pub fn new(compression: impl TryInto<Compression, Error: Into<CompressionError>>) -> Result<Self, CompressionError> {
        let options = compression.try_into().map_err(Into::into)?.announce(false);
        let encoder = Encoder::new(&options, 0, &EncoderPool::with_limits(1, Duration::MAX))?;
        Ok(Self { encoder })
    }

    /// Compresses a piece of the body, and appends to `wire` what is ready to be sent, which may be nothing yet.
    ///
    /// # Errors
    /// The encoder has failed, which no input causes.
    pub fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>) -> Result<(), EncoderError> {
        self.encoder.write(plain, wire, Duration::ZERO).map_err(EncoderError)
    }

    /// Appends what the client needs to read everything written so far.
    ///
    /// Each flush costs bytes: flush only before a pause.
    ///
    /// # Errors
    /// The encoder has failed, which no input causes.
    pub fn flush(&mut self, wire: &mut Vec<u8>) -> Result<(), EncoderError> {
        self.encoder.force_flush(wire, Duration::ZERO).map_err(EncoderError)
    }

    /// Appends the rest of the body and its trailer.
    ///
    /// Without it the body is truncated, and readers notice. An empty body is a complete stream as well.
    ///
    /// # Errors
    /// The encoder has failed, which no input causes.
    pub fn finish(mut self, wire: &mut Vec<u8>) -> Result<(), EncoderError> {
        self.encoder.open(wire).and_then(|()| self.encoder.finish(wire)).map_err(EncoderError)
    }
}

impl fmt::Debug for ContentEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentEncoder").field("format", &self.encoder.format()).finish_non_exhaustive()
    }
}
