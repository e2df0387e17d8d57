//! Bytes shared by many connections: sent in order, counted like all others, and held in memory once.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::rc::Rc;
use std::time::Duration;

use allocation_counter::measure;
use torsade::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};
use torsade::prelude::*;
use torsade::testing::StringTransport;
use torsade::{MemoryPeer, MemoryReactor};

use crate::support::*;

const PORT: &str = "127.0.0.1:4000";

type Room = Rc<RefCell<Vec<Transport>>>;

/// A room, its members' transports, and their peers, each of which takes `takes` bytes at first.
fn room(members: usize, takes: usize) -> (MemoryReactor, Room, Vec<MemoryPeer>) {
    let reactor = MemoryReactor::new();
    let room = Room::default();
    let joining = room.clone();
    let listening = reactor.reactor().listen_tcp(PORT, move |_peer| {
        let joining = joining.clone();
        Probe::new(&Events::default(), move |event, transport| {
            if matches!(event, Event::Made) {
                joining.borrow_mut().push(transport.clone());
            }
            Ok(())
        })
    });
    let place = listening.unwrap().address();
    let peers = (0..members).map(|_| {
        let peer = reactor.connect_peer("127.0.0.1:50000".parse::<std::net::SocketAddr>().unwrap(), place.clone()).unwrap();
        peer.set_room(takes);
        peer
    });
    let peers = peers.collect();
    reactor.advance(Duration::ZERO);
    assert_eq!(room.borrow().len(), members);
    (reactor, room, peers)
}

/// Takes everything, a window at a time.
fn take_all(reactor: &MemoryReactor, peer: &MemoryPeer) -> Vec<u8> {
    let mut taken = Vec::new();
    loop {
        reactor.advance(Duration::ZERO);
        let more = peer.take_received();
        if more.is_empty() {
            return taken;
        }
        taken.extend(more);
    }
}

#[test]
fn shared_bytes_are_sent_in_their_place_among_others_whatever_their_length_and_however_little_is_taken_at_a_time() {
    for takes in [1, 100, 2048, 5000, 1 << 20] {
        let (reactor, room, peers) = room(1, takes);
        let transport = room.borrow()[0].clone();
        transport.set_write_buffer_limits(usize::MAX, usize::MAX);
        let mut expected = Vec::new();
        // From a single piece to more than one system call takes.
        for pieces in [1, 2, 7, 100] {
            for number in 0..pieces {
                let length = [0, 1, 4090, 4096, 6000][number % 5] + number;
                let data = pattern(number, if takes == 1 { length % 97 } else { length });
                expected.extend_from_slice(&data);
                match number % 3 {
                    0 => transport.write_shared(&SharedBytes::from(data)),
                    1 => transport.write(&data),
                    _ => {
                        let (first, second) = data.split_at(data.len() / 2);
                        transport.write_sequence(&[first, second]);
                    }
                }
                // Some bytes are sent between two writes.
                if number % 4 == 3 {
                    reactor.advance(Duration::ZERO);
                }
            }
            let got = take_all(&reactor, &peers[0]);
            assert!(got == expected, "{pieces} pieces, {takes} at a time: {} bytes of {}", got.len(), expected.len());
            assert_eq!(transport.unsent(), 0);
            expected.clear();
        }
    }
}

