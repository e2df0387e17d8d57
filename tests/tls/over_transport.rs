//! TLS over a transport: what passes between the connection and the transport below it. All in virtual time, with TLS as a layer
//! at the other end. What it has in common with other connections is tested over every wire.

use std::cell::{Cell, RefCell};
use std::io::Cursor;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Deadline, tls_wrapping_factory};

use crate::keys;
use crate::support::{Event, Events, pattern};
use crate::world::{Side, side, silent};

const BIND: &str = "0.0.0.0:7";
const SERVER: &str = "10.0.0.1:7";

/// A client configuration that names the server.
fn client() -> TlsClientConfig {
    keys::client_builder().server_name("server.test").build().expect("a configuration")
}

/// Which side uses a wrapping factory for TLS.
#[derive(Clone, Copy, Debug)]
enum Wrapped {
    Client,
    Server,
    /// The server twice, one TLS inside the other.
    ServerTwice,
}

const ROLES: [Wrapped; 3] = [Wrapped::Server, Wrapped::Client, Wrapped::ServerTwice];

/// Runs one connection until both ends are lost; returns the events of `side`, which is wrapped, and of the other.
fn converse(simulation: &Simulation, wrapped: Wrapped, side: Side, other: Side) -> (Events, Events) {
    let (side_events, other_events) = (Events::default(), Events::default());
    let mut side = Some(side.into_probe(&side_events, |_| Ok(())));
    let mut other = Some(other.into_probe(&other_events, |_| Ok(())));
    let (here, there) = (simulation.host("10.0.0.2"), simulation.host("10.0.0.1"));
    let tls = keys::server();
    match wrapped {
        Wrapped::Client => {
            there.listen_tls(BIND, &tls, move |_peer| other.take()).expect("a port");
            here.connect_tcp(SERVER, tls_wrapping_factory(client(), move |_peer: Address| side.take())).expect("an address");
        }
        Wrapped::Server => {
            there.listen_tcp(BIND, tls_wrapping_factory(tls, move |_peer: Address| side.take())).expect("a port");
            here.connect_tls(SERVER, &keys::client(), move |_peer| other.take()).expect("an address");
        }
        Wrapped::ServerTwice => {
            let inner = tls_wrapping_factory(tls.clone(), move |_peer: Address| side.take());
            there.listen_tcp(BIND, tls_wrapping_factory(tls, inner)).expect("a port");
            let inner = tls_wrapping_factory(client(), move |_peer: Address| other.take());
            here.connect_tls(SERVER, &keys::client(), inner).expect("an address");
        }
    }
    simulation.run_until(|| side_events.lost() && other_events.lost()).expect("both ends are lost");
    (side_events, other_events)
}

/// Runs a scenario in every role, before the handshake and after it: `side` gets the event at which to act.
fn in_all_roles<T: Default>(
    side: impl Fn(&'static str, &T) -> Side,
    other: impl Fn() -> Side,
    check: impl Fn(&Events, &Events, &T),
) {
    for wrapped in ROLES {
        for time in ["made", "handshake"] {
            println!("wrapped: {wrapped:?}, at {time}");
            let told = T::default();
            let (events, other) = converse(&Simulation::new(1), wrapped, side(time, &told), other());
            check(&events, &other, &told);
        }
    }
}

#[test]
fn a_close_of_all_or_half_waits_for_the_producer_and_sends_what_follows_it() {
    for close in [Transport::lose_connection, Transport::lose_write_connection] {
        let send = move |time, (): &()| {
            side(move |event, transport| {
                if event.name() == time {
                    let file = FileSender::new(Cursor::new(pattern(0, 300_000)));
                    file.begin_file_transfer(transport, |transport, last| {
                        last?;
                        transport.write("the end");
                        Ok(())
                    })?;
                    close(transport);
                }
                Ok(())
            })
        };
        in_all_roles(send, silent, |sender, receiver, ()| {
            let got = receiver.data();
            assert!(got == [&pattern(0, 300_000)[..], b"the end"].concat(), "{} bytes", got.len());
            assert!(sender.reason().is_clean(), "{:?}", sender.reason());
            assert!(receiver.reason().is_clean(), "{:?}", receiver.reason());
        });
    }
}

#[test]
fn a_close_that_waits_for_its_producer_leaves_a_stuck_peer_by_the_deadline() {
    for wrapped in ROLES {
        let send = side(|event, transport| {
            if matches!(event, Event::Handshake) {
                FileSender::new(std::io::repeat(b'f')).begin_file_transfer(transport, |_, _| Ok(()))?;
                transport.lose_connection();
            }
            Ok(())
        });
        let stuck = side(|event, transport| {
            if matches!(event, Event::Handshake) {
                transport.pause_producing();
            }
            Ok(())
        });
        let simulation = Simulation::new(1);
        let (events, _) = converse(&simulation, wrapped, send, stuck);
        assert!(matches!(events.reason(), Reason::TimedOut(Deadline::Flush)), "{wrapped:?}: {:?}", events.reason());
        // The 120 s of a close without progress: what the buffers in between take does not count as progress.
        assert!(simulation.now() < Duration::from_secs(125), "{wrapped:?}: {:?}", simulation.now());
    }
}

/// Sends a request, and ends its stream at once.
fn ask() -> Side {
    side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write("question");
            transport.lose_connection();
        }
        Ok(())
    })
}

