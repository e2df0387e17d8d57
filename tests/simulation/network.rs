//! Programs on simulated hosts: what the network does to them, reproducibly for each seed.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation, SimulationError, simulate, simulate_with};
use torsade::{ListenOptions, Signal, SocketOptions};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

fn tcp(address: &str) -> Address {
    Address::Tcp(address.parse().unwrap())
}

/// What a connection's protocol saw.
#[derive(Clone, Default)]
struct Seen(Rc<RefCell<SeenState>>);

#[derive(Default)]
struct SeenState {
    transport: Option<Transport>,
    received: Vec<u8>,
    chunks: usize,
    ended: Vec<String>,
}

impl Seen {
    fn received(&self) -> Vec<u8> {
        self.0.borrow().received.clone()
    }

    fn transport(&self) -> Transport {
        self.0.borrow().transport.clone().expect("connected")
    }

    fn is_connected(&self) -> bool {
        self.0.borrow().transport.is_some()
    }

    /// How it ended: a failed attempt, or the reason of the loss.
    fn ended(&self) -> Vec<String> {
        self.0.borrow().ended.clone()
    }

    fn is_over(&self) -> bool {
        !self.0.borrow().ended.is_empty()
    }
}

/// Records its callbacks; echoes if asked to.
struct Watcher {
    seen: Seen,
    echo: bool,
}

impl Protocol for Watcher {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.seen.0.borrow_mut().transport = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let mut seen = self.seen.0.borrow_mut();
        seen.received.extend_from_slice(data);
        seen.chunks += 1;
        if self.echo {
            transport.write(data);
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        let mut seen = self.seen.0.borrow_mut();
        seen.ended.push(reason.to_string());
        seen.transport = None;
        Ok(())
    }
}

struct Client(Seen);

impl Factory for Client {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Watcher { seen: self.0.clone(), echo: false }))
    }
}

impl ClientFactory for Client {
    fn client_connection_failed(&mut self, _connector: &Connector, reason: &ConnectError) -> Result {
        self.0.0.borrow_mut().ended.push(reason.to_string());
        Ok(())
    }
}

fn serve(simulation: &Simulation, echo: bool) -> Seen {
    let seen = Seen::default();
    let shared = seen.clone();
    let factory = move |_peer| Watcher { seen: shared.clone(), echo };
    simulation.host(SERVER).listen_tcp("0.0.0.0:7", factory).expect("the port is free");
    seen
}

fn connect(simulation: &Simulation, address: &str) -> Seen {
    let seen = Seen::default();
    simulation.host(CLIENT).connect_tcp(address, Client(seen.clone())).expect("an address");
    seen
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|number| u8::try_from(number % 251).expect("small")).collect()
}

