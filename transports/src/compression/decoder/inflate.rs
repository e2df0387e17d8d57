//! Deflate streams: raw, or in zlib or gzip, whose header and trailer we read ourselves so that each error has a name.

use torsade_protocols::spi::{Work, weight};
use torsade_protocols::{DecompressErrorKind as Kind, Decompression, Format};
use zlib_rs::{Inflate, InflateFlush, Status};

use super::gzip_header::GzipHeader;
use super::zlib_header::ZlibHeader;
use super::{Codec, Decoded, Dictionaries, Outcome};
use crate::compression::checksum::Checksum;

/// The smallest and the largest output buffer of a call at first. Smaller pieces cost more than they save; larger ones are
/// only for streams that fill them.
const LEAST: usize = 512;
const PIECE: usize = 8 << 10;

/// How much of a gzip header is read before the next check for work left.
const HEADER_PIECE: usize = 4 << 10;

/// The memory of a body's decoder, in bytes, including its window of 32 KiB.
const MEMORY: usize = 48 << 10;
/// Its memory while the window is empty, in bytes: the system provides memory only as it is used.
const BARE: usize = 20 << 10;

/// An empty last block with fixed codes, RFC 1951, 3.2.6.
const EMPTY_LAST_BLOCK: [u8; 2] = [3, 0];

/// The base-two logarithm of deflate's largest window.
const WINDOW_BITS: u8 = 15;

/// A stream of deflate, zlib or gzip: header (none in raw deflate), body, trailer (likewise), end.
pub(super) struct InflateDecoder {
    checksum: Checksum,
    dictionaries: Dictionaries,
    /// The length of the gzip header, which may be long.
    header: u64,
    /// A stream without a zlib header is raw.
    or_raw: bool,
    part: Part,
}

/// The part of the stream that the next byte belongs to.
enum Part {
    Gzip(GzipHeader),
    Zlib(ZlibHeader),
    Body(Inflate),
    Trailer { seen: [u8; 8], len: usize },
    Ended,
}

impl InflateDecoder {
    pub(super) fn new(options: &Decompression, dictionaries: &Dictionaries) -> Result<Self, Kind> {
        let part = match options.format {
            Format::Deflate => Part::Zlib(ZlibHeader::default()),
            Format::Gzip => Part::Gzip(GzipHeader::new(options.max_skipped)),
            _ => Part::Body(body(dictionaries, None)?),
        };
        Ok(Self {
            checksum: Checksum::new(options.format),
            dictionaries: dictionaries.clone(),
            header: 0,
            or_raw: options.or_raw,
            part,
        })
    }
}

impl Codec for InflateDecoder {
    fn is_at_magic(&self) -> bool {
        match &self.part {
            Part::Gzip(header) => header.seen() < 2,
            Part::Zlib(_) => true,
            _ => false,
        }
    }

    fn memory(&self) -> usize {
        match &self.part {
            Part::Body(_) if !self.dictionaries.is_empty() => MEMORY,
            Part::Body(inflate) => MEMORY.min(BARE.saturating_add(usize::try_from(inflate.total_out()).unwrap_or(MEMORY))),
            _ => 0,
        }
    }

    /// The bytes of the header: a member with a long header does not count as empty before its end.
    fn unfinished(&self) -> u64 {
        match &self.part {
            Part::Gzip(header) => header.seen(),
            Part::Body(_) => self.header,
            _ => 0,
        }
    }

    fn stops_at_flush(&mut self) -> bool {
        let Part::Body(inflate) = &mut self.part else { return false };
        // After a block that ends on a byte boundary, as the block of a flush does, it accepts an empty last block and outputs
        // nothing.
        let mut out = [0; 16];
        let given = inflate.total_out();
        let status = inflate.decompress(&EMPTY_LAST_BLOCK, &mut out, InflateFlush::NoFlush);
        matches!(status, Ok(Status::StreamEnd)) && inflate.total_out() == given
    }

    fn decode(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work) -> Decoded {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            if !work.is_left() && !matches!(self.part, Part::Ended) {
                return (taken, Ok(Outcome::Full));
            }
            let rest = &wire[taken..];
            let (used, outcome) = match &mut self.part {
                Part::Body(inflate) => {
                    let before = plain.len();
                    let result = inflate_into(inflate, rest, plain, limit, work);
                    self.checksum.update(&plain[before..]);
                    result
                }
                Part::Gzip(header) => {
                    let (used, outcome) = header.read(&rest[..rest.len().min(HEADER_PIECE)]);
                    work.spend(weight::GZIP_HEADER * used as u64);
                    self.header = header.seen();
                    if outcome == Ok(Outcome::Hungry) && used < rest.len() {
                        taken += used;
                        continue;
                    }
                    (used, outcome)
                }
                Part::Zlib(header) => match header.read(rest) {
                    (used, Err(Kind::Header)) if self.or_raw => match raw_body(&self.dictionaries, header.before(used)) {
                        Ok(body) => {
                            self.checksum = Checksum::new(Format::DeflateRaw);
                            self.part = Part::Body(body);
                            continue;
                        }
                        Err(kind) => (0, Err(kind)),
                    },
                    read => read,
                },
                Part::Trailer { seen, len } => read_trailer(&self.checksum, seen, len, rest),
                Part::Ended => (0, Ok(Outcome::End)),
            };
            taken += used;
            if outcome != Ok(Outcome::End) || matches!(self.part, Part::Ended) {
                return (taken, outcome);
            }
            let dictionary = if let Part::Zlib(header) = &self.part { header.dictionary() } else { None };
            self.part = match self.part {
                Part::Gzip(_) | Part::Zlib(_) => {
                    work.spend(weight::DEFLATE_STREAM);
                    if dictionary.is_some() {
                        work.spend((1 << WINDOW_BITS) / weight::DICTIONARY_BYTES);
                    }
                    match body(&self.dictionaries, dictionary) {
                        Ok(body) => Part::Body(body),
                        Err(kind) => return (taken, Err(kind)),
                    }
                }
                Part::Body(_) => Part::Trailer { seen: [0; 8], len: 0 },
                Part::Trailer { .. } | Part::Ended => Part::Ended,
            };
        }
    }
}