#[test]
fn the_end_of_a_stream_is_not_reported_while_paused() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let paused = Rc::new(Cell::new(false));
        let pause = side(move |event, transport| {
            match event {
                Event::Data(_) => {
                    transport.pause_producing();
                    paused.set(true);
                    let (transport, paused) = (transport.clone(), paused.clone());
                    let reactor = transport.reactor().clone();
                    reactor.call_later(Duration::from_secs(5), move || {
                        paused.set(false);
                        transport.resume_producing();
                    });
                }
                Event::ReadLost => assert!(!paused.get(), "told while paused"),
                _ => {}
            }
            Ok(())
        });
        let (events, _) = converse(&Simulation::new(1), wrapped, pause, ask());
        assert_eq!(events.count("read lost"), 1);
        assert!(events.reason().is_clean(), "{:?}", events.reason());
    }
}

/// Records why its connection was lost.
struct Telling {
    told: Rc<RefCell<Option<Reason>>>,
    protocol: Option<Box<dyn Protocol>>,
}

impl Factory for Telling {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        self.protocol.take()
    }
}

impl ClientFactory for Telling {
    fn client_connection_lost(&mut self, _connector: &Connector, reason: &Reason) -> Result {
        self.told.replace(Some(reason.clone()));
        Ok(())
    }
}

#[test]
fn a_client_factory_gets_the_reason_above_tls() {
    let simulation = Simulation::new(1);
    let told = Rc::new(RefCell::new(None));
    simulation.host("10.0.0.1").listen_tls(BIND, &keys::server(), |_peer| torsade::wire::Echo).expect("a port");
    let other_name = keys::client_builder().server_name("other.test").build().expect("a configuration");
    let factory =
        tls_wrapping_factory(other_name, Telling { told: Rc::clone(&told), protocol: Some(Box::new(torsade::wire::Echo)) });
    simulation.host("10.0.0.2").connect_tcp(SERVER, factory).expect("an address");
    simulation.run_for(Duration::from_secs(5)).expect("the simulation runs");
    assert!(matches!(*told.borrow(), Some(Reason::Tls(_))), "{:?}", told.borrow());
}

#[test]
fn a_forwarder_reads_no_more_than_it_can_hold_while_its_target_does_not_answer_the_hello() {
    const SIZE: usize = 4_000_000;
    let simulation = Simulation::new(1);
    let (forwarder, silent_target) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.3"));
    let mute = move |_peer: Address| silent().into_probe(&Events::default(), |_| Ok(()));
    silent_target.listen_tcp(BIND, mute).expect("a port");
    let forward = PortForward::new(|reactor, target| reactor.connect_tcp("10.0.0.3:7", tls_wrapping_factory(client(), target)));
    forwarder.listen_tcp(BIND, forward).expect("a port");
    let events = Events::default();
    let uploading = Rc::new(RefCell::new(None));
    let keep = uploading.clone();
    let upload = side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.write(pattern(0, SIZE));
        }
        Ok(())
    });
    let mut upload = Some(upload.into_probe(&events, move |transport| {
        keep.replace(Some(transport.clone()));
        Ok(())
    }));
    simulation.host("10.0.0.2").connect_tcp(SERVER, move |_peer| upload.take()).expect("an address");
    simulation.run_for(Duration::from_secs(20)).expect("a calm world");
    let left = uploading.borrow().as_ref().map_or(0, Transport::unsent);
    assert!(left > SIZE - 800_000, "the forwarder took {} bytes", SIZE - left);
    simulation.run_until(|| events.lost()).expect("the handshake has a deadline");
}

