//! Groups 2 and 20, other programs, as far as they are installed: they read our streams and we read theirs, and we agree on
//! damaged streams.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::*;

/// Reads many streams, each after its length, in pieces of seven bytes, and prints all output; fails unless each
/// stream has ended.
pub(super) const PYTHON_READS: &str = "
import struct, sys, zlib
data = sys.stdin.buffer.read()
while data:
    length, = struct.unpack('>I', data[:4])
    stream, data = data[4:4 + length], data[4 + length:]
    decoder = zlib.decompressobj(int(sys.argv[1]))
    for at in range(0, length, 7):
        sys.stdout.buffer.write(decoder.decompress(stream[at:at + 7]))
    assert decoder.eof and not decoder.unused_data
";
/// Compresses its input with a flush after each line.
const PYTHON_WRITES: &str = "
import sys, zlib
encoder = zlib.compressobj(6, zlib.DEFLATED, int(sys.argv[1]))
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(encoder.compress(line) + encoder.flush(zlib.Z_SYNC_FLUSH))
sys.stdout.buffer.write(encoder.flush())
";
/// Reads many streams, each after its length, byte by byte. Answers with e(rror), f(inished) or m(ore wanted), the number
/// of bytes after the end, and the plain bytes after their length.
const PYTHON_JUDGES: &str = "
import struct, sys, zlib
data, output = sys.stdin.buffer.read(), sys.stdout.buffer
while data:
    length, = struct.unpack('>I', data[:4])
    stream, data = data[4:4 + length], data[4 + length:]
    decoder, plain, verdict = zlib.decompressobj(int(sys.argv[1])), b'', b'm'
    try:
        for at in range(length):
            plain += decoder.decompress(stream[at:at + 1])
    except zlib.error:
        verdict = b'e'
    output.write((b'f' if decoder.eof else verdict) + struct.pack('>II', len(decoder.unused_data), len(plain)) + plain)
";
/// Reads frames with the library of that name; exits with 77 if it is not installed.
#[cfg(any(feature = "lz4", feature = "zstd"))]
const PYTHON_READS_FRAMES: &str = "
import importlib, sys
try:
    library = importlib.import_module(sys.argv[1])
except ImportError:
    sys.exit(77)
data = sys.stdin.buffer.read()
while data:
    decoder = library.ZstdDecompressor().decompressobj() if sys.argv[1] == 'zstandard' else library.LZ4FrameDecompressor()
    at = 0
    while at < len(data) and not decoder.eof:
        sys.stdout.buffer.write(decoder.decompress(data[at:at + 7]))
        at += 7
    assert decoder.eof
    data = (decoder.unused_data or b'') + data[at:]
";
/// The same with a web stream for each.
const NODE_READS: &str = "
const data = require('fs').readFileSync(0);
const read = async (at) => {
    if (at == data.length) return;
    const end = at + 4 + data.readUInt32BE(at);
    const plain = new Blob([data.subarray(at + 4, end)]).stream().pipeThrough(new DecompressionStream(process.argv[1]));
    process.stdout.write(Buffer.from(await new Response(plain).arrayBuffer()));
    await read(end);
};
read(0);
";

/// The output of a program that must succeed; `None`, with a message, if it is not installed.
pub(super) fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let output = output(program, arguments, input)?;
    assert!(output.status.success(), "{program} {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// The output of a program; `None`, with a message, if it is not installed.
fn output(program: &str, arguments: &[&str], input: &[u8]) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        skipped(program);
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    let fed = feeder.join().unwrap();
    if output.status.code() == Some(77) {
        skipped(arguments.last().copied().unwrap_or(program));
        return None;
    }
    assert!(fed.is_ok() || !output.status.success(), "{program} {arguments:?} did not read all of it");
    Some(output)
}

#[expect(clippy::print_stderr, reason = "who runs the tests should know what was not tried")]
fn skipped(what: &str) {
    eprintln!("skipped: {what} is not installed");
}

