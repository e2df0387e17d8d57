//! Bytes per second of a bulk transfer, and microseconds per message, compared with the codec alone.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use torsade::prelude::*;
use torsade_bench::{best, time};

use super::link::Link;

/// Bytes written in one turn.
const TURN: usize = 64 << 10;
const ROUNDS: usize = 9;

/// How a text is written: in pieces of this many bytes, with a flush after every `flush` bytes.
#[derive(Clone, Copy)]
struct Case {
    format: Format,
    level: u32,
    piece: usize,
    flush: usize,
}

pub fn run(plain: &[u8]) -> Result {
    println!("writing, MB/s: the codec of the same format alone, at the same level with the same flushes; the same with a");
    println!("blocking socket, in writes of 64 KiB plain; a connection, socket and all");
    header();
    for format in [Format::DeflateRaw, Format::Deflate, Format::Gzip] {
        for level in [1, 6] {
            for (piece, flush) in [(TURN, TURN), (200, TURN), (200, 200)] {
                write(plain, Case { format, level, piece, flush })?;
            }
        }
    }
    println!("other levels and sizes");
    header();
    for level in [1, 3, 6, 9] {
        for piece in [50, 1 << 10, 16 << 10] {
            write(plain, Case { format: Format::Deflate, level, piece, flush: piece })?;
        }
    }
    println!("writing, us each, a flush for each, socket and all");
    println!("{:12} {:>9} {:>9} {:>9} {:>9}", "", "zstd 1", "lz4", "deflate 1", "partial");
    for piece in [50, 200, 1 << 10, 16 << 10] {
        formats(plain, piece)?;
    }
    println!("reading, MB/s: the codec alone; the codec and a blocking socket; a connection, socket and all");
    header();
    for piece in [TURN, 200] {
        read(plain, piece)?;
    }
    let each = |seconds: f64| seconds * 1e6 / (plain.len() as f64 / TURN as f64);
    let [direct, looking] = best(
        ROUNDS,
        [Detect::Off, Detect::Anywhere]
            .map(|detect| {
                move || {
                    let begin = move |transport: &Transport| {
                        transport.set_detection(detect);
                        Ok(())
                    };
                    read_connection(plain, plain.len(), begin).expect("the reactor turns")
                }
            })
            .each_mut()
            .map(|run| run as &mut dyn FnMut() -> f64),
    );
    println!("64 KiB of plain bytes: {:.1} us, and {:.1} us while looking for a mark anywhere", each(direct), each(looking));
    Ok(())
}

fn header() {
    println!("{:44} {:>7} {:>7} {:>7} {:>13}   us each", "", "codec", "socket", "ours", "ours to them");
}

fn print(what: &str, bytes: usize, piece: usize, seconds: [f64; 3]) {
    let [codec, socket, ours] = seconds.map(|seconds| bytes as f64 / seconds / 1e6);
    let each = seconds.map(|seconds| seconds * 1e6 / (bytes as f64 / piece as f64));
    println!(
        "{what:44} {codec:7.0} {socket:7.0} {ours:7.0} {:6.2} {:6.2}   {:.2} {:.2} {:.2}",
        ours / codec,
        ours / socket,
        each[0],
        each[1],
        each[2]
    );
}

fn write(plain: &[u8], case: Case) -> Result {
    // Slow levels take long enough with less.
    let plain = if case.level > 1 { &plain[..plain.len().min(2 << 20)] } else { plain };
    let mut codec = case.codec();
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut peer, _) = listener.accept()?;
    let peer = std::thread::spawn(move || std::io::copy(&mut peer, &mut std::io::sink()).map(drop));
    let mut codec_and_socket = case.codec();
    let link = Link::to_a_sink()?;
    link.transport.set_compression(Compression::from(case.format).level(case.level).announce(false))?;
    let turns: Rc<[Box<[u8]>]> = plain.chunks(TURN).map(Into::into).collect();
    let seconds = best(
        ROUNDS,
        [
            &mut || time(|| write_codec(&mut codec, plain, case, &mut std::io::sink())),
            &mut || time(|| write_codec(&mut codec_and_socket, plain, case, &mut stream)),
            &mut || time(|| write_connection(&link, &turns, case)),
        ],
    );
    drop(stream);
    peer.join().map_err(|_| "the peer failed")??;
    link.close()?;
    let Case { format, level, piece, flush } = case;
    print(&format!("{format} level {level}, {piece} B, a flush for {flush}"), plain.len(), piece, seconds);
    Ok(())
}

