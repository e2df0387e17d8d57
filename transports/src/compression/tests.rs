//! Tests of the layer alone. Each file's first line names the groups it holds; what the groups are, and where else there
//! are tests of them, is at the head of `tests/compression/main.rs`.

mod combined;
mod content_coding;
mod corruption;
mod decoder_memory;
mod detection;
mod dictionaries;
mod ends;
mod fields;
mod flushing;
mod golden;
mod limits;
mod midstream;
mod outside;
mod pass_through;
mod permessage_deflate;
mod round_trip;
mod secrets;
mod shared;
mod sharing;

use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{AfterEnd, Compression, DecompressErrorKind, Decompression, Detect, Format, Reason, SharedBytes};

use super::announcement::{self, Position, Verdict};
use super::{CompressionLayer, EncoderPool, SharedPool};
use crate::layer::Layer;

const NOW: Duration = Duration::ZERO;
/// A reader's room where it does not matter.
const ROOM: usize = 64 << 10;

/// The formats of this build.
fn formats() -> impl Iterator<Item = Format> {
    Format::ALL.into_iter().filter(|&format| super::missing_feature(format).is_none())
}

/// Each kind of stream, and how to read it: every format, with a dictionary where supported, and with partial flushes where
/// they differ.
fn kinds() -> impl Iterator<Item = (Compression, Decompression)> {
    formats().flat_map(|format| {
        let plain = (Compression::from(format), Decompression::from(format));
        let dictionary = dictionaries::dictionary(format);
        let known = (plain.0.clone().dictionary(&dictionary), plain.1.clone().dictionary(&dictionary));
        let with_dictionary = (format != Format::Gzip).then_some(known);
        [Some(plain), with_dictionary].into_iter().flatten().flat_map(move |(sending, reading)| {
            let partial = (sending.clone().flush(torsade_protocols::Flush::Partial), reading.clone());
            let differs = !matches!(format, Format::Lz4 | Format::Zstd);
            [(sending, reading)].into_iter().chain(differs.then_some(partial))
        })
    })
}

fn layer(pool: &SharedPool) -> CompressionLayer {
    CompressionLayer::new(pool, Detect::Off, 0, 0)
}

/// A layer that compresses from its first byte.
fn sender(options: &Compression) -> CompressionLayer {
    let mut sender = layer(&EncoderPool::shared());
    sender.compress(options).unwrap();
    sender
}

/// A layer that looks for an announcement at the first byte.
fn detecting() -> CompressionLayer {
    CompressionLayer::new(&EncoderPool::shared(), Detect::AtStart, 0, 0)
}

/// The same with limits and dictionaries.
fn detecting_within(limits: &Decompression) -> CompressionLayer {
    let mut receiver = detecting();
    receiver.set_limits(limits);
    receiver
}

/// A layer that expects a stream.
fn expecting(options: impl Into<Decompression>) -> CompressionLayer {
    let mut receiver = layer(&EncoderPool::shared());
    receiver.expect(&options.into(), b"").unwrap();
    receiver
}

/// Writes each message in a turn of its own.
fn send(layer: &mut CompressionLayer, messages: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for message in messages {
        layer.write(message.as_ref(), &mut wire, NOW).unwrap();
        layer.flush(&mut wire, NOW).unwrap();
    }
    wire
}

/// Writes something that is to be stored.
fn write_uncompressed(layer: &mut CompressionLayer, plain: &[u8], wire: &mut Vec<u8>) {
    layer.set_uncompressed(true);
    layer.write(plain, wire, NOW).unwrap();
    layer.set_uncompressed(false);
}

/// Writes bytes that are compressed once, as a connection does.
fn write_shared(layer: &mut CompressionLayer, plain: &SharedBytes, wire: &mut Vec<u8>, now: Duration) {
    match layer.write_shared(plain, wire, now).unwrap() {
        Some(form) => wire.extend_from_slice(&form),
        None => layer.write(plain, wire, now).unwrap(),
    }
}

/// A whole stream: each message flushed, then the end.
fn stream(options: &Compression, messages: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut sender = sender(options);
    let mut wire = send(&mut sender, messages);
    sender.finish(&mut wire).unwrap();
    wire
}

/// Reads everything in `wire`, offered in pieces, into buffers with so much room. Includes the plain bytes before an error.
fn receive_in(layer: &mut CompressionLayer, wire: &[u8], piece: usize, room: usize) -> (Vec<u8>, Option<Reason>) {
    let mut all = Vec::new();
    for piece in wire.chunks(piece) {
        let mut rest = piece;
        loop {
            let mut plain = Vec::new();
            let result = layer.read(rest, &mut plain, room, &Work::unlimited(), NOW);
            assert!(plain.len() <= room, "{} bytes in a room of {room}", plain.len());
            all.extend_from_slice(&plain);
            let progress = match result {
                Ok(progress) => progress,
                Err(reason) => return (all, Some(reason)),
            };
            assert!(progress.consumed > 0 || !plain.is_empty() || !progress.more || rest.is_empty(), "it spins");
            rest = &rest[progress.consumed..];
            if !progress.more {
                assert!(rest.is_empty(), "{} bytes were left without a reason", rest.len());
                let held = layer.held_back();
                let sure = announcement::recognise(held, Position::Start) == Verdict::Prefix { sure: true };
                let freed = held.is_empty() || layer.deadline().is_some() || sure;
                assert!(freed, "bytes are held back that no timer will release");
                break;
            }
        }
    }
    (all, None)
}

/// Reads everything in one piece, without an error.
fn receive(layer: &mut CompressionLayer, wire: &[u8]) -> Vec<u8> {
    let (plain, reason) = receive_in(layer, wire, usize::MAX, ROOM);
    assert!(reason.is_none(), "{reason:?}");
    plain
}

/// Reads everything and the end of the input.
fn receive_all(layer: &mut CompressionLayer, wire: &[u8]) -> (Vec<u8>, Option<Reason>) {
    let (mut plain, mut reason) = receive_in(layer, wire, usize::MAX, ROOM);
    if reason.is_none() {
        reason = layer.read_end(&mut plain).err();
    }
    (plain, reason)
}

fn kind(reason: Option<Reason>) -> Option<DecompressErrorKind> {
    reason.map(|reason| match reason {
        Reason::Decompress(error) => error.kind,
        other => panic!("not a decompression error: {other:?}"),
    })
}

/// Incompressible bytes, always the same.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| step()).collect()
}

/// Messages like those of a chat or an event stream, about 120 bytes each, always the same.
fn messages(count: usize) -> Vec<Vec<u8>> {
    let words = ["reactor", "protocol", "deferred", "transport", "factory", "connection", "callback", "buffer"];
    let luck = noise(count * 6);
    let message = |(number, luck): (usize, &[u8])| {
        let words: Vec<&str> = luck.iter().map(|&luck| words[usize::from(luck) % words.len()]).collect();
        format!("{{\"id\":{number},\"user\":\"u{}\",\"room\":\"lobby\",\"text\":\"{}\"}}\n", luck[0], words.join(" "))
            .into_bytes()
    };
    luck.chunks(6).enumerate().map(message).collect()
}

/// Text of about so many bytes.
fn text(len: usize) -> Vec<u8> {
    let mut text = messages(len / 100 + 1).concat();
    text.truncate(len);
    text
}