/// The streams that a reader may meet: announced at the start, in mid-stream or not at all, of text or of stored noise; and with
/// stored pieces.
fn streams(format: Format) -> Vec<(Vec<u8>, Vec<u8>)> {
    let noise = noise(100_000);
    let writes: [Vec<&[u8]>; 2] = [vec![b"hello\n", b"hello again\n"], noise.chunks(5000).collect()];
    let mut all = Vec::new();
    for writes in writes {
        for (announce, passed) in [(true, 0), (true, 11), (false, 0)] {
            let mut sender = CompressionLayer::new(&EncoderPool::shared(), Detect::Off, 0, passed);
            sender.compress(&Compression::from(format).announce(announce)).unwrap();
            let mut wire = send(&mut sender, &writes);
            sender.finish(&mut wire).unwrap();
            all.push((wire, writes.concat()));
        }
    }
    let mut sender = sender(&format.into());
    let mut wire = send(&mut sender, &["hello\n"]);
    for stored in [&b"stored\n"[..], &noise, b"stored as well\n"] {
        write_uncompressed(&mut sender, stored, &mut wire);
        wire.extend(send(&mut sender, &["hello again\n"]));
    }
    sender.finish(&mut wire).unwrap();
    let plain = [b"hello\nstored\nhello again\n", &noise[..], b"hello again\nstored as well\nhello again\n"].concat();
    all.push((wire, plain));
    all
}

fn is_read_by(format: Format, program: &str, arguments: &[&str]) {
    for (wire, plain) in streams(format) {
        let Some(got) = run(program, arguments, &wire) else {
            return;
        };
        assert!(got == plain, "{program} {arguments:?} read {format} wrong");
    }
}

/// The same with all streams in one run of the program, each after its length.
fn are_read_by(format: Format, program: &str, arguments: &[&str]) {
    let (mut input, mut expected) = (Vec::new(), Vec::new());
    for (wire, plain) in streams(format) {
        input.extend((wire.len() as u32).to_be_bytes());
        input.extend(wire);
        expected.extend(plain);
    }
    if let Some(got) = run(program, arguments, &input) {
        assert!(got == expected, "{program} {arguments:?} read {format} wrong");
    }
}

#[test]
fn python_reads_our_deflate_streams() {
    for (format, window) in [(Format::Deflate, "15"), (Format::DeflateRaw, "-15"), (Format::Gzip, "31")] {
        are_read_by(format, "python3", &["-c", PYTHON_READS, window]);
    }
}

#[test]
fn we_read_streams_of_python() {
    let plain = messages(50).concat();
    let formats = [(Format::Deflate, ["15", "9"]), (Format::DeflateRaw, ["-15", "-9"]), (Format::Gzip, ["31", "25"])];
    for (format, windows) in formats {
        for window in windows {
            let Some(wire) = run("python3", &["-c", PYTHON_WRITES, window], &plain) else {
                return;
            };
            for piece in [1, 1000] {
                let mut receiver = expecting(format);
                let (got, reason) = receive_in(&mut receiver, &wire, piece, ROOM);
                assert!(reason.is_none(), "{format}: {reason:?}");
                assert!(got == plain && receiver.stats().stream_ended, "{format}");
            }
            assert_eq!(receive(&mut detecting(), &wire), wire, "a foreign stream is not detected");
        }
    }
}

/// Streams of Python's and of ours, each damaged in many ways, always the same.
fn damaged(format: Format) -> Vec<Vec<u8>> {
    let good = [stream(&format.into(), &messages(4)), stream(&Compression::from(format).level(1), &[noise(300), text(300)])];
    let luck = noise(6000);
    let damage = |(number, luck): (usize, &[u8])| {
        let mut wire = good[number % 2].clone();
        let [how, at, more, byte, length, _] = *luck else { return wire };
        // Every other damage is near the beginning, where the headers are.
        let span = if more & 1 == 0 { 40 } else { wire.len() };
        let at = (usize::from(at) << 8 | usize::from(byte)) % span.min(wire.len());
        match how % 6 {
            0 => wire[at] ^= 1 << (byte % 8),
            1 => wire[at] = byte,
            2 => wire.truncate(at),
            3 => drop(wire.splice(at..at, [byte; 3])),
            4 => drop(wire.drain(at..wire.len().min(at + usize::from(length % 8)))),
            _ => wire.extend(good[0].iter().take(length.into())),
        }
        wire
    };
    luck.chunks(6).enumerate().map(damage).collect()
}

