//! The limit on the memory of a reactor's decoders, and which of them give way.

use std::rc::Rc;

use torsade_reactor::Reactor;

use super::*;
use crate::compression::content_coding::ContentDecoder;
use crate::compression::permessage_deflate::Parameters;
use crate::connection::shared::Shared;

#[cfg(feature = "zstd")]
mod shared {
    use super::*;

    /// A decoder that shares a limit with others, and has read `wire` at this time.
    fn sharing(pool: &SharedPool, wire: &[u8], now: Duration) -> (CompressionLayer, Option<DecompressErrorKind>) {
        let mut receiver = layer(pool);
        receiver.expect(&Decompression::zstd().max_ratio(None), b"").unwrap();
        let error = read_at(&mut receiver, wire, now);
        (receiver, error)
    }

    /// Makes a decoder read input at this time.
    fn read_at(receiver: &mut CompressionLayer, mut wire: &[u8], now: Duration) -> Option<DecompressErrorKind> {
        loop {
            match receiver.read(wire, &mut Vec::new(), ROOM, &Work::unlimited(), now) {
                Ok(progress) => {
                    wire = &wire[progress.consumed..];
                    if !progress.more {
                        return None;
                    }
                }
                Err(reason) => return kind(Some(reason)),
            }
        }
    }

