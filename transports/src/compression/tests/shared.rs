//! Messages that are compressed once for many streams.

use torsade_protocols::Flush;

use super::outside::{PYTHON_READS, run};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn once(plain: &[u8]) -> SharedBytes {
    SharedBytes::from(plain.to_vec()).compressed_once()
}

/// Messages to share: a word, a message, more than is gathered, more than a block or a window holds, and incompressible data.
fn samples() -> Vec<SharedBytes> {
    let noise = noise(200_000);
    let samples = [&b"x"[..], &messages(1).concat(), &text(20_000), &text(300_000), &noise[..100], &noise];
    samples.map(once).into()
}

#[test]
fn a_message_is_compressed_once_for_all_with_the_same_options() {
    let message = once(&messages(3).concat());
    let pool = EncoderPool::shared();
    let alike = |options: &[Compression]| {
        let counts = options.iter().flat_map(|options| [options, options]).map(|options| {
            let (mut sender, mut wire) = (layer(&pool), Vec::new());
            sender.compress(options).unwrap();
            write_shared(&mut sender, &message, &mut wire, NOW);
            sender.finish(&mut wire).unwrap();
            let stats = sender.stats();
            assert!(receive(&mut detecting(), &wire) == *message && stats.wire_out == wire.len() as u64);
            assert_eq!((stats.shared, stats.messages, stats.plain_out), (1, 1, message.len() as u64));
            stats.shared_made
        });
        counts.sum::<u64>()
    };
    assert_eq!(alike(&[Compression::deflate(), Compression::deflate_raw(), Compression::gzip()]), 1);
    let otherwise = Compression::gzip().flush(Flush::Partial).history(0).threshold(1000).announce(true);
    assert_eq!(alike(&[otherwise]), 0, "what does not change the bytes does not count");
    assert_eq!(alike(&[Compression::deflate().level(1), Compression::gzip().level(1), Compression::gzip().level(2)]), 2);
    for format in formats().filter(|format| !matches!(format, Format::Deflate | Format::DeflateRaw | Format::Gzip)) {
        assert_eq!(alike(&[Compression::from(format)]), 1, "{format}");
    }
}

#[test]
fn in_zstd_a_shared_message_is_compressed_against_the_dictionary() {
    for (sending, reading) in kinds().filter(|(sending, _)| sending.format == Format::Zstd) {
        let (mut sender, mut wire) = (sender(&sending), Vec::new());
        let message = once(&messages(1)[0]);
        write_shared(&mut sender, &message, &mut wire, NOW);
        let first = wire.len();
        write_shared(&mut sender, &message, &mut wire, NOW);
        assert!(receive(&mut detecting_within(&reading), &wire) == [&*message, &*message].concat());
        let with = sending.dictionary.is_some();
        assert_eq!(wire.len() - first < message.len() * 2 / 3, with, "{} of {}", wire.len() - first, message.len());
    }
}

#[test]
fn before_and_after_a_shared_message_all_is_as_ever_in_every_kind_of_stream() {
    for (sending, reading) in kinds() {
        for shared in samples() {
            let (mut sender, mut receiver) = (sender(&sending), expecting(reading.clone()));
            let (mut wire, mut sent) = (Vec::new(), Vec::new());
            for (number, message) in messages(12).iter().enumerate() {
                // Unflushed, flushed, after a silence; and several shared ones in a row.
                sender.write(message, &mut wire, NOW).unwrap();
                match number % 4 {
                    0 => {}
                    1 => sender.force_flush(&mut wire, NOW).unwrap(),
                    2 => write_uncompressed(&mut sender, b"", &mut wire),
                    _ => sender.expire(&mut wire, &mut Vec::new(), SECOND * number as u32).unwrap(),
                }
                write_shared(&mut sender, &shared, &mut wire, NOW);
                write_shared(&mut sender, &shared, &mut wire, NOW);
                sent.extend([&message[..], &shared, &shared].concat());
                assert!(receive(&mut receiver, &std::mem::take(&mut wire)) == std::mem::take(&mut sent), "{sending:?}: at once");
            }
            sender.finish(&mut wire).unwrap();
            receive(&mut receiver, &wire);
            assert!(receiver.stats().stream_ended, "{sending:?}");
            assert_eq!(sender.stats().shared, 24);
        }
    }
}

