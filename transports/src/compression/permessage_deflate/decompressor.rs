//! Decompressing messages.

use std::fmt;
use std::rc::Rc;

use torsade_protocols::{AfterEnd, DecompressError, Decompression};
use torsade_reactor::Reactor;

use super::TAIL;
use crate::compression::decoder::{Decoder, Dictionaries, Outcome};
use crate::compression::decoder_memory::Share;
use crate::compression::pool::SharedPool;
use crate::connection::shared::Shared;

/// The default length of the longest message, in bytes.
const MAX_MESSAGE: u64 = 1 << 20;

/// Decompresses the messages that one side of a WebSocket receives; made by [`Parameters`](super::Parameters).
///
/// From the first compressed message on it holds a decoder (48 KB) between messages; without context takeover, nothing.
pub struct Decompressor {
    decoder: Decoder,
    /// Each message begins without history.
    alone: bool,
    options: Decompression,
    pool: SharedPool,
    /// How much of the tail was added to the message that is being read.
    tail: usize,
}

impl Decompressor {
    pub(super) fn new(alone: bool, reactor: &Reactor) -> Self {
        // A message may end the stream, RFC 7692, 7.2.3.4, and then another begins.
        let options = Decompression::deflate_raw().after_end(AfterEnd::NextStream).max_total(Some(MAX_MESSAGE));
        let pool = Rc::clone(&Shared::of(reactor).encoders);
        Self { decoder: decoder(&options, &pool), alone, options, pool, tail: 0 }
    }

    /// Sets how long a decompressed message may be, in bytes. Default 1 MiB. Call it before the first message.
    #[must_use]
    pub fn max_message(mut self, bytes: u64) -> Self {
        self.options = self.options.max_total(Some(bytes));
        self.decoder = decoder(&self.options, &self.pool);
        self
    }

    /// Decodes a piece of a compressed message's unmasked payload, and appends at most `room` bytes to `plain`.
    ///
    /// Returns whether this piece has more output: call again, with the rest of it and new room (at least 1). `last` says that
    /// the payload ends with this piece, as FIN does; once `last` was given and there is no more output, the message is
    /// complete, and the next begins. So a message takes no more memory than the caller keeps of it, however much it expands:
    ///
    /// ```
    /// use torsade::{permessage_deflate::Parameters, prelude::*};
    ///
    /// let (mut compressor, mut decompressor) = Parameters::default().server_side(&Reactor::new()?);
    /// let mut payload = Vec::new();
    /// compressor.compress(&[0; 100_000], true, &mut payload)?;
    ///
    /// let (mut rest, mut plain, mut sum) = (&payload[..], Vec::new(), 0);
    /// loop {
    ///     let more = decompressor.decompress(&mut rest, true, &mut plain, 4096)?;
    ///     assert!(plain.len() <= 4096);
    ///     sum += plain.len();
    ///     plain.clear();
    ///     if !more {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(sum, 100_000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`LimitTotal`](torsade_protocols::DecompressErrorKind::LimitTotal) if the message is too long (close code 1009), `Skipped`
    /// if more than 128 KiB of it produce no output, `Memory` if the limit on the memory of the reactor's decoders is reached,
    /// and `Data` if it is not a deflate stream (close code 1002 or 1007). Nothing can be read after an error.
    pub fn decompress(
        &mut self,
        wire: &mut &[u8],
        last: bool,
        plain: &mut Vec<u8>,
        room: usize,
    ) -> Result<bool, DecompressError> {
        let limit = plain.len().saturating_add(room);
        let more = self.decoder.read_from(wire, plain, room)? == Outcome::Full;
        if more || !last {
            return Ok(more);
        }
        let mut tail = &TAIL[self.tail..];
        let more = self.decoder.read_from(&mut tail, plain, limit - plain.len())? == Outcome::Full;
        self.tail = TAIL.len() - tail.len();
        if !more {
            self.end_message();
        }
        Ok(more)
    }

    fn end_message(&mut self) {
        self.tail = 0;
        if self.alone {
            self.decoder = decoder(&self.options, &self.pool);
        } else {
            self.decoder.restart_count();
        }
    }
}

fn decoder(options: &Decompression, pool: &SharedPool) -> Decoder {
    let share = Share::new(pool.borrow().decoders());
    Decoder::new(options.clone(), Dictionaries::none(options.format), false, Vec::new(), share)
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("alone", &self.alone)
            .field("max_message", &self.options.max_total)
            .finish_non_exhaustive()
    }
}
