//! Groups 15, 16 and 17: encoders shared by many connections, and secrets.

use torsade::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};

use super::*;

struct Many {
    reactor: Reactor,
    connections: Vec<(Transport, Events, TcpStream)>,
}

fn many(count: usize, options: &Compression) -> Many {
    let reactor = started();
    let connections = (0..count)
        .map(|_| {
            let options = options.clone();
            accept(&reactor, when_made(move |transport| Ok(transport.set_compression::<Compression>(options.clone())?)), false)
        })
        .collect();
    Many { reactor, connections }
}

impl Many {
    fn hibernations(&self) -> usize {
        self.connections.iter().filter_map(|(transport, _, _)| Some(transport.compression_stats()?.hibernations as usize)).sum()
    }
}

#[test]
fn many_connections_share_at_most_64_encoders() {
    const COUNT: usize = 500;
    let many = many(COUNT, &Compression::deflate());
    for (number, (transport, ..)) in many.connections.iter().enumerate() {
        transport.write(format!("a little of everybody, and number {number}"));
        many.reactor.iterate(Some(Duration::ZERO)).unwrap();
    }
    // A connection that has written and has no encoder any more had it taken away; at most 64 still have theirs.
    assert!(many.hibernations() >= COUNT - 64, "{} of {COUNT}", many.hibernations());
    let stored: u64 =
        many.connections.iter().filter_map(|(transport, ..)| Some(transport.compression_stats()?.stored.total())).sum();
    assert_eq!(stored, 0, "there was one for everybody who wrote");
}

#[test]
fn connections_that_share_encoders_never_see_each_others_bytes() {
    const COUNT: usize = 100;
    let mut many = many(COUNT, &Compression::deflate().announce(false));
    let message = |number: usize, round: usize| format!("canary-{number:04}-{} round {round}; ", number * 7919);
    for round in 0..6 {
        for (number, (transport, ..)) in many.connections.iter().enumerate() {
            transport.write(message(number, round));
            if number % 7 == round {
                many.reactor.iterate(Some(Duration::ZERO)).unwrap();
            }
        }
        many.reactor.iterate(Some(Duration::ZERO)).unwrap();
    }
    assert!(many.hibernations() > COUNT, "{} thefts", many.hibernations());
    for (number, (transport, _, peer)) in many.connections.iter_mut().enumerate() {
        let sent = transport.compression_stats().unwrap().wire_out as usize;
        let wire = support::read_exactly(peer, sent);
        let expected: String = (0..6).map(|round| message(number, round)).collect();
        assert_eq!(String::from_utf8_lossy(&decoded(Format::Deflate, &wire)), expected);
    }
}

#[test]
fn more_writers_in_one_turn_than_encoders_are_served_all_the_same() {
    const COUNT: usize = 100;
    let mut many = many(COUNT, &Compression::deflate().announce(false));
    let message = text(3000);
    for (transport, ..) in &many.connections {
        transport.write(&message);
    }
    many.reactor.iterate(Some(Duration::ZERO)).unwrap();
    for (transport, _, peer) in &mut many.connections {
        let wire = support::read_exactly(peer, transport.compression_stats().unwrap().wire_out as usize);
        assert!(decoded(Format::Deflate, &wire) == message);
    }
}

#[test]
fn what_is_to_be_stored_passes_through_wrappers_in_its_place() {
    struct Reverses;
    impl ProtocolWrapper for Reverses {
        fn write(&self, below: &WrapperTransport, data: &[u8]) {
            below.write(data.iter().rev().copied().collect::<Vec<u8>>());
        }
    }
    let reactor = started();
    let events = Events::default();
    let record = events.clone();
    let script = |event: &Event, transport: &Transport| {
        if matches!(event, Event::Made) {
            transport.set_compression("deflate")?;
            transport.write("abc");
            transport.write_uncompressed("a secret");
            transport.write("abc");
        }
        Ok(())
    };
    let factory = WrappingFactory::new(move |_peer| Probe::new(&record, script), |_peer: &_| Reverses);
    let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
    let mut peer = TcpStream::connect(support::address(&port)).unwrap();
    turn_until(&reactor, || !events.names().is_empty());
    reactor.iterate(Some(Duration::ZERO)).unwrap();
    let mut wire = Vec::new();
    while decoded(Format::Deflate, &wire).len() < 14 {
        let mut piece = [0; 1000];
        let count = peer.read(&mut piece).unwrap();
        wire.extend_from_slice(&piece[..count]);
    }
    assert_eq!(decoded(Format::Deflate, &wire), b"cbaterces acba");
    assert!(wire.windows(8).any(|window| window == b"terces a"), "it is not stored: {wire:?}");
}

#[test]
fn a_barrier_around_a_secret_gives_right_and_wrong_guesses_the_same_length() {
    let length = |guess: &str, barrier: bool| {
        let mut hand =
            Hand::listening(when_made(|transport| Ok(transport.set_compression(Compression::deflate().announce(false))?)));
        let transport = hand.transport.clone();
        transport.write("Set-Cookie: session=7f3a9c5e21d8b604\r\n");
        hand.turn();
        if barrier {
            transport.compression_barrier();
        }
        let before = hand.stats().wire_out;
        transport.write(guess);
        hand.turn();
        hand.read(Format::Deflate, format!("Set-Cookie: session=7f3a9c5e21d8b604\r\n{guess}").as_bytes());
        hand.stats().wire_out - before
    };
    let (right, wrong) = ("session=7f3a9c5e21d8b604", "session=0b52e7d9c41f6a38");
    assert!(length(right, false) < length(wrong, false), "without it the right guess is shorter");
    assert_eq!(length(right, true), length(wrong, true));
}
