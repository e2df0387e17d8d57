//! Bytes a second of a bulk transfer, and microseconds a message, beside what the codec takes for the same alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use torsade::prelude::*;

use super::link::Link;
use torsade_bench::best;

const BULK: usize = 64 << 10;
const MESSAGE: usize = 200;
const RUNS: usize = 5;

/// 16 MB of events as a service sends them: always the same.
pub fn events() -> Vec<u8> {
    let syllables =
        ["re", "act", "pro", "to", "col", "de", "fer", "trans", "port", "fac", "con", "nec", "call", "back", "buf", "lo"];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 20) as usize
    };
    let mut text = Vec::with_capacity((16 << 20) + 400);
    while text.len() < 16 << 20 {
        let word =
            |number: usize| [number % 16, number / 16 % 16, number / 256 % 16].map(|syllable| syllables[syllable]).concat();
        // Of 4,096 words the low ones are common, as words are.
        let words: Vec<String> = (0..8).map(|_| word(next() % 4096 * (next() % 64) / 64)).collect();
        let line = format!("{{\"id\":{},\"user\":\"u{:05}\",\"text\":\"{}\"}}\n", text.len(), next() % 100_000, words.join(" "));
        text.extend_from_slice(line.as_bytes());
    }
    text
}

pub fn run(plain: &[u8]) -> Result {
    println!("writing: the codec alone; the codec and a blocking socket; a connection, socket and all");
    header();
    for (level, piece) in [(1, BULK), (6, BULK), (1, MESSAGE), (6, MESSAGE)] {
        // The clock moves in steps of milliseconds: enough to be far above them.
        let plain = if piece == MESSAGE && level > 1 { &plain[..plain.len().min(2 << 20)] } else { plain };
        let codec = best(RUNS, || write_codec(level, plain, piece, &mut std::io::sink()));
        let sent = write_socket(level, plain, piece)?;
        for format in [Format::DeflateRaw, Format::Deflate, Format::Gzip] {
            let ours = write_connection(Compression::from(format).level(level), plain, piece)?;
            print(&format!("{format} level {level}, {piece} B"), plain.len(), piece, [codec, sent, ours]);
        }
    }
    println!("reading: the codec alone; the codec and a blocking socket; a connection, socket and all");
    header();
    for piece in [BULK, MESSAGE] {
        let wire = segments(plain, piece).concat();
        let codec = best(RUNS, || read_codec(&wire[..]));
        let received = read_socket(&wire)?;
        let ours = read(&wire, plain.len(), |transport| Ok(transport.expect_compression("deflate-raw", b"")?))?;
        print(&format!("deflate-raw, {piece} B"), plain.len(), piece, [codec, received, ours]);
    }
    let [direct, looking] = [Detect::Off, Detect::Anywhere].map(|detect| {
        read(plain, plain.len(), move |transport| {
            transport.set_detection(detect);
            Ok(())
        })
    });
    let each = |seconds: f64| seconds * 1e6 / (plain.len() as f64 / BULK as f64);
    println!("64 KiB of plain bytes: {:.1} us, and {:.1} us while looking for a mark anywhere", each(direct?), each(looking?));
    Ok(())
}

fn header() {
    println!("{:28} {:>8} {:>8} {:>8} {:>13}   us each", "a flush for each", "MB/s", "MB/s", "MB/s", "ours to them");
}

fn print(what: &str, bytes: usize, piece: usize, seconds: [f64; 3]) {
    let speed = seconds.map(|seconds| bytes as f64 / seconds / 1e6);
    let each = seconds.map(|seconds| seconds * 1e6 / (bytes as f64 / piece as f64));
    let [codec, socket, ours] = speed;
    println!(
        "{what:28} {codec:8.0} {socket:8.0} {ours:8.0} {:6.2} {:6.2}   {:.2} {:.2} {:.2}",
        ours / codec,
        ours / socket,
        each[0],
        each[1],
        each[2]
    );
}