    /// A frame with a window of 8 MiB, which has no end.
    const FRAME: [u8; 6] = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x68];

    /// Fills that window with blocks of 128 KiB in four bytes each: about 300 bytes.
    fn unpaid() -> Vec<u8> {
        [&FRAME[..], &[0x02, 0x00, 0x10, b'a'].repeat(65)].concat()
    }

    /// A block that is not compressed.
    fn raw_block(len: usize) -> Vec<u8> {
        [&(len as u32 * 8).to_le_bytes()[..3], &vec![7; len]].concat()
    }

    /// Fills this much of the window with as many bytes.
    fn paid(mebibytes: usize) -> Vec<u8> {
        [&FRAME[..], &raw_block(128 << 10).repeat(8 * mebibytes)].concat()
    }

    #[test]
    fn windows_that_nobody_has_paid_for_hold_an_eighth_and_cost_nobody_else_anything() {
        const MAX: usize = 64 << 20;
        let pool = EncoderPool::shared();
        let memory = Rc::clone(pool.borrow().decoders());
        memory.set_limit(MAX);
        let now = Duration::from_secs(3600);
        let (mut honest, error) = sharing(&pool, &paid(8), now);
        assert_eq!(error, None);
        let (mut small, error) = sharing(&pool, &[&FRAME[..], &raw_block(10)].concat(), now);
        assert_eq!(error, None);
        let mut bombs = Vec::new();
        // After an hour of silence the bombs are kept active.
        let later = 2 * now;
        for _ in 0..50 {
            let (bomb, error) = sharing(&pool, &unpaid(), later);
            assert_eq!(error, None, "the one that asks is not the one that gives way");
            bombs.push(bomb);
            for bomb in &mut bombs {
                read_at(bomb, &raw_block(1), later);
            }
            assert!(memory.held() < (8 << 20) + MAX / 8 + (2 << 20), "{} bytes", memory.held());
        }
        assert_eq!(memory.ended(), 49, "one fits");
        let max = MAX as u64;
        assert_eq!(read_at(&mut bombs[0], b"", later), Some(DecompressErrorKind::Memory { max }));
        for used in [&mut honest, &mut small] {
            assert_eq!(read_at(used, &raw_block(5), later), None);
        }
        drop((honest, small, bombs));
        assert_eq!(memory.held(), 0);
    }

    #[test]
    fn a_window_in_use_outlives_those_that_are_kept_awake_with_a_byte_now_and_then() {
        const MAX: usize = 64 << 20;
        let pool = EncoderPool::shared();
        let memory = Rc::clone(pool.borrow().decoders());
        memory.set_limit(MAX);
        let (mut honest, error) = sharing(&pool, &paid(8), NOW);
        assert_eq!(error, None);
        let mut others: Vec<_> = (0..6).map(|_| sharing(&pool, &paid(8), NOW).0).collect();
        // All have paid the same. A quarter of an hour later one gets a message of 10 KB a minute, the others a byte a second.
        let minutes = |count| Duration::from_secs(60) * count;
        for minute in 0..15 {
            assert_eq!(read_at(&mut honest, &raw_block(10_000), minutes(minute)), None);
            for second in 0..60 {
                for other in &mut others {
                    read_at(other, &raw_block(1), minutes(minute) + Duration::from_secs(second));
                }
            }
        }
        assert_eq!(memory.ended(), 0);
        let newcomers: Vec<_> = (0..6).map(|_| sharing(&pool, &paid(8), minutes(15)).0).collect();
        assert_eq!(memory.ended(), 6, "each replaces another");
        assert_eq!(read_at(&mut honest, &raw_block(1), minutes(15)), None);
        // A silent decoder gives way in the end.
        drop(newcomers);
        let _newcomers: Vec<_> = (0..8).map(|_| sharing(&pool, &paid(8), minutes(75)).0).collect();
        assert_eq!(read_at(&mut honest, &raw_block(1), minutes(75)), Some(DecompressErrorKind::Memory { max: MAX as u64 }));
    }

    #[test]
    fn a_large_window_is_not_kept_for_small_frames() {
        let pool = EncoderPool::shared();
        let memory = Rc::clone(pool.borrow().decoders());
        let last = |block: Vec<u8>| [&[block[0] | 1], &block[1..]].concat();
        let (mut receiver, error) = sharing(&pool, &paid(8), NOW);
        assert_eq!(error, None);
        assert!((8 << 20..9 << 20).contains(&memory.held()), "{} bytes", memory.held());
        let small_frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
        let end_and_next = [last(raw_block(0)), small_frame.to_vec(), raw_block(10)].concat();
        assert_eq!(read_at(&mut receiver, &end_and_next, NOW), None);
        assert!(memory.held() < 256 << 10, "{} bytes", memory.held());
        assert_eq!(receiver.stats().plain_in, (8 << 20) + 10);
    }

    #[test]
    fn large_windows_take_nothing_from_small_ones_however_long_these_are_silent() {
        let pool = EncoderPool::shared();
        let memory = Rc::clone(pool.borrow().decoders());
        memory.set_limit(32 << 20);
        let small = [&FRAME[..], &raw_block(10)].concat();
        let mut silent: Vec<_> = (0..20).map(|_| sharing(&pool, &small, NOW).0).collect();
        let day = Duration::from_secs(86_400);
        let _large: Vec<_> = (0..10).map(|_| sharing(&pool, &paid(8), day).0).collect();
        assert_eq!(memory.ended(), 7, "three of ten large windows fit");
        for small in &mut silent {
            assert_eq!(read_at(small, &raw_block(5), day), None);
        }
    }

    #[test]
    fn one_decoder_may_hold_half_of_all_memory_and_is_refused_more() {
        let pool = EncoderPool::shared();
        let memory = Rc::clone(pool.borrow().decoders());
        memory.set_limit(8 << 20);
        let (greedy, error) = sharing(&pool, &paid(5), NOW);
        assert_eq!(error, Some(DecompressErrorKind::Memory { max: 8 << 20 }));
        drop(greedy);
        let (_other, error) = sharing(&pool, &paid(1), NOW);
        assert_eq!(error, None);
        let (greedy, error) = sharing(&pool, &paid(8), NOW);
        assert_eq!(error, Some(DecompressErrorKind::Memory { max: 8 << 20 }));
        drop(greedy);
        assert_eq!(memory.ended(), 2, "the other one need not give way");
        assert_eq!(sharing(&pool, &paid(3), NOW).1, None);
    }
}

