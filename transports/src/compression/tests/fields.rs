//! Fields of headers and trailers: each invalid one has its own error.

use super::*;

/// The kind of the error in a stream after `edit`.
fn edited(format: Format, edit: impl FnOnce(&mut Vec<u8>)) -> Option<DecompressErrorKind> {
    let mut wire = stream(&Compression::from(format).announce(false), &["hello hello hello"]);
    edit(&mut wire);
    kind(receive_in(&mut expecting(format), &wire, usize::MAX, ROOM).1)
}

#[test]
fn each_wrong_field_of_zlib_and_gzip_has_its_name() {
    use DecompressErrorKind::{Checksum, Data, Header, Length, NeedDictionary};
    let zlib = |at: usize, value: u8| edited(Format::Deflate, |wire| wire[at] = value);
    let gzip = |at: usize, value: u8| edited(Format::Gzip, |wire| wire[at] = value);
    assert_eq!(zlib(0, 0x77), Some(Header), "another method");
    assert_eq!(zlib(0, 0x88), Some(Header), "a window of 64 KiB");
    assert_eq!(zlib(1, 0x9d), Some(Header), "the check bits");
    assert!(matches!(zlib(1, 0xbb), Some(NeedDictionary { .. })), "FDICT");
    assert_eq!(zlib(2, 0x06), Some(Data), "a reserved block type");
    assert_eq!(edited(Format::Deflate, |wire| *wire.last_mut().unwrap() ^= 1), Some(Checksum));
    assert_eq!(gzip(0, 0x1e), Some(Header));
    assert_eq!(gzip(2, 7), Some(Header), "another method");
    assert_eq!(gzip(3, 0x80), Some(Header), "a reserved flag");
    assert_eq!(edited(Format::Gzip, |wire| *wire.last_mut().unwrap() ^= 1), Some(Length));
    let crc = |wire: &mut Vec<u8>| {
        let at = wire.len() - 8;
        wire[at] ^= 1;
    };
    assert_eq!(edited(Format::Gzip, crc), Some(Checksum));
    // Distance 1 before any byte: fixed codes, a match of length 3, then zeros.
    let (_, reason) = receive_in(&mut expecting(Format::DeflateRaw), &[0x03, 0x02, 0, 0], 10, ROOM);
    assert_eq!(kind(reason), Some(Data), "too far back");
}

#[test]
fn every_field_of_a_gzip_header_is_understood_under_every_split() {
    let body = stream(&Compression::gzip().announce(false), &["data"])[10..].to_vec();
    let mut header = vec![0x1f, 0x8b, 8, 0x1e, 1, 2, 3, 4, 2, 3];
    header.extend([4, 0, b'A', b'p', 0, 0]);
    header.extend(b"name.txt\0a comment\0");
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    header.extend(&crc.sum().to_le_bytes()[..2]);
    let wire = [&header[..], &body].concat();
    for cut in 0..wire.len() {
        let mut receiver = expecting(Format::Gzip);
        let mut plain = receive(&mut receiver, &wire[..cut]);
        plain.extend(receive(&mut receiver, &wire[cut..]));
        assert_eq!(plain, b"data", "cut at {cut}");
    }
    let mut damaged = wire;
    damaged[header.len() - 1] ^= 1;
    let (_, reason) = receive_in(&mut expecting(Format::Gzip), &damaged, 1, ROOM);
    assert_eq!(kind(reason), Some(DecompressErrorKind::Header), "the header's own sum");
    // An extra field of no bytes.
    let wire = [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0, 0][..], &body].concat();
    assert_eq!(receive(&mut expecting(Format::Gzip), &wire), b"data");
}

#[test]
fn a_gzip_header_as_long_as_its_fields_may_be_is_read() {
    let body = stream(&Compression::gzip().announce(false), &["data"]);
    let mut wire = vec![0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0xff, 0xff];
    wire.resize(12 + 65_535, 0);
    wire.extend_from_slice(&body[10..]);
    assert_eq!(receive(&mut expecting(Format::Gzip), &wire), b"data");
}

#[test]
#[cfg(feature = "lz4")]
fn each_wrong_field_of_lz4_has_its_name() {
    use DecompressErrorKind::{Checksum, Data, Header, Length, NeedDictionary};
    let lz4 = |at: usize, value: u8| edited(Format::Lz4, |wire| wire[at] = value);
    assert_eq!(lz4(0, 5), Some(Header));
    assert_eq!(lz4(4, 0x84), Some(Header), "version 2");
    assert_eq!(lz4(5, 0x30), Some(Header), "blocks of no size");
    assert_eq!(lz4(6, 0), Some(Header), "the header's own sum");
    assert_eq!(lz4(9, 0xff), Some(Data), "a block longer than the header allows");
    assert_eq!(edited(Format::Lz4, |wire| *wire.last_mut().unwrap() ^= 1), Some(Checksum));
    let framed = |flags: u8, fields: &[u8], rest: &[u8]| {
        let descriptor = [&[flags, 0x40][..], fields].concat();
        let sum = crate::compression::checksum::lz4_header_sum(&descriptor);
        [&[4, 0x22, 0x4d, 0x18][..], &descriptor, &[sum], rest].concat()
    };
    let read = |wire: &[u8]| kind(receive_in(&mut expecting(Format::Lz4), wire, 3, ROOM).1);
    assert_eq!(read(&framed(0x61, &[1, 0, 0, 0], &[])), Some(NeedDictionary { id: 1 }));
    assert_eq!(read(&framed(0x68, &[3, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0x80, b'a', b'b', 0, 0, 0, 0])), Some(Length));
    assert_eq!(read(&framed(0x68, &[2, 0, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0x80, b'a', b'b', 0, 0, 0, 0])), None);
    assert_eq!(read(&framed(0x70, &[], &[1, 0, 0, 0x80, b'a', 1, 2, 3, 4])), Some(Checksum), "of a block");
    let sum_of_nothing = crate::compression::checksum::xxh32(b"").to_le_bytes();
    let empty = [&[0, 0, 0, 0x80][..], &sum_of_nothing].concat();
    assert_eq!(read(&framed(0x70, &[], &[&empty[..], &[0, 0, 0, 0]].concat())), None, "an empty block has one, too");
}

#[test]
#[cfg(feature = "zstd")]
fn each_wrong_field_of_zstd_has_its_name() {
    use DecompressErrorKind::{Checksum, Data, Header, NeedDictionary};
    let zstd = |at: usize, value: u8| edited(Format::Zstd, |wire| wire[at] = value);
    assert_eq!(zstd(0, 0x29), Some(Header));
    assert_eq!(zstd(4, 0x0c), Some(Header), "the reserved bit");
    assert_eq!(zstd(6, 0x07), Some(Data), "a reserved block type");
    assert_eq!(edited(Format::Zstd, |wire| *wire.last_mut().unwrap() ^= 1), Some(Checksum));
    let dictionary = [0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x48, 7];
    let (_, reason) = receive_in(&mut expecting(Format::Zstd), &dictionary, 1, ROOM);
    assert_eq!(kind(reason), Some(NeedDictionary { id: 7 }));
}