/// Raw deflate, flushed after each piece, and written for each 64 KiB.
fn write_codec(level: u32, plain: &[u8], piece: usize, to: &mut impl Write) {
    let mut encoder = Compress::new_with_window_bits(flate2::Compression::new(level), false, 15);
    let mut wire = Vec::with_capacity(2 * BULK);
    for turn in plain.chunks(BULK) {
        wire.clear();
        for piece in turn.chunks(piece) {
            wire.reserve(2 * piece.len() + 64);
            encoder.compress_vec(piece, &mut wire, FlushCompress::Sync).expect("a sound encoder");
        }
        to.write_all(&wire).expect("it is read");
    }
}

fn write_socket(level: u32, plain: &[u8], piece: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut peer, _) = listener.accept()?;
    let peer = std::thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).map(drop));
    let seconds = best(RUNS, || write_codec(level, plain, piece, &mut stream));
    drop(stream);
    peer.join().map_err(|_| "the peer failed")??;
    Ok(seconds)
}

/// Writes through a connection to a peer that swallows it, from inside the turns of the reactor as programs do.
fn write_connection(options: Compression, plain: &[u8], piece: usize) -> Result<f64> {
    let link = Link::to_a_sink()?;
    link.transport.set_compression::<Compression>(options.announce(false))?;
    let turns: Rc<[Box<[u8]>]> = plain.chunks(BULK).map(Into::into).collect();
    let seconds = best(RUNS, || {
        for turn in 0..turns.len() {
            let (transport, turns) = (link.transport.clone(), Rc::clone(&turns));
            link.reactor.call_later(Duration::ZERO, move || {
                for piece in turns[turn].chunks(piece) {
                    transport.write(piece);
                    transport.flush_compression();
                }
            });
            link.drain().expect("the reactor turns");
        }
    });
    link.close()?;
    Ok(seconds)
}

/// Raw deflate, a segment for each flush.
fn segments(plain: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut encoder = Compress::new_with_window_bits(flate2::Compression::default(), false, 15);
    let compress = |piece: &[u8]| {
        let mut wire = Vec::with_capacity(2 * piece.len() + 1024);
        encoder.compress_vec(piece, &mut wire, FlushCompress::Sync).expect("a sound encoder");
        wire
    };
    plain.chunks(piece).map(compress).collect()
}

/// Inflates what is read, as a socket hands it over: up to 64 KiB in one read.
fn read_codec(mut from: impl Read) {
    let mut inflate = Decompress::new(false);
    let (mut wire, mut plain) = (vec![0; BULK], Vec::with_capacity(BULK));
    loop {
        let count = from.read(&mut wire).expect("it is sent");
        if count == 0 {
            return;
        }
        let begin = inflate.total_in();
        loop {
            plain.clear();
            let rest = &wire[(inflate.total_in() - begin) as usize..count];
            inflate.decompress_vec(rest, &mut plain, FlushDecompress::None).expect("a sound stream");
            if plain.len() < plain.capacity() {
                break;
            }
        }
    }
}

fn read_socket(wire: &[u8]) -> Result<f64> {
    let mut shortest = f64::MAX;
    for _ in 0..RUNS {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        let (mut peer, _) = listener.accept()?;
        let wire = wire.to_vec();
        let peer = std::thread::spawn(move || peer.write_all(&wire));
        shortest = shortest.min(best(1, || read_codec(&stream)));
        peer.join().map_err(|_| "the peer failed")??;
    }
    Ok(shortest)
}

/// The time to read what a peer sends as fast as it can, each time on a new connection.
fn read(wire: &[u8], length: usize, begin: impl Fn(&Transport) -> Result) -> Result<f64> {
    let mut shortest = f64::MAX;
    for _ in 0..RUNS {
        let wire = wire.to_vec();
        let (go, wait) = std::sync::mpsc::channel();
        let link = Link::with(move |mut stream| {
            if wait.recv().is_ok() {
                stream.write_all(&wire).expect("it is read");
            }
            std::io::copy(&mut stream, &mut std::io::sink()).ok();
        })?;
        begin(&link.transport)?;
        go.send(())?;
        shortest = shortest.min(best(1, || {
            while link.received.get() < length {
                link.reactor.iterate(None).expect("the reactor turns");
            }
        }));
        link.close()?;
    }
    Ok(shortest)
}