#[test]
fn an_echo_comes_back_from_another_host() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, true);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected()).unwrap();
    client.transport().write(bytes(300_000));
    simulation.run_until(|| client.received().len() == 300_000).unwrap();
    assert_eq!(client.received(), bytes(300_000));
    assert_eq!(server.transport().peer().to_string(), "10.0.0.2:49152");
    client.transport().lose_connection();
    simulation.run_until_idle().unwrap();
    assert_eq!((client.ended(), server.ended()), (vec!["connection was closed cleanly".to_owned()], client.ended()));
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn loopback_and_the_any_address_mean_the_host_itself() {
    for (there, local) in
        [("127.0.0.1:7", "127.0.0.1"), ("0.0.0.0:7", "127.0.0.1"), ("10.0.0.1:7", "10.0.0.1"), ("localhost:7", "127.0.0.1")]
    {
        let simulation = Simulation::new(1);
        let server = serve(&simulation, false);
        let client = Seen::default();
        simulation.host(SERVER).connect_tcp(there, Client(client.clone())).unwrap();
        simulation.run_until(|| server.is_connected()).unwrap();
        assert_eq!(server.transport().peer().ip().unwrap().to_string(), local);
        let elsewhere = connect(&simulation, "127.0.0.1:7");
        simulation.run_until(|| elsewhere.is_over()).unwrap();
    }
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_seed_another() {
    let log = |seed| {
        let simulation = Simulation::with_faults(seed, Faults::hostile());
        talk(&simulation);
        simulation.log()
    };
    for seed in 0..20 {
        log(seed).assert_same(&log(seed));
    }
    assert!((0..5).any(|seed| log(seed).first_difference(&log(seed + 1)).is_some()));
    let text = log(3).to_string();
    assert_eq!(text.parse::<torsade::event_log::Log>().unwrap().to_string(), text);
}

/// Three clients that talk to an echo server and close or abort, and timers; runs until everything has ended.
fn talk(simulation: &Simulation) {
    let server = simulation.host(SERVER);
    server.listen_tcp("0.0.0.0:7", |_peer| Watcher { seen: Seen::default(), echo: true }).unwrap();
    let mut clients = Vec::new();
    for number in 2..5 {
        let seen = Seen::default();
        let host = simulation.host(&format!("10.0.0.{number}"));
        host.connect_tcp("10.0.0.1:7", Client(seen.clone())).unwrap();
        let (talking, draw) = (seen.clone(), simulation.clone());
        let wait = Duration::from_millis(simulation.draw(2000));
        host.call_later(wait, move || {
            if talking.is_connected() {
                talking.transport().write(bytes(usize::try_from(draw.draw(20_000)).unwrap()));
                talking.transport().lose_connection();
            }
        });
        clients.push(seen);
    }
    simulation.run_for(Duration::from_secs(600)).unwrap();
}

#[test]
fn bytes_come_in_order_and_none_is_made_up_however_bad_the_network_is() {
    let single_bytes = Faults { segment: 1..=1, ..Faults::calm() };
    for (faults, seeds) in [(Faults::calm(), 20), (Faults::lossy(), 50), (Faults::hostile(), 100), (single_bytes, 5)] {
        simulate_with(&faults, 0..seeds, |simulation| {
            let server = serve(simulation, false);
            let client = connect(simulation, "10.0.0.1:7");
            let sent = usize::try_from(simulation.draw(30_000)).unwrap();
            simulation.run_until(|| client.is_connected() || client.is_over())?;
            if client.is_connected() {
                client.transport().set_close_timeout(Duration::from_secs(300));
                client.transport().write(bytes(sent));
                client.transport().lose_connection();
            }
            simulation.run_until(|| client.is_over())?;
            simulation.run_for(Duration::from_secs(10))?;
            let received = server.received();
            assert_eq!(received, bytes(sent)[..received.len()]);
            // A port without descriptors closes connections from which nobody has read.
            if client.ended() == ["connection was closed cleanly"] && server.ended() == client.ended() {
                assert_eq!(received.len(), sent, "all of it");
            }
            assert!(client.ended().len() == 1 && server.ended().len() <= 1);
            Ok::<_, SimulationError>(())
        });
    }
}

#[test]
fn chunks_come_down_to_one_byte() {
    let simulation = Simulation::with_faults(1, Faults { segment: 1..=1, ..Faults::calm() });
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected()).unwrap();
    client.transport().write(bytes(100));
    simulation.run_until(|| server.received().len() == 100).unwrap();
    assert_eq!(server.0.borrow().chunks, 100);
}

#[test]
fn a_line_takes_the_time_that_its_bandwidth_says() {
    let faults = Faults { bandwidth: Some(1_000_000), ..Faults::calm() };
    let simulation = Simulation::with_faults(1, faults);
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected()).unwrap();
    let begin = simulation.now();
    client.transport().write(bytes(3_000_000));
    simulation.run_until(|| server.received().len() == 3_000_000).unwrap();
    let took = (simulation.now() - begin).as_secs_f64();
    assert!((3.0..3.3).contains(&took), "{took}");
}

#[test]
fn a_reader_that_pauses_holds_the_writer_back() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    server.transport().pause_producing();
    client.transport().write(bytes(1_000_000));
    simulation.run_for(Duration::from_secs(60)).unwrap();
    // Both sockets hold 128 KiB, and the writer's socket does not report the last third of its free space.
    let held = 1_000_000 - client.transport().unsent();
    assert!((131_072 * 5 / 3..=131_072 * 2).contains(&held), "{held}");
    server.transport().resume_producing();
    simulation.run_until(|| server.received().len() == 1_000_000).unwrap();
    assert_eq!(client.transport().unsent(), 0);
}

#[test]
fn a_reader_that_hangs_forever_is_abandoned_after_a_time() {
    let simulation = Simulation::with_faults(3, Faults { stuck: 1.0, ..Faults::calm() });
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    client.transport().write(bytes(1_000_000));
    client.transport().lose_connection();
    simulation.run_until(|| client.is_over()).unwrap();
    assert_eq!(client.ended(), ["timed out: the peer does not read the unsent bytes"]);
    simulation.run_until(|| server.is_over()).unwrap();
    assert!(server.received().len() < 65536);
}

