//! Measurements, not tests: `cargo test --release --all-features -- --ignored measure --nocapture --test-threads 1`.
#![allow(clippy::print_stdout, reason = "it is there to print")]

use std::time::Instant;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};

use super::*;

const MEGABYTES: usize = 32;

/// The shortest of five runs, in seconds.
fn best(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(once).fold(f64::MAX, f64::min)
}

fn codec_alone(level: u32, plain: &[u8], piece: usize) -> f64 {
    best(|| {
        let mut encoder = Compress::new_with_window_bits(flate2::Compression::new(level), false, 15);
        let mut wire = Vec::with_capacity(2 * piece + 1024);
        for piece in plain.chunks(piece) {
            wire.clear();
            encoder.compress_vec(piece, &mut wire, FlushCompress::Sync).unwrap();
        }
    })
}

fn layer_alone(options: &Compression, plain: &[u8], piece: usize) -> f64 {
    best(|| {
        let mut sender = sender(options);
        let mut wire = Vec::with_capacity(2 * piece + 1024);
        for piece in plain.chunks(piece) {
            wire.clear();
            sender.write(piece, &mut wire, NOW).unwrap();
            sender.flush(&mut wire, NOW).unwrap();
        }
    })
}

#[test]
#[ignore = "measures"]
fn measure_writing_against_the_codec_alone() {
    let plain = text(MEGABYTES << 20);
    for (level, piece) in [(1, 64 << 10), (6, 64 << 10), (1, 200), (6, 200)] {
        let plain = if piece == 200 { &plain[..4 << 20] } else { &plain };
        let codec = codec_alone(level, plain, piece);
        let speed = |seconds: f64| plain.len() as f64 / seconds / 1e6;
        let micros = |seconds: f64| seconds * 1e6 / (plain.len() as f64 / piece as f64);
        for format in [Format::DeflateRaw, Format::Deflate, Format::Gzip] {
            let layer = layer_alone(&Compression::from(format).level(level), plain, piece);
            println!(
                "{format} level {level}, {piece} B a flush: codec {:.0} MB/s, layer {:.0} MB/s ({:.2}); {:.2} and {:.2} us a flush",
                speed(codec),
                speed(layer),
                codec / layer,
                micros(codec),
                micros(layer)
            );
        }
    }
    for format in formats().filter(|format| matches!(format, Format::Lz4 | Format::Zstd)) {
        for piece in [64 << 10, 200] {
            let plain = if piece == 200 { &plain[..4 << 20] } else { &plain };
            let layer = layer_alone(&format.into(), plain, piece);
            let flushes = plain.len() as f64 / piece as f64;
            println!(
                "{format}, {piece} B a flush: {:.0} MB/s, {:.2} us",
                plain.len() as f64 / layer / 1e6,
                layer * 1e6 / flushes
            );
        }
    }
    let noise = noise(MEGABYTES << 20);
    let layer = layer_alone(&Compression::deflate(), &noise, 64 << 10);
    println!(
        "noise: codec {:.0} MB/s, layer {:.0} MB/s",
        noise.len() as f64 / codec_alone(6, &noise, 64 << 10) / 1e6,
        noise.len() as f64 / layer / 1e6
    );
}

#[test]
#[ignore = "measures"]
fn measure_reading_against_the_codec_alone() {
    let plain = text(MEGABYTES << 20);
    for piece in [64 << 10, 200] {
        let plain = if piece == 200 { &plain[..4 << 20] } else { &plain };
        let mut encoder = sender(&Compression::deflate_raw().announce(false));
        let segments: Vec<Vec<u8>> = plain.chunks(piece).map(|piece| send(&mut encoder, &[piece])).collect();
        let codec = best(|| {
            let mut inflate = Decompress::new(false);
            let mut plain = Vec::with_capacity(ROOM);
            for segment in &segments {
                let end = inflate.total_in() + segment.len() as u64;
                let mut rest = &segment[..];
                while !rest.is_empty() {
                    plain.clear();
                    inflate.decompress_vec(rest, &mut plain, FlushDecompress::None).unwrap();
                    rest = &segment[segment.len() - (end - inflate.total_in()) as usize..];
                }
            }
        });
        let layer = best(|| {
            let mut receiver = expecting(Format::DeflateRaw);
            let mut plain = Vec::with_capacity(ROOM);
            for segment in &segments {
                let mut rest = &segment[..];
                loop {
                    plain.clear();
                    let progress = receiver.read(rest, &mut plain, ROOM, NOW).unwrap();
                    rest = &rest[progress.consumed..];
                    if !progress.more {
                        break;
                    }
                }
            }
        });
        println!(
            "reading {piece} B: codec {:.0} MB/s, layer {:.0} MB/s ({:.2})",
            plain.len() as f64 / codec / 1e6,
            plain.len() as f64 / layer / 1e6,
            codec / layer
        );
    }
    // Plain bytes with detection anywhere: what looking costs.
    let mut receiver = CompressionLayer::new(&EncoderPool::shared(), Detect::Anywhere, 0, 0);
    let mut out = Vec::with_capacity(ROOM);
    let looking = best(|| {
        for piece in plain.chunks(ROOM) {
            out.clear();
            receiver.read(piece, &mut out, ROOM, NOW).unwrap();
        }
    });
    println!("looking anywhere: {:.1} us per 64 KiB, copy included", looking * 1e6 / (plain.len() / ROOM) as f64);
}

