//! Zstandard frames, RFC 8878. We read frame headers ourselves, to check the window against the limits before it is allocated.

use torsade_protocols::spi::{Work, weight};
use torsade_protocols::{DecompressErrorKind as Kind, Decompression};
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode as Code;
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, is_error_kind};

use super::{Codec, Decoded, Dictionaries, Outcome};

/// The largest window that the codec supports on every machine.
const MAX_WINDOW: u64 = 1 << 30;
/// The smallest output buffer of a call.
const PIECE: usize = 4 << 10;
/// The size of the codec's buffers that it keeps for following frames, in bytes, even if they need less.
const KEPT: usize = 256 << 10;
/// The most that a block can be, RFC 8878, 3.1.1.2.4, with its header.
const MAX_BLOCK: u64 = (128 << 10) + BLOCK_HEADER as u64;
/// The length of a block's header, RFC 8878, 3.1.1.2.
const BLOCK_HEADER: usize = 3;
const MAGIC: u32 = 0xfd2f_b528;
/// The first of sixteen magic numbers of skippable frames, RFC 8878, 3.1.2.
const SKIPPABLE: u32 = 0x184d_2a50;

self_cell::self_cell!(
    /// The codec, which refers to a dictionary for as long as a frame needs it.
    struct Context {
        owner: Dictionaries,
        #[covariant]
        dependent: DCtx,
    }
);

/// A decoder of Zstandard frames; [`Part`] says what comes next. The codec allocates no more than the allowed window.
pub(super) struct ZstdDecoder {
    context: Context,
    /// The codec has output everything that its input so far can give.
    drained: bool,
    /// The header as far as it has arrived: 18 bytes at most.
    header: Vec<u8>,
    max_skipped: u64,
    max_window: u64,
    part: Part,
    /// The codec's memory without its buffers, in bytes.
    bare: usize,
    /// How much of its buffers (a block and the window) has been written to: the system provides memory only as it is used.
    touched: usize,
    /// Plain bytes of this frame so far.
    given: usize,
    /// How much input the codec last asked for.
    wanted: usize,
}

/// The part of the stream that comes next.
enum Part {
    Header,
    Skip { left: u64 },
    Body,
}

/// A complete header.
enum Header {
    Frame { window: u64, dictionary: Option<u32> },
    NeedsMore,
    Skippable { len: u64 },
}

impl ZstdDecoder {
    pub(super) fn new(options: &Decompression, dictionaries: &Dictionaries) -> Result<Self, Kind> {
        // We check the exact limit; the codec's own limit, a power of two, must not be below it.
        let max_window = options.max_window.min(MAX_WINDOW);
        let context = context(dictionaries.clone(), max_window)?;
        Ok(Self {
            bare: context.borrow_dependent().sizeof(),
            context,
            drained: false,
            header: Vec::new(),
            max_skipped: options.max_skipped,
            max_window,
            part: Part::Header,
            touched: 0,
            given: 0,
            wanted: 0,
        })
    }

    fn read_header(&mut self, wire: &[u8]) -> (usize, Result<Option<Outcome>, Kind>) {
        for (at, &byte) in wire.iter().enumerate() {
            self.header.push(byte);
            match parse(&self.header) {
                Ok(Header::NeedsMore) => {}
                Ok(Header::Skippable { len }) => {
                    if len > self.max_skipped {
                        return (at + 1, Err(Kind::Skipped { max: self.max_skipped }));
                    }
                    self.header.clear();
                    if len > 0 {
                        self.part = Part::Skip { left: len };
                    }
                    return (at + 1, Ok(None));
                }
                Ok(Header::Frame { window: asked, dictionary }) => {
                    if asked > self.max_window {
                        return (at + 1, Err(Kind::Window { asked, max: self.max_window }));
                    }
                    return (at + 1, self.begin_frame(asked, dictionary).map(|()| None));
                }
                Err(kind) => return (at, Err(kind)),
            }
        }
        (wire.len(), Ok(Some(Outcome::Hungry)))
    }