#[test]
fn what_a_closed_socket_cannot_deliver_is_given_up_after_a_time() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    let mut stream = simulation.host(CLIENT).backend().connect(&tcp("10.0.0.1:7"), None, SocketOptions::default()).unwrap();
    simulation.run_until(|| server.is_connected()).unwrap();
    server.transport().pause_producing();
    stream.register(torsade::spi::Token::from_usize(0)).unwrap();
    while stream.write(&bytes(1000)).is_ok() {
        simulation.run_for(Duration::from_millis(1)).unwrap();
    }
    drop(stream);
    simulation.run_for(Duration::from_secs(14 * 60)).unwrap();
    assert!(simulation.connections() == 1 && !server.is_over());
    simulation.run_for(Duration::from_secs(2 * 60)).unwrap();
    simulation.run_until(|| server.is_over()).unwrap();
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn something_on_the_way_may_reset_a_connection_at_both_ends() {
    let simulation = Simulation::with_faults(1, Faults { reset: 1.0, ..Faults::calm() });
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    client.transport().write(b"hello");
    simulation.run_until(|| client.is_over() && server.is_over()).unwrap();
    assert_eq!((client.ended(), server.received()), (server.ended(), b"hello".to_vec()));
    assert_eq!(client.ended(), ["connection was lost: connection reset"]);
}

#[test]
fn a_callback_on_one_host_reaches_into_another_at_once() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    let (here, there) = (simulation.host(SERVER), simulation.host(CLIENT));
    let rung = Rc::new(Cell::new(Duration::ZERO));
    let (bell, clock) = (Rc::clone(&rung), simulation.clone());
    let call = there.call_later(Duration::from_secs(1000), move || bell.set(clock.now()));
    let (writer, begin) = (client.transport(), simulation.now());
    here.call_later(Duration::from_secs(1), move || {
        writer.write(b"from elsewhere");
        call.reset(Duration::from_secs(1)).unwrap();
    });
    simulation.run_until(|| server.received() == b"from elsewhere").unwrap();
    assert!(simulation.now() - begin < Duration::from_millis(1100));
    simulation.run_until(|| !rung.get().is_zero()).unwrap();
    assert!(rung.get() - begin <= Duration::from_secs(2), "{:?}", rung.get());
    let (other, begin) = (there.reactor().clone(), simulation.now());
    here.call_later(Duration::from_secs(1), move || other.stop().unwrap());
    simulation.run_until(|| !there.is_running()).unwrap();
    assert!(simulation.now() - begin < Duration::from_secs(2));
}

#[test]
fn a_call_from_a_real_thread_is_made() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let handle = host.handle();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || handle.call_from_thread(move |_reactor| sender.send(7).unwrap()).unwrap()).join().unwrap();
    simulation.run_until_idle().unwrap();
    assert_eq!(receiver.try_recv(), Ok(7));
}

#[test]
fn a_cancelled_call_does_not_move_the_time() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let call = host.call_later(Duration::from_secs(30), || {});
    host.call_later(Duration::from_secs(1), move || call.cancel().unwrap());
    simulation.run_until_idle().unwrap();
    assert_eq!(simulation.now(), Duration::from_secs(1));
}

#[test]
fn connects_are_refused_unreachable_unknown_or_hang() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER);
    let failed = |address: &str| {
        let begin = simulation.now();
        let client = connect(&simulation, address);
        simulation.run_until(|| client.is_over()).unwrap();
        (client.ended().concat(), (simulation.now() - begin).as_secs())
    };
    assert!(matches!(failed("10.0.0.1:9"), (error, 0) if error.contains("refused")), "{:?}", failed("10.0.0.1:9"));
    assert!(matches!(failed("10.0.0.77:9"), (_, 3)));
    assert!(matches!(failed("nobody.example:9"), (error, 0) if error.contains("nobody.example")));
    simulation.set_faults(Faults { connect_hangs: 1.0, ..Faults::calm() });
    assert!(matches!(failed("10.0.0.1:9"), (_, 30)), "{:?}", failed("10.0.0.1:9"));
}