#[test]
fn python_and_we_say_the_same_of_damaged_streams() {
    for (format, window) in [(Format::Deflate, "15"), (Format::DeflateRaw, "-15"), (Format::Gzip, "31")] {
        let streams = damaged(format);
        let input: Vec<u8> = streams.iter().flat_map(|wire| [&(wire.len() as u32).to_be_bytes(), &wire[..]].concat()).collect();
        let Some(answer) = run("python3", &["-c", PYTHON_JUDGES, window], &input) else {
            return;
        };
        let (mut answer, mut verdicts) = (&answer[..], [0; 4]);
        for (number, wire) in streams.iter().enumerate() {
            let mut take = |count: usize| answer.split_off(..count).expect("an answer to each");
            let verdict = take(1)[0];
            let [behind, length] = [take(4), take(4)].map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()) as usize);
            let plain = take(length);
            for piece in [1, usize::MAX] {
                let mut receiver = expecting(Decompression::from(format).after_end(AfterEnd::Error));
                let (got, reason) = receive_in(&mut receiver, wire, piece, ROOM);
                let (kind, ended) = (kind(reason), receiver.stats().stream_ended);
                let what = format!("{format} {number} in {piece}: {} of {verdict} and we {kind:?}", wire.escape_ascii());
                match (verdict, kind) {
                    (b'f', Some(DecompressErrorKind::TrailingData)) if piece > 1 => {
                        assert_eq!(receiver.take_trailing().len(), behind, "{what}");
                        assert!(got == plain && behind > 0, "{what}");
                    }
                    (b'f', Some(DecompressErrorKind::TrailingData)) => assert!(got == plain && behind > 0, "{what}"),
                    (b'f', None) => assert!(got == plain && ended && behind == 0, "{what}"),
                    (b'm', None) => assert!(got == plain && !ended, "{what}"),
                    // The output before the error: Python does not return that of its last byte.
                    (b'e', Some(_)) => assert!(got.starts_with(plain), "{what}"),
                    _ => panic!("{what}"),
                }
                verdicts[usize::from(verdict == b'f') + 2 * usize::from(verdict == b'e')] += 1;
            }
        }
        assert!(verdicts[..3].iter().all(|count| *count > 50), "{format}: {verdicts:?} are too much alike");
    }
}

#[test]
fn gzip_and_pigz_read_our_streams_and_we_read_theirs() {
    is_read_by(Format::Gzip, "gzip", &["-dc"]);
    is_read_by(Format::Gzip, "pigz", &["-dc"]);
    is_read_by(Format::Deflate, "pigz", &["-dcz"]);
    let plain = text(100_000);
    for program in ["gzip", "pigz"] {
        if let Some(wire) = run(program, &["-9c"], &plain) {
            assert!(receive(&mut expecting(Format::Gzip), &wire) == plain);
        }
    }
}

#[test]
fn node_reads_our_deflate_streams() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        are_read_by(format, "node", &["-e", NODE_READS, format.name()]);
    }
}

#[test]
#[cfg(feature = "zstd")]
fn zstd_reads_our_streams_and_we_read_its() {
    is_read_by(Format::Zstd, "zstd", &["-dcq"]);
    is_read_by(Format::Zstd, "python3", &["-c", PYTHON_READS_FRAMES, "zstandard"]);
    let plain = text(300_000);
    for level in ["-1", "-19", "--fast"] {
        let Some(wire) = run("zstd", &["-cq", level], &plain) else {
            return;
        };
        assert!(receive(&mut expecting(Format::Zstd), &wire) == plain);
    }
}

#[test]
#[cfg(feature = "zstd")]
fn zstd_takes_no_stream_that_was_broken_off_for_a_whole_one() {
    for between_frames in [false, true] {
        let mut sender = sender(&Compression::zstd());
        let mut wire = send(&mut sender, &messages(3));
        if between_frames {
            sender.barrier(&mut wire, NOW).unwrap();
        }
        sender.break_off(&mut wire, NOW).unwrap();
        let Some(output) = output("zstd", &["-t"], &wire) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("premature end"), "between frames {between_frames}: {said}");
    }
}

#[test]
#[cfg(feature = "lz4")]
fn lz4_reads_our_streams_and_we_read_its() {
    is_read_by(Format::Lz4, "lz4", &["-dcq"]);
    is_read_by(Format::Lz4, "python3", &["-c", PYTHON_READS_FRAMES, "lz4.frame"]);
    let plain = text(300_000);
    for options in [
        ["-cq1", "-BD"],
        ["-cq9", "-B4"],
        ["-cq1", "-BX"],
        ["-cq1", "--content-size"],
        ["-cq1", "--no-frame-crc"],
        ["-cq1", "-l"],
    ] {
        let Some(wire) = run("lz4", &options, &plain) else {
            return;
        };
        for piece in [1000, usize::MAX] {
            let (got, reason) = receive_in(&mut expecting(Format::Lz4), &wire, piece, ROOM);
            assert!(reason.is_none(), "{options:?}: {reason:?}");
            assert!(got == plain, "{options:?}");
        }
    }
}