    fn begin_frame(&mut self, window: u64, dictionary: Option<u32>) -> Result<(), Kind> {
        let kept = self.memory().saturating_sub(self.bare);
        if kept > KEPT && window < kept as u64 / 4 {
            self.context = context(self.context.borrow_owner().clone(), self.max_window)?;
            self.touched = 0;
        }
        self.given = 0;
        self.context.with_dependent_mut(|dictionaries, context| {
            match dictionaries.find(dictionary)?.and_then(|known| known.digest()) {
                Some(digest) => context.ref_ddict(digest).map_err(kind),
                None => context.disable_dictionary().map_err(kind),
            }
        })?;
        let header = std::mem::take(&mut self.header);
        let mut input = InBuffer::around(&header);
        let mut output = OutBuffer::around(&mut [][..]);
        self.wanted = self.decompress(&mut output, &mut input).map_err(kind)?;
        if input.pos() != header.len() {
            return Err(Kind::Header);
        }
        self.part = Part::Body;
        self.drained = true;
        Ok(())
    }

    /// Feeds the codec in portions that end where blocks do, and only once it has no more output: a call that
    /// fails discards its output, which must not include that of earlier valid blocks.
    fn read_body(&mut self, wire: &[u8], plain: &mut Vec<u8>, limit: usize, work: &Work) -> Decoded {
        let (mut taken, mut filled) = (0, plain.len());
        let outcome = loop {
            if self.drained && taken == wire.len() {
                // Not called without input: after 16 calls without progress the codec reports an error.
                break Ok(Outcome::Hungry);
            }
            if filled == limit || !work.is_left() {
                break Ok(Outcome::Full);
            }
            let portion = if self.drained { self.portion().min(wire.len() - taken) } else { 0 };
            if filled == plain.len() {
                // The codec writes only to initialised bytes. What it holds back may well fill all the room.
                let wanted = if self.drained { (4 * portion).max(PIECE) } else { limit - filled };
                plain.resize(limit.min(filled + wanted), 0);
            }
            let mut input = InBuffer::around(&wire[taken..taken + portion]);
            let mut output = OutBuffer::around_pos(&mut plain[..], filled);
            let result = self.decompress(&mut output, &mut input);
            let (used, made) = (input.pos(), output.pos() - filled);
            taken += used;
            filled += made;
            self.record_memory(used, made);
            work.spend(weight::ZSTD_CALL + (weight::ZSTD * used as u64).min(weight::ZSTD_BLOCK) + weight::PLAIN * made as u64);
            match result {
                Err(code) => break Err(kind(code)),
                Ok(0) => break Ok(Outcome::End),
                Ok(_) if portion > 0 && used + made == 0 => break Err(Kind::Data), // it would spin
                Ok(wanted) => self.wanted = wanted,
            }
            // If room was left over, the codec has no more output.
            self.drained = filled < plain.len();
        };
        plain.truncate(filled);
        (taken, outcome)
    }

    fn decompress(&mut self, output: &mut OutBuffer<'_, [u8]>, input: &mut InBuffer<'_>) -> Result<usize, usize> {
        self.context.with_dependent_mut(|_, context| context.decompress_stream(output, input))
    }

    /// Counts input and output, which the codec's buffers also hold.
    fn record_memory(&mut self, used: usize, made: usize) {
        self.given = self.given.saturating_add(made);
        self.touched = self.touched.max(self.given.saturating_add(used)); // not shrunk by another frame
    }

    /// The most input of one call that ends where a block ends: the codec asks for a block and the three bytes of the
    /// next block's header, or only for the last block, a header or the checksum.
    fn portion(&self) -> usize {
        if self.wanted > BLOCK_HEADER { self.wanted - BLOCK_HEADER } else { self.wanted }
    }
}

impl Codec for ZstdDecoder {
    /// After the end of a frame the codec is ready for the next one.
    fn restart(&mut self) -> bool {
        self.part = Part::Header;
        true
    }

    fn is_between(&self) -> bool {
        matches!(self.part, Part::Header) && self.header.is_empty()
    }

    fn is_at_magic(&self) -> bool {
        matches!(self.part, Part::Header) && self.header.len() <= 4
    }

    fn memory(&self) -> usize {
        self.context.borrow_dependent().sizeof().min(self.bare.saturating_add(self.touched))
    }

    /// Up to a block: the codec may have taken in most of one.
    fn unfinished(&self) -> u64 {
        if matches!(self.part, Part::Body) { MAX_BLOCK } else { 0 }
    }