#[test]
fn a_connect_that_is_never_answered_ends_after_127_seconds() {
    let simulation = Simulation::with_faults(1, Faults { connect_hangs: 1.0, ..Faults::calm() });
    serve(&simulation, true);
    let stream = simulation.host(CLIENT).backend().connect(&tcp("10.0.0.1:7"), None, SocketOptions::default()).unwrap();
    simulation.run_for(Duration::from_secs(126)).unwrap();
    assert!(!stream.is_connected().unwrap());
    simulation.run_for(Duration::from_secs(2)).unwrap();
    assert_eq!(stream.is_connected().unwrap_err().kind(), ErrorKind::TimedOut);
    drop(stream);
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn names_are_looked_up_in_the_table() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    simulation.add_name("db.example", "10.0.0.1");
    connect(&simulation, "DB.example:7");
    simulation.run_until(|| server.is_connected()).unwrap();
}

#[test]
fn a_name_with_several_addresses_is_tried_until_one_answers() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    simulation.add_name("db.example", CLIENT);
    simulation.add_name("db.example", SERVER);
    connect(&simulation, "db.example:7");
    simulation.run_until(|| server.is_connected()).unwrap();
}

#[test]
fn a_partition_holds_back_what_is_sent_and_healing_delivers_it() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, true);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    simulation.partition(CLIENT, simulation.host(SERVER));
    client.transport().write(b"hello");
    simulation.run_for(Duration::from_secs(600)).unwrap();
    assert!(server.received().is_empty());
    let healed = simulation.now();
    simulation.heal(SERVER, CLIENT);
    simulation.run_until(|| client.received() == b"hello").unwrap();
    assert!(simulation.now() - healed < Duration::from_secs(1));
    assert!(!client.is_over() && !server.is_over());
}

#[test]
fn a_partition_that_is_too_long_loses_the_sender_first_and_its_peer_when_it_sends() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected() && server.is_connected()).unwrap();
    simulation.partition(CLIENT, SERVER);
    client.transport().write(b"hello");
    simulation.run_for(Duration::from_secs(14 * 60)).unwrap();
    assert!(!client.is_over());
    simulation.run_for(Duration::from_secs(2 * 60)).unwrap();
    assert_eq!(client.ended(), ["connection was lost: timed out"]);
    simulation.heal(CLIENT, SERVER);
    simulation.run_for(Duration::from_secs(60)).unwrap();
    assert!(!server.is_over(), "it has nothing to send, so it does not know");
    server.transport().write(b"there?");
    simulation.run_until(|| server.is_over()).unwrap();
    assert_eq!(server.ended(), ["connection was lost: connection reset"]);
    assert!(server.received().is_empty());
    assert_eq!(simulation.connections(), 0);
}

#[test]
fn a_network_may_never_give_up() {
    let faults = Faults { retransmission_timeout: Duration::MAX, ..Faults::calm() };
    let simulation = Simulation::with_faults(1, faults);
    let server = serve(&simulation, false);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| server.is_connected()).unwrap();
    simulation.partition(SERVER, CLIENT);
    client.transport().write("late");
    client.transport().lose_connection();
    simulation.run_for(Duration::from_secs(1_000_000)).unwrap();
    assert!(server.received().is_empty());
    simulation.heal(SERVER, CLIENT);
    simulation.run_until_idle().unwrap();
    assert_eq!(server.received(), b"late");
}

#[test]
fn a_connect_through_a_partition_succeeds_once_it_is_healed() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation, false);
    simulation.host(CLIENT);
    simulation.partition(CLIENT, SERVER);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_for(Duration::from_secs(10)).unwrap();
    simulation.heal(CLIENT, SERVER);
    simulation.run_until(|| server.is_connected() && client.is_connected()).unwrap();
    // The fifth SYN: after 1, 2, 4 and 8 seconds.
    assert_eq!(simulation.now().as_secs(), 15);
}

#[test]
fn a_port_survives_a_lack_of_descriptors_and_aborted_connections() {
    let faults = Faults { accept_aborted: 0.3, accept_out_of_descriptors: 0.3, ..Faults::calm() };
    simulate_with(&faults, 0..20, |simulation| {
        let server = serve(simulation, false);
        for _ in 0..200 {
            let client = connect(simulation, "10.0.0.1:7");
            simulation.run_for(Duration::from_secs(5))?;
            assert!(client.is_over() != client.is_connected());
            if server.is_connected() {
                return Ok(());
            }
        }
        panic!("nobody was ever accepted");
        #[expect(unreachable_code, reason = "names the type")]
        Ok::<_, SimulationError>(())
    });
}

