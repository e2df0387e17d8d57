//! What framing costs per byte, and that this does not depend on the size of the pieces in which the bytes arrive.
//!
//! Run: cargo run --release -p torsade-bench --bin framing
//!
//! Fails if one size of piece is more than 3 times slower than another for ordinary lines. (Twisted's LineReceiver is 40 times
//! slower on pieces of 1 MiB than on those of 1 KiB.) For framing with next to no work per byte, most of the time is the call for
//! each piece of 64 bytes, some 50 ns: there 8 times is allowed.

use std::hint::black_box;

use torsade::testing::StringTransport;
use torsade::{
    LineDecoder, LineProtocol, LineReceiver, LineTransport, NetstringReceiver, Protocol, Result, StringFrameTransport,
    StringProtocol,
};
use torsade_bench::time;

const TOTAL: usize = 64 << 20;
/// Each round measures every size of piece; the best round counts.
const ROUNDS: usize = 5;
const PIECES: [usize; 5] = [64, 1 << 10, 16 << 10, 64 << 10, 1 << 20];

struct Count(usize);

impl LineProtocol for Count {
    fn line_received(&mut self, _: &LineTransport, line: &[u8]) -> Result {
        self.0 += black_box(line).len();
        Ok(())
    }
}

impl StringProtocol for Count {
    fn string_received(&mut self, _: &StringFrameTransport, string: &[u8]) -> Result {
        self.0 += black_box(string).len();
        Ok(())
    }
}

/// Reads short blocks of raw data, each after a line; all may arrive in one piece.
struct Blocks {
    left: usize,
}

impl LineProtocol for Blocks {
    fn line_received(&mut self, transport: &LineTransport, _: &[u8]) -> Result {
        self.left = 20;
        transport.set_raw_mode();
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let (taken, rest) = data.split_at(self.left.min(data.len()));
        self.left -= black_box(taken).len();
        if self.left == 0 {
            transport.set_line_mode(rest);
        }
        Ok(())
    }
}

/// The decoder alone.
fn measure_decoder(name: &str, unit: &[u8]) -> f64 {
    measure_feed(name, unit, &|input, piece| {
        let mut decoder = LineDecoder::new();
        for data in input.chunks(piece) {
            decoder.feed(data);
            while let Some(line) = decoder.next_line() {
                black_box(line.is_ok());
            }
        }
        Ok(())
    })
    .expect("the decoder refuses nothing")
}

/// The same for a protocol, on a transport in memory.
fn measure(name: &str, unit: &[u8], make: impl Fn() -> Box<dyn Protocol>) -> Result<f64> {
    measure_feed(name, unit, &|input, piece| {
        let transport = StringTransport::new();
        let mut protocol = make();
        input.chunks(piece).try_for_each(|data| protocol.data_received(&transport, data))
    })
}

/// Prints megabytes per second for each size of piece; returns the ratio of the fastest to the slowest.
fn measure_feed(name: &str, unit: &[u8], feed: &dyn Fn(&[u8], usize) -> Result) -> Result<f64> {
    let input = unit.repeat((TOTAL / unit.len()).max(1));
    let mut seconds = [f64::MAX; PIECES.len()];
    for _ in 0..ROUNDS {
        for (shortest, piece) in seconds.iter_mut().zip(PIECES) {
            let mut result = Ok(());
            *shortest = shortest.min(time(|| result = feed(&input, piece)));
            result?;
        }
    }
    Ok(show(name, &seconds.map(|seconds| input.len() as f64 / seconds / 1e6)))
}

fn show(name: &str, speeds: &[f64]) -> f64 {
    let (slowest, fastest) = speeds.iter().fold((f64::MAX, 0.0_f64), |(low, high), speed| (low.min(*speed), high.max(*speed)));
    let shown: Vec<String> = PIECES.iter().zip(speeds).map(|(piece, speed)| format!("{piece}: {speed:.0}")).collect();
    println!("{name:24} MB/s by piece  {}   ratio {:.1}", shown.join("  "), fastest / slowest);
    fastest / slowest
}

fn main() -> Result {
    let line = [&[b'x'; 78][..], b"\r\n"].concat();
    let long_line = [&vec![b'x'; 16_000][..], b"\r\n"].concat();
    let netstring = [b"80:", &[b'x'; 80][..], b","].concat();
    let block = [b"block\r\n", &[b'x'; 20][..]].concat();
    let within = [
        measure_decoder("LineDecoder, 80 bytes", &line) <= 3.0,
        measure_decoder("LineDecoder, 16 KB", &long_line) <= 8.0,
        measure("lines of 80 bytes", &line, || Box::new(LineReceiver::new(Count(0))))? <= 3.0,
        measure("lines of 16 KB", &long_line, || Box::new(LineReceiver::new(Count(0))))? <= 8.0,
        measure("netstrings of 80 bytes", &netstring, || Box::new(NetstringReceiver::new(Count(0))))? <= 8.0,
        measure("lines and raw blocks", &block, || Box::new(LineReceiver::new(Blocks { left: 0 })))? <= 3.0,
    ];
    if within.contains(&false) {
        return Err("what a byte costs depends too much on the size of the pieces".into());
    }
    Ok(())
}
