//! The incoming stream: decoded in bounded pieces, within limits that are the same for every format.

mod gzip_header;
mod inflate;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "zstd")]
mod zstd;

use std::rc::Rc;

use torsade_protocols::spi::Work;
use torsade_protocols::{AfterEnd, CompressionStats, DecompressError, DecompressErrorKind, Decompression, Format, Truncation};

use inflate::InflateDecoder;

use super::decoder_memory::{DecoderMemory, Share};

/// Where a decoder stands after a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The stream is over. Bytes not taken belong to whatever follows.
    End,
    /// The room or the work was used up: there may be more without new input.
    Full,
    /// All input was taken, and all it gave was appended.
    Hungry,
}

/// What one call of a codec did.
pub(super) struct Step {
    pub(super) outcome: Result<Outcome, DecompressErrorKind>,
    pub(super) taken: usize,
}

/// One incoming stream, or several in a row.
pub(super) struct Decoder {
    announced: bool,
    /// Bytes that came before it was clear that they are compressed.
    carried: Vec<u8>,
    /// None before the first byte and between two streams: codecs are large.
    codec: Option<Codec>,
    given: u64,
    /// What it counts for in the memory of all decoders.
    memory: Share,
    options: Decompression,
    /// Bytes taken since something was given.
    skipped: u64,
    /// Streams that have ended.
    streams: u64,
    taken: u64,
}

enum Codec {
    Inflate(InflateDecoder),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Lz4Decoder),
    #[cfg(feature = "zstd")]
    Zstd(zstd::ZstdDecoder),
}

impl Decoder {
    /// A decoder that first reads `carried`, bytes that were held back before.
    pub(super) fn new(options: Decompression, announced: bool, carried: Vec<u8>, memory: &Rc<DecoderMemory>) -> Self {
        let memory = Share::new(Rc::clone(memory));
        Self { announced, carried, codec: None, given: 0, memory, options, skipped: 0, streams: 0, taken: 0 }
    }

    pub(super) const fn format(&self) -> Format {
        self.options.format
    }

    pub(super) const fn after_end(&self) -> AfterEnd {
        self.options.after_end
    }

    /// Takes input and appends at most `room` bytes to `plain`, for which it does what is left of `work`. Says how much of
    /// `wire` it took.
    pub(super) fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Step {
        if !self.carries() {
            return self.read_streams(wire, plain, room, work);
        }
        let limit = plain.len().saturating_add(room);
        let mut carried = std::mem::take(&mut self.carried);
        let Step { outcome, taken } = self.read_streams(&carried, plain, room, work);
        carried.drain(..taken);
        if !carried.is_empty() {
            self.carried = carried;
        }
        if outcome != Ok(Outcome::Hungry) {
            return Step { outcome, taken: 0 };
        }
        self.read_streams(wire, plain, limit - plain.len(), work)
    }

    /// Whether bytes that came earlier still wait to be read.
    pub(super) const fn carries(&self) -> bool {
        !self.carried.is_empty()
    }

    /// Moves at most `room` bytes that came earlier and follow the stream's end; says how many.
    pub(super) fn take_carried(&mut self, room: usize, to: &mut Vec<u8>) -> usize {
        let moved = self.carried.len().min(room);
        to.extend(self.carried.drain(..moved));
        moved
    }

    /// The input has ended. Says whether that may be.
    pub(super) fn read_end(&self) -> Result<(), DecompressErrorKind> {
        let allowed = match self.options.truncation {
            Truncation::Allow => true,
            Truncation::Error => false,
            // A torsade peer ends its streams on every orderly close, so this was none.
            _ => !self.announced,
        };
        if self.is_between() || allowed { Ok(()) } else { Err(DecompressErrorKind::Truncated) }
    }

    /// Dresses an error up with the place it happened at.
    pub(super) const fn error(&self, kind: DecompressErrorKind) -> DecompressError {
        DecompressError::new(self.options.format, kind, self.taken, self.given)
    }

    /// Adds this stream's counts.
    pub(super) fn count(&self, stats: &mut CompressionStats) {
        stats.detected = self.announced;
        stats.format_in = Some(self.options.format);
        stats.plain_in += self.given;
        stats.stream_ended = self.is_between();
        stats.wire_in += self.taken;
    }

    /// A stream has ended, and no other one has begun; skipped frames may have followed.
    fn is_between(&self) -> bool {
        self.streams > 0 && self.codec.as_ref().is_none_or(Codec::is_between)
    }

    fn read_streams(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Step {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            let step = self.read_one(&wire[taken..], plain, limit - plain.len(), work);
            taken += step.taken;
            if step.outcome != Ok(Outcome::End) {
                return Step { outcome: step.outcome, taken };
            }
            self.streams += 1;
            // Codecs are large, and not kept for a stream that may never come. But one that is here already may be short,
            // and the next one, too.
            let next = self.options.after_end == AfterEnd::NextStream && taken < wire.len();
            if !(next && self.codec.as_mut().is_some_and(Codec::restart)) {
                self.codec = None;
                // Less than before.
                self.count_memory().ok();
            }
            if self.options.after_end != AfterEnd::NextStream {
                return Step { outcome: step.outcome, taken };
            }
            if taken == wire.len() {
                return Step { outcome: Ok(Outcome::Hungry), taken };
            }
        }
    }