#[test]
fn more_connects_than_the_backlog_wait_for_their_turn() {
    let simulation = Simulation::new(1);
    let listener = simulation
        .host(SERVER)
        .backend()
        .listen(&tcp("10.0.0.1:7"), ListenOptions { backlog: 2, ..ListenOptions::default() })
        .unwrap();
    let address = listener.local_address().unwrap();
    let streams: Vec<_> =
        (0..5).map(|_| simulation.host(CLIENT).backend().connect(&address, None, SocketOptions::default()).unwrap()).collect();
    let connected = || streams.iter().filter(|stream| stream.is_connected().unwrap()).count();
    simulation.run_for(Duration::from_millis(500)).unwrap();
    assert_eq!(connected(), 3, "one more than the backlog, as on Linux");
    let _accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
    simulation.run_for(Duration::from_secs(8)).unwrap();
    assert_eq!(connected(), 5);
    drop(listener);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let lost = streams.iter().filter(|stream| stream.take_error().unwrap().is_some()).count();
    assert_eq!(lost, 3, "whoever was still waiting is reset");
}

#[test]
fn addresses_in_use_or_of_others_cannot_be_listened_on() {
    let simulation = Simulation::new(1);
    let (host, other) = (simulation.host(SERVER), simulation.host(CLIENT));
    let listen = |address: &str| host.backend().listen(&tcp(address), ListenOptions { backlog: 1, ..ListenOptions::default() });
    let kind = |address: &str| listen(address).err().map(|error| error.kind());
    let taken = listen("10.0.0.1:80").unwrap();
    assert_eq!(kind("10.0.0.1:80"), Some(ErrorKind::AddrInUse));
    assert_eq!(kind("0.0.0.0:80"), Some(ErrorKind::AddrInUse));
    assert_eq!(kind("127.0.0.1:80"), None);
    assert_eq!(kind("10.0.0.2:80"), Some(ErrorKind::AddrNotAvailable));
    other.backend().listen(&tcp("10.0.0.2:80"), ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    drop(taken);
    let ipv4 = listen("0.0.0.0:80").unwrap();
    assert_eq!(kind("[::1]:80"), None, "of the other family");
    assert_eq!(kind("[::]:80"), Some(ErrorKind::AddrInUse), "takes both");
    drop(ipv4);
    let ports: Vec<u16> = (0..2).map(|_| listen("0.0.0.0:0").unwrap().local_address().unwrap().port().unwrap()).collect();
    assert_eq!(ports, [49152, 49153]);
}

#[test]
fn a_connection_gets_a_port_that_no_other_to_there_and_no_listener_has() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let connect = |address: &str| host.backend().connect(&tcp(address), None, SocketOptions::default());
    let port = |stream: &dyn torsade::spi::Stream| stream.local_address().unwrap().port().unwrap();
    let _listener =
        host.backend().listen(&tcp("0.0.0.0:49153"), ListenOptions { backlog: 1, ..ListenOptions::default() }).unwrap();
    let held = connect("10.0.0.2:80").unwrap();
    assert_eq!(port(&*held), 49152);
    for expected in 49154..=u16::MAX {
        assert_eq!(port(&*connect("10.0.0.2:80").unwrap()), expected);
    }
    assert_eq!(port(&*connect("10.0.0.2:80").unwrap()), 49154);
    drop(held);
}

#[test]
fn a_signal_stops_a_program_in_order() {
    let simulation = Simulation::new(1);
    serve(&simulation, true);
    let client = connect(&simulation, "10.0.0.1:7");
    simulation.run_until(|| client.is_connected()).unwrap();
    let server = simulation.host(SERVER);
    server.signal(Signal::Terminate);
    simulation.run_until(|| !server.is_running()).unwrap();
    simulation.run_until(|| client.is_over()).unwrap();
    assert!(server.is_stopping());
    let log = simulation.log().on(&server);
    assert_eq!(log.with_reason("Terminate").callbacks(), ["signal"]);
}

#[test]
fn jobs_of_the_thread_pool_end_later_on_the_one_thread() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let done = Rc::new(Cell::new(None));
    let (there, clock) = (Rc::clone(&done), simulation.clone());
    let thread = std::thread::current().id();
    host.call_in_thread(move || std::thread::current().id(), move |id| there.set(Some((id.unwrap(), clock.now()))));
    simulation.run_until(|| done.get().is_some()).unwrap();
    let (id, time) = done.get().unwrap();
    assert_eq!(id, thread);
    assert!(time >= Duration::from_micros(100));
}

