//! Compressing messages.

use std::fmt;

use torsade_protocols::Compression;
use torsade_reactor::Reactor;

use super::TAIL;
use crate::compression::encoder::{Codec, DeflateEncoder};
use crate::compression::encoder_error::EncoderError;
use crate::connection::shared::Shared;

/// Compresses the messages that one side of a WebSocket sends; made by [`Parameters`](super::Parameters).
///
/// Between messages it holds a history of at most 32 KiB, or the agreed window, and blocks no encoder (300 KB each, at most 64
/// per reactor). Without context takeover it holds nothing. If all encoders are in the middle of other messages, a message is
/// stored: uncompressed inside the compressed format.
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

    /// Sets the level, 0 to 9; larger values count as 9. Default 6.
    ///
    /// Level 1 takes about a tenth of the time of level 6. Call it before the first message.
    #[must_use]
    pub fn level(self, level: u32) -> Self {
        let options = Compression::deflate_raw().level(level.min(9));
        let encoder = DeflateEncoder::with_window(&options, self.window_bits, &Shared::of(&self.reactor).encoders);
        Self { encoder, ..self }
    }

    /// Compresses a piece of a message, and appends what is ready of the payload to `wire`; `last` marks the message's last
    /// piece.
    ///
    /// Before the last piece there may be nothing to append. The payload may be cut into frames anywhere: to send a message as
    /// it comes, write what was appended as a frame of its own, with FIN after the last piece. An empty message becomes one byte.
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
            wire.push(0); // begins an empty stored block, whose rest messages leave out
        }
        if self.alone { self.encoder.forget(wire) } else { Ok(()) }
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("alone", &self.alone).field("window_bits", &self.window_bits).finish_non_exhaustive()
    }
}