#[test]
fn a_decoder_holds_nothing_before_its_stream_and_after_it() {
    for format in formats() {
        let pool = EncoderPool::shared();
        let mut receiver = layer(&pool);
        receiver.expect(&format.into(), b"").unwrap();
        assert_eq!(pool.borrow().decoders().held(), 0, "{format}");
        let wire = stream(&Compression::from(format).announce(false), &["data"]);
        receive_in(&mut receiver, &wire[..wire.len() - 9], usize::MAX, ROOM);
        assert!(pool.borrow().decoders().held() > 0, "{format}");
        receive_in(&mut receiver, &wire[wire.len() - 9..], usize::MAX, ROOM);
        assert_eq!(pool.borrow().decoders().held(), 0, "{format}");
    }
}

#[test]
#[cfg(feature = "lz4")]
fn a_large_lz4_block_is_not_kept_while_nothing_comes() {
    let plain = vec![7; 4 << 20];
    let block = lz4_flex::block::compress(&plain);
    let sum = crate::compression::checksum::lz4_header_sum(&[0x60, 0x70]);
    let wire = [&[4, 0x22, 0x4d, 0x18, 0x60, 0x70, sum][..], &(block.len() as u32).to_le_bytes(), &block].concat();
    let pool = EncoderPool::shared();
    let mut receiver = layer(&pool);
    receiver.expect(&Format::Lz4.into(), b"").unwrap();
    let (got, reason) = receive_in(&mut receiver, &wire, usize::MAX, ROOM);
    assert!(reason.is_none() && got == plain);
    let held = pool.borrow().decoders().held();
    assert!(held <= 256 << 10, "{held} bytes");
}

#[test]
fn a_deflate_decoder_counts_for_what_it_has_given_out_up_to_its_window() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        let pool = EncoderPool::shared();
        let mut receiver = layer(&pool);
        receiver.expect(&format.into(), b"").unwrap();
        let mut sender = layer(&EncoderPool::shared());
        sender.compress(&Compression::from(format).announce(false)).unwrap();
        for (len, held) in [(100, 20 << 10..21 << 10), (1900, 22_000..24_000), (1 << 20, 48 << 10..(48 << 10) + 1)] {
            receive(&mut receiver, &send(&mut sender, &[text(len)]));
            let now = pool.borrow().decoders().held();
            assert!(held.contains(&now), "{format}: {now} after {len}");
        }
    }
}

#[test]
fn bodies_and_messages_that_gave_way_say_so_from_then_on() {
    const MAX: usize = 100 << 10;
    let reactor = Reactor::new().unwrap();
    let memory = Rc::clone(Shared::of(&reactor).encoders.borrow().decoders());
    memory.set_limit(MAX);
    let wire = |format: Format| stream(&Compression::from(format).announce(false), &[noise(120_000)]);
    let (gzip, raw) = (wire(Format::Gzip), wire(Format::DeflateRaw));
    // Each fills its window (48 KB in all); the more it was sent, the later it gives way.
    let body = |sent: usize| {
        let mut body = ContentDecoder::new(Format::Gzip).unwrap().counted_in(&reactor);
        body.decode(&mut &gzip[..sent], &mut Vec::new(), MAX).unwrap();
        body
    };
    let mut first = body(40_000);
    let (_, mut messages) = Parameters::default().server_side(&reactor);
    messages.decompress(&mut &raw[..60_000], false, &mut Vec::new(), MAX).unwrap();
    assert_eq!(memory.ended(), 0);
    let third = body(80_000);
    assert_eq!(memory.ended(), 1);
    let last = body(100_000);
    assert_eq!(memory.ended(), 2);

    let gave_way = DecompressErrorKind::Memory { max: MAX as u64 };
    for _ in 0..2 {
        let error = first.decode(&mut &gzip[40_000..], &mut Vec::new(), MAX).unwrap_err();
        assert_eq!(error.kind, gave_way);
        let error = messages.decompress(&mut &raw[60_000..], true, &mut Vec::new(), MAX).unwrap_err();
        assert_eq!(error.kind, gave_way);
    }
    assert_eq!(first.finish().unwrap_err().kind, gave_way);
    drop((messages, third, last));
    assert_eq!(memory.held(), 0);
}
