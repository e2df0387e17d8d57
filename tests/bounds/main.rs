//! What a server limits by default: connections by descriptors, unfinished handshakes, and idle peers.

#[cfg(feature = "tls")]
mod giving_nothing;
#[cfg(feature = "tls")]
mod handshakes;
mod idle;
#[path = "../support/logged.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod logged;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use logged::{warnings, warnings_with, watch};
use torsade::Deadline;
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation};
use torsade::wire::Echo;

const SERVER: &str = "10.0.0.1";
const SECOND: Duration = Duration::from_secs(1);
#[cfg(feature = "tls")]
const MILLISECOND: Duration = Duration::from_millis(1);

/// A peer that stays connected until the test ends its connection.
#[derive(Default)]
struct Peer {
    transport: RefCell<Option<Transport>>,
    received: Cell<usize>,
    lost: Cell<bool>,
}

/// The peer's protocol: sends this when connected, and nothing more.
struct Side(Rc<Peer>, &'static [u8]);

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.transport.replace(Some(transport.clone()));
        transport.write(self.1);
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.received.set(self.0.received.get() + data.len());
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
        self.0.lost.set(true);
        Ok(())
    }
}

fn connect(host: &Host, address: &str) -> Rc<Peer> {
    connect_with(host, address, b"hello")
}

fn connect_with(host: &Host, address: &str, greeting: &'static [u8]) -> Rc<Peer> {
    let peer = Rc::new(Peer::default());
    let side = Rc::clone(&peer);
    host.connect_tcp(address, move |_peer: Address| Side(Rc::clone(&side), greeting)).unwrap();
    peer
}

/// This many peers of an echo server on port 7 of the first host, each on its own host.
fn peers(simulation: &Simulation, many: usize) -> Vec<Rc<Peer>> {
    (0..many).map(|number| connect(&simulation.host(&format!("10.0.1.{number}")), "10.0.0.1:7")).collect()
}

fn served(peers: &[Rc<Peer>]) -> usize {
    peers.iter().filter(|peer| peer.received.get() > 0 && !peer.lost.get()).count()
}

fn lose(peer: &Peer) {
    peer.transport.borrow().as_ref().expect("it is connected").lose_connection();
}

#[test]
fn a_tenth_of_the_descriptors_is_left_to_the_program_and_further_connections_wait_for_a_place() {
    watch();
    let simulation = Simulation::with_faults(1, Faults { descriptors: 50, ..Faults::calm() });
    let server = simulation.host(SERVER);
    server.listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
    simulation.host("10.0.2.1").listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
    let peers = peers(&simulation, 48);
    simulation.run_for(5 * SECOND).unwrap();
    assert_eq!((served(&peers), server.backend().open_streams()), (45, 45));
    assert!(peers.iter().all(|peer| !peer.lost.get()), "nobody is refused");
    assert_eq!(warnings_with("accepts no more than 45 (nine tenths of its descriptors)"), 1);
    // Outgoing connections may use the rest; the limit does not refuse them.
    let outgoing: Vec<_> = (0..5).map(|_| connect(&server, "10.0.2.1:7")).collect();
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&outgoing), served(&peers)), (5, 45));
    // They count, though: with five of them, that many more peers have to end before the next is accepted.
    peers[..6].iter().for_each(|peer| lose(peer));
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&peers), server.backend().open_streams()), (40, 45));
    outgoing.iter().for_each(|peer| lose(peer));
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&peers), server.backend().open_streams()), (42, 42), "everyone who waited");
    assert_eq!(warnings_with("accepts no more"), 1, "{:?}", warnings());
}

#[test]
fn the_limit_of_accepted_connections_can_be_set_and_is_reported_again_only_after_it_was_far_away() {
    watch();
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    server.set_accept_limit(20);
    let ports = [server.listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap(), server.listen_tcp("0.0.0.0:8", |_peer| Echo).unwrap()];
    let first = peers(&simulation, 25);
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&first), warnings_with("accepts no more than 20 (as set)")), (20, 1));
    let other = connect(&simulation.host("10.0.2.1"), "10.0.0.1:8");
    simulation.run_for(SECOND).unwrap();
    assert_eq!((other.received.get(), warnings().len()), (0, 1), "both ports wait, and one line tells it");
    first.iter().filter(|peer| peer.received.get() > 0).for_each(|peer| lose(peer));
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&first), other.received.get()), (5, 5), "everyone who waited");
    let again = peers(&simulation, 20);
    simulation.run_for(SECOND).unwrap();
    assert_eq!((served(&again), warnings().len()), (14, 1));
    server.set_accept_limit(100);
    simulation.run_for(SECOND).unwrap();
    assert_eq!(served(&again), 20);
    ports.iter().for_each(Port::stop_listening);
    simulation.run_for(SECOND).unwrap();
    assert_eq!(server.delayed_calls(), 0, "{:?}", server.leftovers());
}

struct Goodbye;

impl Protocol for Goodbye {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("goodbye");
        transport.lose_connection();
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Keeps its own stream open when the peer has ended its stream.
struct Stays(Side);

impl Protocol for Stays {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.connection_made(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }

    fn read_connection_lost(&mut self, _: &Transport) -> Result {
        Ok(())
    }
}

#[test]
fn sockets_that_wait_for_peers_to_end_give_their_places_to_new_connections() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    server.set_accept_limit(10);
    server.listen_tcp("0.0.0.0:7", |_peer| Goodbye).unwrap();
    let stays = |number: u8| {
        let peer = Rc::new(Peer::default());
        let side = Rc::clone(&peer);
        let factory = move |_peer: Address| Stays(Side(Rc::clone(&side), b""));
        simulation.host(&format!("10.0.1.{number}")).connect_tcp("10.0.0.1:7", factory).unwrap();
        peer
    };
    let first: Vec<_> = (0..10).map(stays).collect();
    simulation.run_for(SECOND / 2).unwrap();
    assert_eq!((served(&first), server.backend().open_streams()), (10, 10), "over, and their sockets wait");
    let next: Vec<_> = (10..13).map(stays).collect();
    simulation.run_for(SECOND / 4).unwrap();
    assert_eq!(served(&next), 0, "whatever is about to end has a second to do so");
    simulation.run_for(SECOND).unwrap();
    assert_eq!(served(&next), 3);
    assert!((9..=10).contains(&server.backend().open_streams()), "at most one gave up its place for nothing");
}

#[test]
fn a_port_that_has_no_room_waits_without_turning() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    server.set_accept_limit(3);
    server.listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
    let peers = peers(&simulation, 9);
    simulation.run_for(SECOND).unwrap();
    let before = server.turn_number();
    simulation.run_for(10 * SECOND).unwrap();
    assert_eq!(served(&peers), 3);
    assert!(server.turn_number() - before <= 401, "{} turns in 10 s", server.turn_number() - before);
}