fn read_trailer(checksum: &Checksum, seen: &mut [u8; 8], len: &mut usize, wire: &[u8]) -> Decoded {
    let (wanted, wanted_len) = checksum.trailer();
    let used = wire.len().min(wanted_len - *len);
    seen[*len..*len + used].copy_from_slice(&wire[..used]);
    *len += used;
    // As in zlib, the checksum is checked as soon as it is complete: gzip's length, which follows it, may be cut off.
    let outcome = if *len >= 4 && seen[..4] != wanted[..4] {
        Err(Kind::Checksum)
    } else if *len < wanted_len {
        Ok(Outcome::Hungry)
    } else if seen[4..] != wanted[4..] {
        Err(Kind::Length)
    } else {
        Ok(Outcome::End)
    };
    (used, outcome)
}

/// A decoder of raw deflate, with the dictionary that the header names; without an id, the agreed one.
fn body(dictionaries: &Dictionaries, id: Option<u32>) -> Result<Inflate, Kind> {
    let mut inflate = Inflate::new(false, WINDOW_BITS);
    if let Some(dictionary) = dictionaries.find(id)? {
        inflate.set_dictionary(dictionary.latest(1 << WINDOW_BITS)).map_err(|_| Kind::Data)?;
    }
    Ok(inflate)
}

/// A decoder of raw deflate that has taken the first byte of the stream, if it is no longer in the input.
///
/// The byte could have begun a zlib header, so its low bits begin a stored block, and it gives no output.
fn raw_body(dictionaries: &Dictionaries, first: &[u8]) -> Result<Inflate, Kind> {
    let mut inflate = body(dictionaries, None)?;
    if !first.is_empty() {
        // A stored block has begun; nothing can be wrong with it yet.
        inflate.decompress(first, &mut [], InflateFlush::NoFlush).ok();
    }
    Ok(inflate)
}

/// Inflates until the input or the work is used up, `plain` is as long as `limit`, or the stream ends.
///
/// Each call of the codec stops at the end of a block, so that blocks can be counted: a block costs more than its size
/// suggests.
fn inflate_into(inflate: &mut Inflate, wire: &[u8], plain: &mut Vec<u8>, limit: usize, work: &Work) -> Decoded {
    let (start, mut filled, mut taken) = (plain.len(), plain.len(), 0);
    // After a call that filled the buffer, the next call may only pass the end of a block, without a byte in or out. So only two
    // such calls in a row mean that there is no more.
    let mut settled = false;
    let outcome = loop {
        if !work.is_left() {
            break Ok(Outcome::Full);
        }
        let rest = &wire[taken..];
        if filled == plain.len() {
            // The codec writes only to initialised bytes: few at first, since the stream may be short.
            let wanted = (4 * rest.len()).clamp(LEAST, PIECE).max(3 * (filled - start));
            plain.resize(limit.min(filled + wanted), 0);
        }
        let (total_in, total_out) = (inflate.total_in(), inflate.total_out());
        let status = inflate.decompress(rest, &mut plain[filled..], InflateFlush::Block);
        // At most the lengths of `rest` and the room, so the casts fit.
        let (used, made) = ((inflate.total_in() - total_in) as usize, (inflate.total_out() - total_out) as usize);
        taken += used;
        filled += made;
        work.spend((weight::DEFLATE * used as u64).min(weight::DEFLATE_BLOCK) + weight::PLAIN * made as u64);
        match status {
            Err(_) => break Err(Kind::Data),
            Ok(Status::StreamEnd) => break Ok(Outcome::End),
            Ok(_) if used + made > 0 => settled = filled < plain.len(),
            Ok(_) if !settled => settled = true,
            // Checked only now: the end of the stream needs no room.
            Ok(_) if filled == limit => break Ok(Outcome::Full),
            Ok(_) if rest.is_empty() => break Ok(Outcome::Hungry),
            Ok(_) => break Err(Kind::Data), // it would spin
        }
    };
    plain.truncate(filled);
    (taken, outcome)
}
