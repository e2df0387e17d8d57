//! A warm server allocates nothing for its traffic. (Under TLS, rustls allocates twice for a record each way.)
//!
//! Server and peers run in the test's thread, whose allocations are counted (growing one counts as well). The peers are bare
//! sockets that read into a buffer made beforehand.

#[path = "support/support.rs"]
mod support;

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
#[cfg(feature = "tls")]
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use torsade::Clock;
use torsade::prelude::*;

/// Counted rounds, after half as many in which everything reaches its size.
const ROUNDS: usize = 1000;
/// The same with many peers, each of which gets an answer in every round.
const CROWDED_ROUNDS: usize = 60;
const MEMBERS: usize = 100;
#[cfg(feature = "tls")]
const MESSAGE: [u8; 64] = [b'x'; 64];

/// A server on a reactor turned by hand, and its peers.
struct Server {
    reactor: Reactor,
    peers: Vec<TcpStream>,
    buffer: Vec<u8>,
}

impl Server {
    fn new<F: Factory + 'static>(peers: usize, factory: F) -> Self {
        let reactor = Reactor::new().unwrap();
        // A busy machine delays the loop, and reporting that allocates.
        reactor.set_slow_callback_duration(Duration::MAX);
        let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
        reactor.start_running().unwrap();
        let connect = |_| {
            let peer = support::connect(support::address(&port));
            peer.set_nonblocking(true).unwrap();
            reactor.iterate(Some(Duration::ZERO)).unwrap();
            peer
        };
        let peers = (0..peers).map(connect).collect();
        Self { reactor, peers, buffer: vec![0; 65_536] }
    }

    /// One peer sends a request, and every peer receives this answer.
    fn round(&mut self, speaker: usize, request: &[u8], answer: &[u8]) {
        self.round_until(speaker, request, |got| {
            assert!(answer.starts_with(got), "another answer");
            got.len() == answer.len()
        });
    }

    /// One peer sends a request, and every peer receives a whole answer.
    fn round_until(&mut self, speaker: usize, request: &[u8], is_whole: impl Fn(&[u8]) -> bool) {
        (&self.peers[speaker]).write_all(request).unwrap();
        let begun = Instant::now();
        for mut peer in &self.peers {
            let mut got = 0;
            while !is_whole(&self.buffer[..got]) {
                match peer.read(&mut self.buffer[got..]) {
                    Ok(0) => panic!("the server closed after {got} bytes"),
                    Ok(count) => got += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        assert!(begun.elapsed() < support::LIMIT, "{got} bytes arrived, then none");
                        // At most that: the kernel may be a little late with what the server has already sent.
                        self.reactor.iterate(Some(Duration::from_millis(1))).unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// How many allocations this many rounds make, after a warm-up.
    fn allocations(&mut self, rounds: usize, request: &[u8], answer: &[u8]) -> u64 {
        let speakers = self.peers.len();
        (0..rounds / 2).for_each(|round| self.round(round % speakers, request, answer));
        measure(|| (0..rounds).for_each(|round| self.round(round % speakers, request, answer))).count_total
    }
}

/// Answers each line with itself and an equals sign, in one of two ways.
struct Lines {
    in_pieces: bool,
}

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if self.in_pieces {
            transport.write_sequence(&[b"=", line, b"\r\n"]);
        } else {
            transport.send_line(line);
        }
        Ok(())
    }
}

struct Member(Rc<RefCell<Vec<LineTransport>>>);

impl LineProtocol for Member {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.0.borrow().iter().for_each(|member| member.send_line(line));
        Ok(())
    }
}

/// Sends each frame back.
struct Frames;

impl StringProtocol for Frames {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        Ok(transport.send_string(string)?)
    }
}

impl FrameProtocol<Eights> for Frames {
    fn frame_received(&mut self, transport: &FrameTransport, frame: &[u8]) -> Result {
        transport.write(frame);
        Ok(())
    }
}

struct Eights;

impl Decoder for Eights {
    type Frame<'a> = &'a [u8];
    type Error = std::convert::Infallible;

    fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<&'a [u8]>, FrameError<Self::Error>> {
        Ok(data.get(..8).map_or(Decoded::Incomplete { needed: 8 }, |frame| Decoded::Frame { frame, used: 8 }))
    }
}

/// Answers in a compressed stream, with a flush for each line.
struct Compressing;

impl LineProtocol for Compressing {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        Ok(transport.set_compression(Compression::deflate().announce(false))?)
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line(line);
        transport.flush_compression();
        Ok(())
    }
}