#[test]
fn shared_bytes_count_as_unsent_for_the_watermarks_the_cap_and_those_who_wait() {
    let (reactor, room, peers) = room(2, 0);
    let [first, second] = [0, 1].map(|member| room.borrow()[member].clone());
    first.set_write_buffer_limits(1000, 20_000);
    let message = SharedBytes::from(pattern(0, 10_000));
    first.write("to begin with");
    first.write_shared(&message);
    assert_eq!(first.unsent(), 10_013);
    assert!(first.is_reading());
    first.write_shared(&message);
    assert_eq!((first.unsent(), first.is_reading()), (20_013, false));
    let drained = Rc::new(Cell::new(false));
    let told = drained.clone();
    first.connection().limits().when_unsent(10_000).add_callback(move |()| told.set(true)).detach();
    peers[0].set_room(10_012);
    reactor.advance(Duration::ZERO);
    assert_eq!((first.unsent(), drained.get()), (10_001, false));
    peers[0].set_room(10_013);
    reactor.advance(Duration::ZERO);
    assert_eq!((first.unsent(), drained.get()), (10_000, true));
    assert_eq!(first.delivery().acknowledged, 10_013);

    second.set_write_buffer_cap(15_000);
    second.write_shared(&message);
    assert!(second.is_connected());
    second.write_shared(&message);
    reactor.advance(Duration::ZERO);
    assert!(peers[1].is_reset(), "above its cap");
    assert!(first.is_connected(), "which does not concern others");
}

#[test]
fn a_close_sends_what_is_shared_and_an_abort_drops_it() {
    let (reactor, room, peers) = room(2, 0);
    let [closed, aborted] = [0, 1].map(|member| room.borrow()[member].clone());
    let message = SharedBytes::from(pattern(1, 50_000));
    for member in [&closed, &aborted] {
        member.write("head");
        member.write_shared(&message);
    }
    closed.lose_connection();
    closed.write_shared(&message);
    aborted.abort_connection();
    reactor.advance(Duration::ZERO);
    assert!(peers[1].is_reset());
    peers.iter().for_each(|peer| peer.set_room(usize::MAX));
    reactor.advance(Duration::ZERO);
    assert_eq!(peers[0].take_received(), [b"head", &message[..], &message[..]].concat());
    assert!(peers[0].has_end());
    assert_eq!(peers[1].take_received(), b"");
}

/// Owns bytes; when they are no longer needed it records that and writes.
struct Owner {
    bytes: Vec<u8>,
    transport: Transport,
    dropped: Rc<Cell<usize>>,
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
        self.transport.write("dropped");
        assert!(!self.transport.is_closing());
    }
}

#[test]
fn what_owns_the_bytes_is_dropped_once_all_have_sent_them_and_may_use_a_transport_then() {
    for length in [5, 50_000] {
        let (reactor, room, peers) = room(2, usize::MAX);
        let [quick, slow] = [0, 1].map(|member| room.borrow()[member].clone());
        let dropped = Rc::new(Cell::new(0));
        let owner = Owner { bytes: pattern(2, length), transport: quick.clone(), dropped: dropped.clone() };
        let message = SharedBytes::new(owner);
        peers[1].set_room(3);
        slow.write("head");
        for member in [&quick, &slow] {
            member.write_shared(&message);
        }
        let expected = message.to_vec();
        drop(message);
        reactor.advance(Duration::ZERO);
        assert_eq!(quick.unsent(), 0);
        // The slow member keeps a copy of bytes that are so few and behind others.
        assert_eq!(dropped.get(), usize::from(length == 5));
        peers[1].set_room(usize::MAX);
        reactor.advance(Duration::ZERO);
        assert_eq!(peers[1].take_received(), [b"head", &expected[..]].concat());
        assert_eq!(dropped.get(), 1);
        reactor.advance(Duration::ZERO);
        assert_eq!(peers[0].take_received(), [&expected[..], b"dropped"].concat());
    }
}

#[test]
fn a_message_to_ten_thousand_members_who_read_nothing_is_in_memory_once() {
    const MEMBERS: usize = 10_000;
    const MESSAGE: usize = 1 << 20;
    let (reactor, room, peers) = room(MEMBERS, 0);
    let once = measure(|| {
        let message = SharedBytes::from(pattern(3, MESSAGE));
        for member in &*room.borrow() {
            member.write("to all: ");
            member.write_shared(&message);
        }
        reactor.advance(Duration::ZERO);
    });
    let each = (once.bytes_max as usize - MESSAGE) / MEMBERS;
    assert!(each < 1000, "{each} bytes for each member");
    assert!(room.borrow().iter().all(|member| member.unsent() == MESSAGE + 8 && !member.is_reading()));
    // A peer that reads now gets all of it; the others keep waiting.
    peers[77].set_room(usize::MAX);
    reactor.advance(Duration::ZERO);
    assert_eq!(room.borrow()[77].unsent(), 0);
    let got = peers[77].take_received();
    assert!(got[..8] == *b"to all: " && got[8..] == pattern(3, MESSAGE));
    let lost = measure(|| {
        room.borrow().iter().for_each(Transport::abort_connection);
        reactor.advance(Duration::ZERO);
    });
    assert!(lost.bytes_current <= -(MESSAGE as i64), "the message is gone with the last of them");
}

