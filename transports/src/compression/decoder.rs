//! The incoming stream: decoded in bounded pieces, within limits that are the same for every format.

mod dictionaries;
mod gzip_header;
mod inflate;
#[cfg(feature = "lz4")]
mod lz4;
mod zlib_header;
#[cfg(feature = "zstd")]
mod zstd;

use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{AfterEnd, CompressionStats, DecompressError, DecompressErrorKind, Decompression, Format, Truncation};

pub(super) use dictionaries::Dictionaries;
use inflate::InflateDecoder;

use super::decoder_memory::{DecoderMemory, Share};

/// The most that one call decodes, even if the caller has more room: codecs allocate all the room that they are given.
const PIECE: usize = 64 << 10;

/// Why a codec returned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The stream has ended. Bytes that were not taken belong to what follows.
    End,
    /// The room or the work was used up: there may be more output without new input.
    Full,
    /// All input was taken, and all of its output was appended.
    Hungry,
}

/// How many bytes of the input a codec took, and why it returned.
pub(super) type Decoded = (usize, Result<Outcome, DecompressErrorKind>);

/// One incoming stream, or several in a row.
///
/// Guaranteed for every format and every way of cutting the input: no call appends more than `room` bytes or does much more
/// than the given work; memory is checked against the limits, and counted in the memory of all decoders, before
/// more is allocated; and what was decoded before an error is delivered. So nothing that a peer sends costs more than the
/// limits allow.
pub(super) struct Decoder {
    announced: bool,
    dictionaries: Dictionaries,
    /// Bytes that came before it was known that they are compressed. They are decoded first.
    carried: Vec<u8>,
    /// Plain bytes that were output.
    given: u64,
    /// Bytes after its end that were dropped.
    dropped: u64,
    /// Its share of the memory of all decoders, with the codec; no codec before the first byte of a stream, since codecs are
    /// large.
    share: Share,
    options: Decompression,
    /// Bytes taken since the last plain byte was output.
    skipped: u64,
    /// Streams that have ended.
    streams: u64,
    taken: u64,
}

/// The decoder of one format: made at the first byte of a stream, dropped after its last.
pub(super) trait Codec {
    /// Takes input and appends at most `room` bytes to `plain`, until `work` is used up.
    fn decode(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Decoded;

    /// Makes it ready for another stream; false if making a new codec is as cheap.
    fn restart(&mut self) -> bool {
        false
    }

    /// Whether it has taken whole frames, and no byte of another one.
    fn is_between(&self) -> bool {
        false
    }

    /// Whether the stream is complete if nothing more comes: for a format without an end of its own.
    fn ends_here(&self) -> bool {
        false
    }

    /// Whether it is still within the bytes that identify the format.
    fn is_at_magic(&self) -> bool;

    /// How much memory it holds, in bytes.
    fn memory(&self) -> usize;

    /// How many of the bytes taken may still give output: those of an unfinished block or member.
    fn unfinished(&self) -> u64;

    /// Whether the stream stops where a sender has flushed: after a whole block, so that nothing written is missing. Called when
    /// the input has ended; the codec cannot be used afterwards.
    fn stops_at_flush(&mut self) -> bool;
}

impl Decoder {
    /// A decoder that first reads `carried`, bytes that were held back.
    pub(super) const fn new(
        options: Decompression,
        dictionaries: Dictionaries,
        announced: bool,
        carried: Vec<u8>,
        share: Share,
    ) -> Self {
        Self { announced, carried, dictionaries, dropped: 0, given: 0, options, share, skipped: 0, streams: 0, taken: 0 }
    }

    pub(super) const fn format(&self) -> Format {
        self.options.format
    }

    pub(super) const fn announced(&self) -> bool {
        self.announced
    }

    pub(super) const fn after_end(&self) -> AfterEnd {
        self.options.after_end
    }

    /// Takes input and appends at most `room` bytes to `plain`, until `work` is used up.
    pub(super) fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Decoded {
        if self.share.gave_way() {
            return (0, Err(self.share.too_much()));
        }
        if !self.carries() {
            return self.read_streams(wire, plain, room, work, now);
        }
        let limit = plain.len().saturating_add(room);
        let mut carried = std::mem::take(&mut self.carried);
        let (taken, outcome) = self.read_streams(&carried, plain, room, work, now);
        carried.drain(..taken);
        if !carried.is_empty() {
            self.carried = carried;
        }
        if outcome != Ok(Outcome::Hungry) {
            return (0, outcome);
        }
        self.read_streams(wire, plain, limit - plain.len(), work, now)
    }