#[test]
fn a_program_that_runs_its_reactor_itself_takes_the_rest_of_the_world_along() {
    let simulation = Simulation::new(1);
    serve(&simulation, true);
    let client = connect(&simulation, "10.0.0.1:7");
    let host = simulation.host(CLIENT);
    let (reactor, talking) = (host.reactor().clone(), client.clone());
    host.call_later(Duration::from_secs(1), move || talking.transport().write(b"hello"));
    host.call_later(Duration::from_secs(5), move || reactor.stop().unwrap());
    host.run().unwrap();
    assert_eq!(client.received(), b"hello");
    assert_eq!(simulation.now().as_secs(), 5);
    assert!(!host.is_running());
}

#[test]
fn a_reactor_that_would_wait_for_ever_ends_with_an_error_instead() {
    let simulation = Simulation::new(1);
    let error = simulation.host(SERVER).run().unwrap_err();
    assert!(error.to_string().contains("nothing more will happen at 0ns"), "{error}");
    let error = simulation.run_until(|| false).unwrap_err();
    assert!(matches!(error, SimulationError::Idle { .. }), "{error}");
}

#[test]
fn what_never_ends_is_stopped_and_says_what_was_going_on() {
    fn again(reactor: &Reactor, wait: Duration) {
        let next = reactor.clone();
        reactor.call_later(wait, move || again(&next, wait));
    }
    let simulation = Simulation::new(1);
    again(&simulation.host(SERVER), Duration::from_secs(1));
    simulation.set_turn_limit(1000);
    let error = simulation.run_until_idle().unwrap_err();
    assert!(error.to_string().contains("host 10.0.0.1: running, turn 1001, 0 sources, 1 delayed calls"), "{error}");
    simulation.set_turn_limit(u64::MAX);
    assert!(matches!(simulation.run_until(|| false), Err(SimulationError::TimeLimit { .. })));
    again(&simulation.host(CLIENT), Duration::ZERO);
    assert!(matches!(simulation.run_for(Duration::from_secs(1)), Err(SimulationError::Spinning { .. })));
}

#[test]
fn a_condition_is_also_checked_after_something_that_only_the_network_does() {
    let simulation = Simulation::new(1);
    let listener = simulation
        .host(SERVER)
        .backend()
        .listen(&tcp("10.0.0.1:7"), ListenOptions { backlog: 1, ..ListenOptions::default() })
        .unwrap();
    let client = simulation.host(CLIENT).backend().connect(&tcp("10.0.0.1:7"), None, SocketOptions::default()).unwrap();
    simulation.run_until(|| client.is_connected().unwrap()).unwrap();
    simulation.run_until_idle().unwrap();
    drop((client, listener.accept().unwrap()));
    assert_eq!(simulation.connections(), 1);
    simulation.run_until(|| simulation.connections() == 0).unwrap();
}

#[test]
fn a_run_inside_a_callback_is_an_error() {
    let simulation = Simulation::new(1);
    let (inner, told) = (simulation.clone(), Rc::new(Cell::new(false)));
    let tell = Rc::clone(&told);
    simulation.host(SERVER).call_later(Duration::ZERO, move || {
        tell.set(inner.run_until_idle() == Err(SimulationError::Nested));
    });
    simulation.run_until_idle().unwrap();
    assert!(told.get());
}

#[test]
fn a_simulation_leaves_nothing_behind() {
    let token = Rc::new(());
    simulate_with(&Faults::lossy(), 0..50, |simulation| {
        let server = serve(simulation, true);
        let client = connect(simulation, "10.0.0.1:7");
        let held = (simulation.clone(), simulation.host(SERVER), server, client.clone(), Rc::clone(&token));
        simulation.host(SERVER).call_later(Duration::from_secs(1000), move || drop(held));
        let (held, handle) = (Rc::clone(&token), simulation.clone());
        simulation.host(CLIENT).set_observer(move |_event| drop((Rc::clone(&held), handle.clone())));
        simulation.run_until(|| client.is_connected())?;
        client.transport().write(bytes(100_000));
        simulation.run_for(Duration::from_millis(simulation.draw(500)))?;
        let held = Rc::clone(&token);
        simulation.host(CLIENT).call_in_thread(|| (), move |_| drop(held));
        Ok::<_, SimulationError>(())
    });
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn a_failing_scenario_names_its_seed() {
    let failed = std::panic::catch_unwind(|| simulate(0..3, |simulation| assert!(simulation.seed() < 2)));
    let message = *failed.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("TORSADE_SEED=2 cargo test network::a_failing_scenario_names_its_seed"), "{message}");
}
