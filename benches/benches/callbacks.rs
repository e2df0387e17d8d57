//! From bytes to a protocol and back, without system calls.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use torsade::testing::StringTransport;
use torsade::{MemoryReactor, prelude::*};

#[path = "../src/echo.rs"]
mod echo;
#[path = "../src/line.rs"]
mod line;

const LENGTHS: [usize; 3] = [64, 1024, 16_384];
const LINES: usize = 64;

fn main() {
    divan::main();
}

/// Only the callback, on a transport that keeps what is written.
#[divan::bench(args = LENGTHS)]
fn echo_to_a_string_transport(bencher: Bencher<'_, '_>, length: usize) {
    let transport = StringTransport::new();
    let data = vec![b'x'; length];
    let mut protocol: Box<dyn Protocol> = Box::new(echo::Echo);
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        protocol.data_received(&transport, black_box(&data)).expect("an echo");
        transport.clear();
    });
}

/// The same for a batch of lines.
#[divan::bench]
fn lines_to_a_string_transport(bencher: Bencher<'_, '_>) {
    let transport = StringTransport::new();
    let data = [&[b'x'; 48][..], b"\r\n"].concat().repeat(LINES);
    let mut protocol: Box<dyn Protocol> = Box::new(line::receiver(line::Line));
    bencher.counter(ItemsCount::new(LINES)).counter(BytesCount::new(data.len())).bench_local(|| {
        protocol.data_received(&transport, black_box(&data)).expect("lines");
        transport.clear();
    });
}

/// A whole turn: the real reactor and connection, on a socket in memory.
#[divan::bench(args = LENGTHS)]
fn echo_in_a_turn(bencher: Bencher<'_, '_>, length: usize) {
    let reactor = MemoryReactor::new();
    let address = "127.0.0.1:1".parse::<std::net::SocketAddr>().expect("an address");
    reactor.listen_tcp(address, |_peer| echo::Echo).expect("a port");
    let peer = reactor
        .connect_peer("127.0.0.1:2".parse::<std::net::SocketAddr>().expect("an address"), address)
        .expect("somebody listens");
    reactor.turn();
    let data = vec![b'x'; length];
    bencher.counter(BytesCount::new(length)).bench_local(|| {
        peer.send(black_box(&data));
        reactor.turn();
        let answer = peer.take_received();
        assert_eq!(answer.len(), length);
        answer
    });
}
