//! Checksums of plain bytes, kept outside of the codecs.

use torsade_protocols::Format;
use twox_hash::XxHash32;

/// The checksum that a format has of its plain bytes.
pub(super) enum Checksum {
    /// Adler-32 of zlib, RFC 1950.
    Adler(u32),
    /// CRC-32 and length modulo 2^32 of gzip, RFC 1952.
    Crc { sum: u32, length: u32 },
    /// The format has none.
    None,
}

/// The checksums of bytes that are put into many streams, whose earlier bytes differ.
pub(super) struct Sums {
    adler: u32,
    crc: u32,
    /// The operator that advances a CRC-32 by the length of these bytes.
    crc_step: u32,
    length: u64,
}

impl Sums {
    pub(super) fn of(plain: &[u8]) -> Self {
        let length = plain.len() as u64;
        Self {
            adler: zlib_rs::adler32::adler32(1, plain),
            crc: zlib_rs::crc32::crc32(0, plain),
            crc_step: zlib_rs::crc32::crc32_combine_gen(length),
            length,
        }
    }
}

impl Checksum {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Deflate => Self::Adler(1),
            Format::Gzip => Self::Crc { sum: 0, length: 0 },
            _ => Self::None,
        }
    }

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

    /// Adds bytes by their checksums, without reading them.
    pub(super) fn combine(&mut self, sums: &Sums) {
        match self {
            Self::Adler(sum) => *sum = zlib_rs::adler32::adler32_combine(*sum, sums.adler, sums.length),
            Self::Crc { sum, length } => {
                *sum = zlib_rs::crc32::crc32_combine_op(*sum, sums.crc, sums.crc_step);
                *length = length.wrapping_add(sums.length as u32);
            }
            Self::None => {}
        }
    }

    /// The format's trailer, and how many bytes it has.
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

/// The XXH32 of `bytes`, with seed 0 as in lz4 frames.
pub(super) fn xxh32(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}
