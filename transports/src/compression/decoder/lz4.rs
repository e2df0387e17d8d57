//! LZ4 frames, read block by block: a block is decoded once it is complete, and output as there is room.

use std::borrow::Cow;
use std::hash::Hasher;

use lz4_flex::block::{DecompressError, decompress_into, decompress_into_with_dict};
use torsade_protocols::spi::{Work, weight};
use torsade_protocols::{DecompressErrorKind as Kind, Decompression};
use twox_hash::XxHash32;

use super::dictionaries::Known;
use super::{Codec, Decoded, Dictionaries, Outcome};
use crate::compression::checksum::{lz4_header_sum, xxh32};

const MAGIC: u32 = 0x184d_2204;
/// The magic number of the legacy format, which has neither options nor an end: blocks follow until something else does.
const LEGACY_MAGIC: u32 = 0x184c_2102;
/// The most plain bytes in a block of the legacy format.
const LEGACY_BLOCK: usize = 8 << 20;
/// The first of sixteen magic numbers of skippable frames.
const SKIPPABLE: u32 = 0x184d_2a50;
/// Linked blocks refer at most this far back.
const WINDOW: usize = 64 << 10;
/// Set in a block's size when the block is not compressed.
const UNCOMPRESSED: u32 = 1 << 31;
/// The most plain bytes per compressed byte: a length byte of 255 stands for as many.
const MAX_RATIO: usize = 255;

/// A decoder of LZ4 frames; [`Part`] says what comes next.
///
/// It holds at most one incomplete block, the window that blocks may refer to, and one decoded block: each is bounded
/// by the frame's block size, which was checked against the limits when the header was read.
pub(super) struct Lz4Decoder {
    /// The bytes of the present part, if it did not arrive at once.
    collected: Vec<u8>,
    checksum: XxHash32,
    dictionaries: Dictionaries,
    /// The dictionary of the frame.
    dictionary: Option<Known>,
    frame: Frame,
    /// Bytes of `window` that were output.
    given: usize,
    max_skipped: u64,
    max_window: u64,
    part: Part,
    total: u64,
    /// What linked blocks may refer to, followed by what was decoded last.
    window: Vec<u8>,
}

/// What the frame's header said.
#[derive(Clone, Copy, Default)]
struct Frame {
    /// The output of earlier frames: only a legacy frame is followed by another one in the same decoder.
    before: u64,
    block_checksums: bool,
    content_checksum: bool,
    content_size: Option<u64>,
    legacy: bool,
    linked: bool,
    max_block: usize,
}

/// The part of a frame that comes next.
#[derive(Clone, Copy)]
enum Part {
    /// How much of it is needed: the first bytes say how long it is.
    Header {
        wanted: usize,
    },
    Skip {
        left: u64,
    },
    BlockSize,
    Block {
        len: usize,
        compressed: bool,
    },
    ContentChecksum,
    /// The size of a legacy block, or the next frame's magic number.
    LegacySize,
    Ended,
}

impl Lz4Decoder {
    pub(super) fn new(options: &Decompression, dictionaries: &Dictionaries) -> Self {
        Self {
            collected: Vec::new(),
            checksum: XxHash32::with_seed(0),
            dictionaries: dictionaries.clone(),
            dictionary: None,
            frame: Frame::default(),
            given: 0,
            max_skipped: options.max_skipped,
            max_window: options.max_window,
            part: Part::Header { wanted: 4 },
            total: 0,
            window: Vec::new(),
        }
    }

    /// The work that the next part may cost: blocks are decoded whole.
    fn cost(&self) -> u64 {
        match self.part {
            Part::Block { len, compressed: true } => weight::LZ4_PLAIN * self.most(len) as u64,
            _ => weight::LZ4_PIECE,
        }
    }

    /// The most output of a block of `len` bytes.
    fn most(&self, len: usize) -> usize {
        self.frame.max_block.min(len.saturating_mul(MAX_RATIO))
    }

    /// Takes bytes of the next part, and reads it once it is complete.
    fn take(&mut self, wire: &[u8]) -> (usize, Result<(), Kind>) {
        if let Part::Skip { left } = &mut self.part {
            let used = wire.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= used as u64;
            if *left == 0 {
                self.part = Part::Header { wanted: 4 };
            }
            return (used, Ok(()));
        }
        let wanted = match self.part {
            Part::Header { wanted } => wanted,
            Part::Block { len, .. } => len + if self.frame.block_checksums { 4 } else { 0 },
            _ => 4,
        };
        if self.collected.is_empty() && wire.len() >= wanted {
            return (wanted, self.read_part(&wire[..wanted])); // the usual case: nothing is copied
        }
        let used = wire.len().min(wanted - self.collected.len());
        self.collected.extend_from_slice(&wire[..used]);
        if self.collected.len() < wanted {
            return (used, Ok(()));
        }
        let mut piece = std::mem::take(&mut self.collected);
        let read = self.read_part(&piece);
        if let Part::Header { wanted: longer } = self.part
            && longer > wanted
        {
            self.collected = piece; // the header continues
        } else if piece.capacity() <= WINDOW {
            piece.clear();
            self.collected = piece;
        }
        (used, read)
    }

