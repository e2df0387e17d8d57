//! A protocol that closes is told when its peer has everything; its socket stays open for as long as the peer needs it.

use std::cell::RefCell;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::*;
use torsade::policies::LimitConnectionsByPeer;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::{Deadline, LoopingCall};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

/// A simulated network with a server that sends an answer to each client and closes.
struct World {
    simulation: Simulation,
    server: Events,
}

/// A client that reads what arrives, and keeps its transport.
#[derive(Clone, Default)]
struct Client {
    events: Events,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl World {
    fn new(faults: Faults, answer: usize, timeout: Option<Duration>) -> Self {
        let simulation = Simulation::with_faults(1, faults);
        let server = Events::default();
        let record = server.clone();
        let factory = move |_peer: Address| {
            Probe::new(&record, move |event, transport| {
                if matches!(event, Event::Made) {
                    timeout.into_iter().for_each(|timeout| transport.set_close_timeout(timeout));
                    transport.write(pattern(0, answer));
                    transport.lose_connection();
                }
                Ok(())
            })
        };
        let limited = LimitConnectionsByPeer::new(factory, 1);
        simulation.host(SERVER).listen_tcp("0.0.0.0:7", limited).unwrap();
        Self { simulation, server }
    }

    fn connect(&self, host: &str) -> Client {
        let client = Client::default();
        let made = client.clone();
        let factory = move |_peer: Address| {
            let transport = made.transport.clone();
            let keep = move |event: &Event, this: &Transport| {
                if matches!(event, Event::Made) {
                    transport.replace(Some(this.clone()));
                }
                Ok(())
            };
            Probe::new(&made.events, keep).half_closeable()
        };
        self.simulation.host(host).connect_tcp("10.0.0.1:7", factory).unwrap();
        client
    }

    fn until_server_is_told(&self) -> Duration {
        self.simulation.run_until(|| self.server.lost()).unwrap();
        self.simulation.now()
    }

    fn run_for(&self, seconds: u64) {
        self.simulation.run_for(Duration::from_secs(seconds)).unwrap();
    }

    /// What the server's reactor has open besides its port.
    fn sockets_of_server(&self) -> Vec<String> {
        let mut sources = self.simulation.host(SERVER).leftovers().sources;
        sources.retain(|source| !source.starts_with("a port"));
        sources
    }
}

impl Client {
    fn transport(&self) -> Transport {
        self.transport.borrow().clone().expect("connected")
    }
}

#[test]
fn a_close_is_reported_soon_after_the_peer_has_everything_although_it_keeps_its_side_open() {
    let world = World::new(Faults::calm(), 100, None);
    let client = world.connect(CLIENT);
    let told = world.until_server_is_told();
    assert!(told <= Duration::from_millis(250), "{told:?}");
    assert!(world.server.reason().is_clean(), "{:?}", world.server.reason());
    assert_eq!(client.events.data(), pattern(0, 100));
    let left = world.sockets_of_server();
    assert!(matches!(&left[..], [socket] if socket.contains("until its peer ends its stream")), "{left:?}");
    world.run_for(29);
    assert_eq!(world.sockets_of_server().len(), 1, "the peer may still say something, which is not to be answered by a reset");
    world.run_for(2);
    assert!(world.sockets_of_server().is_empty(), "nor is it awaited forever");
}

/// With each arrival the system says that there is room to write, as it does when the peer has acknowledged our end.
#[test]
fn a_peer_that_goes_on_sending_does_not_put_off_the_end_of_the_close() {
    let close = |event: &Event, transport: &Transport| {
        if matches!(event, Event::Made) {
            transport.lose_connection();
        }
        Ok(())
    };
    let (events, has_ended) = converse(close, |mut peer| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            if peer.write_all(&[b'x'; 10_000]).is_err() {
                return true;
            }
        }
        false
    });
    assert!(has_ended, "it was sent to for 10 s, and the protocol was not notified");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

#[test]
fn whoever_counts_connections_does_not_count_a_socket_that_lingers() {
    let world = World::new(Faults::calm(), 100, None);
    world.connect(CLIENT);
    world.until_server_is_told();
    let second = world.connect(CLIENT);
    world.run_for(1);
    assert_eq!(second.events.data(), pattern(0, 100), "the limit is of one connection a peer");
    assert_eq!(world.sockets_of_server().len(), 2);
}

#[test]
fn what_the_peer_says_after_the_close_is_dropped_and_its_end_ends_the_wait() {
    let world = World::new(Faults::calm(), 100, None);
    let client = world.connect(CLIENT);
    world.until_server_is_told();
    client.transport().write([b'x'; 200_000]);
    world.run_for(1);
    assert!(!client.events.lost(), "it is not reset");
    client.transport().lose_connection();
    world.run_for(1);
    assert!(client.events.reason().is_clean(), "{:?}", client.events.reason());
    assert!(world.sockets_of_server().is_empty());
}

