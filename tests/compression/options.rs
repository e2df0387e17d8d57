//! Names, options and statistics.

use torsade::{AfterEnd, Compression, CompressionError, CompressionStats, Decompression, Format, Truncation};

#[test]
fn every_format_answers_to_its_own_name_in_any_case() {
    for format in Format::ALL {
        let name = format.to_string();
        assert_eq!(name.parse(), Ok(format));
        assert_eq!(name.to_ascii_uppercase().parse(), Ok(format));
    }
    assert_eq!("ZLIB".parse(), Ok(Format::Deflate));
}

#[test]
fn options_are_made_from_text_bytes_and_formats() {
    let wanted = Compression::deflate();
    assert_eq!(Compression::try_from("deflate"), Ok(wanted.clone()));
    assert_eq!(Compression::try_from(b"deflate"), Ok(wanted.clone()));
    assert_eq!(Compression::try_from(&b"deflate"[..]), Ok(wanted.clone()));
    assert_eq!(Compression::from(Format::Deflate), wanted);
    assert_eq!("deflate".parse(), Ok(wanted));
    assert_eq!(Decompression::try_from("gzip"), Ok(Decompression::gzip()));
}

#[test]
fn an_unknown_name_is_a_typed_error_that_lists_the_known_ones() {
    let error = Compression::try_from("brotli").unwrap_err();
    assert_eq!(error, CompressionError::UnknownFormat("brotli".into()));
    assert!(error.to_string().contains("deflate-raw"), "{error}");
    assert!(matches!(Compression::try_from(b"\xff"), Err(CompressionError::UnknownFormat(_))));
}

#[test]
fn levels_outside_the_format_are_refused() {
    assert_eq!(Compression::gzip().level(9).check(), Ok(()));
    let error = Compression::gzip().level(10).check().unwrap_err();
    assert_eq!(error, CompressionError::Level { format: Format::Gzip, level: 10, min: 0, max: 9 });
    assert!(error.to_string().contains("0 to 9"), "{error}");
    assert_eq!(Compression::zstd().level(22).check(), Ok(()));
    assert!(Compression::zstd().level(0).check().is_err());
    assert!(Compression::lz4().level(2).check().is_err());
}

#[test]
fn the_defaults_are_those_written_in_the_docs() {
    let zlib = Decompression::deflate();
    assert_eq!((zlib.after_end, zlib.truncation, zlib.max_total), (AfterEnd::Error, Truncation::Auto, None));
    assert_eq!(zlib.max_ratio, None);
    let zstd = Decompression::zstd();
    assert_eq!((zstd.after_end, zstd.max_ratio), (AfterEnd::NextStream, Some((1000, 16 << 20))));
    assert_eq!((zstd.max_window, zstd.max_skipped), (8 << 20, 128 << 10));
    assert_eq!((Compression::deflate().history, Compression::deflate().announce), (32 << 10, true));
    assert_eq!(Compression::deflate().threshold, 0);
}

#[test]
fn statistics_read_as_one_line() {
    let mut stats = CompressionStats::default();
    stats.format_out = Some(Format::Gzip);
    (stats.plain_out, stats.wire_out) = (100, 40);
    assert_eq!(stats.to_string(), "sent 100 bytes as 40 of gzip in 0 messages and 0 flushes");
    (stats.messages, stats.flushes, stats.partial_flushes) = (5, 2, 1);
    (stats.stored.asked, stats.stored.below_threshold, stats.stored.incompressible, stats.stored.no_encoder) = (4, 3, 2, 1);
    (stats.incompressible, stats.hibernations, stats.dictionary_out) = (true, 7, Some(0x2c52_128e));
    let sent = "sent 100 bytes as 40 of gzip with dictionary 0x2c52128e in 5 messages and 2 flushes (1 partial), 4 stored as asked, 3 below the threshold, \
                2 not worth compressing, 1 without a free encoder, storing, released the encoder 7 times";
    assert_eq!(stats.to_string(), sent);
    assert_eq!(stats.stored.total(), 10);
    stats.format_in = Some(Format::Deflate);
    stats.detected = true;
    stats.unsought = Some(Format::Zstd);
    let got = "; received 0 bytes as 0 of deflate (detected, not ended); the peer announced zstd, which was not expected";
    assert_eq!(stats.to_string(), format!("{sent}{got}"));
    assert_eq!(CompressionStats::default().to_string(), "");
}