    fn read_part(&mut self, piece: &[u8]) -> Result<(), Kind> {
        match self.part {
            Part::Header { .. } => self.header(piece),
            Part::BlockSize => self.block_size(u32_at(piece, 0)),
            Part::LegacySize => self.legacy_size(piece),
            Part::Block { len, compressed } => {
                let (block, sum) = piece.split_at(len);
                if self.frame.block_checksums && xxh32(block) != u32_at(sum, 0) {
                    return Err(Kind::Checksum);
                }
                self.part = if self.frame.legacy { Part::LegacySize } else { Part::BlockSize };
                self.decode(block, compressed)
            }
            Part::ContentChecksum => {
                self.part = Part::Ended;
                if u32_at(piece, 0) == self.checksum.finish_32() { Ok(()) } else { Err(Kind::Checksum) }
            }
            Part::Ended | Part::Skip { .. } => Ok(()),
        }
    }

    fn header(&mut self, bytes: &[u8]) -> Result<(), Kind> {
        let magic = u32_at(bytes, 0);
        if magic & !0xf == SKIPPABLE {
            return self.skippable(bytes);
        }
        if magic == LEGACY_MAGIC {
            return self.legacy_frame();
        }
        if magic != MAGIC {
            return Err(Kind::Header);
        }
        let Some((&[flags, blocks], _)) = bytes[4..].split_first_chunk::<2>() else {
            return self.wants(bytes, 6);
        };
        // Version 1, the reserved bits zero, a block size of 4 to 7.
        if flags >> 6 != 1 || flags & 0x02 != 0 || blocks & 0x8f != 0 || blocks < 0x40 {
            return Err(Kind::Header);
        }
        let (has_size, has_dictionary) = (flags & 0x08 != 0, flags & 0x01 != 0);
        let wanted = 7 + if has_size { 8 } else { 0 } + if has_dictionary { 4 } else { 0 };
        if bytes.len() < wanted {
            return self.wants(bytes, wanted);
        }
        if lz4_header_sum(&bytes[4..wanted - 1]) != bytes[wanted - 1] {
            return Err(Kind::Header);
        }
        let id = has_dictionary.then(|| u32_at(bytes, wanted - 5));
        self.dictionary = self.dictionaries.find(id)?.cloned();
        let max_block = 1usize << (8 + 2 * (blocks >> 4)); // 64 KiB to 4 MiB
        if max_block as u64 > self.max_window {
            return Err(Kind::Window { asked: max_block as u64, max: self.max_window });
        }
        self.frame = Frame {
            before: self.total,
            block_checksums: flags & 0x10 != 0,
            content_checksum: flags & 0x04 != 0,
            content_size: has_size.then(|| u64::from(u32_at(bytes, 6)) | u64::from(u32_at(bytes, 10)) << 32),
            legacy: false,
            linked: flags & 0x20 == 0,
            max_block,
        };
        // All of it was output when the last frame ended, and the blocks of this frame do not refer to it.
        self.window.clear();
        self.given = 0;
        self.part = Part::BlockSize;
        Ok(())
    }

    fn legacy_frame(&mut self) -> Result<(), Kind> {
        if LEGACY_BLOCK as u64 > self.max_window {
            return Err(Kind::Window { asked: LEGACY_BLOCK as u64, max: self.max_window });
        }
        self.dictionary = None;
        self.frame = Frame { legacy: true, max_block: LEGACY_BLOCK, ..Frame::default() };
        self.part = Part::LegacySize;
        Ok(())
    }

    fn legacy_size(&mut self, bytes: &[u8]) -> Result<(), Kind> {
        let size = u32_at(bytes, 0);
        if matches!(size, MAGIC | LEGACY_MAGIC) || size & !0xf == SKIPPABLE {
            self.part = Part::Header { wanted: 4 };
            return self.header(bytes);
        }
        let len = size as usize;
        // Incompressible data grows by a byte per 255, and a few.
        if len > LEGACY_BLOCK + LEGACY_BLOCK / 255 + 16 {
            return Err(Kind::Data);
        }
        self.part = Part::Block { len, compressed: true };
        Ok(())
    }

