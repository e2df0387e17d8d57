//! The header of a zlib stream, RFC 1950, 2.2, read byte by byte: it may be cut anywhere.

use torsade_protocols::DecompressErrorKind as Kind;

use super::{Decoded, Outcome};

/// Set in the second byte when the dictionary's id follows.
const FDICT: u8 = 1 << 5;

/// A header that is being read: two bytes, and four if there is a dictionary.
#[derive(Default)]
pub(super) struct ZlibHeader {
    seen: [u8; 6],
    len: usize,
}

impl ZlibHeader {
    /// Takes the bytes of the header, and refuses the first that is invalid.
    pub(super) fn read(&mut self, wire: &[u8]) -> Decoded {
        for (at, &byte) in wire.iter().enumerate() {
            let sound = match self.len {
                // Deflate, in a window of at most 32 KiB.
                0 => byte & 0x0f == 8 && byte >> 4 <= 7,
                1 => u16::from_be_bytes([self.seen[0], byte]).is_multiple_of(31),
                _ => true,
            };
            if !sound {
                return (at, Err(Kind::Header));
            }
            self.seen[self.len] = byte;
            self.len += 1;
            let wanted = if self.seen[1] & FDICT == 0 { 2 } else { 6 };
            if self.len == wanted {
                return (at + 1, Ok(Outcome::End));
            }
        }
        (wire.len(), Ok(Outcome::Hungry))
    }

    /// The bytes that were taken before the last `used`.
    pub(super) fn before(&self, used: usize) -> &[u8] {
        &self.seen[..self.len.saturating_sub(used)]
    }

    /// The id of the dictionary, if a whole header names one.
    pub(super) fn dictionary(&self) -> Option<u32> {
        let (_, id) = self.seen.split_last_chunk::<4>()?;
        (self.len == self.seen.len()).then(|| u32::from_be_bytes(*id))
    }
}