#[test]
fn what_follows_a_shared_message_refers_to_it() {
    for format in formats().filter(|format| *format != Format::Zstd) {
        let (mut sender, mut wire) = (sender(&format.into()), Vec::new());
        let message = noise(400);
        write_shared(&mut sender, &once(&message), &mut wire, NOW);
        let again = send(&mut sender, &[&message]);
        assert!(again.len() < 40, "{format}: {}", again.len());
        wire.extend(again);
        assert!(receive(&mut expecting(format), &wire) == message.repeat(2), "{format}");
    }
}

#[test]
fn a_shared_message_can_be_read_at_once_whatever_the_policy() {
    for format in formats() {
        for flush in [Flush::Manual, Flush::After { bytes: 1 << 20, delay: SECOND }] {
            let (mut sender, mut wire) = (sender(&Compression::from(format).flush(flush)), Vec::new());
            sender.write(b"held back, ", &mut wire, NOW).unwrap();
            write_shared(&mut sender, &once(b"shared"), &mut wire, NOW);
            assert_eq!(receive(&mut detecting(), &wire), b"held back, shared", "{format}");
            let before = wire.len();
            sender.force_flush(&mut wire, NOW).unwrap();
            assert_eq!(wire.len(), before, "{format}: nothing is left to flush");
        }
    }
}

#[test]
fn its_length_reveals_nothing_of_what_preceded_it() {
    for format in formats() {
        let length = |before: &str| {
            let (mut sender, mut wire) = (sender(&format.into()), Vec::new());
            let mut ahead = send(&mut sender, &[before]);
            sender.barrier(&mut ahead, NOW).unwrap();
            write_shared(&mut sender, &once(b"Cookie: session=s3cr3t-t0k3n-42"), &mut wire, NOW);
            wire.len()
        };
        assert_eq!(length("Cookie: session=s3cr3t-t0k3n-42"), length("Cookie: session=q7xw9z-p1v5m-86"), "{format}");
    }
}

#[test]
fn where_nothing_is_to_be_compressed_it_is_written_as_others_are() {
    let message = once(b"shared");
    let (mut wire, mut sender) = (Vec::new(), sender(&Compression::deflate().level(0)));
    write_shared(&mut sender, &message, &mut wire, NOW);
    write_shared(&mut sender, &SharedBytes::new("not once"), &mut wire, NOW);
    write_shared(&mut sender, &once(b""), &mut wire, NOW);
    sender.flush(&mut wire, NOW).unwrap();
    assert_eq!((sender.stats().shared, sender.stats().stored.asked), (0, 14));
    assert_eq!(receive(&mut detecting(), &wire), b"sharednot once");
    wire.clear();
    let mut plain = layer(&EncoderPool::shared());
    write_shared(&mut plain, &message, &mut wire, NOW);
    assert_eq!(wire, b"shared");
}

#[test]
fn streams_of_shared_messages_alone_keep_no_encoder_and_end_well() {
    for (sending, reading) in kinds() {
        let pool = EncoderPool::shared();
        let (mut sender, mut receiver, mut wire) = (layer(&pool), expecting(reading.clone()), Vec::new());
        sender.compress(&sending).unwrap();
        for message in messages(1000) {
            write_shared(&mut sender, &once(&message), &mut wire, NOW);
            sender.flush(&mut wire, NOW).unwrap();
        }
        assert_eq!((pool.borrow().lent(), sender.deadline()), (0, None), "{sending:?}");
        sender.finish(&mut wire).unwrap();
        assert!(receive(&mut receiver, &wire) == messages(1000).concat(), "{sending:?}");
        assert!(receiver.stats().stream_ended, "{sending:?}");
        receiver.read_end(&mut Vec::new()).unwrap();
    }
}

/// Streams with shared and other messages, and their plain text.
fn streams(format: Format) -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mut sender, mut wire, mut plain) = (sender(&format.into()), Vec::new(), Vec::new());
    for (message, shared) in messages(30).iter().zip(samples().iter().cycle()) {
        wire.extend(send(&mut sender, &[message]));
        write_shared(&mut sender, shared, &mut wire, NOW);
        plain.extend([message, &shared[..]].concat());
    }
    sender.finish(&mut wire).unwrap();
    let mut alone = layer(&EncoderPool::shared());
    alone.compress(&Compression::from(format).announce(false)).unwrap();
    let mut only = Vec::new();
    samples().iter().for_each(|shared| write_shared(&mut alone, shared, &mut only, NOW));
    alone.finish(&mut only).unwrap();
    vec![(wire, plain), (only, samples().iter().map(|shared| shared.to_vec()).collect::<Vec<_>>().concat())]
}

