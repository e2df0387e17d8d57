//! Both directions of a connection's compression as one layer of its chain.

mod reading;

use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{
    Compression, CompressionError, CompressionStats, DecompressError, Decompression, Detect, Reason, SharedBytes,
};
use torsade_reactor::spi::Token;

use super::decoder::{Decoder, Dictionaries};
use super::decoder_memory::{NOBODY, Share};
use super::encoder::{Encoder, Failure};
use super::pool::SharedPool;
use super::sniffer::Sniffer;
use crate::layer::{Layer, LayerRead};

/// Compression of one connection: the outgoing stream, if one was switched on, and the state of the incoming one.
///
/// The two directions are independent. Outgoing bytes pass unchanged ([`Outgoing::Plain`]) until a stream is
/// switched on, and again after it has ended. Incoming bytes pass unchanged ([`Incoming::Direct`]) unless the layer looks for
/// an announcement (`Sniff`), or a stream was announced or expected (`Compressed`); after its end nothing may follow (`Ended`) or
/// everything is plain (`PlainAgain`), as its options say; an error is final (`Failed`). No byte is delivered twice or lost
/// between two states: held-back bytes move from one to the next.
///
/// It is small until something is switched on: each stream is boxed, and the encoders belong to the pool.
pub(crate) struct CompressionLayer {
    incoming: Incoming,
    /// Limits of announced streams; `None` for the format's defaults.
    limits: Option<Box<Decompression>>,
    outgoing: Outgoing,
    /// Counts of streams that have ended or failed.
    past: Option<Box<CompressionStats>>,
    /// The connection that it belongs to.
    owner: Token,
    pool: SharedPool,
}

enum Outgoing {
    Compressed(Box<Encoder>),
    /// The direction ended without a stream.
    Ended,
    /// This many bytes have passed unchanged.
    Plain(u64),
}

enum Incoming {
    Compressed(Box<Decoder>),
    /// This many bytes have passed unchanged, without passing through the layer.
    Direct(u64),
    /// A stream has ended, and nothing may follow.
    Ended(Box<Decoder>),
    /// With the bytes that followed the end of the stream, if that was the error.
    Failed(Box<(DecompressError, Vec<u8>)>),
    /// Plain again, after the end of a stream.
    PlainAgain(Box<Decoder>),
    Sniff(Sniffer),
}

impl CompressionLayer {
    /// A layer for a connection that has already delivered `plain_in` and sent `plain_out` bytes.
    ///
    /// While [`Layer::reads_directly`] is true, bytes need not pass through it, but have to be reported to
    /// [`CompressionLayer::passed_in`]: an announcement in mid-stream states their number.
    pub(crate) fn new(pool: &SharedPool, detect: Detect, plain_in: u64, plain_out: u64) -> Self {
        let mut layer = Self {
            incoming: Incoming::Direct(plain_in),
            limits: None,
            outgoing: Outgoing::Plain(plain_out),
            past: None,
            owner: NOBODY,
            pool: Rc::clone(pool),
        };
        layer.set_detect(detect);
        layer
    }

    /// Sets the connection, which has to check the layer's deadline when its decoder gives way.
    pub(crate) const fn owned_by(mut self, owner: Token) -> Self {
        self.owner = owner;
        self
    }

    /// Compresses everything written from here on. Writes nothing yet.
    ///
    /// Also looks for an announcement at the peer's first byte, if that has not come: the peer may compress its answers too.
    /// Call [`CompressionLayer::set_detect`] afterwards to forbid that.
    pub(crate) fn compress(&mut self, options: &Compression) -> Result<(), CompressionError> {
        let passed = match &self.outgoing {
            Outgoing::Ended => return Err(CompressionError::Closed),
            Outgoing::Compressed(encoder) if encoder.ended() => return Err(CompressionError::Closed),
            Outgoing::Compressed(encoder) if encoder.format() == options.format => return Ok(()),
            Outgoing::Compressed(encoder) => {
                return Err(CompressionError::AlreadyOn { running: encoder.format(), wanted: options.format });
            }
            Outgoing::Plain(passed) => *passed,
        };
        let mut encoder = Encoder::new(options, passed, &self.pool)?;
        if self.peer_announced() {
            encoder.peer_reads_partial_flushes();
        }
        self.outgoing = Outgoing::Compressed(Box::new(encoder));
        if matches!(self.incoming, Incoming::Direct(0)) {
            self.set_detect(Detect::AtStart);
        }
        Ok(())
    }