#[test]
fn whoever_reads_slowly_uses_up_its_own_limit_and_nobody_elses() {
    let (reactor, room, peers) = room(100, usize::MAX);
    let slow = room.borrow()[0].clone();
    slow.set_write_buffer_cap(100_000);
    peers[0].set_room(0);
    let message = SharedBytes::from(pattern(4, 30_000));
    for round in 1..=4 {
        room.borrow().iter().for_each(|member| member.write_shared(&message));
        reactor.advance(Duration::ZERO);
        assert_eq!(slow.unsent(), if round < 4 { round * 30_000 } else { 0 }, "unsent after {round} messages");
        assert!(peers[1..].iter().all(|peer| peer.take_received() == *message));
    }
    assert!(peers[0].is_reset());
    assert!(room.borrow()[1..].iter().all(Transport::is_connected));
}

struct Counted(Rc<Cell<usize>>);

impl ProtocolWrapper for Counted {
    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        self.0.set(self.0.get() + data.len());
        below.write(data);
    }
}

#[test]
fn wrappers_and_recorders_are_shown_shared_bytes_as_they_are_shown_all_others() {
    struct Greet;
    impl Protocol for Greet {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.write("<");
            transport.write_shared(&SharedBytes::new("hello"));
            Ok(())
        }

        fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
            Ok(())
        }
    }
    let counted = Rc::new(Cell::new(0));
    let seen = counted.clone();
    let mut factory = WrappingFactory::new(|_peer| Greet, move |_peer| Counted(seen.clone()));
    let transport = StringTransport::new();
    factory.build_protocol(&transport.peer()).unwrap().connection_made(&transport).unwrap();
    assert_eq!((transport.value(), counted.get()), (b"<hello".to_vec(), 6));
}

#[test]
fn compression_that_is_switched_on_begins_after_shared_bytes_that_are_still_unsent() {
    for length in [100, 10_000] {
        let (reactor, room, peers) = room(1, 40);
        let transport = room.borrow()[0].clone();
        let message = SharedBytes::from(pattern(5, length));
        transport.write_shared(&message);
        reactor.advance(Duration::ZERO);
        assert_eq!(transport.unsent(), length - 40);
        transport.set_compression(Compression::deflate().announce(false)).unwrap();
        transport.write_shared(&message);
        transport.lose_connection();
        peers[0].set_room(usize::MAX);
        let got = take_all(&reactor, &peers[0]);
        let (plain, compressed) = got.split_at(length);
        assert!(*plain == *message, "{length} bytes");
        let mut inflated = Vec::new();
        flate2::read::ZlibDecoder::new(compressed).read_to_end(&mut inflated).unwrap();
        assert!(inflated == *message, "{length} bytes");
    }
}

#[test]
fn layers_make_their_own_bytes_of_shared_ones() {
    on_every_kind(&[], |wire| {
        let message = SharedBytes::from(noise(100_000));
        let sent = message.to_vec();
        let (_, got) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write("head");
                    transport.write_shared(&SharedBytes::from(noise(100_000)));
                    transport.lose_connection();
                }
                Ok(())
            },
            |mut stream| {
                let (got, end) = drain(&mut stream);
                end.unwrap();
                got
            },
        );
        assert!(got == [b"head", &sent[..]].concat(), "{} bytes", got.len());
    });
}
