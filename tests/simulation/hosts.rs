//! Simulated hosts that stop, crash and restart, as their peers see it; and the report of a run that hangs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::Deferred;
use torsade::Signal;
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation};
use torsade::wire::{Discard, Echo};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";
const SECOND: Duration = Duration::from_secs(1);

/// Events, in order.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Notes {
    fn add(&self, note: impl Into<String>) {
        self.0.borrow_mut().push(note.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Sends something when connected, and records its callbacks.
struct Client {
    notes: Notes,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Protocol for Client {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.transport.replace(Some(transport.clone()));
        transport.write(b"hello");
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.notes.add(String::from_utf8_lossy(data));
        Ok(())
    }

    fn connection_lost(&mut self, _: &Transport, reason: &Reason) -> Result {
        self.notes.add(reason.to_string());
        Ok(())
    }
}

/// An echo server and one client, which has received its answer.
struct Pair {
    simulation: Simulation,
    server: Host,
    notes: Notes,
    client: Rc<RefCell<Option<Transport>>>,
}

impl Pair {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let server = simulation.host(SERVER);
        server.listen_tcp("0.0.0.0:7", |_peer| Echo).expect("a free port");
        let pair = Self { simulation, server, notes: Notes::default(), client: Rc::default() };
        pair.connect();
        pair.run(SECOND);
        assert_eq!(pair.notes.take(), ["hello"]);
        pair
    }

    fn connect(&self) {
        let (notes, transport) = (self.notes.clone(), Rc::clone(&self.client));
        let client = move |_peer| Client { notes: notes.clone(), transport: Rc::clone(&transport) };
        self.simulation.host(CLIENT).connect_tcp("10.0.0.1:7", client).expect("an address");
    }

    /// The client sends something more.
    fn say(&self) {
        self.client.borrow().as_ref().expect("it was connected").write(b"more");
    }

    fn run(&self, time: Duration) {
        self.simulation.run_for(time).expect("it runs");
    }
}

#[test]
fn a_host_whose_program_has_stopped_begins_another_that_listens_where_the_first_did() {
    let pair = Pair::new();
    pair.server.signal(Signal::Terminate);
    pair.run(SECOND);
    assert_eq!(pair.notes.take(), ["connection was closed cleanly"]);
    let again = pair.server.restart();
    again.listen_tcp("0.0.0.0:7", |_peer| Echo).expect("the port is free again");
    pair.connect();
    pair.run(SECOND);
    assert_eq!(pair.notes.take(), ["hello"]);
    assert!(again.is_running() && pair.simulation.host(SERVER).is_running());
    assert!(!pair.server.is_running(), "the old handle is of the old program");
}

#[test]
fn a_program_that_is_killed_runs_no_more_callbacks_and_its_peers_see_its_sockets_closed() {
    struct Tells(Notes);
    impl Protocol for Tells {
        fn data_received(&mut self, transport: &Transport, _: &[u8]) -> Result {
            transport.write(b"last words");
            Ok(())
        }
        fn connection_lost(&mut self, _: &Transport, _: &Reason) -> Result {
            self.0.add("the dead program was called");
            Ok(())
        }
    }
    let pair = Pair::new();
    let notes = pair.notes.clone();
    pair.server.listen_tcp("0.0.0.0:8", move |_peer| Tells(notes.clone())).expect("a free port");
    let (notes, transport) = (pair.notes.clone(), Rc::default());
    let client = move |_peer| Client { notes: notes.clone(), transport: Rc::clone(&transport) };
    pair.simulation.host(CLIENT).connect_tcp("10.0.0.1:8", client).expect("an address");
    pair.run(SECOND);
    pair.server.call_later(SECOND, || panic!("the dead program was called"));
    pair.server.kill();
    pair.server.kill();
    pair.run(10 * SECOND);
    let closed = "connection was closed cleanly";
    assert_eq!(pair.notes.take(), ["last words", closed, closed]);
    assert_eq!(pair.simulation.log().on(SERVER).named("killed").len(), 1);
    assert_eq!((pair.simulation.connections(), pair.server.source_count(), pair.server.delayed_calls()), (0, 0, 0));
    pair.connect();
    pair.run(SECOND);
    assert_eq!(pair.simulation.log().on(CLIENT).named("client_connection_failed").len(), 1, "refused, the host is still there");
}

#[test]
fn a_host_that_crashes_is_silent_and_its_peers_are_lost_when_they_have_tried_long_enough() {
    let pair = Pair::new();
    pair.server.crash();
    pair.run(Duration::from_secs(3600));
    assert_eq!(pair.notes.take(), [""; 0], "whoever says nothing does not learn of it");
    pair.say();
    pair.run(pair.simulation.faults().retransmission_timeout + SECOND);
    let lost = pair.notes.take();
    assert!(lost.len() == 1 && lost[0].contains("timed out"), "{lost:?}");
    assert!(pair.simulation.report().contains("10.0.0.1 is off"), "{}", pair.simulation.report());
}

#[test]
fn a_host_that_crashed_and_is_restarted_knows_nothing_of_its_connections() {
    let pair = Pair::new();
    pair.server.crash();
    pair.say();
    pair.run(10 * SECOND);
    assert_eq!(pair.notes.take(), [""; 0]);
    // A client that connects meanwhile gets an answer when the host is back.
    pair.connect();
    pair.run(SECOND);
    let again = pair.server.restart();
    again.listen_tcp("0.0.0.0:7", |_peer| Echo).expect("the port is free again");
    pair.run(Duration::from_secs(60));
    let mut notes = pair.notes.take();
    notes.sort_unstable();
    assert_eq!(notes, ["connection was lost: connection reset", "hello"]);
}

#[test]
fn a_program_may_end_itself_from_its_own_callback() {
    for end in [Host::kill, Host::crash] {
        let pair = Pair::new();
        let (server, notes) = (pair.server.clone(), pair.notes.clone());
        pair.server.call_later(SECOND, move || {
            end(&server);
            notes.add("the callback goes on");
        });
        pair.run(10 * SECOND);
        assert_eq!(pair.notes.take()[0], "the callback goes on");
        assert!(!pair.server.is_running());
        pair.server.restart().listen_tcp("0.0.0.0:7", |_peer| Echo).expect("the port is free again");
    }
}

#[test]
fn what_a_program_left_to_others_harms_neither_it_nor_its_successor() {
    let simulation = Simulation::with_faults(1, Faults { descriptors: 1, ..Faults::calm() });
    let server = simulation.host(SERVER);
    let kept: Rc<RefCell<Vec<Transport>>> = Rc::default();
    let listen = |server: &Host| {
        let kept = Rc::clone(&kept);
        let keeps = move |transport: &Transport| kept.borrow_mut().push(transport.clone());
        server.listen_tcp("0.0.0.0:7", move |_peer| Keeps(Box::new(keeps.clone()))).expect("a free port");
    };
    listen(&server);
    let connect = || {
        simulation.host(CLIENT).connect_tcp("10.0.0.1:7", |_peer| Discard).expect("an address");
        simulation.run_for(SECOND).expect("it runs");
    };
    connect();
    server.kill();
    let again = server.restart();
    listen(&again);
    simulation.run_for(SECOND).expect("it runs");
    connect();
    assert_eq!(kept.borrow().len(), 2, "the one descriptor is free again");
    kept.borrow()[0].write(b"from the grave");
    kept.borrow_mut().remove(0);
    connect();
    simulation.run_for(SECOND).expect("it runs");
    assert!(again.is_running());
}

/// Gives its transport to a function.
struct Keeps(Box<dyn FnMut(&Transport)>);

impl Protocol for Keeps {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        (self.0)(transport);
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn crashes_and_restarts_are_the_same_with_the_same_seed() {
    let run = || {
        let simulation = Simulation::with_faults(3, Faults::lossy());
        let client = simulation.host(CLIENT);
        let factory = ReconnectingClientFactory::new(|_peer| Keeps(Box::new(|transport: &Transport| transport.write(b"x"))));
        client.connect_tcp("10.0.0.1:7", factory).expect("an address");
        let mut server = simulation.host(SERVER);
        for round in 0..6 {
            server.listen_tcp("0.0.0.0:7", |_peer| Echo).expect("a free port");
            simulation.run_for(Duration::from_secs(simulation.draw(40))).expect("it runs");
            if round % 2 == 0 {
                server.kill()
            } else {
                server.crash()
            }
            simulation.run_for(Duration::from_secs(simulation.draw(10))).expect("it runs");
            server = server.restart();
        }
        simulation.log()
    };
    let log = run();
    assert!(log.named("connection_made").len() > 3, "{log}");
    log.assert_same(&run());
}

#[test]
#[should_panic(expected = "has not ended: stop, kill or crash it first")]
fn a_program_that_runs_is_not_restarted() {
    let pair = Pair::new();
    drop(pair.server.restart());
}

/// The report of a run with these faults in which the client writes a lot.
fn said_with(faults: Faults, prepare: impl FnOnce(&Simulation)) -> String {
    let simulation = Simulation::with_faults(1, faults);
    simulation.host(SERVER).listen_tcp("0.0.0.0:7", |_peer| Discard).expect("a free port");
    let writes = |_peer| Keeps(Box::new(|transport: &Transport| transport.write(vec![1; 500_000])));
    simulation.host(CLIENT).connect_tcp("10.0.0.1:7", writes).expect("an address");
    prepare(&simulation);
    simulation.set_time_limit(Duration::from_secs(20));
    simulation.run_until(|| false).expect_err("it never holds").to_string()
}

#[test]
fn the_report_of_a_run_that_hangs_names_the_fault() {
    let stuck = said_with(Faults { stuck: 1.0, ..Faults::calm() }, |_| {});
    assert!(stuck.contains("10.0.0.1:7 takes no more bytes from 10.0.0.2:") && stuck.contains("the fault `stuck`"), "{stuck}");
    let hanging = said_with(Faults { connect_hangs: 1.0, ..Faults::calm() }, |_| {});
    assert!(hanging.contains("its connect is not answered: the fault `connect_hangs`"), "{hanging}");
    let slow = said_with(Faults { slow: 1.0, slow_bandwidth: 100, ..Faults::calm() }, |_| {});
    assert!(slow.contains("10.0.0.2:49152 sends 100 bytes a second: the fault `slow`"), "{slow}");
    let parted = said_with(Faults::calm(), |simulation| {
        simulation.run_for(Duration::from_millis(1)).expect("it runs");
        simulation.partition(SERVER, CLIENT);
    });
    assert!(parted.contains("held back") && parted.contains("10.0.0.1 and 10.0.0.2 are partitioned"), "{parted}");
    let calm = said_with(Faults::calm(), |_| {});
    assert!(!calm.contains("fault") && !calm.contains("held back"), "{calm}");
}

#[test]
fn what_waits_for_a_program_that_is_killed_is_dropped_with_it() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let alive = Rc::new(());
    let (held, never) = (Rc::clone(&alive), Deferred::<()>::new());
    host.spawn(async move {
        let (deferred, _firer) = never;
        let _held = held;
        deferred.await?;
        Ok(())
    });
    simulation.run_for(SECOND).expect("it runs");
    assert_eq!(Rc::strong_count(&alive), 2);
    host.kill();
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_host_has_addresses_of_both_families_and_a_name_that_it_knows_itself() {
    let simulation = Simulation::new(1);
    let (server, client) = (simulation.host("10.0.0.2"), simulation.host("10.0.0.1"));
    server.add_address("fd00::2");
    server.add_name("server.test");
    client.add_address("fd00::1");
    for host in [&server, &client] {
        let mut found = Vec::new();
        for name in ["Server.Test.", "localhost"] {
            let addresses = host.resolve(name);
            simulation.run_until_idle().unwrap();
            found.extend(addresses.into_result().unwrap().unwrap().iter().map(|address| address.ip().to_string()));
        }
        assert_eq!(found, ["10.0.0.2", "fd00::2", "::1", "127.0.0.1"]);
    }
    // Each family is answered from its own address, over connections and datagrams.
    let peers: Rc<RefCell<Vec<String>>> = Rc::default();
    struct Peers(Rc<RefCell<Vec<String>>>);
    impl DatagramProtocol for Peers {
        fn datagram_received(&mut self, _: &DatagramTransport, _: &[u8], from: &Address) -> Result {
            self.0.borrow_mut().push(from.ip().unwrap().to_canonical().to_string());
            Ok(())
        }
    }
    let noted = peers.clone();
    let greet = move |peer: Address| {
        noted.borrow_mut().push(peer.ip().unwrap().to_string());
        Echo
    };
    server.listen_tcp("[::]:7", greet).unwrap();
    server.listen_udp("[::]:7", Peers(peers.clone())).unwrap();
    for (there, any) in [("10.0.0.2:7", "0.0.0.0:0"), ("[fd00::2]:7", "[::]:0")] {
        client.connect_tcp(there, |_peer| Echo).unwrap();
        let udp = client.listen_udp(any, Discard).unwrap();
        udp.write_to("hello", &Address::Udp(there.parse().unwrap()));
        simulation.run_until_idle().unwrap();
    }
    assert_eq!(*peers.borrow(), ["10.0.0.1", "10.0.0.1", "fd00::1", "fd00::1"]);
    assert_eq!(simulation.host("fd00::2").ip(), server.ip(), "it is the same host");
}