#[test]
fn a_forwarder_sends_on_what_waited_for_the_handshake_of_its_target() {
    const SIZE: usize = 1_000_000;
    let simulation = Simulation::new(1);
    let events = Events::default();
    let mut target = Some(silent().into_probe(&events, |_| Ok(())));
    simulation.host("10.0.0.3").listen_tls(BIND, &keys::server(), move |_peer| target.take()).expect("a port");
    let forward = PortForward::new(|reactor, target| reactor.connect_tcp("10.0.0.3:7", tls_wrapping_factory(client(), target)));
    simulation.host("10.0.0.1").listen_tcp(BIND, forward).expect("a port");
    let upload = side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.write(pattern(0, SIZE));
            transport.lose_connection();
        }
        Ok(())
    });
    let mut upload = Some(upload.into_probe(&Events::default(), |_| Ok(())));
    simulation.host("10.0.0.2").connect_tcp(SERVER, move |_peer| upload.take()).expect("an address");
    simulation.run_until(|| events.lost()).expect("the target's end is lost");
    assert!(events.data() == pattern(0, SIZE), "{} bytes", events.data().len());
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

#[test]
fn the_sockets_options_are_reached_through_tls() {
    let set = |time, (): &()| {
        side(move |event, transport| {
            if event.name() == time {
                assert!(transport.tcp_nodelay()? && !transport.tcp_keepalive()?);
                transport.set_tcp_nodelay(false)?;
                transport.set_tcp_keepalive(true)?;
                assert!(!transport.tcp_nodelay()? && transport.tcp_keepalive()?);
                transport.lose_connection();
            }
            Ok(())
        })
    };
    in_all_roles(set, silent, |events, _, ()| assert!(events.reason().is_clean(), "{:?}", events.reason()));
}

#[test]
fn a_stop_of_the_reactor_sends_all_that_was_written_and_ends_tls() {
    for wrapped in ROLES {
        // More than the transport below takes at a time.
        for size in [10, 3_000_000] {
            println!("wrapped: {wrapped:?}, {size} bytes");
            let stopping = side(move |event, transport| {
                if matches!(event, Event::Handshake) {
                    transport.write(pattern(0, size));
                    transport.reactor().stop()?;
                }
                Ok(())
            });
            let (stopped, other) = converse(&Simulation::new(1), wrapped, stopping, silent());
            assert!(matches!(stopped.reason(), Reason::ShuttingDown), "{:?}", stopped.reason());
            assert!(other.data() == pattern(0, size), "{} bytes", other.data().len());
            assert!(other.reason().is_clean(), "{:?}", other.reason());
        }
    }
}

#[test]
fn compression_works_above_tls_that_is_over_a_transport() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let talk = side(|event, transport| {
            match event {
                Event::Made => {
                    transport.set_detection(Detect::AtStart);
                    transport.set_compression("deflate")?;
                    transport.write(b"again and ".repeat(50_000));
                }
                Event::Data(_) => {
                    let stats = transport.compression_stats().expect("it compresses");
                    assert!(stats.format_in.is_some() && stats.format_out.is_some(), "{stats:?}");
                    transport.lose_connection();
                }
                _ => {}
            }
            Ok(())
        });
        let got = Cell::new(0);
        let answer = side(move |event, transport| {
            match event {
                Event::Made => {
                    transport.set_detection(Detect::AtStart);
                    transport.set_compression("deflate")?;
                }
                Event::Data(data) => {
                    got.set(got.get() + data.len());
                    if got.get() == 500_000 {
                        transport.write("enough");
                    }
                }
                _ => {}
            }
            Ok(())
        });
        let (talker, other) = converse(&Simulation::new(1), wrapped, talk, answer);
        assert!(other.data() == b"again and ".repeat(50_000), "{} bytes", other.data().len());
        assert_eq!(talker.data(), b"enough");
        assert!(talker.reason().is_clean() && other.reason().is_clean(), "{:?}, {:?}", talker.reason(), other.reason());
    }
}