#[test]
fn a_reader_that_is_slow_and_steady_gets_everything_however_long_it_takes() {
    const SIZE: usize = 4 << 20;
    let faults = Faults { slow: 1.0, slow_bandwidth: 1000, ..Faults::calm() };
    let world = World::new(faults, SIZE, None);
    let client = world.connect(CLIENT);
    world.run_for(3600);
    assert!(!world.server.lost() && !client.events.lost());
    // Bytes sent while the answer is on its way must not cost the answer.
    client.transport().write("?");
    world.simulation.run_until(|| client.events.count("read lost") == 1).unwrap();
    assert!(client.events.data() == pattern(0, SIZE), "{} bytes", client.events.data().len());
    let ended = world.simulation.now();
    let told = world.until_server_is_told();
    assert!(told <= ended + Duration::from_millis(250), "the end came at {ended:?}, but was reported at {told:?}");
    assert!(world.server.reason().is_clean(), "{:?}", world.server.reason());
}

#[test]
fn the_wait_for_the_peers_end_begins_when_it_has_everything() {
    // The whole answer fits into the buffers on our side, and then takes 100 s.
    let faults = Faults { slow: 1.0, slow_bandwidth: 1000, segment: 1000..=1000, ..Faults::calm() };
    let world = World::new(faults, 100_000, Some(Duration::from_secs(5)));
    let client = world.connect(CLIENT);
    world.run_for(40);
    client.transport().write("?");
    world.simulation.run_until(|| client.events.count("read lost") == 1).unwrap();
    assert!(client.events.data() == pattern(0, 100_000), "{} bytes", client.events.data().len());
    assert!(world.simulation.now() > Duration::from_secs(99));
}

#[test]
fn a_peer_that_never_reads_is_reset_when_the_documented_time_is_over() {
    // More than all buffers hold, then less: with less, the system has taken everything and the peer has not.
    for answer in [1_000_000, 200_000] {
        let world = World::new(Faults::calm(), answer, Some(Duration::from_secs(3)));
        let client = world.connect(CLIENT);
        world.simulation.run_until(|| client.transport.borrow().is_some()).unwrap();
        client.transport().pause_producing();
        let told = world.until_server_is_told();
        assert!(matches!(world.server.reason(), Reason::TimedOut(Deadline::Flush)), "{:?}", world.server.reason());
        assert!((3000..=3400).contains(&told.as_millis()), "{answer}: {told:?}");
        client.transport().resume_producing();
        world.simulation.run_until(|| client.events.lost()).unwrap();
        assert!(matches!(client.events.reason(), Reason::ConnectionLost(_)), "{:?}", client.events.reason());
    }
}

#[test]
fn the_sockets_that_linger_are_bounded() {
    let world = World::new(Faults::calm(), 1, None);
    for number in 0..1030 {
        world.connect(&format!("10.1.{}.{}", number / 250, number % 250 + 1));
    }
    world.run_for(2);
    assert_eq!(world.server.count("lost"), 1030);
    assert_eq!(world.sockets_of_server().len(), 1024, "the oldest were closed early");
}

#[test]
fn a_stop_does_not_wait_for_sockets_that_linger() {
    let world = World::new(Faults::calm(), 100, None);
    world.connect(CLIENT);
    world.until_server_is_told();
    let server = world.simulation.host(SERVER);
    server.stop().unwrap();
    let begin = world.simulation.now();
    world.simulation.run_until(|| !server.is_running()).unwrap();
    assert!(world.simulation.now() - begin < Duration::from_millis(100));
}

/// On real sockets with small buffers: the peer reads a little at each tick for twice the close timeout, sends something, and
/// reads the rest.
#[test]
fn a_slow_reader_on_real_sockets_gets_everything() {
    const SIZE: usize = 300_000;
    const TIMEOUT: Duration = Duration::from_secs(2);
    let reactor = Reactor::new().unwrap();
    let (tick, ticks) = mpsc::channel();
    let events = Events::default();
    let record = events.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    socket2::SockRef::from(&listener).set_send_buffer_size(SIZE).unwrap();
    let factory = move |_peer: Address| {
        let mut tick = Some(tick.clone());
        Probe::new(&record, move |event, transport| {
            match event {
                Event::Made => {
                    transport.set_close_timeout(TIMEOUT);
                    transport.write(pattern(0, SIZE));
                    transport.lose_connection();
                    let tick = tick.take().expect("made once");
                    let ticking = LoopingCall::new(transport.reactor(), move || {
                        tick.send(()).ok();
                    });
                    ticking.start(Duration::from_millis(100), true)?.detach();
                }
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    reactor.adopt_stream_port(listener, factory).unwrap();
    let peer = std::thread::spawn(move || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        let mut got = Vec::new();
        for _ in 0..40 {
            ticks.recv().unwrap();
            got.extend(read_exactly(&mut stream, 2000));
        }
        stream.write_all(b"?").unwrap();
        let (rest, end) = drain(&mut stream);
        got.extend(rest);
        (got, end)
    });
    run(&reactor);
    let (got, end) = peer.join().unwrap();
    assert_eq!(end, Ok(()));
    assert!(got == pattern(0, SIZE), "{} of {SIZE} bytes", got.len());
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

/// The system reports room only once a third of a full buffer is free, which takes this peer longer than the timeout.
#[test]
fn a_peer_whose_buffer_seldom_reports_room_gets_all_that_was_written_before_the_close() {
    let world = World::new(Faults { slow: 1.0, ..Faults::calm() }, 300_000, None);
    let client = world.connect(CLIENT);
    world.run_for(600);
    assert!(client.events.data() == pattern(0, 300_000), "{} bytes", client.events.data().len());
}
