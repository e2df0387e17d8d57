//! Group 2, programs of others: they read ours and we read theirs, as far as they are installed.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

/// Reads a stream in pieces of seven bytes, then prints what came out; fails unless the stream has ended.
const PYTHON_READS: &str = "
import sys, zlib
data = sys.stdin.buffer.read()
decoder = zlib.decompressobj(int(sys.argv[1]))
for at in range(0, len(data), 7):
    sys.stdout.buffer.write(decoder.decompress(data[at:at + 7]))
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
/// Reads a frame with the library of that name; leaves with 77 if it is not there.
#[cfg(any(feature = "lz4", feature = "zstd"))]
const PYTHON_READS_FRAMES: &str = "
import importlib, sys
try:
    library = importlib.import_module(sys.argv[1])
except ImportError:
    sys.exit(77)
data = sys.stdin.buffer.read()
decoder = library.ZstdDecompressor().decompressobj() if sys.argv[1] == 'zstandard' else library.LZ4FrameDecompressor()
for at in range(0, len(data), 7):
    sys.stdout.buffer.write(decoder.decompress(data[at:at + 7]))
assert decoder.eof and not decoder.unused_data
";
const NODE_READS: &str = "
process.stdin.pipe(require('stream').Duplex.fromWeb(new DecompressionStream(process.argv[1]))).pipe(process.stdout);
";

/// What a program makes of its input; none, with a message, if it is not installed.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
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
    assert!(output.status.success() && fed.is_ok(), "{program} {arguments:?} failed");
    Some(output.stdout)
}

#[expect(clippy::print_stderr, reason = "who runs the tests should know what was not tried")]
fn skipped(what: &str) {
    eprintln!("skipped: {what} is not installed");
}

/// The streams a reader may meet: announced at the start, in mid-stream or not, of text or of noise that passes.
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

#[test]
fn python_reads_our_deflate_streams() {
    for (format, window) in [(Format::Deflate, "15"), (Format::DeflateRaw, "-15"), (Format::Gzip, "31")] {
        is_read_by(format, "python3", &["-c", PYTHON_READS, window]);
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

#[test]
fn gzip_reads_our_streams_and_we_read_its() {
    is_read_by(Format::Gzip, "gzip", &["-dc"]);
    let plain = text(100_000);
    if let Some(wire) = run("gzip", &["-9c"], &plain) {
        assert!(receive(&mut expecting(Format::Gzip), &wire) == plain);
    }
}

#[test]
fn node_reads_our_deflate_streams() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        is_read_by(format, "node", &["-e", NODE_READS, format.name()]);
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
#[cfg(feature = "lz4")]
fn lz4_reads_our_streams_and_we_read_its() {
    is_read_by(Format::Lz4, "lz4", &["-dcq"]);
    is_read_by(Format::Lz4, "python3", &["-c", PYTHON_READS_FRAMES, "lz4.frame"]);
    let plain = text(300_000);
    for options in [["-cq1", "-BD"], ["-cq9", "-B4"], ["-cq1", "-BX"], ["-cq1", "--content-size"], ["-cq1", "--no-frame-crc"]] {
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