#[test]
fn what_was_sent_to_a_paused_protocol_is_all_delivered_after_both_streams_have_ended() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let slow = side(|event, transport| {
            match event {
                Event::Handshake => transport.lose_write_connection(),
                Event::Data(_) => {
                    transport.pause_producing();
                    let late = transport.clone();
                    transport.reactor().call_later(Duration::from_secs(1), move || late.resume_producing());
                }
                _ => {}
            }
            Ok(())
        });
        let send = side(|event, transport| {
            if matches!(event, Event::Handshake) {
                transport.write(pattern(0, 500_000));
                transport.lose_write_connection();
            }
            Ok(())
        });
        let (events, _) = converse(&Simulation::new(1), wrapped, slow.half_closeable(), send.half_closeable());
        assert!(events.data() == pattern(0, 500_000), "{} bytes", events.data().len());
        assert!(events.reason().is_clean(), "{:?}", events.reason());
    }
}

#[test]
fn a_client_factory_learns_of_the_end_after_a_protocol_that_was_paused_meanwhile() {
    let simulation = Simulation::new(1);
    let (told, events) = (Rc::new(RefCell::new(None)), Events::default());
    let (early, first) = (Rc::clone(&told), Rc::new(Cell::new(false)));
    let in_order = Rc::clone(&first);
    let mut answer = Some(ask().into_probe(&Events::default(), |_| Ok(())));
    simulation.host("10.0.0.1").listen_tls(BIND, &keys::server(), move |_peer| answer.take()).expect("a port");
    // The peer's stream ends while it is paused; then it ends its own.
    let pause = side(move |event, transport| {
        match event {
            Event::Data(_) => {
                transport.pause_producing();
                let (late, later) = (transport.clone(), transport.clone());
                transport.reactor().call_later(Duration::from_secs(1), move || late.lose_write_connection());
                transport.reactor().call_later(Duration::from_secs(2), move || later.resume_producing());
            }
            Event::Lost(_) => in_order.set(early.borrow().is_none()),
            _ => {}
        }
        Ok(())
    });
    let probe = pause.half_closeable().into_probe(&events, |_| Ok(()));
    let factory = tls_wrapping_factory(client(), Telling { told: Rc::clone(&told), protocol: Some(Box::new(probe)) });
    simulation.host("10.0.0.2").connect_tcp(SERVER, factory).expect("an address");
    simulation.run_until_idle().expect("a calm world");
    assert_eq!(events.names(), ["made", "handshake", "data", "write lost", "resumed", "read lost", "lost"]);
    assert!(first.get(), "the protocol is notified first");
    assert!(told.borrow().as_ref().is_some_and(Reason::is_clean), "{:?}", told.borrow());
}

#[test]
fn a_paused_protocol_is_not_read_for() {
    const SIZE: usize = 4_000_000;
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let simulation = Simulation::new(1);
        let pause = side(|event, transport| {
            if matches!(event, Event::Handshake) {
                transport.pause_producing();
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_secs(20), move || late.resume_producing());
            }
            Ok(())
        });
        let left = Rc::new(Cell::new(0));
        let told = left.clone();
        let upload = side(move |event, transport| {
            if matches!(event, Event::Handshake) {
                transport.write(pattern(0, SIZE));
                transport.lose_connection();
                let (here, told) = (transport.clone(), told.clone());
                transport.reactor().call_later(Duration::from_secs(10), move || told.set(here.unsent()));
            }
            Ok(())
        });
        let (events, _) = converse(&simulation, wrapped, pause, upload);
        assert!(left.get() > SIZE - 800_000, "{} bytes were taken", SIZE - left.get());
        assert!(events.data() == pattern(0, SIZE), "{} bytes", events.data().len());
    }
}

