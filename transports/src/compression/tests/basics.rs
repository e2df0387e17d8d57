//! Group 3: golden bytes.
use super::super::*;
use crate::layer::Layer;
use std::time::Duration;
use torsade_protocols::*;
#[test]
fn round() {
    let pool = EncoderPool::shared();
    for name in ["deflate", "deflate-raw", "gzip"] {
        let mut a = CompressionLayer::new(&pool, Detect::Off, 0, 0);
        let mut b = CompressionLayer::new(&pool, Detect::AtStart, 0, 0);
        a.compress(&name.parse().unwrap()).unwrap();
        let (mut wire, mut plain) = (vec![], vec![]);
        a.write(b"hello world", &mut wire, Duration::ZERO).unwrap();
        a.flush(&mut wire, Duration::ZERO).unwrap();
        eprintln!("{name} {wire:02x?}");
        a.finish(&mut wire).unwrap();
        let p = b.read(&wire, &mut plain, 65536, Duration::ZERO).unwrap();
        assert_eq!(p.consumed, wire.len());
        assert_eq!(plain, b"hello world");
        b.read_end(&mut plain).unwrap();
        eprintln!("{:?}", b.stats());
    }
    eprintln!("{}", size_of::<CompressionLayer>());
    assert_eq!(checksum::lz4_header_sum(&[0x44, 0x40]), announcement::LZ4_HEADER[6]);
}
