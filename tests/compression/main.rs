//! Compression through real connections, and the list of what shows that compression works, in twenty-two groups. The files in
//! the third column are here; those in the second are in `transports/src/compression/tests`, and test the layer alone.
//!
//! | group | layer | connections | elsewhere |
//! |---|---|---|---|
//! | 1 round trips | `round_trip` | `formats` | `simulated`: tunnels in every format |
//! | 2 other programs read our streams, and we theirs | `outside` | `programs` | `tests/interop/run stream` |
//! | 3 golden bytes | `golden` | | |
//! | 4 detection under every split | `detection` | `detection` | `simulated`: byte by byte |
//! | 5 holding back, and its timers | `detection` | `detection` | `simulated`: in virtual time |
//! | 6 switches in mid-stream | `midstream`, `golden` | `detection` | `simulated`: byte by byte |
//! | 7 order of switches and bytes | `flushing` | `switching`, `formats` | `tls/starttls`: with TLS |
//! | 8 flushes that neither get stuck nor repeat | `flushing` | `flushing` | `simulated`: the delayed ones |
//! | 9 how our streams end; back-pressure | `ends` | `ends` | `simulated`, `properties` |
//! | 10 bombs | `limits`, `decoder_memory` | `bombs` | `compression_memory`, `decoder_memory`: their memory |
//! | 11 output pending without input | `limits` | `bombs` | |
//! | 12 corruption, and each kind of end | `corruption`, `ends`, `fields` | `ends` | |
//! | 13 limits, in every format | `limits` | | |
//! | 14 data that does not compress | `pass_through` | | |
//! | 15 hibernation | `sharing`, `combined` | `sharing`, `flushing` | |
//! | 16 memory of idle connections | `sharing`, `chain.rs` | | `torsade-bench`: `memory` |
//! | 17 secrets: barriers and stored pieces | `secrets`, `combined` | `sharing` | |
//! | 18 real peers | | | `tests/interop/run imap irc telnetlib3 tintin websockets ws`, `tests/interop/autobahn`; `framing/websocket` |
//! | 19 detection off, proxies | `detection` | `detection` | |
//! | 20 arbitrary input; agreement with Python | `corruption`, `outside`, `round_trip`, `sharing`, `combined` | | `properties`; `fuzz/fuzz_targets/decompress.rs` |
//! | 21 dictionaries | `dictionaries`, `corruption`, `ends` | `dictionaries` | `tests/interop/run dictionaries` |
//! | 22 messages compressed once for many | `shared`, `combined` | `shared` | `properties`; `steady_state` |
//!
//! Most tests turn the reactor by hand, with the peer's blocking socket on the same thread: bytes written to a loopback socket
//! have arrived in the next turn, so these tests need neither threads nor sleep, and may count turns.

mod bombs;
mod detection;
mod dictionaries;
mod ends;
mod flushing;
mod formats;
mod held;
mod options;
mod programs;
mod shared;
mod sharing;
mod simulated;
#[path = "../support/support.rs"]
mod support;
mod switching;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use support::{Event, Events, LIMIT, Probe, formats};
use torsade::prelude::*;
use torsade::{AfterEnd, CompressionError, CompressionStats, DecompressErrorKind, Truncation};

/// A reactor turned by hand, with one of our connections and the peer's end of it.
struct Hand {
    reactor: Reactor,
    peer: TcpStream,
    events: Events,
    transport: Transport,
    /// What the peer has read so far, in [`Hand::read`] and [`Hand::pull`].
    wire: Vec<u8>,
}

impl Hand {
    /// A connection accepted from a peer.
    fn listening(script: impl FnMut(&Event, &Transport) -> Result + 'static) -> Self {
        let reactor = started();
        let (transport, events, peer) = accept(&reactor, script, false);
        Self { reactor, peer, events, transport, wire: Vec::new() }
    }

    /// The same with a protocol that goes on after the peer's end of stream.
    fn half_closeable(script: impl FnMut(&Event, &Transport) -> Result + 'static) -> Self {
        let reactor = started();
        let (transport, events, peer) = accept(&reactor, script, true);
        Self { reactor, peer, events, transport, wire: Vec::new() }
    }

