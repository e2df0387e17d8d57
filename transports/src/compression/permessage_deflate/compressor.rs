//! Messages on their way out.

use std::fmt;

use torsade_protocols::Compression;
use torsade_reactor::Reactor;

use super::TAIL;
use crate::compression::encoder::{Codec, DeflateEncoder};
use crate::compression::encoder_error::EncoderError;
use crate::connection::shared::Shared;

/// Compresses the messages that one side of a WebSocket sends; made by [`Parameters`](super::Parameters).
///
/// Between messages it holds a history of at most 32 KiB, or of the window that was agreed, and no encoder that another could
/// not have (300 KB each, at most 64 a reactor). Without context takeover it holds nothing. When all encoders are in the midst of
/// other messages, a message is stored uncompressed in its form.
pub struct Compressor {
    encoder: DeflateEncoder,
    /// Each message begins without history.
    alone: bool,
    reactor: Reactor,
    window_bits: u8,
}

impl Compressor {
    pub(super) fn new(alone: bool, window_bits: Option<u8>, reactor: &Reactor) -> Self {
        let window_bits = window_bits.unwrap_or(15).max(9);
        let options = Compression::deflate_raw();
        let encoder = DeflateEncoder::with_window(&options, window_bits, &Shared::of(reactor).encoders);
        Self { encoder, alone, reactor: reactor.clone(), window_bits }
    }

    /// Sets the level, 0 to 9, and what is beyond is taken for 9; before the first message. Default 6.
    ///
    /// Level 1 takes about a tenth of the time of level 6.
    #[must_use]
    pub fn level(self, level: u32) -> Self {
        let options = Compression::deflate_raw().level(level.min(9));
        let encoder = DeflateEncoder::with_window(&options, self.window_bits, &Shared::of(&self.reactor).encoders);
        Self { encoder, ..self }
    }

    /// Takes a piece of a message, which is the last one or not, and appends to `wire` what there is of its payload, which may be
    /// nothing before the last.
    ///
    /// The payload may be cut into frames anywhere. To send a message as it comes, write what was appended as a frame of its
    /// own, with FIN where it was the last. An empty message becomes one byte.
    ///
    /// # Errors
    /// The encoder has failed, which no input causes.
    pub fn compress(&mut self, plain: &[u8], last: bool, wire: &mut Vec<u8>) -> Result<(), EncoderError> {
        let now = self.reactor.now();
        self.encoder.write(plain, wire, now).map_err(EncoderError)?;
        if last {
            self.end_message(wire).map_err(EncoderError)?;
        }
        Ok(())
    }

    fn end_message(&mut self, wire: &mut Vec<u8>) -> Result<(), String> {
        if self.encoder.flush_to_marker(wire, self.reactor.now())? {
            wire.truncate(wire.len() - TAIL.len());
        } else {
            wire.push(0); // begins an empty stored block, of which the rest is what messages lack
        }
        if self.alone { self.encoder.forget(wire) } else { Ok(()) }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("alone", &self.alone).field("window_bits", &self.window_bits).finish_non_exhaustive()
    }
}
