//! Deflate streams, bare or in a container whose header and trailer we read ourselves, so that each error has a name.

use flate2::{Decompress, FlushDecompress, Status};
use torsade_protocols::{DecompressErrorKind as Kind, Decompression, Format};

use super::gzip_header::GzipHeader;
use super::{Outcome, Step};
use crate::compression::checksum::Checksum;

/// The least a call is given to write into: smaller pieces cost more than they save.
const PIECE: usize = 4 << 10;

pub(super) struct InflateDecoder {
    checksum: Checksum,
    stage: Stage,
}

enum Stage {
    Body(Decompress),
    Ended,
    Gzip(GzipHeader),
    Trailer {
        seen: [u8; 8],
        len: usize,
    },
    /// The first byte of a zlib header, once it is there.
    Zlib(Option<u8>),
}

impl InflateDecoder {
    pub(super) fn new(options: &Decompression) -> Self {
        let stage = match options.format {
            Format::Deflate => Stage::Zlib(None),
            Format::Gzip => Stage::Gzip(GzipHeader::new(options.max_skipped)),
            _ => Stage::Body(Decompress::new(false)),
        };
        Self { checksum: Checksum::new(options.format), stage }
    }

    pub(super) const fn is_at_magic(&self) -> bool {
        match &self.stage {
            Stage::Gzip(header) => header.seen() < 2,
            Stage::Zlib(_) => true,
            _ => false,
        }
    }

    pub(super) fn step(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize) -> Step {
        let limit = plain.len().saturating_add(room);
        let mut taken = 0;
        loop {
            let rest = &wire[taken..];
            let (used, outcome) = match &mut self.stage {
                Stage::Body(inflate) => {
                    let before = plain.len();
                    let result = inflate_into(inflate, rest, plain, limit);
                    self.checksum.update(&plain[before..]);
                    result
                }
                Stage::Gzip(header) => header.read(rest),
                Stage::Zlib(first) => read_zlib_header(first, rest),
                Stage::Trailer { seen, len } => read_trailer(&self.checksum, seen, len, rest),
                Stage::Ended => (0, Ok(Outcome::End)),
            };
            taken += used;
            if outcome != Ok(Outcome::End) || matches!(self.stage, Stage::Ended) {
                return Step { outcome, taken };
            }
            self.stage = match self.stage {
                Stage::Gzip(_) | Stage::Zlib(_) => Stage::Body(Decompress::new(false)),
                Stage::Body(_) => Stage::Trailer { seen: [0; 8], len: 0 },
                Stage::Trailer { .. } | Stage::Ended => Stage::Ended,
            };
        }
    }
}

/// RFC 1950, 2.2.
fn read_zlib_header(first: &mut Option<u8>, wire: &[u8]) -> (usize, Result<Outcome, Kind>) {
    let mut taken = 0;
    for &flags in wire {
        let Some(method) = *first else {
            // Deflate, in a window of at most 32 KiB.
            if flags & 0x0f != 8 || flags >> 4 > 7 {
                return (taken, Err(Kind::Header));
            }
            *first = Some(flags);
            taken += 1;
            continue;
        };
        if u16::from_be_bytes([method, flags]) % 31 != 0 {
            return (taken, Err(Kind::Header));
        }
        if flags & 0x20 != 0 {
            return (taken, Err(Kind::NeedDictionary));
        }
        return (taken + 1, Ok(Outcome::End));
    }
    (taken, Ok(Outcome::Hungry))
}

fn read_trailer(checksum: &Checksum, seen: &mut [u8; 8], len: &mut usize, wire: &[u8]) -> (usize, Result<Outcome, Kind>) {
    let (wanted, wanted_len) = checksum.trailer();
    let used = wire.len().min(wanted_len - *len);
    seen[*len..*len + used].copy_from_slice(&wire[..used]);
    *len += used;
    // The checksum is judged as soon as it is whole, as zlib does: gzip's length behind it may be cut off.
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

/// Inflates until the input is used up, `plain` is as long as `limit`, or the stream ends.
fn inflate_into(inflate: &mut Decompress, wire: &[u8], plain: &mut Vec<u8>, limit: usize) -> (usize, Result<Outcome, Kind>) {
    let mut taken = 0;
    loop {
        let room = limit - plain.len();
        if room == 0 {
            return (taken, Ok(Outcome::Full));
        }
        let rest = &wire[taken..];
        let (before_in, before) = (inflate.total_in(), plain.len());
        let (status, offered) = inflate_once(inflate, rest, plain, room);
        let used = (inflate.total_in() - before_in) as usize; // at most `rest.len()`
        let made = plain.len() - before;
        taken += used;
        match status {
            Err(kind) => return (taken, Err(kind)),
            Ok(Status::StreamEnd) => return (taken, Ok(Outcome::End)),
            // Room was left over, so there is nothing more in there.
            Ok(_) if made < offered && used == rest.len() => return (taken, Ok(Outcome::Hungry)),
            Ok(_) if made == 0 && used == 0 => return (taken, Err(Kind::Data)), // it would spin
            Ok(_) => {}
        }
    }
}

/// One call of the codec. Says how much room it was given.
fn inflate_once(inflate: &mut Decompress, wire: &[u8], plain: &mut Vec<u8>, room: usize) -> (Result<Status, Kind>, usize) {
    let wanted = room.min((4 * wire.len()).max(PIECE));
    if plain.capacity() == plain.len() {
        plain.reserve_exact(wanted);
    }
    let spare = plain.capacity() - plain.len();
    let (status, offered) = if spare <= room {
        (inflate.decompress_vec(wire, plain, FlushDecompress::None), spare)
    } else {
        // The buffer has more room than we may use, and only initialised bytes can be cut to size.
        let (start, total) = (plain.len(), inflate.total_out());
        plain.resize(start + wanted, 0);
        let status = inflate.decompress(wire, &mut plain[start..], FlushDecompress::None);
        let made = (inflate.total_out() - total) as usize; // at most `wanted`
        plain.truncate(start + made);
        (status, wanted)
    };
    (status.map_err(|_| Kind::Data), offered)
}
