//! The incoming direction, from the first byte that may announce a stream to what follows its end.

use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{AfterEnd, DecompressError, DecompressErrorKind, Decompression, Format, Reason};

use super::{CompressionLayer, Incoming, Outgoing};
use crate::compression::decoder::{Decoder, Dictionaries, Outcome};
use crate::compression::decoder_memory::Share;
use crate::compression::sniffer::Found;
use crate::layer::LayerRead;

impl CompressionLayer {
    /// Goes back to the direct path once no announcement can come any more.
    pub(super) fn rest(&mut self) {
        if let Incoming::Sniff(sniffer) = &self.incoming
            && sniffer.done()
        {
            self.incoming = Incoming::Direct(sniffer.passed());
        }
    }

    pub(super) fn sniff(
        &mut self,
        wire: &[u8],
        plain: &mut Vec<u8>,
        room: usize,
        work: &Work,
        now: Duration,
    ) -> Result<LayerRead, Reason> {
        let Incoming::Sniff(sniffer) = &mut self.incoming else {
            return Ok(LayerRead::default());
        };
        let before = plain.len();
        let (consumed, found) = sniffer.look(wire, plain, room, now);
        match found {
            Found::Nothing => {
                let waits = consumed < wire.len() || !sniffer.held().is_empty();
                self.rest();
                let full = plain.len() - before == room;
                Ok(LayerRead { consumed, more: full && waits })
            }
            Found::Split(format) => {
                let kind = DecompressErrorKind::AnnouncementSplit;
                let error = DecompressError::new(format, kind, 0, sniffer.passed());
                Err(self.fail(error, Vec::new()))
            }
            Found::Announced(format) => {
                let options = within(self.limits.as_deref(), format);
                // Dictionaries for another format, or damaged ones, count as missing: the stream says which one it needs.
                let dictionaries = Dictionaries::new(&options, &self.pool).unwrap_or_else(|_| Dictionaries::none(format));
                let share = Share::of(self.pool.borrow().decoders(), self.owner);
                let decoder = Decoder::new(options, dictionaries, true, sniffer.take_held(), share);
                self.incoming = Incoming::Compressed(Box::new(decoder));
                if let Outgoing::Compressed(encoder) = &mut self.outgoing {
                    encoder.peer_reads_partial_flushes();
                }
                let room = room - (plain.len() - before);
                let progress = self.decode(&wire[consumed..], plain, room, work, now)?;
                Ok(LayerRead { consumed: consumed + progress.consumed, ..progress })
            }
        }
    }

    pub(super) fn decode(
        &mut self,
        wire: &[u8],
        plain: &mut Vec<u8>,
        room: usize,
        work: &Work,
        now: Duration,
    ) -> Result<LayerRead, Reason> {
        let Incoming::Compressed(decoder) = &mut self.incoming else {
            return Ok(LayerRead::default());
        };
        let before = plain.len();
        let (consumed, outcome) = decoder.read(wire, plain, room, work, now);
        match outcome {
            Ok(Outcome::Hungry) => Ok(LayerRead { consumed, more: false }),
            Ok(Outcome::Full) => Ok(LayerRead { consumed, more: true }),
            Ok(Outcome::End) => {
                self.end();
                let room = room - (plain.len() - before);
                let progress = self.after_end(&wire[consumed..], plain, room)?;
                Ok(LayerRead { consumed: consumed + progress.consumed, ..progress })
            }
            Err(DecompressErrorKind::TrailingData) => {
                let (error, trailing) = trailing(decoder, &wire[consumed..]);
                Err(self.fail(error, trailing))
            }
            Err(kind) => {
                let error = decoder.error(kind);
                Err(self.fail(error, Vec::new()))
            }
        }
    }

    fn end(&mut self) {
        if let Incoming::Compressed(decoder) = std::mem::replace(&mut self.incoming, Incoming::Direct(0)) {
            let plain_again = decoder.after_end() == AfterEnd::Plain;
            self.incoming = if plain_again { Incoming::PlainAgain(decoder) } else { Incoming::Ended(decoder) };
        }
    }

    pub(super) fn after_end(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize) -> Result<LayerRead, Reason> {
        match &mut self.incoming {
            Incoming::Ended(decoder) if decoder.after_end() == AfterEnd::Drop => {
                decoder.drop_trailing(wire.len());
                Ok(LayerRead { consumed: wire.len(), more: false })
            }
            Incoming::Ended(decoder) if !wire.is_empty() || decoder.carries() => {
                let (error, trailing) = trailing(decoder, wire);
                Err(self.fail(error, trailing))
            }
            Incoming::PlainAgain(_) | Incoming::Direct(_) => {
                let mut room = room;
                if let Incoming::PlainAgain(decoder) = &mut self.incoming {
                    room -= decoder.take_carried(room, plain);
                }
                let consumed = wire.len().min(room);
                plain.extend_from_slice(&wire[..consumed]);
                self.passed_in(consumed as u64);
                let carries = matches!(&self.incoming, Incoming::PlainAgain(decoder) if decoder.carries());
                Ok(LayerRead { consumed, more: carries || consumed < wire.len() })
            }
            _ => Ok(LayerRead::default()),
        }
    }

    pub(super) fn fail(&mut self, error: DecompressError, trailing: Vec<u8>) -> Reason {
        self.replace_incoming(Incoming::Failed(Box::new((error.clone(), trailing))));
        Reason::Decompress(error)
    }
}

/// The error that bytes follow the end of the stream, with these bytes: the carried ones, then `wire`.
fn trailing(decoder: &mut Decoder, wire: &[u8]) -> (DecompressError, Vec<u8>) {
    let mut trailing = Vec::new();
    decoder.take_carried(usize::MAX, &mut trailing);
    trailing.extend_from_slice(wire);
    (decoder.error(DecompressErrorKind::TrailingData), trailing)
}

/// The options for a stream of `format`: those in `limits`, where defaults of their own format become defaults of this one.
fn within(limits: Option<&Decompression>, format: Format) -> Decompression {
    let default = Decompression::from(format);
    let Some(limits) = limits else { return default };
    let untouched = Decompression::from(limits.format);
    let mut options = limits.clone();
    options.format = format;
    if limits.after_end == untouched.after_end {
        options.after_end = default.after_end;
    }
    if limits.max_ratio == untouched.max_ratio {
        options.max_ratio = default.max_ratio;
    }
    options
}