fn is_read_by(format: Format, program: &str, arguments: &[&str]) {
    for (wire, plain) in streams(format) {
        let Some(got) = run(program, arguments, &wire) else { return };
        assert!(got == plain, "{program}, {format}: {} bytes instead of {}", got.len(), plain.len());
    }
}

#[test]
fn python_and_the_programs_of_each_format_read_streams_with_shared_messages() {
    const PYTHON: &str = "
import sys, zlib
decoder = zlib.decompressobj(int(sys.argv[1]))
data = sys.stdin.buffer.read()
for at in range(0, len(data), 7):
    sys.stdout.buffer.write(decoder.decompress(data[at:at + 7]))
assert decoder.eof and not decoder.unused_data
";
    for (format, bits) in [(Format::Deflate, "15"), (Format::DeflateRaw, "-15"), (Format::Gzip, "31")] {
        is_read_by(format, "python3", &["-c", PYTHON, bits]);
    }
    is_read_by(
        Format::Gzip,
        "python3",
        &["-c", "import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))"],
    );
    is_read_by(Format::Gzip, "gzip", &["-dc"]);
    is_read_by(Format::Deflate, "pigz", &["-dc"]);
    for format in formats().filter(|format| matches!(format, Format::Lz4 | Format::Zstd)) {
        is_read_by(format, format.name(), &["-dc"]);
    }
}

/// A stream of random shared messages, writes, flushes, stored pieces, barriers and silences, and its plain text.
fn mixed(options: &Compression, pool: &SharedPool, below: &mut impl FnMut(usize) -> usize) -> (Vec<u8>, Vec<u8>) {
    let source = [text(8000), noise(8000)].concat();
    let (mut sender, mut wire, mut plain, mut now) = (layer(pool), Vec::new(), Vec::new(), NOW);
    sender.compress(options).unwrap();
    for _ in 0..1 + below(20) {
        let piece = &source[below(125) * 100..][..1 + below(60) * below(60)];
        let act = below(9);
        match act {
            0..=2 => write_shared(&mut sender, &once(piece), &mut wire, now),
            3 | 4 => sender.write(piece, &mut wire, now).unwrap(),
            5 => write_uncompressed(&mut sender, piece, &mut wire),
            6 => sender.flush(&mut wire, now).unwrap(),
            7 => sender.barrier(&mut wire, now).unwrap(),
            _ => {
                now += SECOND;
                sender.expire(&mut wire, &mut Vec::new(), now).unwrap();
            }
        }
        if act < 6 {
            plain.extend_from_slice(piece);
        }
    }
    sender.finish(&mut wire).unwrap();
    (wire, plain)
}

#[test]
fn whatever_stands_around_shared_messages_others_read_it() {
    let mut luck = noise(100_000).into_iter().cycle();
    let mut below = move |count: usize| usize::from(luck.next().unwrap_or(0)) % count;
    let python = |bits| ["python3", "-c", PYTHON_READS, bits];
    for (options, program) in [
        (Compression::deflate(), &python("15")[..]),
        (Compression::deflate_raw().level(1).flush(Flush::Partial), &python("-15")),
        (Compression::gzip().history(1000), &python("31")),
        (Compression::gzip().level(9), &["gzip", "-dc"]),
        (Compression::zstd(), &["zstd", "-dc"]),
        (Compression::lz4(), &["lz4", "-dc"]),
    ] {
        if !formats().any(|format| format == options.format) {
            continue;
        }
        // One encoder: making a fragment takes it from the stream.
        let pool = EncoderPool::with_limits(1, SECOND);
        let (mut input, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..100 {
            let (wire, plain) = mixed(&options, &pool, &mut below);
            if program[0] == "python3" && !wire.is_empty() {
                input.extend_from_slice(&(wire.len() as u32).to_be_bytes());
            }
            input.extend(wire);
            expected.extend(plain);
        }
        let Some(got) = run(program[0], &program[1..], &input) else { continue };
        assert!(got == expected, "{program:?}: {} bytes instead of {}", got.len(), expected.len());
    }
}