/// Resident memory of this process in bytes; none where the system does not tell.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()? * 4096)
}

#[test]
#[ignore = "measures"]
fn measure_idle_connections() {
    for history in [0, 4 << 10, 32 << 10] {
        let pool = EncoderPool::shared();
        let message = text(40_000);
        let before = resident();
        let mut wire = Vec::with_capacity(100_000);
        let start = Instant::now();
        let all: Vec<_> = (0..10_000)
            .map(|_| {
                let mut sender = layer(&pool);
                sender.compress(&Compression::deflate().level(1).history(history)).unwrap();
                for piece in message.chunks(10_000) {
                    wire.clear();
                    sender.write(piece, &mut wire, NOW).unwrap();
                    sender.flush(&mut wire, NOW).unwrap();
                }
                sender.expire(&mut wire, &mut Vec::new(), Duration::from_secs(1)).unwrap();
                sender
            })
            .collect();
        let each = before.zip(resident()).map(|(before, after)| (after - before) / 10_000);
        println!(
            "10,000 idle, history {history}: {each:?} bytes each, {} encoders, {:?}",
            pool.borrow().encoders(),
            start.elapsed()
        );
        drop(all);
    }
}

#[test]
#[ignore = "measures"]
fn measure_waking_up() {
    for history in [0, 4 << 10, 32 << 10] {
        let pool = EncoderPool::with_limits(1, Duration::ZERO);
        let (mut one, mut other) = (layer(&pool), layer(&pool));
        let options = Compression::deflate().history(history);
        one.compress(&options).unwrap();
        other.compress(&options).unwrap();
        send(&mut one, &[text(64 << 10)]);
        send(&mut other, &[text(64 << 10)]);
        let message = text(200);
        let mut wire = Vec::with_capacity(1000);
        let mut turn = |first: &mut CompressionLayer| {
            wire.clear();
            first.write(&message, &mut wire, NOW).unwrap();
            first.flush(&mut wire, NOW).unwrap();
        };
        let awake = best(|| (0..1000).for_each(|_| turn(&mut one)));
        let woken = best(|| (0..500).for_each(|_| (turn(&mut one), turn(&mut other)).0));
        println!("history {history}: {:.1} us a message awake, {:.1} us woken", awake * 1e3, woken * 1e3);
    }
}

#[test]
#[ignore = "measures"]
fn measure_a_bomb() {
    let mut sender = sender(&Compression::deflate());
    let mut wire = Vec::new();
    sender.write(&vec![0; 100 << 20], &mut wire, NOW).unwrap();
    sender.finish(&mut wire).unwrap();
    drop(sender);
    let mut plain = Vec::with_capacity(ROOM);
    plain.resize(ROOM, 1);
    let before = resident();
    let mut receiver = detecting();
    let (mut rest, mut total, mut most) = (&wire[..], 0, 0);
    loop {
        plain.clear();
        let progress = receiver.read(rest, &mut plain, ROOM, NOW).unwrap();
        rest = &rest[progress.consumed..];
        total += plain.len();
        most = most.max(resident().zip(before).map_or(0, |(now, before)| now.saturating_sub(before)));
        if !progress.more {
            break;
        }
    }
    println!("{} bytes of bomb gave {total}, {most} bytes of memory more", wire.len());
}