    fn stops_at_flush(&mut self) -> bool {
        match self.part {
            Part::Header => self.header.is_empty(),
            Part::Skip { .. } => false,
            Part::Body => {
                // After a whole block it needs the header of the next, and accepts an empty last block; then it may
                // still need the checksum, in 4 bytes.
                let mut room = [0; 16];
                let (mut input, mut output) = (InBuffer::around(&[1, 0, 0]), OutBuffer::around(&mut room[..]));
                let left = self.decompress(&mut output, &mut input);
                self.wanted == BLOCK_HEADER && matches!(left, Ok(0 | 4)) && output.pos() == 0
            }
        }
    }

    fn decode(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Decoded {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            if !work.is_left() {
                return (taken, Ok(Outcome::Full));
            }
            let rest = &wire[taken..];
            let (used, outcome) = match &mut self.part {
                Part::Header => {
                    let result = self.read_header(rest);
                    work.spend(weight::ZSTD_HEADER * result.0 as u64);
                    if matches!(self.part, Part::Body) {
                        work.spend(weight::ZSTD_FRAME);
                    }
                    result
                }
                Part::Skip { left } => {
                    let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= used as u64;
                    if *left == 0 {
                        self.part = Part::Header;
                    }
                    (used, Ok(None))
                }
                Part::Body => {
                    let (used, outcome) = self.read_body(rest, plain, limit, work);
                    (used, outcome.map(Some))
                }
            };
            taken += used;
            match outcome {
                Ok(Some(outcome)) => return (taken, Ok(outcome)),
                Ok(None) if taken == wire.len() && !matches!(self.part, Part::Body) => return (taken, Ok(Outcome::Hungry)),
                Ok(None) => {}
                Err(kind) => return (taken, Err(kind)),
            }
        }
    }
}

/// A codec for windows of at most `max_window`.
fn context(dictionaries: Dictionaries, max_window: u64) -> Result<Context, Kind> {
    let log = max_window.max(1 << 10).next_power_of_two().ilog2();
    Context::try_new(dictionaries, |_| {
        let mut context = DCtx::try_create().ok_or(Kind::Data)?;
        context.set_parameter(DParameter::WindowLogMax(log)).map_err(kind)?;
        Ok(context)
    })
}

/// RFC 8878, 3.1.1.1 and 3.1.2.
fn parse(bytes: &[u8]) -> Result<Header, Kind> {
    let Some((magic, rest)) = bytes.split_first_chunk::<4>() else {
        let known = |magic: u32| magic.to_le_bytes().starts_with(bytes);
        let skippable = (0..16).any(|low| known(SKIPPABLE | low));
        return if known(MAGIC) || skippable { Ok(Header::NeedsMore) } else { Err(Kind::Header) };
    };
    let magic = u32::from_le_bytes(*magic);
    if magic & !0xf == SKIPPABLE {
        return Ok(rest
            .first_chunk::<4>()
            .map_or(Header::NeedsMore, |len| Header::Skippable { len: u64::from(u32::from_le_bytes(*len)) }));
    }
    if magic != MAGIC {
        return Err(Kind::Header);
    }
    let Some((&descriptor, fields)) = rest.split_first() else {
        return Ok(Header::NeedsMore);
    };
    if descriptor & 0x08 != 0 {
        return Err(Kind::Header); // the reserved bit
    }
    let single_segment = descriptor & 0x20 != 0;
    let window_len = usize::from(!single_segment);
    let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_len = [usize::from(single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
    if fields.len() < window_len + dictionary_len + size_len {
        return Ok(Header::NeedsMore);
    }
    let (window, fields) = fields.split_at(window_len);
    let (dictionary, size) = fields.split_at(dictionary_len);
    let id = little_endian(dictionary) as u32; // of 4 bytes at most
    let window = match window.first() {
        Some(&byte) => {
            let base = 1u64 << (10 + (byte >> 3));
            base + base / 8 * u64::from(byte & 7)
        }
        None => little_endian(size) + if size.len() == 2 { 256 } else { 0 },
    };
    Ok(Header::Frame { window, dictionary: (id != 0).then_some(id) })
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

fn kind(code: usize) -> Kind {
    let is = |wanted| is_error_kind(code, wanted);
    if is(Code::ZSTD_error_checksum_wrong) {
        Kind::Checksum
    } else if is(Code::ZSTD_error_prefix_unknown) || is(Code::ZSTD_error_frameParameter_unsupported) {
        Kind::Header
    } else {
        Kind::Data
    }
}