    /// Decompresses everything not delivered yet, from the next byte on.
    ///
    /// `rest` was already delivered as plain bytes, but belongs to the stream, and so do bytes that were held back because an
    /// announcement might begin with them. Call [`Layer::read`] after this, even without input.
    pub(crate) fn expect(&mut self, options: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        let format = options.format;
        super::check_built(format)?;
        let dictionaries = Dictionaries::new(options, &self.pool)?;
        let mut before = Vec::new();
        match &mut self.incoming {
            // Bytes that a running stream delivered cannot belong to another stream inside it.
            Incoming::Compressed(decoder) if decoder.format() == format && rest.is_empty() => return Ok(()),
            Incoming::Compressed(decoder) => {
                return Err(CompressionError::AlreadyOn { running: decoder.format(), wanted: format });
            }
            Incoming::Failed(_) => return Err(CompressionError::Closed),
            Incoming::Sniff(sniffer) => before = sniffer.take_held(),
            // Bytes after the last stream that were not delivered yet.
            Incoming::Ended(decoder) | Incoming::PlainAgain(decoder) => {
                decoder.take_carried(usize::MAX, &mut before);
            }
            Incoming::Direct(_) => {}
        }
        let held = [rest, &before].concat();
        let share = Share::of(self.pool.borrow().decoders(), self.owner);
        let decoder = Decoder::new(options.clone(), dictionaries, false, held, share);
        self.replace_incoming(Incoming::Compressed(Box::new(decoder)));
        Ok(())
    }

    /// Sets where to look for announcements. Does nothing once a stream has begun.
    pub(crate) fn set_detect(&mut self, detect: Detect) {
        let anywhere = detect == Detect::Anywhere;
        match &mut self.incoming {
            Incoming::Sniff(sniffer) if detect == Detect::Off => {
                sniffer.stop();
                self.rest();
            }
            Incoming::Sniff(sniffer) => sniffer.set_anywhere(anywhere),
            Incoming::Direct(passed) if anywhere || (detect == Detect::AtStart && *passed == 0) => {
                self.incoming = Incoming::Sniff(Sniffer::new(anywhere, *passed));
            }
            _ => {}
        }
    }

    /// Sets the limits of announced streams; the format in `limits` does not matter.
    pub(crate) fn set_limits(&mut self, limits: &Decompression) {
        self.limits = Some(Box::new(limits.clone()));
    }

    /// Counts bytes that were delivered without passing through this layer.
    pub(crate) const fn passed_in(&mut self, bytes: u64) {
        if let Incoming::Direct(passed) = &mut self.incoming {
            *passed += bytes;
        }
    }

