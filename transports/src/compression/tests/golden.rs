//! Golden bytes: announcements, to the bit.

use super::*;
use crate::compression::announcement::{self, Position, Verdict};

const M0: [u8; 15] = [0xa0, 0, 0, 0xff, 0xff, 0x50, 0, 0, 0xff, 0xff, 0xd8, 0, 0, 0xff, 0xff];
const M1: [u8; 15] = [0xa0, 0, 0, 0xff, 0xff, 0x50, 0, 0, 0xff, 0xff, 0xe8, 0, 0, 0xff, 0xff];

/// What an explicit flush before the first byte writes: the opening and nothing else.
fn opening(options: &Compression, passed: u64) -> Vec<u8> {
    let mut layer = CompressionLayer::new(&EncoderPool::shared(), Detect::Off, 0, passed);
    layer.compress(options).unwrap();
    let mut wire = Vec::new();
    layer.force_flush(&mut wire, NOW).unwrap();
    wire
}

#[test]
fn the_start_of_each_deflate_format_is_exact() {
    for (level, flags) in [(0, 0x01), (1, 0x01), (2, 0x5e), (5, 0x5e), (6, 0x9c), (7, 0xda), (9, 0xda)] {
        let wanted = [&[0x78, flags][..], &M0].concat();
        assert_eq!(opening(&Compression::deflate().level(level), 0), wanted, "level {level}");
        assert_eq!(wanted.len(), 17);
    }
    assert_eq!(opening(&Compression::deflate_raw(), 0), M0);
    let gzip = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff][..], &M0].concat();
    assert_eq!(opening(&Compression::gzip(), 0), gzip);
    assert_eq!(gzip.len(), 25);
}

#[test]
#[cfg(feature = "zstd")]
fn the_start_of_zstd_spells_trs0() {
    let wire = opening(&Compression::zstd(), 0);
    let blocks = [2, 0, 0, b'T', 2, 0, 0, b'r', 2, 0, 0, b's', 2, 0, 0, b'0'];
    assert_eq!(wire[..5], [0x28, 0xb5, 0x2f, 0xfd, 0x04]);
    assert_eq!(wire[6..], blocks);
    assert_eq!(wire.len(), 22);
}

#[test]
#[cfg(feature = "zstd")]
fn zstd_in_mid_stream_carries_version_and_count() {
    let wire = opening(&Compression::zstd(), 0x0102_0304);
    let blocks = [2, 0, 0, b'1', 2, 0, 0, 1, 2, 0, 0, 4, 2, 0, 0, 3, 2, 0, 0, 2, 2, 0, 0, 1];
    assert_eq!(wire[18..], blocks);
    assert_eq!(wire.len(), 42);
}

#[test]
#[cfg(feature = "lz4")]
fn the_start_of_lz4_is_a_header_and_three_empty_blocks() {
    let wire = opening(&Compression::lz4(), 0);
    let wanted = [0x04, 0x22, 0x4d, 0x18, 0x44, 0x40, 0x5e, 0, 0, 0, 0x80, 0, 0, 0, 0x80, 0, 0, 0, 0x80];
    assert_eq!(wire, wanted);
    assert_eq!(wire.len(), 19);
    assert_eq!(opening(&Compression::lz4(), 11).len(), 7, "in mid-stream there is nothing to carry a count in");
}

#[test]
fn the_mid_stream_example_is_exact() {
    let plain = b"220 ready\r\n";
    let mut count = Vec::new();
    for bits in [0x58, 0, 0, 0, 0, 0, 0x20] {
        count.extend_from_slice(&[bits, 0, 0, 0xff, 0xff]);
    }
    let wanted = [&[0x78, 0x9c][..], &M1, &count].concat();
    assert_eq!(wanted.len(), 52);
    assert_eq!(opening(&Compression::deflate(), plain.len() as u64), wanted);
    assert_eq!(opening(&Compression::deflate_raw(), 11).len(), 50);
    assert_eq!(opening(&Compression::gzip(), 11).len(), 60);
}

#[test]
fn the_count_wraps_at_4_gib() {
    let wrapped = opening(&Compression::deflate(), (1 << 32) + 11);
    assert_eq!(wrapped, opening(&Compression::deflate(), 11));
    let whole = Verdict::Whole { format: Format::Deflate, len: 52 };
    assert_eq!(announcement::recognise(&wrapped, Position::after((5 << 32) + 11)), whole);
    // Exactly 4 GiB counts as zero, and is not the start.
    let zero = opening(&Compression::deflate(), 1 << 32);
    assert_eq!(zero.len(), 52);
    assert_eq!(announcement::recognise(&zero, Position::after(1 << 32)), Verdict::Whole { format: Format::Deflate, len: 52 });
    assert_eq!(announcement::recognise(&zero, Position::Start), Verdict::Plain);
}

#[test]
fn without_announcement_a_stream_is_what_other_programs_write() {
    let wire = stream(&Compression::deflate().announce(false), &["hello"]);
    assert_eq!(wire[..2], [0x78, 0x9c]);
    assert!(!wire.windows(5).any(|bytes| bytes == &M0[..5]));
    assert_eq!(receive(&mut expecting(Format::Deflate), &wire), b"hello");
}

#[test]
fn a_foreign_inflater_reads_the_announced_stream() {
    use flate2::{Decompress, FlushDecompress};
    for passed in [0, 11] {
        let mut layer = CompressionLayer::new(&EncoderPool::shared(), Detect::Off, 0, passed);
        layer.compress(&Compression::deflate()).unwrap();
        let mut wire = send(&mut layer, &messages(5));
        layer.finish(&mut wire).unwrap();
        let mut plain = Vec::with_capacity(10_000);
        let mut inflate = Decompress::new(true);
        let status = inflate.decompress_vec(&wire, &mut plain, FlushDecompress::Finish).unwrap();
        assert_eq!(status, flate2::Status::StreamEnd);
        assert_eq!(plain, messages(5).concat());
    }
}