/// Shares each message with all members, behind a header if there is one.
struct Sharing {
    room: Rc<RefCell<Vec<Transport>>>,
    header: &'static str,
}

impl Protocol for Sharing {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.room.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        let message = SharedBytes::from(data.to_vec());
        for member in &*self.room.borrow() {
            if !self.header.is_empty() {
                member.write(self.header);
            }
            member.write_shared(&message);
        }
        Ok(())
    }
}

/// Sends back a copy, which it need not make.
struct Copying;

impl Protocol for Copying {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(std::hint::black_box(data.to_vec()));
        Ok(())
    }
}

#[test]
fn an_allocation_in_a_callback_is_counted() {
    assert_eq!(Server::new(1, |_peer| Copying).allocations(ROUNDS, b"hello", b"hello"), ROUNDS as u64);
}

#[test]
fn an_echo_allocates_nothing() {
    for length in [1, 64, 16_384] {
        let message = support::pattern(0, length);
        let mut server = Server::new(1, |_peer| support::Echo);
        assert_eq!(server.allocations(ROUNDS, &message, &message), 0, "messages of {length} bytes");
    }
}

#[test]
fn pipelined_lines_allocate_nothing() {
    let batch = b"a line of thirty-two characters..\r\n".repeat(64);
    let answer = b"=a line of thirty-two characters..\r\n".repeat(64);
    for (in_pieces, answer) in [(false, &batch), (true, &answer)] {
        let mut server = Server::new(1, move |_peer| LineReceiver::new(Lines { in_pieces }));
        assert_eq!(server.allocations(ROUNDS, &batch, answer), 0, "in pieces: {in_pieces}");
    }
}

#[test]
fn a_line_in_two_reads_allocates_nothing() {
    let mut server = Server::new(1, |_peer| LineReceiver::new(Lines { in_pieces: false }));
    let round = |server: &mut Server| {
        server.round(0, b"whole\r\nand a ha", b"whole\r\n");
        server.round(0, b"lf\r\n", b"and a half\r\n");
    };
    (0..ROUNDS / 2).for_each(|_| round(&mut server));
    assert_eq!(measure(|| (0..ROUNDS).for_each(|_| round(&mut server))).count_total, 0);
}

#[test]
fn a_broadcast_to_a_hundred_members_allocates_nothing() {
    let room = Rc::default();
    let mut server = Server::new(MEMBERS, move |_peer| LineReceiver::new(Member(Rc::clone(&room))));
    assert_eq!(server.allocations(CROWDED_ROUNDS, b"hello, everybody\r\n", b"hello, everybody\r\n"), 0);
}

#[test]
fn frames_allocate_nothing() {
    fn allocations<P: Protocol + 'static>(make: impl Fn() -> P + 'static, frame: &[u8]) -> u64 {
        let batch = frame.repeat(64);
        Server::new(1, move |_peer| make()).allocations(ROUNDS, &batch, &batch)
    }
    assert_eq!(allocations(|| FrameReceiver::new(Eights, Frames), b"eight by"), 0, "of one's own format");
    assert_eq!(allocations(|| Int8StringReceiver::new(Frames), b"\x05hello"), 0);
    assert_eq!(allocations(|| Int16StringReceiver::new(Frames), b"\0\x05hello"), 0);
    assert_eq!(allocations(|| Int32StringReceiver::new(Frames), b"\0\0\0\x05hello"), 0);
    assert_eq!(allocations(|| NetstringReceiver::new(Frames), b"12:hello, world,"), 0);
}

#[test]
fn a_compressed_line_allocates_nothing() {
    let mut server = Server::new(1, |_peer| LineReceiver::new(Compressing));
    let mut line = *b"a line whose number is 0000, and some words\r\n";
    let mut round = |number: usize| {
        let digits = [1000, 100, 10, 1].map(|power| b'0' + (number / power % 10) as u8);
        line[23..27].copy_from_slice(&digits);
        server.round_until(0, &line, |got| got.ends_with(&[0, 0, 0xff, 0xff]));
    };
    // A longer warm-up, until the longest answer has come.
    (0..ROUNDS * 3).for_each(&mut round);
    assert_eq!(measure(|| (0..ROUNDS).for_each(&mut round)).count_total, 0);
}