#[test]
fn an_abort_of_either_transport_is_the_reason_above_and_a_reset_for_the_peer() {
    for above in [true, false] {
        let simulation = Simulation::new(1);
        let (events, other) = (Events::default(), Events::default());
        let below = Rc::new(RefCell::new(None));
        let aborting = below.clone();
        let abort = side(move |event, transport| {
            if matches!(event, Event::Handshake) {
                let below = aborting.borrow();
                let aborted = if above { transport } else { below.as_ref().expect("it is made") };
                aborted.abort_connection();
            }
            Ok(())
        });
        let mut abort = Some(abort.into_probe(&events, |_| Ok(())));
        let factory = tls_wrapping_factory(keys::server(), move |_peer: Address| abort.take());
        let factory = torsade::policies::WrappingFactory::new(factory, move |_: &Address| Keep(below.clone()));
        simulation.host("10.0.0.1").listen_tcp(BIND, factory).expect("a port");
        let mut talk = Some(silent().into_probe(&other, |_| Ok(())));
        simulation.host("10.0.0.2").connect_tls(SERVER, &keys::client(), move |_peer| talk.take()).expect("an address");
        simulation.run_until(|| events.lost() && other.lost()).expect("both ends are lost");
        assert!(matches!(events.reason(), Reason::ConnectionAborted), "{:?}", events.reason());
        assert!(matches!(other.reason(), Reason::ConnectionLost(_)), "{:?}", other.reason());
    }
}

#[test]
fn a_policy_below_holds_up_what_is_above() {
    const SIZE: usize = 100_000;
    let simulation = Simulation::new(1);
    let events = Events::default();
    let mut receive = Some(silent().into_probe(&events, |_| Ok(())));
    let factory = tls_wrapping_factory(keys::server(), move |_peer: Address| receive.take());
    let throttled = torsade::policies::ThrottlingFactory::new(factory).read_limit(20_000);
    simulation.host("10.0.0.1").listen_tcp(BIND, throttled).expect("a port");
    let send = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write(pattern(0, SIZE));
            let late = transport.clone();
            transport.reactor().call_later(Duration::from_millis(1500), move || {
                late.write(pattern(SIZE, SIZE));
                late.lose_connection();
            });
        }
        Ok(())
    });
    let mut send = Some(send.into_probe(&Events::default(), |_| Ok(())));
    simulation.host("10.0.0.2").connect_tls(SERVER, &keys::client(), move |_peer| send.take()).expect("an address");
    simulation.run_until(|| events.lost()).expect("it is all sent");
    // The bytes of the first second are enough for five.
    assert!(simulation.now() > Duration::from_secs(5), "it took {:?}", simulation.now());
    assert!(events.data() == pattern(0, 2 * SIZE), "{} bytes", events.data().len());
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

#[test]
fn a_close_timeout_is_the_socket_s_as_well() {
    let simulation = Simulation::new(1);
    let events = Events::default();
    let close = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.set_close_timeout(Duration::from_secs(2));
            transport.lose_connection();
        }
        Ok(())
    });
    let mut close = Some(close.into_probe(&events, |_| Ok(())));
    let server = simulation.host("10.0.0.1");
    server.listen_tcp(BIND, tls_wrapping_factory(keys::server(), move |_peer: Address| close.take())).expect("a port");
    // Never ends its own stream.
    let mut stay = Some(silent().half_closeable().into_probe(&Events::default(), |_| Ok(())));
    simulation.host("10.0.0.2").connect_tls(SERVER, &keys::client(), move |_peer| stay.take()).expect("an address");
    simulation.run_for(Duration::from_secs(1)).expect("a calm world");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
    assert_eq!(server.source_count(), 2, "the socket waits for its peer's end");
    simulation.run_for(Duration::from_secs(2)).expect("a calm world");
    assert_eq!(server.source_count(), 1, "only the port is left");
}

/// Keeps the transport below TLS, for the test to end.
pub struct Keep(pub Rc<RefCell<Option<Transport>>>);

impl torsade::policies::ProtocolWrapper for Keep {
    fn connection_made(&self, below: &torsade::policies::WrapperTransport) -> Result {
        self.0.replace(Some((**below).clone()));
        Ok(())
    }
}