    /// Asks for more bytes of the header, and keeps those that are here.
    fn wants(&mut self, bytes: &[u8], wanted: usize) -> Result<(), Kind> {
        self.part = Part::Header { wanted };
        if self.collected.is_empty() {
            self.collected.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn skippable(&mut self, bytes: &[u8]) -> Result<(), Kind> {
        if bytes.len() < 8 {
            return self.wants(bytes, 8);
        }
        let len = u64::from(u32_at(bytes, 4));
        if len > self.max_skipped {
            return Err(Kind::Skipped { max: self.max_skipped });
        }
        self.part = if len > 0 { Part::Skip { left: len } } else { Part::Header { wanted: 4 } };
        Ok(())
    }

    fn block_size(&mut self, size: u32) -> Result<(), Kind> {
        let len = (size & !UNCOMPRESSED) as usize;
        if size == 0 {
            if self.frame.content_size.is_some_and(|wanted| wanted != self.total - self.frame.before) {
                return Err(Kind::Length);
            }
            self.part = if self.frame.content_checksum { Part::ContentChecksum } else { Part::Ended };
        } else if len > self.frame.max_block {
            return Err(Kind::Data);
        } else if len > 0 || self.frame.block_checksums {
            self.part = Part::Block { len, compressed: size & UNCOMPRESSED == 0 };
        }
        // An empty uncompressed block, of which the announcement has three, changes nothing.
        Ok(())
    }

    fn decode(&mut self, block: &[u8], compressed: bool) -> Result<(), Kind> {
        self.slide();
        let start = self.window.len();
        if compressed {
            let most = self.most(block.len());
            // At first only the room that a block usually takes: room costs time and memory.
            let mut room = most.min((4 * block.len()).max(WINDOW));
            let made = loop {
                self.window.resize(start + room, 0);
                let (before, into) = self.window.split_at_mut(start);
                let own = if self.frame.linked { &before[start.saturating_sub(WINDOW)..] } else { &[] };
                let known = known(self.dictionary.as_ref(), own);
                let made =
                    if known.is_empty() { decompress_into(block, into) } else { decompress_into_with_dict(block, into, &known) };
                match made {
                    Err(DecompressError::OutputTooSmall { .. }) if room < most => room = most.min(4 * room),
                    made => break made,
                }
            };
            self.window.truncate(start + made.as_ref().map_or(0, |made| *made));
            made.map_err(|_| Kind::Data)?;
        } else {
            self.window.extend_from_slice(block);
        }
        let decoded = &self.window[start..];
        self.total += decoded.len() as u64;
        if self.frame.content_checksum {
            self.checksum.write(decoded);
        }
        Ok(())
    }

    /// Drops what no block can refer to any more, once it is at least as long as the part that blocks can refer to.
    fn slide(&mut self) {
        let keep = if self.frame.linked { WINDOW } else { 0 };
        if self.window.len() >= 2 * WINDOW || keep == 0 {
            self.window.drain(..self.window.len().saturating_sub(keep));
            self.window.shrink_to(3 * WINDOW);
            self.given = self.window.len();
        }
    }
}

impl Codec for Lz4Decoder {
    fn is_between(&self) -> bool {
        self.is_at_magic() && self.collected.is_empty()
    }

    fn ends_here(&self) -> bool {
        matches!(self.part, Part::LegacySize) && self.collected.is_empty()
    }

    fn is_at_magic(&self) -> bool {
        matches!(self.part, Part::Header { wanted: 4 })
    }

    fn memory(&self) -> usize {
        self.collected.capacity() + self.window.capacity()
    }

    /// The bytes of an incomplete block, including its size.
    fn unfinished(&self) -> u64 {
        let size = if matches!(self.part, Part::Block { .. }) { 4 } else { 0 };
        size + self.collected.len() as u64
    }

    fn stops_at_flush(&mut self) -> bool {
        matches!(self.part, Part::BlockSize | Part::LegacySize | Part::Header { wanted: 4 }) && self.collected.is_empty()
    }

    fn decode(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Decoded {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            let room = limit - plain.len();
            let ready = &self.window[self.given..];
            let gives = ready.len().min(room);
            plain.extend_from_slice(&ready[..gives]);
            self.given += gives;
            if self.given == self.window.len() && self.window.capacity() > 3 * WINDOW {
                self.slide(); // a large block is not kept while the stream is idle
            }
            if gives == room {
                return (taken, Ok(Outcome::Full));
            }
            if matches!(self.part, Part::Ended) {
                return (taken, Ok(Outcome::End));
            }
            let rest = &wire[taken..];
            if rest.is_empty() {
                return (taken, Ok(Outcome::Hungry));
            }
            if !work.allows(self.cost()) {
                return (taken, Ok(Outcome::Full));
            }
            let before = self.total;
            let joins = self.dictionary.is_some() && self.window.len() < WINDOW;
            let (used, result) = self.take(rest);
            if joins && self.total > before {
                work.spend(WINDOW as u64 / weight::DICTIONARY_BYTES);
            }
            work.spend(weight::LZ4_PIECE + weight::LZ4 * used as u64 + weight::LZ4_PLAIN * (self.total - before));
            taken += used;
            if let Err(kind) = result {
                return (taken, Err(kind));
            }
        }
    }
}

/// What a block may refer to: the frame's `own` last bytes, and before them as much of the dictionary as a block can reach.
///
/// They are joined for each block, so that an idle connection has no copy of its dictionary.
fn known<'a>(dictionary: Option<&'a Known>, own: &'a [u8]) -> Cow<'a, [u8]> {
    match dictionary {
        Some(dictionary) if own.is_empty() => Cow::Borrowed(dictionary.latest(WINDOW)),
        Some(dictionary) if own.len() < WINDOW => Cow::Owned([dictionary.latest(WINDOW - own.len()), own].concat()),
        _ => Cow::Borrowed(own),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_le_bytes(*word))
}
