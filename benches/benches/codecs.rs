//! Compression through whole connections, on sockets in memory. The codec takes most of the time; the binary `compression`
//! measures how much.

use std::time::Duration;

use divan::Bencher;
use divan::counter::BytesCount;
use flate2::{Compress, FlushCompress};
use torsade::{MemoryPeer, MemoryReactor, prelude::*};

const LENGTHS: [usize; 3] = [50, 200, 16_384];

fn main() {
    divan::main();
}

/// Accepts one connection with this protocol.
fn connect(reactor: &MemoryReactor, protocol: impl Protocol + 'static) -> MemoryPeer {
    let address = "127.0.0.1:1".parse::<std::net::SocketAddr>().expect("an address");
    let mut protocol = Some(protocol);
    reactor.listen_tcp(address, move |_peer| protocol.take()).expect("a port");
    let peer = reactor
        .connect_peer("127.0.0.1:2".parse::<std::net::SocketAddr>().expect("an address"), address)
        .expect("somebody listens");
    reactor.turn();
    peer
}

/// A mebibyte of text like a service's events, in messages of this length.
fn messages(length: usize) -> Vec<Vec<u8>> {
    let event = |id: u64| format!("{{\"id\":{id},\"user\":\"u{:05}\",\"seen\":{}}}\n", id * 7919 % 100_000, id * id % 999_983);
    let text: Vec<u8> = (0..).flat_map(|id| event(id).into_bytes()).take(1 << 20).collect();
    text.chunks_exact(length).map(<[u8]>::to_vec).collect()
}

/// Sends back what it receives, compressed.
struct Compressed;

impl Protocol for Compressed {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.set_compression("deflate")?)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Plain bytes in, compressed bytes out, with a flush after each message.
#[divan::bench(args = LENGTHS)]
fn deflate(bencher: Bencher<'_, '_>, length: usize) {
    let reactor = MemoryReactor::new();
    let peer = connect(&reactor, Compressed);
    let messages = messages(length);
    let mut next = messages.iter().cycle();
    bencher.counter(BytesCount::new(length)).with_inputs(|| next.next().expect("an endless row")).bench_local_values(|message| {
        peer.send(message);
        reactor.advance(Duration::ZERO);
        let wire = peer.take_received();
        assert!(!wire.is_empty());
        wire
    });
}

/// Answers with the number of bytes it received.
struct Count;

impl Protocol for Count {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.expect_compression("deflate-raw", b"")?)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write((data.len() as u32).to_be_bytes());
        Ok(())
    }
}

/// Compressed bytes in. No message refers to an earlier one, so the same ones can be sent again and again.
#[divan::bench(args = LENGTHS)]
fn inflate(bencher: Bencher<'_, '_>, length: usize) {
    let reactor = MemoryReactor::new();
    let peer = connect(&reactor, Count);
    let mut encoder = Compress::new_with_window_bits(flate2::Compression::default(), false, 15);
    let compress = |message: Vec<u8>| {
        let mut wire = Vec::with_capacity(length + 1024);
        encoder.compress_vec(&message, &mut wire, FlushCompress::Full).expect("a sound encoder");
        wire
    };
    let wires: Vec<_> = messages(length).into_iter().map(compress).collect();
    let mut next = wires.iter().cycle();
    bencher.counter(BytesCount::new(length)).with_inputs(|| next.next().expect("an endless row")).bench_local_values(|wire| {
        peer.send(wire);
        reactor.advance(Duration::ZERO);
        assert_eq!(peer.take_received(), (length as u32).to_be_bytes());
    });
}