    /// Flushes now, whatever the policy; opens the stream if nothing was written yet.
    pub(crate) fn force_flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.outgoing(|encoder| encoder.force_flush(wire, now))
    }

    /// Takes bytes that are compressed once for many connections, and returns what to send for them after `wire`.
    ///
    /// Returns `None`, and does nothing, if they have to be [written](Layer::write) in the ordinary way.
    pub(crate) fn write_shared(
        &mut self,
        plain: &SharedBytes,
        wire: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Option<SharedBytes>, Reason> {
        match &mut self.outgoing {
            Outgoing::Compressed(encoder) => encoder.write_shared(plain, wire, now).map_err(Reason::CompressFailed),
            Outgoing::Ended | Outgoing::Plain(_) => Ok(None),
        }
    }

    /// Flushes, and makes what is written next independent of what was written before.
    ///
    /// Before and after a secret, this keeps the lengths of other compressed bytes from revealing it. A zstd stream goes on in a
    /// new frame, which every reader of several frames accepts (ours does by default).
    pub(crate) fn barrier(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.outgoing(|encoder| encoder.barrier(wire, now))
    }

    /// Counts one message to be written, of any number of writes.
    pub(crate) fn count_message(&mut self) {
        if let Outgoing::Compressed(encoder) = &mut self.outgoing {
            encoder.count_message();
        }
    }

    /// Sets whether later writes are stored uncompressed in the outgoing stream.
    pub(crate) fn set_uncompressed(&mut self, on: bool) {
        if let Outgoing::Compressed(encoder) = &mut self.outgoing {
            encoder.set_uncompressed(on);
        }
    }

    /// Sends what the peer needs to read everything written, and cuts the stream inside a block; nothing is written afterwards.
    pub(crate) fn break_off(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        let broken = self.outgoing(|encoder| encoder.break_off(wire, now));
        if matches!(self.outgoing, Outgoing::Plain(_)) {
            self.outgoing = Outgoing::Ended;
        }
        broken
    }

    /// Ends the outgoing stream; what is written next passes unchanged. Does nothing without a stream.
    pub(crate) fn end_stream(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason> {
        match &self.outgoing {
            Outgoing::Compressed(encoder) if !encoder.ended() => {}
            _ => return Ok(()),
        }
        self.outgoing(|encoder| encoder.finish(wire))?;
        if let Outgoing::Compressed(encoder) = &self.outgoing {
            let passed = encoder.passed();
            encoder.count(self.past.get_or_insert_default());
            self.outgoing = Outgoing::Plain(passed);
        }
        Ok(())
    }

    /// The counts so far.
    pub(crate) fn stats(&self) -> CompressionStats {
        let mut stats = self.past.as_deref().cloned().unwrap_or_default();
        self.count_incoming(&mut stats);
        if let Outgoing::Compressed(encoder) = &self.outgoing {
            encoder.count(&mut stats);
        }
        stats
    }

    /// Whether input is delivered unchanged.
    pub(crate) const fn passes_plain(&self) -> bool {
        matches!(self.incoming, Incoming::Direct(_) | Incoming::PlainAgain(_) | Incoming::Sniff(_))
    }

    /// Whether either direction is, or was, compressed.
    #[cfg(feature = "tls")]
    pub(crate) const fn is_on(&self) -> bool {
        !matches!(self.incoming, Incoming::Direct(_) | Incoming::Sniff(_)) || !matches!(self.outgoing, Outgoing::Plain(_))
    }

    /// Whether the layer has no state and nothing to do, so that a new one could take its place.
    pub(crate) const fn is_spent(&self) -> bool {
        let passes = matches!((&self.incoming, &self.outgoing), (Incoming::Direct(_), Outgoing::Plain(_)));
        passes && self.limits.is_none() && self.past.is_none()
    }

    /// What is held back because an announcement may begin with it.
    #[cfg(any(feature = "tls", test))]
    pub(crate) fn held_back(&self) -> &[u8] {
        match &self.incoming {
            Incoming::Sniff(sniffer) => sniffer.held(),
            _ => &[],
        }
    }

    /// Restarts the hold-back time of bytes that are due: the rest of the announcement may have arrived without being read yet.
    pub(crate) fn hold_on(&mut self, now: Duration) {
        if let Incoming::Sniff(sniffer) = &mut self.incoming {
            sniffer.hold_on(now);
        }
    }

    /// Frees the decoder, since no more input is wanted.
    pub(crate) fn drop_input(&mut self) {
        if matches!(self.incoming, Incoming::Compressed(_)) {
            self.replace_incoming(Incoming::Direct(0));
        }
    }

    /// Takes the bytes that followed the end of the incoming stream when that was an error.
    pub(crate) fn take_trailing(&mut self) -> Vec<u8> {
        if let Incoming::Failed(failed) = &mut self.incoming { std::mem::take(&mut failed.1) } else { Vec::new() }
    }

    /// Whether the peer's last stream was announced: the peer is then Torsade.
    const fn peer_announced(&self) -> bool {
        match &self.incoming {
            Incoming::Compressed(decoder) | Incoming::Ended(decoder) | Incoming::PlainAgain(decoder) => decoder.announced(),
            Incoming::Direct(_) | Incoming::Failed(_) | Incoming::Sniff(_) => false,
        }
    }

    fn count_incoming(&self, stats: &mut CompressionStats) {
        if let Incoming::Compressed(decoder) | Incoming::Ended(decoder) | Incoming::PlainAgain(decoder) = &self.incoming {
            decoder.count(stats);
        }
    }

    /// Replaces the state of the incoming direction, and keeps its counts.
    fn replace_incoming(&mut self, incoming: Incoming) {
        let mut past = self.past.take().unwrap_or_default();
        self.count_incoming(&mut past);
        self.past = Some(past);
        self.incoming = incoming;
    }

    fn outgoing(&mut self, work: impl FnOnce(&mut Encoder) -> Result<(), Failure>) -> Result<(), Reason> {
        match &mut self.outgoing {
            Outgoing::Compressed(encoder) => work(encoder).map_err(Reason::CompressFailed),
            Outgoing::Ended | Outgoing::Plain(_) => Ok(()),
        }
    }
}

impl Layer for CompressionLayer {
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        if let Outgoing::Plain(passed) = &mut self.outgoing {
            *passed += plain.len() as u64;
            wire.extend_from_slice(plain);
        }
        self.outgoing(|encoder| encoder.write(plain, wire, now))
    }

    fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        self.outgoing(|encoder| encoder.turn_ends(wire, now))
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason> {
        if matches!(self.outgoing, Outgoing::Plain(_)) {
            self.outgoing = Outgoing::Ended;
        }
        self.outgoing(|encoder| encoder.finish(wire))
    }

    fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Result<LayerRead, Reason> {
        match &self.incoming {
            Incoming::Sniff(_) => self.sniff(wire, plain, room, work, now),
            Incoming::Compressed(_) => self.decode(wire, plain, room, work, now),
            Incoming::Direct(_) | Incoming::Ended(_) | Incoming::PlainAgain(_) => self.after_end(wire, plain, room),
            Incoming::Failed(failed) => Err(Reason::Decompress(failed.0.clone())),
        }
    }

    fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<(), Reason> {
        match &mut self.incoming {
            Incoming::Sniff(sniffer) => {
                sniffer.give_up(plain);
                Ok(())
            }
            Incoming::Compressed(decoder) => match decoder.read_end() {
                Ok(()) => Ok(()),
                Err(kind) => {
                    let error = decoder.error(kind);
                    Err(self.fail(error, Vec::new()))
                }
            },
            Incoming::Direct(_) | Incoming::Ended(_) | Incoming::PlainAgain(_) => Ok(()),
            Incoming::Failed(failed) => Err(Reason::Decompress(failed.0.clone())),
        }
    }

    fn reads_directly(&self) -> bool {
        match &self.incoming {
            Incoming::Direct(_) => true,
            Incoming::PlainAgain(decoder) => !decoder.carries(),
            _ => false,
        }
    }

    fn deadline(&self) -> Option<Duration> {
        let hold = match &self.incoming {
            Incoming::Sniff(sniffer) => sniffer.deadline(),
            // It ends now, not with the peer's next byte.
            Incoming::Compressed(decoder) if decoder.gave_way() => Some(Duration::ZERO),
            _ => None,
        };
        let outgoing = match &self.outgoing {
            Outgoing::Compressed(encoder) => encoder.deadline(),
            Outgoing::Ended | Outgoing::Plain(_) => None,
        };
        [hold, outgoing].into_iter().flatten().min()
    }

    fn expire(&mut self, wire: &mut Vec<u8>, plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        match &mut self.incoming {
            Incoming::Sniff(sniffer) if sniffer.deadline().is_some_and(|at| at <= now) => {
                sniffer.give_up(plain);
                self.rest();
            }
            Incoming::Compressed(decoder) if decoder.gave_way() => {
                let error = decoder.error(decoder.too_much_memory());
                return Err(self.fail(error, Vec::new()));
            }
            _ => {}
        }
        self.outgoing(|encoder| encoder.expire(wire, now))
    }
}