    /// Calls the codec once and holds the result against the limits.
    fn read_one(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Step {
        let begun_before = self.codec.as_ref().is_some_and(|codec| !codec.is_between());
        let codec = match &mut self.codec {
            Some(codec) => codec,
            None if wire.is_empty() => {
                return Step { outcome: Ok(Outcome::Hungry), taken: 0 };
            }
            none => match Codec::new(&self.options) {
                Ok(codec) => none.insert(codec),
                Err(kind) => {
                    return Step { outcome: Err(kind), taken: 0 };
                }
            },
        };
        let before = plain.len();
        // One byte more than allowed, to see whether there is one.
        let left = self.options.max_total.map(|max| (max - self.given).saturating_add(1));
        let room = left.map_or(room, |left| room.min(usize::try_from(left).unwrap_or(usize::MAX)));
        let mut step = codec.step(wire, plain, room, work);
        if self.streams > 0 && step.outcome == Err(DecompressErrorKind::Header) && codec.is_at_magic() {
            // Not a damaged stream, but no stream at all: none of it was taken, unless it was before this was clear.
            step = Step { outcome: Err(DecompressErrorKind::TrailingData), taken: if begun_before { step.taken } else { 0 } };
            self.codec = None;
        }
        self.taken += step.taken as u64;
        let given = (plain.len() - before) as u64;
        self.given += given;
        self.skipped = if given > 0 { 0 } else { self.skipped + step.taken as u64 };
        if let Err(kind) = self.check_limits(plain).and_then(|()| self.count_memory()) {
            step.outcome = Err(kind);
        }
        step
    }

    fn count_memory(&mut self) -> Result<(), DecompressErrorKind> {
        let bytes = self.codec.as_ref().map_or(0, Codec::memory);
        self.memory.resize(bytes).map_err(|max| DecompressErrorKind::Memory { max: max as u64 })
    }

    fn check_limits(&mut self, plain: &mut Vec<u8>) -> Result<(), DecompressErrorKind> {
        let max = self.options.max_skipped;
        let unfinished = self.codec.as_ref().map_or(0, Codec::unfinished);
        if self.skipped.saturating_sub(unfinished) > max {
            return Err(DecompressErrorKind::Skipped { max });
        }
        if let Some(max) = self.options.max_total
            && self.given > max
        {
            plain.pop(); // the one byte more; everything up to the limit is delivered
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

impl Codec {
    fn new(options: &Decompression) -> Result<Self, DecompressErrorKind> {
        if let Some(feature) = super::missing_feature(options.format) {
            return Err(DecompressErrorKind::NotBuilt { feature });
        }
        match options.format {
            #[cfg(feature = "lz4")]
            Format::Lz4 => Ok(Self::Lz4(lz4::Lz4Decoder::new(options))),
            #[cfg(feature = "zstd")]
            Format::Zstd => zstd::ZstdDecoder::new(options).map(Self::Zstd),
            _ => Ok(Self::Inflate(InflateDecoder::new(options))),
        }
    }

    fn step(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Step {
        match self {
            Self::Inflate(inflate) => inflate.step(wire, plain, room, work),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.step(wire, plain, room, work),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.step(wire, plain, room, work),
        }
    }

    /// Makes it ready for another stream; false where making a new one is as cheap.
    fn restart(&mut self) -> bool {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => {
                zstd.restart();
                true
            }
            _ => false,
        }
    }

    /// Whether it has taken whole frames, and no byte of another one.
    const fn is_between(&self) -> bool {
        match self {
            // It is made when a byte is there, and gone when its stream is over.
            Self::Inflate(_) => false,
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.is_between(),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.is_between(),
        }
    }

    /// How much memory it holds, in bytes.
    const fn memory(&self) -> usize {
        match self {
            Self::Inflate(inflate) => inflate.memory(),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.memory(),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.memory(),
        }
    }

    /// How many of the bytes it has taken may yet give something: they are of a block or a member that goes on.
    const fn unfinished(&self) -> u64 {
        match self {
            Self::Inflate(inflate) => inflate.unfinished(),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.unfinished(),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.unfinished(),
        }
    }

    /// Whether it has not got past the bytes that name the format.
    fn is_at_magic(&self) -> bool {
        match self {
            Self::Inflate(inflate) => inflate.is_at_magic(),
            #[cfg(feature = "lz4")]
            Self::Lz4(lz4) => lz4.is_at_magic(),
            #[cfg(feature = "zstd")]
            Self::Zstd(zstd) => zstd.is_at_magic(),
        }
    }
}