    /// A connection made to a peer.
    fn connecting(script: impl FnMut(&Event, &Transport) -> Result + 'static) -> Self {
        let reactor = started();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let events = Events::default();
        let record = events.clone();
        let (keep, transport) = slot();
        let mut script = Some(keeping(keep, script));
        reactor.connect_tcp(address, move |_peer| Some(Probe::new(&record, script.take()?))).expect("an attempt starts");
        reactor.iterate(Some(Duration::ZERO)).unwrap();
        let peer = made(listener.accept().unwrap().0, &reactor, &events);
        let transport = transport.take().expect("connection_made was called");
        Self { reactor, peer, events, transport, wire: Vec::new() }
    }

    /// One turn that does not wait.
    fn turn(&self) {
        self.reactor.iterate(Some(Duration::ZERO)).expect("the reactor turns");
    }

    /// Turns until `done`, which has to happen.
    fn turn_until(&self, mut done: impl FnMut(&Events) -> bool) {
        turn_until(&self.reactor, || done(&self.events));
    }

    /// Sends bytes from the peer, and reads them in one turn.
    fn send(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).unwrap();
        self.reactor.iterate(Some(Duration::from_secs(1))).expect("the reactor turns");
    }

    /// Ends the peer's stream, and has us notice.
    fn shut(&self) {
        self.peer.shutdown(Shutdown::Write).unwrap();
        self.turn_until(|events| events.count("read lost") > 0 || events.lost());
    }

    /// Has the peer read, without a turn of ours, until it has the expected plain bytes of one stream.
    fn read(&mut self, format: Format, expected: &[u8]) {
        let mut piece = [0; 65_536];
        loop {
            let plain = decoded(format, &self.wire);
            if plain.len() >= expected.len() {
                assert!(plain == expected, "{} bytes: {:?}", plain.len(), String::from_utf8_lossy(&plain));
                return;
            }
            let count = self.peer.read(&mut piece).expect("the rest of the plain bytes");
            assert!(count > 0, "the stream ended after {} plain bytes", plain.len());
            self.wire.extend_from_slice(&piece[..count]);
        }
    }

    /// Has the peer read everything that has arrived.
    fn pull(&mut self) {
        received(&mut self.peer, &mut self.wire);
    }

    /// Ends the peer's stream; returns all that the peer receives until our end is lost, and the reason.
    fn drain(mut self) -> (Vec<u8>, Reason) {
        // The connection may already be reset.
        self.peer.shutdown(Shutdown::Write).ok();
        let Self { reactor, peer, events, wire, .. } = &mut self;
        turn_until(reactor, || {
            received(peer, wire);
            events.lost()
        });
        wire.extend(support::drain(peer).0);
        (std::mem::take(wire), self.events.reason())
    }

    fn stats(&self) -> CompressionStats {
        self.transport.compression_stats().expect("compression was on")
    }
}

type Slot = std::rc::Rc<std::cell::RefCell<Option<Transport>>>;

fn slot() -> (Slot, Slot) {
    let slot = Slot::default();
    (slot.clone(), slot)
}

/// The script, with the transport kept for the test.
fn keeping(
    slot: Slot,
    mut script: impl FnMut(&Event, &Transport) -> Result + 'static,
) -> impl FnMut(&Event, &Transport) -> Result + 'static {
    move |event, transport| {
        if matches!(event, Event::Made) {
            slot.replace(Some(transport.clone()));
        }
        script(event, transport)
    }
}

/// A reactor to turn by hand.
fn started() -> Reactor {
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    reactor
}

/// Another connection from a peer.
fn accept(
    reactor: &Reactor,
    script: impl FnMut(&Event, &Transport) -> Result + 'static,
    half_closeable: bool,
) -> (Transport, Events, TcpStream) {
    let events = Events::default();
    let record = events.clone();
    let (keep, transport) = slot();
    let mut script = Some(keeping(keep, script));
    let factory = move |_peer| {
        let probe = Probe::new(&record, script.take()?);
        Some(if half_closeable { probe.half_closeable() } else { probe })
    };
    let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
    let stream = TcpStream::connect(support::address(&port)).unwrap();
    let peer = made(stream, reactor, &events);
    port.stop_listening();
    (transport.take().expect("connection_made was called"), events, peer)
}

/// Turns until the connection is made and nothing more is due.
fn made(peer: TcpStream, reactor: &Reactor, events: &Events) -> TcpStream {
    peer.set_nodelay(true).unwrap();
    peer.set_read_timeout(Some(LIMIT)).unwrap();
    peer.set_write_timeout(Some(LIMIT)).unwrap();
    turn_until(reactor, || events.count("made") > 0);
    // Lets the first edge (writable) pass, and what the callback asked for take effect.
    for _ in 0..2 {
        reactor.iterate(Some(Duration::ZERO)).expect("the reactor turns");
    }
    peer
}

