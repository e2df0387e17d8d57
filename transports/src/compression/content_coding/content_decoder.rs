//! Decompressing a body.

use std::fmt;
use std::rc::Rc;

use torsade_protocols::{AfterEnd, CompressionError, DecompressError, DecompressErrorKind, Decompression, Truncation};
use torsade_reactor::Reactor;

use crate::compression::check_built;
use crate::compression::decoder::{Decoder, Dictionaries, Outcome};
use crate::compression::decoder_memory::Share;
use crate::compression::pool::EncoderPool;
use crate::connection::shared::Shared;

/// Decompresses one body, in pieces, within the limits of its [`Decompression`].
pub struct ContentDecoder {
    /// A byte of the body has come.
    begun: bool,
    decoder: Decoder,
    /// The stream has ended, and no other may follow.
    ended: bool,
    failed: Option<DecompressError>,
    options: Decompression,
}

impl ContentDecoder {
    /// Makes a decoder for a body, from a [`Format`](torsade_protocols::Format), a name, or a [`Decompression`] with limits.
    ///
    /// Its `after_end` says what bytes after the stream are; [`AfterEnd::Plain`] makes them an error too. A body that ends
    /// before its stream does is truncated, which is an error unless `truncation` is [`Truncation::Allow`].
    ///
    /// # Errors
    /// [`CompressionError::NotBuilt`], `UnknownFormat`, or those of a dictionary.
    pub fn new(decompression: impl TryInto<Decompression, Error: Into<CompressionError>>) -> Result<Self, CompressionError> {
        let mut options = decompression.try_into().map_err(Into::into)?;
        check_built(options.format)?;
        if options.truncation == Truncation::Auto {
            options.truncation = Truncation::Error;
        }
        let dictionaries = Dictionaries::new(&options, &EncoderPool::shared())?;
        let decoder = Decoder::new(options.clone(), dictionaries, false, Vec::new(), Share::new(&Rc::default()));
        Ok(Self { begun: false, decoder, ended: false, failed: None, options })
    }

    /// Counts this decoder's memory towards the limit of a reactor, like that of its connections; see
    /// [`set_decompression_memory`](crate::ReactorTcp::set_decompression_memory).
    ///
    /// Use it in servers, where each peer may ask for a window. Call it before the first piece.
    #[must_use]
    pub fn counted_in(mut self, reactor: &Reactor) -> Self {
        self.decoder.count_in(Shared::of(reactor).encoders.borrow().decoders());
        self
    }

    /// Decodes a piece of the body, and appends at most `room` bytes to `plain`.
    ///
    /// Returns whether this piece has more output: call again, with the rest of it and new room (at least 1).
    /// The decoder keeps nothing but its window, so a body that expands takes no memory that the caller did not provide:
    /// use and clear `plain` in each iteration of `while decoder.decode(&mut piece, &mut plain, room)? {..}`, and once after it.
    ///
    /// # Errors
    /// See [`DecompressErrorKind`]; what was appended before the error is valid. Every later call returns the same error.
    pub fn decode(&mut self, wire: &mut &[u8], plain: &mut Vec<u8>, room: usize) -> Result<bool, DecompressError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.begun |= !wire.is_empty();
        if !self.ended {
            match self.decoder.read_from(wire, plain, room) {
                Ok(Outcome::Full) => return Ok(true),
                Ok(Outcome::Hungry) => return Ok(false),
                Ok(Outcome::End) => self.ended = true,
                Err(error) => return Err(self.failed.insert(error).clone()),
            }
        }
        if wire.is_empty() || self.options.after_end == AfterEnd::Drop {
            *wire = &[];
            return Ok(false);
        }
        let error = self.decoder.error(DecompressErrorKind::TrailingData);
        Err(self.failed.insert(error).clone())
    }

    /// Ends the body. A body of no bytes is empty, whatever its coding, as in browsers.
    ///
    /// # Errors
    /// [`DecompressErrorKind::Truncated`] if the stream has not ended, or the error that came before.
    pub fn finish(mut self) -> Result<(), DecompressError> {
        match self.failed.take() {
            Some(error) => Err(error),
            None if self.ended || !self.begun => Ok(()),
            None => self.decoder.read_end().map_err(|kind| self.decoder.error(kind)),
        }
    }
}

impl fmt::Debug for ContentDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentDecoder").field("options", &self.options).finish_non_exhaustive()
    }
}