    /// Whether its codec was dropped to free memory for others: it can then only fail.
    pub(super) fn gave_way(&self) -> bool {
        self.share.gave_way()
    }

    pub(super) fn too_much_memory(&self) -> DecompressErrorKind {
        self.share.too_much()
    }

    /// Like [`read`](Self::read), without a limit on work, for decoders outside of a connection; removes what it has read from
    /// `wire`.
    pub(super) fn read_from(&mut self, wire: &mut &[u8], plain: &mut Vec<u8>, room: usize) -> Result<Outcome, DecompressError> {
        let (work, limit) = (Work::unlimited(), plain.len().saturating_add(room));
        loop {
            let room = (limit - plain.len()).min(PIECE);
            let (taken, outcome) = self.read(wire, plain, room, &work, self.share.now());
            *wire = &wire[taken..];
            match outcome {
                Ok(Outcome::Full) if plain.len() < limit => {}
                outcome => return outcome.map_err(|kind| self.error(kind)),
            }
        }
    }

    /// Whether bytes that came earlier are still to be decoded.
    pub(super) const fn carries(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Moves at most `room` of the earlier bytes that follow the stream's end; returns how many.
    pub(super) fn take_carried(&mut self, room: usize, to: &mut Vec<u8>) -> usize {
        let moved = self.carried.len().min(room);
        to.extend(self.carried.drain(..moved));
        moved
    }

    /// Counts what it will hold in `memory`.
    pub(super) fn count_in(&mut self, memory: &Rc<DecoderMemory>) {
        self.share = Share::new(memory);
    }

    /// Starts counting anew, as for another stream, although what follows may refer to what came before.
    pub(super) const fn restart_count(&mut self) {
        (self.given, self.skipped, self.taken) = (0, 0, 0);
    }

    /// Drops and counts `bytes` bytes after the end, and the carried ones.
    pub(super) fn drop_trailing(&mut self, bytes: usize) {
        self.dropped += (std::mem::take(&mut self.carried).len() + bytes) as u64;
    }

    /// Handles the end of the input: an error if it may not end here.
    pub(super) fn read_end(&self) -> Result<(), DecompressErrorKind> {
        if self.gave_way() {
            return Err(self.share.too_much());
        }
        if self.is_between() {
            return Ok(());
        }
        let allowed = match self.options.truncation {
            Truncation::Allow => true,
            Truncation::Error => false,
            // A Torsade peer ends its stream in every close without a fault, so this stream was cut off.
            _ if self.announced => false,
            _ => self.share.codec().borrow_mut().as_mut().is_none_or(|codec| codec.stops_at_flush()),
        };
        if allowed { Ok(()) } else { Err(DecompressErrorKind::Truncated) }
    }

    /// The error, with the place in the stream at which it happened.
    pub(super) const fn error(&self, kind: DecompressErrorKind) -> DecompressError {
        DecompressError::new(self.options.format, kind, self.taken, self.given)
    }

    /// Adds this stream's counts.
    pub(super) fn count(&self, stats: &mut CompressionStats) {
        stats.detected = self.announced;
        stats.dropped_in += self.dropped;
        stats.format_in = Some(self.options.format);
        stats.plain_in += self.given;
        stats.stream_ended = self.is_between();
        stats.wire_in += self.taken;
    }

    /// Whether a stream has ended and no other has begun; frames to be skipped may have followed.
    fn is_between(&self) -> bool {
        match &*self.share.codec().borrow() {
            Some(codec) => codec.ends_here() || self.streams > 0 && codec.is_between(),
            None => self.streams > 0 && !self.gave_way(),
        }
    }

    fn read_streams(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Decoded {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            if let Err(kind) = self.skip_padding(wire, &mut taken) {
                return (taken, Err(kind));
            }
            let (used, outcome) = self.read_one(&wire[taken..], plain, limit - plain.len(), work, now);
            taken += used;
            if outcome != Ok(Outcome::End) {
                return (taken, outcome);
            }
            self.streams += 1;
            // A codec is large, and not kept for a stream that may never come. But if the next stream is already here, the codec
            // is reused: there may be many short streams.
            let another = matches!(self.options.after_end, AfterEnd::NextStream | AfterEnd::Padded);
            let next = another && taken < wire.len();
            if !(next && self.share.codec().borrow_mut().as_mut().is_some_and(|codec| codec.restart())) {
                self.share.clear();
            }
            if !another {
                return (taken, outcome);
            }
            if taken == wire.len() {
                return (taken, Ok(Outcome::Hungry));
            }
        }
    }

    /// Skips zeros after a stream, if they are allowed.
    fn skip_padding(&mut self, wire: &[u8], taken: &mut usize) -> Result<(), DecompressErrorKind> {
        let begun = || self.share.codec().borrow().as_ref().is_some_and(|codec| !codec.is_between());
        if self.options.after_end != AfterEnd::Padded || self.streams == 0 || begun() {
            return Ok(());
        }
        let zeros = wire[*taken..].iter().take_while(|byte| **byte == 0).count();
        *taken += zeros;
        self.taken += zeros as u64;
        self.skipped += zeros as u64;
        let max = self.options.max_skipped;
        if self.skipped > max { Err(DecompressErrorKind::Skipped { max }) } else { Ok(()) }
    }

    /// Calls the codec once and checks the result against the limits.
    fn read_one(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Decoded {
        let mut held = self.share.codec().borrow_mut();
        let begun_before = held.as_ref().is_some_and(|codec| !codec.is_between());
        let codec = match &mut *held {
            Some(codec) => codec,
            None if wire.is_empty() => return (0, Ok(Outcome::Hungry)),
            none => match codec(&self.options, &self.dictionaries) {
                Ok(codec) => none.insert(codec),
                Err(kind) => return (0, Err(kind)),
            },
        };
        let before = plain.len();
        // One byte more than allowed, to find out whether there is one.
        let left = self.options.max_total.map(|max| (max - self.given).saturating_add(1));
        let room = left.map_or(room, |left| room.min(usize::try_from(left).unwrap_or(usize::MAX)));
        let (mut taken, mut outcome) = codec.decode(wire, plain, room, work);
        if self.streams > 0 && outcome == Err(DecompressErrorKind::Header) && codec.is_at_magic() {
            // Not a damaged stream, but none at all. Only what was taken before this was known counts as taken.
            outcome = Err(DecompressErrorKind::TrailingData);
            taken = if begun_before { taken } else { 0 };
            *held = None;
        }
        let unfinished = held.as_ref().map_or(0, |codec| codec.unfinished());
        drop(held);
        self.taken += taken as u64;
        let given = (plain.len() - before) as u64;
        self.given += given;
        self.skipped = if given > 0 { 0 } else { self.skipped + taken as u64 };
        let within = self.check_limits(plain, unfinished);
        let fits = self.share.note(taken as u64, self.taken, now);
        (taken, within.and(fits).and(outcome))
    }

    fn check_limits(&mut self, plain: &mut Vec<u8>, unfinished: u64) -> Result<(), DecompressErrorKind> {
        let max = self.options.max_skipped;
        if self.skipped.saturating_sub(unfinished) > max {
            return Err(DecompressErrorKind::Skipped { max });
        }
        if let Some(max) = self.options.max_total
            && self.given > max
        {
            plain.pop(); // the byte too many; everything up to the limit is delivered
            self.given = max;
            return Err(DecompressErrorKind::LimitTotal { max });
        }
        if let Some((max, after)) = self.options.max_ratio
            && self.given > after
            && self.given > self.taken.saturating_mul(u64::from(max))
        {
            return Err(DecompressErrorKind::LimitRatio { max });
        }
        Ok(())
    }
}

fn codec(options: &Decompression, dictionaries: &Dictionaries) -> Result<Box<dyn Codec>, DecompressErrorKind> {
    if let Some(feature) = super::missing_feature(options.format) {
        return Err(DecompressErrorKind::NotBuilt { feature });
    }
    Ok(match options.format {
        #[cfg(feature = "lz4")]
        Format::Lz4 => Box::new(lz4::Lz4Decoder::new(options, dictionaries)),
        #[cfg(feature = "zstd")]
        Format::Zstd => Box::new(zstd::ZstdDecoder::new(options, dictionaries)?),
        _ => Box::new(InflateDecoder::new(options, dictionaries)?),
    })
}