fn turn_until(reactor: &Reactor, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < LIMIT, "hung: {reactor:?}");
        reactor.iterate(Some(Duration::from_millis(1))).expect("the reactor turns");
    }
}

fn received(peer: &mut TcpStream, to: &mut Vec<u8>) {
    peer.set_nonblocking(true).unwrap();
    match peer.read_to_end(to) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionReset) => {}
        Err(error) => panic!("{error}"),
    }
    peer.set_nonblocking(false).unwrap();
}

/// A script that does one thing when the connection is made.
fn when_made(act: impl Fn(&Transport) -> Result + 'static) -> impl FnMut(&Event, &Transport) -> Result + 'static {
    move |event, transport| if matches!(event, Event::Made) { act(transport) } else { Ok(()) }
}

fn nothing(_: &Event, _: &Transport) -> Result {
    Ok(())
}

/// Decodes a zlib, raw or gzip stream as far as it goes: the plain bytes, and the bytes after its end if it has ended.
fn decode(format: Format, wire: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let bits = 15;
    let mut codec = match format {
        Format::Deflate => flate2::Decompress::new_with_window_bits(true, bits),
        Format::DeflateRaw => flate2::Decompress::new_with_window_bits(false, bits),
        Format::Gzip => flate2::Decompress::new_gzip(bits),
        other => panic!("no other decoder for {other}"),
    };
    let mut plain = Vec::new();
    loop {
        plain.reserve(64 << 10);
        let rest = &wire[codec.total_in() as usize..];
        let before = (codec.total_in(), codec.total_out());
        let status = codec.decompress_vec(rest, &mut plain, flate2::FlushDecompress::None).expect("a sound stream");
        let stuck = before == (codec.total_in(), codec.total_out());
        match status {
            flate2::Status::StreamEnd => return (plain, Some(wire[codec.total_in() as usize..].to_vec())),
            _ if stuck => return (plain, None),
            _ => {}
        }
    }
}

/// The plain bytes of a stream, whether it has ended or not.
fn decoded(format: Format, wire: &[u8]) -> Vec<u8> {
    decode(format, wire).0
}

/// A whole stream from another program: not announced, flushed after each message.
fn foreign(messages: &[&[u8]]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    for message in messages {
        encoder.write_all(message).unwrap();
        encoder.flush().unwrap();
    }
    encoder.finish().unwrap()
}

/// What we send for these writes, each in its own turn, and the end of the stream if `end`.
fn announced(options: impl Into<Compression>, before: &[u8], messages: &[&[u8]], end: bool) -> Vec<u8> {
    let mut hand = Hand::half_closeable(nothing);
    hand.transport.write(before);
    hand.transport.set_compression::<Compression>(options.into()).unwrap();
    for message in messages {
        hand.transport.write(message);
        hand.turn();
    }
    if end {
        hand.transport.lose_write_connection();
        hand.turn_until(|events| events.count("write lost") > 0);
        return support::drain(&mut hand.peer).0;
    }
    hand.turn();
    let sent = before.len() + hand.transport.compression_stats().map_or(0, |stats| stats.wire_out as usize);
    support::read_exactly(&mut hand.peer, sent)
}

/// Bytes that do not compress, the same every time.
fn noise(len: usize) -> Vec<u8> {
    let mut chance = support::Chance(0x9e37_79b9_7f4a_7c15);
    (0..len).map(|_| (chance.draw() >> 32) as u8).collect()
}

/// Text of this many bytes, like that of an event stream.
fn text(len: usize) -> Vec<u8> {
    let words = ["reactor", "protocol", "deferred", "transport", "factory", "connection", "callback", "buffer"];
    let mut chance = support::Chance(7);
    let mut text = Vec::new();
    while text.len() < len {
        let words: Vec<&str> = (0..6).map(|_| words[chance.below(words.len())]).collect();
        text.extend_from_slice(format!("{{\"id\":{},\"text\":\"{}\"}}\n", text.len(), words.join(" ")).as_bytes());
    }
    text.truncate(len);
    text
}

fn kind(reason: &Reason) -> Option<DecompressErrorKind> {
    match reason {
        Reason::Decompress(error) => Some(error.kind.clone()),
        _ => None,
    }
}
