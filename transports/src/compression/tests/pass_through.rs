//! Incompressible data hardly expands, and is soon stored.

use super::*;
use flate2::{Compress, FlushCompress};

const DEFLATES: [Format; 3] = [Format::Deflate, Format::DeflateRaw, Format::Gzip];

#[test]
fn noise_expands_by_less_than_one_percent_at_1_kib_messages() {
    let noise = noise(1 << 20);
    for format in formats() {
        let mut sender = sender(&format.into());
        let wire = send(&mut sender, &noise.chunks(1024).collect::<Vec<_>>());
        let expansion = wire.len() as f64 / noise.len() as f64;
        assert!(expansion <= 1.01, "{format}: {expansion}");
        assert!(receive(&mut detecting(), &wire) == noise, "{format}");
    }
}

#[test]
fn pass_through_comes_and_goes_with_the_data() {
    for format in DEFLATES {
        let (mut sender, mut receiver) = (sender(&format.into()), detecting());
        let mut feed = |plain: &[u8]| {
            let wire = send(&mut sender, &plain.chunks(1000).collect::<Vec<_>>());
            assert!(receive(&mut receiver, &wire) == plain, "{format}");
            let stats = sender.stats();
            assert_eq!(stats.stored.total(), stats.stored.incompressible, "{format}");
            assert_eq!(stats.incompressible, plain.len() == 300_000, "{format}: what it does at present");
            stats.stored.total()
        };
        assert_eq!(feed(&text(200_000)), 0, "text is compressed");
        assert_eq!(feed(&noise(60_000)), 0, "one measure is not over");
        let stored = feed(&noise(300_000));
        assert!(stored > 200_000, "noise is passed: {stored}");
        // The rest of its 256 KiB, then compression again.
        let again = feed(&text(600_000));
        assert!(again - stored <= 256 << 10, "{again}");
        assert_eq!(feed(&text(100_000)), again, "text is compressed again");
    }
}

#[test]
fn small_writes_in_a_turn_share_a_stored_block() {
    let mut sender = sender(&Compression::deflate_raw().level(0).announce(false));
    let noise = noise(1000);
    let mut wire = Vec::new();
    for piece in noise.chunks(10) {
        sender.write(piece, &mut wire, NOW).unwrap();
    }
    sender.flush(&mut wire, NOW).unwrap();
    assert_eq!(wire.len(), 1005);
    assert_eq!(receive(&mut expecting(Format::DeflateRaw), &wire), noise);
}

#[test]
fn what_was_stored_can_be_referred_to_afterwards() {
    let mut sender = sender(&Compression::deflate_raw().announce(false));
    let (text, measured, passed) = (text(2000), noise(64 << 10), noise((256 << 10) - 2000));
    let mut wire = send(&mut sender, &[&measured[..], &passed, &text]);
    assert_eq!(sender.stats().stored.total(), 256 << 10);
    let last = send(&mut sender, &[&text]);
    wire.extend(&last);
    let wanted = [&measured[..], &passed, &text, &text].concat();
    assert!(receive(&mut expecting(Format::DeflateRaw), &wire) == wanted, "distances into stored blocks are right");
    assert!(last.len() < 100, "the stored text was not found again: {}", last.len());
}

/// Shows the mistake that the layer must not make: zlib reads the wrong bytes without an error.
#[test]
fn a_stored_block_after_a_mere_sync_flush_would_be_read_wrong() {
    let mut encoder = Compress::new_with_window_bits(flate2::Compression::new(6), false, 15);
    let (text, noise) = (text(500), noise(100));
    let mut wire = Vec::with_capacity(4096);
    encoder.compress_vec(&text, &mut wire, FlushCompress::Sync).unwrap();
    wire.extend_from_slice(&[0, 100, 0, !100, 0xff]);
    wire.extend_from_slice(&noise);
    encoder.compress_vec(&text, &mut wire, FlushCompress::Sync).unwrap();
    let (plain, _) = receive_in(&mut expecting(Format::DeflateRaw), &wire, usize::MAX, ROOM);
    assert_ne!(plain, [&text[..], &noise, &text].concat(), "the living encoder knew of the block: the rule is obsolete");
}

#[test]
fn stored_blocks_never_follow_a_living_encoder() {
    // Every order of text and noise, flushed or not: a distance over a stored block would come out wrong.
    let (text, noise) = (text(40_000), noise(100_000));
    for order in 0..64u32 {
        let (mut sender, mut wire, mut plain) = (sender(&Compression::deflate_raw()), Vec::new(), Vec::new());
        for step in 0..6 {
            let piece = if order >> step & 1 == 1 { &noise } else { &text };
            sender.write(piece, &mut wire, NOW).unwrap();
            plain.extend_from_slice(piece);
            if step % 2 == 0 {
                sender.flush(&mut wire, NOW).unwrap();
            }
        }
        sender.finish(&mut wire).unwrap();
        assert!(receive(&mut detecting(), &wire) == plain, "order {order:b}");
    }
}