/// Compares what a message costs in each built-in format; without a format the connection is not compressed.
fn formats(plain: &[u8], piece: usize) -> Result {
    let case = Case { format: Format::Zstd, level: 1, piece, flush: piece };
    let turns: Rc<[Box<[u8]>]> = plain[..plain.len().min(2 << 20)].chunks(TURN).map(Into::into).collect();
    let open = |options: Compression| -> Result<Link> {
        let link = Link::to_a_sink()?;
        link.transport.set_compression(options).ok();
        Ok(link)
    };
    let links = [
        open(Compression::zstd().level(1))?,
        open(Compression::lz4())?,
        open(Compression::deflate().level(1))?,
        open(Compression::deflate().level(1).flush(Flush::Partial))?,
    ];
    let mut runs = links.each_ref().map(|link| || time(|| write_connection(link, &turns, case)));
    let seconds = best(ROUNDS, runs.each_mut().map(|run| run as &mut dyn FnMut() -> f64));
    let messages = turns.iter().map(|turn| turn.len()).sum::<usize>() as f64 / piece as f64;
    let [zstd, lz4, deflate, partial] = seconds.map(|seconds| seconds * 1e6 / messages);
    println!("{piece:6} B     {zstd:9.2} {lz4:9.2} {deflate:9.2} {partial:9.2}");
    links.into_iter().try_for_each(Link::close)
}

impl Case {
    fn codec(self) -> Compress {
        let level = flate2::Compression::new(self.level);
        match self.format {
            Format::Gzip => Compress::new_gzip(level, 15),
            format => Compress::new_with_window_bits(level, format == Format::Deflate, 15),
        }
    }
}

/// Gives the codec each piece, and flushes with the last one, so that no call is superfluous.
fn write_codec(encoder: &mut Compress, plain: &[u8], case: Case, to: &mut impl Write) {
    let mut wire = Vec::with_capacity(2 * TURN);
    for turn in plain.chunks(TURN) {
        wire.clear();
        for flushed in turn.chunks(case.flush) {
            for (at, piece) in flushed.chunks(case.piece).enumerate() {
                wire.reserve(2 * piece.len() + 64);
                let last = (at + 1) * case.piece >= flushed.len();
                let flush = if last { FlushCompress::Sync } else { FlushCompress::None };
                encoder.compress_vec(piece, &mut wire, flush).expect("a sound encoder");
            }
        }
        to.write_all(&wire).expect("it is read");
    }
}

/// Writes to a peer that drops what it reads, from inside the reactor's turns as programs do.
fn write_connection(link: &Link, turns: &Rc<[Box<[u8]>]>, case: Case) {
    for turn in 0..turns.len() {
        let (transport, turns) = (link.transport.clone(), Rc::clone(turns));
        link.reactor.call_later(Duration::ZERO, move || {
            for flushed in turns[turn].chunks(case.flush) {
                flushed.chunks(case.piece).for_each(|piece| transport.write(piece));
                if case.flush < TURN {
                    transport.flush_compression();
                }
            }
        });
        link.drain().expect("the reactor turns");
    }
}

fn read(plain: &[u8], piece: usize) -> Result {
    let wire = segments(plain, piece).concat();
    let expect = |transport: &Transport| Ok(transport.expect_compression("deflate-raw", b"")?);
    let seconds = best(
        ROUNDS,
        [&mut || time(|| read_codec(&wire[..])), &mut || read_socket(&wire).expect("a socket"), &mut || {
            read_connection(&wire, plain.len(), expect).expect("the reactor turns")
        }],
    );
    print(&format!("deflate-raw, {piece} B"), plain.len(), piece, seconds);
    Ok(())
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

/// Inflates in reads of up to 64 KiB, like those of a socket.
fn read_codec(mut from: impl Read) {
    let mut inflate = Decompress::new(false);
    let (mut wire, mut plain) = (vec![0; TURN], Vec::with_capacity(TURN));
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
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let stream = TcpStream::connect(listener.local_addr()?)?;
    let (mut peer, _) = listener.accept()?;
    let wire = wire.to_vec();
    let peer = std::thread::spawn(move || peer.write_all(&wire));
    let seconds = time(|| read_codec(&stream));
    peer.join().map_err(|_| "the peer failed")??;
    Ok(seconds)
}

/// The time to read what a peer sends as fast as it can, on a new connection.
fn read_connection(wire: &[u8], length: usize, begin: impl Fn(&Transport) -> Result) -> Result<f64> {
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
    let seconds = time(|| {
        while link.received.get() < length {
            link.reactor.iterate(None).expect("the reactor turns");
        }
    });
    link.close()?;
    Ok(seconds)
}
