//! What hostile peers send: each kind has a beginning, and a unit repeated for ever.

use std::time::Duration;

/// How the server processes the input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Bytes as they are.
    Plain,
    /// The same, beside this many tasks that only yield.
    Beside(usize),
    Lines,
    Netstrings,
    /// As a compressed stream of this format.
    Stream(&'static str),
    #[cfg(feature = "tls")]
    Tls,
}

pub struct Kind {
    pub name: &'static str,
    pub way: Way,
    pub begin: Vec<u8>,
    /// Repeated for ever.
    pub unit: Vec<u8>,
    /// How long a peer waits before each write.
    pub pause: Duration,
}

impl Kind {
    fn new(name: &'static str, way: Way, begin: &[u8], unit: &[u8]) -> Self {
        // Long enough for one write.
        let unit = unit.repeat((256 << 10) / unit.len() + 1);
        Self { name, way, begin: begin.to_vec(), unit, pause: Duration::ZERO }
    }

    /// A kind that sends a byte now and then.
    fn slow(name: &'static str, pause: Duration) -> Self {
        Self { name, way: Way::Plain, begin: Vec::new(), unit: vec![b'p'], pause }
    }

    /// The base of comparison.
    pub fn plain() -> Self {
        Self::new("plain floods", Way::Plain, b"", b"p")
    }
}

/// Bits from the lowest up, as in deflate.
#[derive(Default)]
struct Bits(Vec<u8>, usize);

impl Bits {
    fn put(&mut self, value: u32, count: usize) {
        for bit in 0..count {
            if self.1.is_multiple_of(8) {
                self.0.push(0);
            }
            if let Some(last) = self.0.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (self.1 % 8);
            }
            self.1 += 1;
        }
    }

    /// Huffman codes begin with their highest bit.
    fn code(&mut self, code: u32, count: usize) {
        (0..count).rev().for_each(|bit| self.put(code >> bit & 1, 1));
    }
}

/// Eight blocks, which together end on a byte boundary.
fn eight(block: impl Fn(&mut Bits)) -> Vec<u8> {
    let mut bits = Bits::default();
    (0..8).for_each(|_| block(&mut bits));
    bits.0
}

/// A block with fixed codes and no data.
fn fixed(bits: &mut Bits) {
    bits.put(0b010, 3);
    bits.put(0, 7);
}

/// A block with full code tables and no data: 255 literals of 8 bits, then one literal and the end of block of 9.
fn code_tables(bits: &mut Bits) {
    bits.put(0b100, 3);
    bits.put(0, 5);
    bits.put(0, 5);
    bits.put(14, 4);
    // Code lengths of the code-length alphabet: 16 has one bit, 8 two, 9 and 1 three.
    for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1] {
        bits.put(
            match symbol {
                16 => 1,
                8 => 2,
                9 | 1 => 3,
                _ => 0,
            },
            3,
        );
    }
    bits.code(0b10, 2); // 8
    for repeated in [6; 42].into_iter() {
        bits.code(0, 1); // 16: as before
        bits.put(repeated - 3, 2);
    }
    bits.code(0b10, 2); // twice more: 255 in total
    bits.code(0b10, 2);
    bits.code(0b111, 3); // 9, and 9
    bits.code(0b111, 3);
    bits.code(0b110, 3); // one distance of 1 bit
    bits.code(511, 9); // the end of the block
}

/// All kinds that this build supports.
pub fn kinds() -> Vec<Kind> {
    let zlib = Way::Stream("deflate");
    let gzip_member = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[3, 0], &[0; 8]].concat();
    let gzip_name = [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..], &[b'n'; 60_000], &[0, 3, 0], &[0; 8]].concat();
    #[allow(unused_mut, reason = "no feature may be on")]
    let mut kinds = vec![
        Kind::plain(),
        Kind::slow("nothing", Duration::from_secs(3600)),
        Kind::slow("a byte every 10 ms", Duration::from_millis(10)),
        Kind::new("as plain, and 300 tasks yield", Way::Beside(300), b"", b"p"),
        Kind::new("deflate: zeros", zlib, &[0x78, 0x9c], &zeros()),
        Kind::new("deflate: code tables", zlib, &[0x78, 0x9c], &eight(code_tables)),
        Kind::new("deflate: fixed blocks", zlib, &[0x78, 0x9c], &eight(fixed)),
        Kind::new("deflate: stored blocks", zlib, &[0x78, 0x9c], &[0, 0, 0, 0xff, 0xff]),
        Kind::new("gzip: members", Way::Stream("gzip"), b"", &gzip_member),
        Kind::new("gzip: names", Way::Stream("gzip"), b"", &gzip_name),
        Kind::new("lines", Way::Lines, b"", b"\r\n"),
        Kind::new("netstrings", Way::Netstrings, b"", b"0:,"),
    ];
    #[cfg(feature = "zstd")]
    {
        let zstd = Way::Stream("zstd");
        let begun = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68];
        let empty = [0x28, 0xb5, 0x2f, 0xfd, 0, 0, 1, 0, 0];
        let windows = [empty.repeat(130), [&begun[..], &[1, 0, 0]].concat()].concat();
        let skipped = [&empty[..], &[0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0].repeat(1000)].concat();
        kinds.extend([
            Kind::new("zstd: repeated bytes", zstd, &begun, &[0x02, 0x00, 0x10, b'a', 0x02, 0, 0, b'a'].repeat(4)),
            Kind::new("zstd: frames", zstd, b"", &empty),
            Kind::new("zstd: blocks", zstd, &begun, &[2, 0, 0, b'a']),
            Kind::new("zstd: windows in turn", zstd, b"", &windows),
            Kind::new("zstd: skippable frames", zstd, b"", &skipped),
        ]);
    }
    #[cfg(feature = "lz4")]
    {
        let lz4 = Way::Stream("lz4");
        let large = [4, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73];
        let small = [4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
        let zeros = [&[0x1f, b'A', 1, 0][..], &[0xff; 16_000], &[0, 0x50], b"ABCDE"].concat();
        let zeros = [&(zeros.len() as u32).to_le_bytes()[..], &zeros].concat();
        kinds.extend([
            Kind::new("lz4: blocks of 4 MiB", lz4, &large, &zeros),
            Kind::new("lz4: frames", lz4, b"", &[&small[..], &[0; 4]].concat()),
            Kind::new("lz4: blocks", lz4, &small, &[1, 0, 0, 0, 0]),
        ]);
    }
    #[cfg(feature = "tls")]
    kinds.push(Kind::new("TLS: records of a byte", Way::Tls, b"", b"x"));
    kinds
}

/// 64 MiB of zeros, ended by a full flush.
fn zeros() -> Vec<u8> {
    use flate2::{Compress, Compression, FlushCompress};
    let mut compress = Compress::new(Compression::best(), false);
    let mut wire = Vec::with_capacity(256 << 10);
    for _ in 0..64 {
        compress.compress_vec(&vec![0; 1 << 20], &mut wire, FlushCompress::None).unwrap_or(flate2::Status::BufError);
    }
    compress.compress_vec(&[], &mut wire, FlushCompress::Full).unwrap_or(flate2::Status::BufError);
    wire
}
