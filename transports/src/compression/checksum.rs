//! Checksums of plain bytes, kept outside of the codecs.

use torsade_protocols::Format;

/// The checksum that a container has of its plain bytes.
pub(super) enum Checksum {
    /// Adler-32 of zlib, RFC 1950.
    Adler(u32),
    /// CRC-32 and length modulo 2^32 of gzip, RFC 1952.
    Crc { sum: u32, length: u32 },
    /// The container has none.
    None,
}

impl Checksum {
    /// The checksum of nothing.
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Deflate => Self::Adler(1),
            Format::Gzip => Self::Crc { sum: 0, length: 0 },
            _ => Self::None,
        }
    }

    /// Adds bytes.
    pub(super) fn update(&mut self, plain: &[u8]) {
        match self {
            Self::Adler(sum) => *sum = zlib_rs::adler32::adler32(*sum, plain),
            Self::Crc { sum, length } => {
                *sum = zlib_rs::crc32::crc32(*sum, plain);
                *length = length.wrapping_add(plain.len() as u32);
            }
            Self::None => {}
        }
    }

    /// The container's trailer, and how many bytes it has.
    pub(super) fn trailer(&self) -> ([u8; 8], usize) {
        let mut trailer = [0; 8];
        let len = match self {
            Self::Adler(sum) => {
                trailer[..4].copy_from_slice(&sum.to_be_bytes());
                4
            }
            Self::Crc { sum, length } => {
                trailer[..4].copy_from_slice(&sum.to_le_bytes());
                trailer[4..].copy_from_slice(&length.to_le_bytes());
                8
            }
            Self::None => 0,
        };
        (trailer, len)
    }
}

/// The checksum byte of an lz4 frame's header: the second byte of the XXH32 of its descriptor.
pub(super) fn lz4_header_sum(descriptor: &[u8]) -> u8 {
    (xxh32(descriptor) >> 8) as u8
}

/// The XXH32 of `bytes`.
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    let mut hash = Xxh32::new();
    hash.update(bytes);
    hash.sum()
}

/// XXH32 with seed 0, the checksum of lz4 frames. That of `lz4_flex` is private.
pub(super) struct Xxh32 {
    lanes: [u32; 4],
    tail: [u8; 16],
    tail_len: usize,
    total: u32,
    long: bool,
}

const PRIMES: [u32; 5] = [0x9e37_79b1, 0x85eb_ca77, 0xc2b2_ae3d, 0x27d4_eb2f, 0x1656_67b1];

impl Xxh32 {
    pub(super) const fn new() -> Self {
        let lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0u32.wrapping_sub(PRIMES[0])];
        Self { lanes, tail: [0; 16], tail_len: 0, total: 0, long: false }
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.total = self.total.wrapping_add(bytes.len() as u32);
        if self.tail_len > 0 {
            let taken = bytes.len().min(16 - self.tail_len);
            self.tail[self.tail_len..self.tail_len + taken].copy_from_slice(&bytes[..taken]);
            self.tail_len += taken;
            bytes = &bytes[taken..];
            if self.tail_len < 16 {
                return;
            }
            let stripe = self.tail;
            self.stripe(&stripe);
            self.tail_len = 0;
        }
        let (stripes, rest) = bytes.as_chunks::<16>();
        for stripe in stripes {
            self.stripe(stripe);
        }
        self.tail[..rest.len()].copy_from_slice(rest);
        self.tail_len = rest.len();
    }

    pub(super) fn sum(&self) -> u32 {
        let [a, b, c, d] = self.lanes;
        let mut hash = if self.long {
            let (a, b) = (a.rotate_left(1), b.rotate_left(7));
            let (c, d) = (c.rotate_left(12), d.rotate_left(18));
            a.wrapping_add(b).wrapping_add(c).wrapping_add(d)
        } else {
            PRIMES[4]
        };
        hash = hash.wrapping_add(self.total);
        let (words, bytes) = self.tail[..self.tail_len].as_chunks::<4>();
        for word in words {
            hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIMES[2]));
            hash = hash.rotate_left(17).wrapping_mul(PRIMES[3]);
        }
        for &byte in bytes {
            hash = hash.wrapping_add(u32::from(byte).wrapping_mul(PRIMES[4]));
            hash = hash.rotate_left(11).wrapping_mul(PRIMES[0]);
        }
        hash = (hash ^ (hash >> 15)).wrapping_mul(PRIMES[1]);
        hash = (hash ^ (hash >> 13)).wrapping_mul(PRIMES[2]);
        hash ^ (hash >> 16)
    }

    fn stripe(&mut self, stripe: &[u8; 16]) {
        self.long = true;
        let (words, _) = stripe.as_chunks::<4>();
        for (lane, word) in self.lanes.iter_mut().zip(words) {
            let mixed = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(PRIMES[1]));
            *lane = mixed.rotate_left(13).wrapping_mul(PRIMES[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xxh32_has_its_published_values() {
        assert_eq!(xxh32(b""), 0x02cc_5d05);
        assert_eq!(xxh32(b"a"), 0x550d_7456);
        assert_eq!(xxh32(b"abc"), 0x32d1_53ff);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xe229_3b2f);
    }

    #[test]
    fn xxh32_does_not_depend_on_how_the_bytes_are_cut() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut whole = Xxh32::new();
        whole.update(&bytes);
        for cut in 0..bytes.len() {
            let mut parts = Xxh32::new();
            parts.update(&bytes[..cut]);
            parts.update(&bytes[cut..]);
            assert_eq!(parts.sum(), whole.sum(), "{cut}");
        }
    }
}
