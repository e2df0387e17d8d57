//! Messages compressed once for many connections.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use allocation_counter::measure;
use torsade::policies::{ProtocolWrapper, ThrottlingFactory, TimeoutFactory, TrafficLoggingFactory, WrappingFactory};
use torsade::{MemoryPeer, MemoryReactor};

use super::*;

const PORT: &str = "10.0.0.1:7";

/// A member of a room, which compresses what it is sent.
struct Member(Rc<RefCell<Vec<Transport>>>, Compression);

impl Protocol for Member {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_compression::<Compression>(self.1.clone())?;
        self.0.borrow_mut().push(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

struct Room {
    reactor: MemoryReactor,
    members: Rc<RefCell<Vec<Transport>>>,
    peers: Vec<MemoryPeer>,
}

impl Room {
    /// A member with each of these options, whose peer takes `takes` bytes at first.
    fn new(members: &[Compression], takes: usize) -> Self {
        let (reactor, joining, options) = (MemoryReactor::new(), Rc::default(), RefCell::new(Vec::from(members).into_iter()));
        let room = Rc::clone(&joining);
        Self::listening(reactor, room, members.len(), takes, move |_peer| {
            Some(Member(Rc::clone(&joining), options.borrow_mut().next()?))
        })
    }

    fn listening(
        reactor: MemoryReactor,
        members: Rc<RefCell<Vec<Transport>>>,
        count: usize,
        takes: usize,
        factory: impl Factory + 'static,
    ) -> Self {
        let address: SocketAddr = PORT.parse().unwrap();
        let _port = reactor.listen_tcp(PORT, factory).unwrap();
        let peers = (0..count).map(|number| {
            let from = SocketAddr::from(([10, 0, 1 + (number / 250) as u8, (number % 250) as u8], 7));
            let peer = reactor.connect_peer(from, address).unwrap();
            peer.set_room(takes);
            reactor.advance(Duration::ZERO);
            peer
        });
        let peers = peers.collect();
        assert_eq!(members.borrow().len(), count);
        Self { reactor, members, peers }
    }

    fn tell(&self, message: &SharedBytes) {
        self.members.borrow().iter().for_each(|member| member.write_shared(message));
        self.reactor.advance(Duration::ZERO);
    }

    /// How many messages the members sent compressed once, and how many of those they compressed.
    fn counts(&self) -> (u64, u64) {
        let stats = self.members.borrow().iter().filter_map(Transport::compression_stats).collect::<Vec<_>>();
        (stats.iter().map(|stats| stats.shared).sum(), stats.iter().map(|stats| stats.shared_made).sum())
    }
}

/// What a peer that expects this format decodes from what it received.
fn read_by_us(format: Format, wire: &[u8]) -> Vec<u8> {
    let mut hand = Hand::listening(when_made(move |transport| Ok(transport.expect_compression::<Format>(format, b"")?)));
    hand.peer.write_all(wire).unwrap();
    hand.peer.shutdown(Shutdown::Write).unwrap();
    hand.turn_until(Events::lost);
    assert!(hand.events.reason().is_clean(), "{format}: {}", hand.events.reason());
    hand.events.data()
}

#[test]
fn a_room_of_every_format_compresses_a_message_once_for_each_way_and_all_read_it() {
    let formats: Vec<Format> = formats().collect();
    let members: Vec<Compression> = formats.iter().cycle().take(60).map(|format| Compression::from(*format)).collect();
    let room = Room::new(&members, usize::MAX);
    // Deflate, raw deflate and gzip share one encoding.
    let ways = formats.len() as u64 - 2;
    let mut told = Vec::new();
    for (number, length) in [1, 200, 4096, 100_000].into_iter().enumerate() {
        let message = SharedBytes::from(text(length)).compressed_once();
        room.tell(&message);
        told.extend_from_slice(&message);
        assert_eq!(room.counts(), (60 * (number as u64 + 1), ways * (number as u64 + 1)));
        // A message of its own to each member in between.
        for member in &*room.members.borrow() {
            member.write(format!("and you are {}\n", member.id()));
        }
        told.extend_from_slice(b"*");
    }
    room.members.borrow().iter().for_each(Transport::lose_connection);
    room.reactor.advance(Duration::ZERO);
    for ((peer, member), format) in room.peers.iter().zip(&*room.members.borrow()).zip(formats.iter().cycle()) {
        let wire = peer.take_received();
        let own = format!("and you are {}\n", member.id());
        let got = read_by_us(*format, &wire);
        let expected = String::from_utf8(told.clone()).unwrap().replace('*', &own);
        assert!(got == expected.as_bytes(), "{format}: {} bytes of {}", got.len(), expected.len());
        assert_eq!(member.compression_stats().unwrap().wire_out, wire.len() as u64, "{format}");
    }
}

#[test]
fn a_large_message_to_a_thousand_compressed_members_who_read_nothing_is_in_memory_once() {
    const MEMBERS: usize = 1000;
    let members = vec![Compression::deflate().history(0); MEMBERS];
    let room = Room::new(&members, 0);
    room.tell(&SharedBytes::new("begin").compressed_once());
    let message = noise(1 << 20);
    let taken = measure(|| room.tell(&SharedBytes::from(message).compressed_once()));
    let each = taken.bytes_current / MEMBERS as i64;
    assert!(each < 4000, "{each} bytes for each member");
    assert_eq!(room.counts(), (2 * MEMBERS as u64, 2));
    for peer in &room.peers[..2] {
        peer.set_room(usize::MAX);
    }
    room.reactor.advance(Duration::ZERO);
    let wire = room.peers[0].take_received();
    assert!(wire == room.peers[1].take_received());
    assert!(decoded(Format::Deflate, &wire) == [b"begin", &noise(1 << 20)[..]].concat());
}

#[test]
fn policies_pass_a_message_on_as_it_is_shared() {
    struct Nothing;
    impl ProtocolWrapper for Nothing {}
    struct Passing;
    impl ProtocolWrapper for Passing {
        fn write_shared(&self, below: &torsade::policies::WrapperTransport, data: &SharedBytes) {
            below.write_shared(data);
        }
    }
    for (passes, shared) in [(true, 2), (false, 0)] {
        let joining: Rc<RefCell<Vec<Transport>>> = Rc::default();
        let room = Rc::clone(&joining);
        let member = move |_peer| Member(Rc::clone(&joining), Compression::deflate());
        let timed = TimeoutFactory::new(ThrottlingFactory::new(TrafficLoggingFactory::new(member, |_| Ok(std::io::sink()))));
        let reactor = MemoryReactor::new();
        let room = if passes {
            Room::listening(reactor, room, 2, usize::MAX, WrappingFactory::new(timed, |_peer: &_| Passing))
        } else {
            Room::listening(reactor, room, 2, usize::MAX, WrappingFactory::new(timed, |_peer: &_| Nothing))
        };
        room.tell(&SharedBytes::new("hello, everybody").compressed_once());
        assert_eq!(room.counts(), (shared, shared / 2));
        for peer in &room.peers {
            assert_eq!(decoded(Format::Deflate, &peer.take_received()), b"hello, everybody");
        }
    }
}
