//! The header of a gzip member, RFC 1952, 2.3, read byte by byte: it may be cut anywhere.

use flate2::Crc;
use torsade_protocols::DecompressErrorKind as Kind;

use super::{Decoded, Outcome};

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
/// Bits that must be zero: a later version may use them for fields of unknown length.
const RESERVED: u8 = 0b1110_0000;

/// The ten bytes that every header has, and the two of the extra field's length.
const FIXED: u64 = 12;

/// A header that is being read, with a limit on its length: the name and the comment could go on for ever.
pub(super) struct GzipHeader {
    crc: Crc,
    /// Flags of the fields still to come.
    flags: u8,
    field: Field,
    max: u64,
    seen: u64,
}

#[derive(Clone, Copy)]
enum Field {
    Comment,
    Extra { left: u16 },
    ExtraLen { low: Option<u8> },
    Fixed,
    HeaderCrc { low: Option<u8>, sum: u16 },
    Name,
    Over,
}

impl GzipHeader {
    /// A header of at most `max_skipped` bytes beyond [`FIXED`].
    pub(super) fn new(max_skipped: u64) -> Self {
        Self { crc: Crc::new(), flags: 0, field: Field::Fixed, max: max_skipped, seen: 0 }
    }

    /// Bytes taken so far.
    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes bytes until the header ends.
    pub(super) fn read(&mut self, wire: &[u8]) -> Decoded {
        let mut summed = 0;
        for (at, &byte) in wire.iter().enumerate() {
            if let Err(kind) = self.take(byte) {
                return (at, Err(kind));
            }
            // The checksum field follows, and covers every byte before it.
            if let Field::HeaderCrc { low: None, sum } = &mut self.field {
                self.crc.update(&wire[summed..=at]);
                *sum = self.crc.sum() as u16;
                summed = at + 1;
            }
            if matches!(self.field, Field::Over) {
                return (at + 1, Ok(Outcome::End));
            }
        }
        self.crc.update(&wire[summed..]);
        (wire.len(), Ok(Outcome::Hungry))
    }

    fn take(&mut self, byte: u8) -> Result<(), Kind> {
        if self.seen >= self.max.saturating_add(FIXED) {
            return Err(Kind::Skipped { max: self.max });
        }
        match self.field {
            Field::Fixed => self.fixed(byte)?,
            Field::ExtraLen { low: None } => self.field = Field::ExtraLen { low: Some(byte) },
            Field::ExtraLen { low: Some(low) } => {
                let left = u16::from_le_bytes([low, byte]);
                if left == 0 { self.next_field() } else { self.field = Field::Extra { left } }
            }
            Field::Extra { left: 1 } => self.next_field(),
            Field::Extra { left } => self.field = Field::Extra { left: left - 1 },
            Field::Name | Field::Comment => {
                if byte == 0 {
                    self.next_field();
                }
            }
            Field::HeaderCrc { low: None, sum } => self.field = Field::HeaderCrc { low: Some(byte), sum },
            Field::HeaderCrc { low: Some(low), sum } => {
                if u16::from_le_bytes([low, byte]) != sum {
                    return Err(Kind::Header);
                }
                self.field = Field::Over;
            }
            Field::Over => return Ok(()),
        }
        self.seen += 1;
        Ok(())
    }

    fn fixed(&mut self, byte: u8) -> Result<(), Kind> {
        let sound = match self.seen {
            0 => byte == 0x1f,
            1 => byte == 0x8b,
            2 => byte == 8, // deflate
            3 => {
                self.flags = byte;
                byte & RESERVED == 0
            }
            _ => true, // time, extra flags and system do not affect the data
        };
        if !sound {
            return Err(Kind::Header);
        }
        if self.seen == 9 {
            self.next_field();
        }
        Ok(())
    }

    fn next_field(&mut self) {
        let fields = [
            (FEXTRA, Field::ExtraLen { low: None }),
            (FNAME, Field::Name),
            (FCOMMENT, Field::Comment),
            (FHCRC, Field::HeaderCrc { low: None, sum: 0 }),
        ];
        self.field = Field::Over;
        if let Some((flag, field)) = fields.into_iter().find(|(flag, _)| self.flags & flag != 0) {
            self.flags &= !flag;
            self.field = field;
        }
    }
}
