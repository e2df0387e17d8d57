//! The announcement: legal bytes of a compressed stream that only Torsade writes, and that decode to nothing.
//!
//! RFC 1951, 3.2.4, ignores the bits between the header of a stored block and the next byte boundary. At a byte
//! boundary an *empty* stored block is therefore `P << 3, 00, 00, ff, ff` with five free bits P, where every known
//! encoder writes zero. Three such blocks with chosen P are the mark. A mark in mid-stream also states how many plain
//! bytes went before it, in seven blocks of five bits each, so that a copy of it elsewhere does not match.
//! In zstd the free bits are the byte of an RLE block of length zero; lz4 has none, and its mark is three empty blocks.

use std::ops::Range;

use torsade_protocols::Format;

use super::checksum::lz4_header_sum;

/// The longest announcement: gzip in mid-stream.
pub(super) const MAX_LEN: usize = 60;

/// Padding of the mark's three blocks at the start of a connection.
const START: [u8; 3] = [0x14, 0x0a, 0x1b];
/// Padding of the mark's three blocks in mid-stream.
const MID: [u8; 3] = [0x14, 0x0a, 0x1d];
/// The version of the mark in mid-stream, in the three bits above the count.
const VERSION: u64 = 1;

/// [`MID`] as bytes: what to search for in plain bytes.
pub(super) const MID_MARK: [u8; 15] = [0xa0, 0, 0, 0xff, 0xff, 0x50, 0, 0, 0xff, 0xff, 0xe8, 0, 0, 0xff, 0xff];
/// The same for zstd: blocks that spell `Trs1`.
pub(super) const MID_MARK_ZSTD: [u8; 16] = [2, 0, 0, b'T', 2, 0, 0, b'r', 2, 0, 0, b's', 2, 0, 0, b'1'];

const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Version 1, linked blocks, a content checksum and no content size; blocks of at most 64 KiB; header checksum.
pub(super) const LZ4_HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x44, 0x40, 0x5e];
/// The second header byte of zlib for levels 0-1, 2-5, 6 and 7-9.
const ZLIB_FLAGS: [u8; 4] = [0x01, 0x5e, 0x9c, 0xda];
/// The same where the id of a dictionary follows, whatever the level: those of other levels are text, `x ` and `x}`, which
/// a receiver would have to hold back.
const ZLIB_DICTIONARY_FLAGS: u8 = 0xbb;
/// Set in the flags of lz4's header where the id of a dictionary follows.
const LZ4_DICTIONARY: u8 = 1;

/// Where in the plain bytes of its direction a stream begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Position {
    /// Before the first byte.
    Start,
    /// After this many plain bytes, modulo 2^32.
    Mid(u32),
}

impl Position {
    /// The position after `passed` plain bytes.
    pub(super) const fn after(passed: u64) -> Self {
        // Both ends count modulo 2^32, so cutting the upper half off is the rule, not a loss.
        if passed == 0 { Self::Start } else { Self::Mid(passed as u32) }
    }
}

/// What the first bytes of something are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The beginning of an announcement; `sure` if nothing else begins this way, which is known from the mark's first block on.
    Prefix { sure: bool },
    /// Not an announcement.
    Plain,
    /// They start with a whole announcement.
    Whole { format: Format, len: usize },
}

/// Appends the format's header, with the id of a dictionary if it names one; raw deflate has no header.
pub(super) fn write_header(format: Format, level: u32, dictionary: Option<u32>, wire: &mut Vec<u8>) {
    match format {
        Format::Deflate => match dictionary {
            None => wire.extend_from_slice(&[0x78, zlib_flags(level)]),
            Some(id) => {
                wire.extend_from_slice(&[0x78, ZLIB_DICTIONARY_FLAGS]);
                wire.extend_from_slice(&id.to_be_bytes());
            }
        },
        Format::Gzip => wire.extend_from_slice(&GZIP_HEADER),
        Format::Lz4 => write_lz4_header(dictionary, wire),
        // The zstd encoder writes its own, since it chooses the window.
        _ => {}
    }
}

const fn zlib_flags(level: u32) -> u8 {
    let index = match level {
        0..=1 => 0,
        2..=5 => 1,
        6 => 2,
        _ => 3,
    };
    ZLIB_FLAGS[index]
}

fn write_lz4_header(dictionary: Option<u32>, wire: &mut Vec<u8>) {
    let Some(id) = dictionary else { return wire.extend_from_slice(&LZ4_HEADER) };
    wire.extend_from_slice(&LZ4_HEADER[..6]);
    let descriptor = wire.len() - 2;
    wire[descriptor] |= LZ4_DICTIONARY;
    wire.extend_from_slice(&id.to_le_bytes());
    wire.push(lz4_header_sum(&wire[descriptor..]));
}

/// Appends the mark, which follows the format's header.
pub(super) fn write_mark(format: Format, position: Position, wire: &mut Vec<u8>) {
    match format {
        Format::Zstd => write_zstd_mark(position, wire),
        Format::Lz4 => {
            // No free bits, so nothing to carry a count in: in mid-stream lz4 has to be expected.
            if position == Position::Start {
                wire.extend_from_slice(&[0, 0, 0, 0x80].repeat(3));
            }
        }
        _ => {
            let mark = if position == Position::Start { START } else { MID };
            for padding in mark {
                write_empty_block(padding, wire);
            }
            if let Position::Mid(passed) = position {
                let bits = (VERSION << 32) | u64::from(passed);
                for group in 0..7 {
                    write_empty_block((bits >> (5 * group)) as u8 & 0x1f, wire);
                }
            }
        }
    }
}