#[test]
fn a_timer_that_is_postponed_allocates_nothing() {
    let clock = Clock::new();
    let calls: Vec<DelayedCall> =
        (0..100).map(|_| clock.call_later(Duration::from_secs(10), || panic!("it is postponed"))).collect();
    let round = || {
        calls.iter().for_each(|call| call.reset(Duration::from_secs(10)).unwrap());
        clock.advance(Duration::from_secs(3));
    };
    (0..ROUNDS / 2).for_each(|_| round());
    assert_eq!(measure(|| (0..ROUNDS).for_each(|_| round())).count_total, 0);
}

/// Requests an echo again and again, and counts the answers.
#[cfg(feature = "tls")]
struct Asking {
    answered: Arc<AtomicUsize>,
    missing: usize,
}

#[cfg(feature = "tls")]
impl Protocol for Asking {
    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.missing = MESSAGE.len();
        transport.write(MESSAGE);
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.missing -= data.len();
        if self.missing > 0 {
            return Ok(());
        }
        if self.answered.fetch_add(1, Ordering::SeqCst) > 3 * ROUNDS {
            return Ok(transport.reactor().stop()?);
        }
        self.handshake_completed(transport)
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_small_record_each_way_over_tls_allocates_once_each_in_rustls_and_no_more() {
    let reactor = Reactor::new().unwrap();
    reactor.set_slow_callback_duration(Duration::MAX);
    let certificate = support::keys::self_signed(&support::keys::NAMES).load();
    let config = TlsServerConfig::builder().certificate(certificate).build().unwrap();
    let port = reactor.listen_tls("127.0.0.1:0", &config, |_peer| support::Echo).unwrap();
    reactor.start_running().unwrap();
    let address = support::address(&port);
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    let peer = std::thread::spawn(move || {
        let reactor = Reactor::new().unwrap();
        let config = TlsClientConfig::builder().dangerous_no_verification().build().unwrap();
        let asking = move |_peer| Asking { answered: Arc::clone(&counter), missing: 0 };
        reactor.connect_tls(address, &config, asking).unwrap();
        reactor.run().unwrap();
    });
    let until = |count| {
        while answered.load(Ordering::SeqCst) < count {
            assert!(!peer.is_finished(), "the peer has lost its connection");
            reactor.iterate(Some(Duration::from_millis(1))).unwrap();
        }
    };
    until(ROUNDS);
    // The record sent, and the content of the one received. The count may include a part of one more round.
    let allocations = measure(|| until(2 * ROUNDS)).count_total;
    assert!(allocations <= 2 * (ROUNDS as u64 + 1), "{allocations} in {ROUNDS} rounds");
    while !peer.is_finished() {
        reactor.iterate(Some(Duration::from_millis(1))).unwrap();
    }
    peer.join().unwrap();
}

/// Shares each message with all members, compressed once.
struct SharingCompressed(Rc<RefCell<Vec<Transport>>>);

impl Protocol for SharingCompressed {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression(Compression::deflate().announce(false))?;
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        let message = SharedBytes::from(data.to_vec()).compressed_once();
        self.0.borrow().iter().for_each(|member| member.write_shared(&message));
        Ok(())
    }
}

#[test]
fn a_message_that_is_compressed_once_allocates_as_much_for_ten_members_as_for_a_hundred() {
    let message = support::pattern(0, 5000);
    let allocations = [10, MEMBERS].map(|members| {
        let room = Rc::default();
        let mut server = Server::new(members, move |_peer| SharingCompressed(Rc::clone(&room)));
        let mut round = |number: usize| {
            server.round_until(number % members, &message, |got| got.ends_with(&[0, 0, 0xff, 0xff]));
        };
        (0..CROWDED_ROUNDS / 2).for_each(&mut round);
        measure(|| (0..CROWDED_ROUNDS).for_each(&mut round)).count_total
    });
    assert_eq!(allocations[0], allocations[1]);
    assert!(allocations[1] <= 20 * CROWDED_ROUNDS as u64, "{allocations:?}");
}

#[test]
fn a_message_that_a_hundred_members_share_is_all_that_is_allocated_for_them() {
    for header in ["", "to all: "] {
        let room = Rc::default();
        let mut server = Server::new(MEMBERS, move |_peer| Sharing { room: Rc::clone(&room), header });
        let message = support::pattern(0, 5000);
        let answer = [header.as_bytes(), &message].concat();
        // The bytes, and their reference count.
        assert_eq!(server.allocations(CROWDED_ROUNDS, &message, &answer), 2 * CROWDED_ROUNDS as u64, "header: {header:?}");
    }
}