fn write_empty_block(padding: u8, wire: &mut Vec<u8>) {
    wire.extend_from_slice(&[padding << 3, 0, 0, 0xff, 0xff]);
}

fn write_zstd_mark(position: Position, wire: &mut Vec<u8>) {
    let mut block = |free: u8| wire.extend_from_slice(&[2, 0, 0, free]);
    b"Trs".iter().for_each(|&byte| block(byte));
    match position {
        Position::Start => block(b'0'),
        Position::Mid(passed) => {
            block(b'1');
            block(VERSION as u8);
            passed.to_le_bytes().into_iter().for_each(block);
        }
    }
}

/// Says whether an announcement begins with `bytes`, which were found at `position`.
pub(super) fn recognise(bytes: &[u8], position: Position) -> Verdict {
    let Some(&first) = bytes.first() else {
        return Verdict::Prefix { sure: false };
    };
    let Some(format) = candidate(first, position) else {
        return Verdict::Plain;
    };
    let template = Template::new(format, position, names_dictionary(format, bytes));
    if !template.fits(bytes) {
        Verdict::Plain
    } else if bytes.len() >= template.len {
        Verdict::Whole { format, len: template.len }
    } else {
        Verdict::Prefix { sure: bytes.len() >= template.sure_from }
    }
}

/// The format whose announcement starts with `first`: they all differ there.
fn candidate(first: u8, position: Position) -> Option<Format> {
    match first {
        0x78 => Some(Format::Deflate),
        0xa0 => Some(Format::DeflateRaw),
        0x1f => Some(Format::Gzip),
        0x28 => Some(Format::Zstd),
        0x04 if position == Position::Start => Some(Format::Lz4),
        _ => None,
    }
}

/// Whether the header that begins with `bytes` has the id of a dictionary. Either answer is known after the same number of bytes.
fn names_dictionary(format: Format, bytes: &[u8]) -> bool {
    let has = |at: usize, flag: u8| bytes.get(at).is_some_and(|byte| byte & flag == flag);
    match format {
        Format::Deflate => has(1, 0x20),
        Format::Lz4 => has(4, LZ4_DICTIONARY),
        Format::Zstd => has(4, 0x03),
        _ => false,
    }
}

/// A whole announcement, in which some bytes may vary.
struct Template {
    format: Format,
    bytes: [u8; MAX_LEN],
    /// Where the dictionary's id is; empty without a dictionary.
    id: Range<usize>,
    len: usize,
    /// The length of the header and the mark's first block.
    sure_from: usize,
}

impl Template {
    fn new(format: Format, position: Position, with_dictionary: bool) -> Self {
        let mut written = Vec::with_capacity(MAX_LEN);
        if format == Format::Zstd {
            written.extend_from_slice(&[0x28, 0xb5, 0x2f, 0xfd, 0, 0]);
            written.extend_from_slice(if with_dictionary { &[0; 4] } else { &[] });
        } else {
            write_header(format, 6, with_dictionary.then_some(0), &mut written);
        }
        let id = if format == Format::Deflate { 2 } else { 6 };
        let block = if matches!(format, Format::Zstd | Format::Lz4) { 4 } else { 5 };
        let sure_from = written.len() + block;
        write_mark(format, position, &mut written);
        let mut bytes = [0; MAX_LEN];
        bytes[..written.len()].copy_from_slice(&written);
        Self { format, bytes, id: id..if with_dictionary { id + 4 } else { id }, len: written.len(), sure_from }
    }

    fn fits(&self, bytes: &[u8]) -> bool {
        let pairs = bytes.iter().zip(&self.bytes[..self.len]);
        pairs.enumerate().all(|(at, (&byte, &wanted))| byte == wanted || self.varies(at, byte))
            && (self.format != Format::Lz4 || lz4_header_is_sound(bytes, self.id.end))
    }

    /// Whether `byte` may differ from ours at this place, since another version, level or build of Torsade may write it.
    fn varies(&self, at: usize, byte: u8) -> bool {
        if self.id.contains(&at) {
            return true;
        }
        match (self.format, at) {
            (Format::Deflate, 1) => self.id.is_empty() && ZLIB_FLAGS.contains(&byte),
            (Format::Zstd, 4) => byte & !0x04 == if self.id.is_empty() { 0 } else { 0x03 }, // with a checksum or without
            (Format::Zstd, 5) => true,                                                      // the window
            // Version 1, neither reserved bit, block checksums (empty blocks would have them, too) nor content size.
            (Format::Lz4, 4) => byte & 0b1101_1010 == 0b0100_0000,
            (Format::Lz4, 5) => matches!(byte, 0x40 | 0x50 | 0x60 | 0x70),
            (Format::Lz4, at) => at == self.id.end, // checked against those before it
            _ => false,
        }
    }
}

/// The header's own checksum, as far as it has arrived.
fn lz4_header_is_sound(bytes: &[u8], len: usize) -> bool {
    bytes.get(len).is_none_or(|sum| lz4_header_sum(&bytes[4..len]) == *sum)
}
