//! TLS over a transport keeps the contract that TLS as a layer of a TCP connection keeps: closes, producers, limits. All of
//! it in virtual time, with the layer at the other end.

use std::cell::{Cell, RefCell};
use std::io::Cursor;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Deadline, tls_wrapping_factory};

use crate::keys;
use crate::support::{Event, Events, pattern};
use crate::world::{Side, echo, side, silent};

const BIND: &str = "0.0.0.0:7";
const SERVER: &str = "10.0.0.1:7";

/// A client's configuration that names the server.
fn client() -> TlsClientConfig {
    keys::client_builder().server_name("server.test").build().expect("a configuration")
}

/// Who speaks TLS through a wrapping factory.
#[derive(Clone, Copy, Debug)]
enum Wrapped {
    Client,
    /// TLS is a layer at both ends: what wrapped TLS is held against.
    Nobody,
    Server,
    /// The server twice, one TLS in the other.
    ServerTwice,
}

const ROLES: [Wrapped; 4] = [Wrapped::Nobody, Wrapped::Server, Wrapped::Client, Wrapped::ServerTwice];

/// Runs one connection until both ends are lost, and gives what `side` saw, who is wrapped if anybody is, and the other.
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
        Wrapped::Nobody => {
            there.listen_tls(BIND, &tls, move |_peer| side.take()).expect("a port");
            here.connect_tls(SERVER, &keys::client(), move |_peer| other.take()).expect("an address");
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

/// Runs a scenario in every role, done before the handshake and after it: `side` is told which event is its time.
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
fn a_close_waits_for_one_producer_after_the_other_wherever_they_are_unregistered() {
    struct Idle;
    impl Producer for Idle {
        fn resume_producing(&mut self, _: &Transport) -> Result {
            Ok(())
        }
    }
    let send = |time, (): &()| {
        side(move |event, transport| {
            if event.name() == time {
                transport.register_producer(Idle, true)?;
                transport.lose_connection();
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_secs(5), move || {
                    late.write("one ");
                    late.unregister_producer();
                    late.write("two ");
                    late.register_producer(Idle, true).expect("the stream has not ended");
                    let later = late.clone();
                    late.reactor().call_later(Duration::from_secs(5), move || {
                        later.write("three");
                        later.unregister_producer();
                    });
                });
            }
            Ok(())
        })
    };
    in_all_roles(send, silent, |sender, receiver, ()| {
        assert_eq!(receiver.data(), b"one two three");
        assert!(sender.reason().is_clean(), "{:?}", sender.reason());
        assert!(receiver.reason().is_clean(), "{:?}", receiver.reason());
    });
}

#[test]
fn what_is_written_after_a_close_of_all_or_half_in_the_same_callback_is_sent() {
    for half in [false, true] {
        let send = move |time, (): &()| {
            side(move |event, transport| {
                if event.name() == time {
                    transport.write("one ");
                    if half {
                        transport.lose_write_connection()
                    } else {
                        transport.lose_connection()
                    }
                    transport.write("two");
                    let later = transport.clone();
                    transport.reactor().call_later(Duration::from_millis(1), move || later.write("dropped"));
                }
                Ok(())
            })
        };
        in_all_roles(send, silent, |sender, receiver, ()| {
            assert_eq!(receiver.data(), b"one two", "half: {half}");
            assert_eq!(sender.count("write lost"), usize::from(half));
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
        // The 120 s of a close that makes no progress: what the buffers on the way take is none.
        assert!(simulation.now() < Duration::from_secs(125), "{wrapped:?}: {:?}", simulation.now());
    }
}

/// Asks, and ends its stream in the same breath.
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
fn what_is_given_back_comes_again_in_later_turns_and_before_the_end() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let (now, left) = (Rc::new(Cell::new(false)), Cell::new(3));
        let give_back = side(move |event, transport| {
            if let Event::Data(data) = event {
                assert!(!now.get(), "again in the same turn");
                if left.replace(left.get() - 1) > 0 {
                    transport.unread(data);
                    now.set(true);
                    let now = now.clone();
                    transport.reactor().call_later(Duration::ZERO, move || now.set(false));
                }
            }
            Ok(())
        });
        let (events, _) = converse(&Simulation::new(1), wrapped, give_back, ask());
        assert_eq!(events.data(), b"question".repeat(4));
        assert!(events.reason().is_clean(), "{:?}", events.reason());
    }
}

#[test]
fn the_end_of_a_stream_is_not_told_while_paused() {
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

/// How a producer fails.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Fault {
    Error,
    #[default]
    None,
    /// Whenever it is called.
    Panic,
}

/// Produces without end, or fails.
#[derive(Default)]
struct Endless {
    fault: Fault,
    stopped: Rc<Cell<u32>>,
}

impl Producer for Endless {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        consumer.write([b'p'; 1000]);
        match self.fault {
            Fault::Error => Err("the producer fails".into()),
            Fault::None => Ok(()),
            Fault::Panic => panic!("the producer fails"),
        }
    }

    fn stop_producing(&mut self) {
        self.stopped.set(self.stopped.get() + 1);
        assert_ne!(self.fault, Fault::Panic, "it fails again");
    }
}

#[test]
fn a_failed_connection_does_not_wait_for_its_producer_and_ends_in_order() {
    for fault in [Fault::Error, Fault::None, Fault::Panic] {
        println!("the producer's fault: {fault:?}");
        let fail = |time, stopped: &Rc<Cell<u32>>| {
            let stopped = stopped.clone();
            side(move |event, transport| {
                if event.name() == time {
                    transport.register_producer(Endless { fault, stopped: stopped.clone() }, false)?;
                }
                match event {
                    Event::Data(_) if fault == Fault::None => Err("the protocol fails".into()),
                    _ => Ok(()),
                }
            })
        };
        in_all_roles(fail, echo, |failed, other, stopped| {
            let reason = failed.reason();
            let own = if fault == Fault::Panic { "Panicked" } else { "Protocol" };
            assert_eq!(reason.kind(), own, "{reason:?}");
            assert_eq!(stopped.get(), 1, "the producer is told once");
            assert!(!other.data().is_empty());
            assert!(other.reason().is_clean(), "{:?}", other.reason());
        });
    }
}

#[test]
fn a_panic_in_connection_lost_leaves_no_tasks_behind() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let task = Rc::new(RefCell::new(Weak::new()));
        let record = task.clone();
        let panicking = side(move |event, transport| {
            match event {
                Event::Handshake => {
                    let held = Rc::new(());
                    record.replace(Rc::downgrade(&held));
                    transport.spawn(async move |_| {
                        std::future::pending::<()>().await;
                        drop(held);
                    });
                    transport.lose_connection();
                }
                Event::Lost(_) => panic!("too much"),
                _ => {}
            }
            Ok(())
        });
        let simulation = Simulation::new(1);
        converse(&simulation, wrapped, panicking, silent());
        assert!(task.borrow().upgrade().is_none());
    }
}

#[test]
fn what_a_callback_wrote_before_its_error_or_panic_is_sent() {
    for panics in [false, true] {
        let fail = |time, (): &()| {
            side(move |event, transport| {
                if event.name() == time {
                    transport.write("last words");
                    assert!(!panics, "too much");
                    return Err("enough".into());
                }
                Ok(())
            })
        };
        in_all_roles(fail, silent, |failed, other, ()| {
            let told = if panics { "Panicked" } else { "Protocol" };
            assert_eq!(failed.reason().kind(), told, "{:?}", failed.reason());
            assert_eq!(other.data(), b"last words");
            assert!(other.reason().is_clean(), "{:?}", other.reason());
        });
    }
}

#[test]
fn a_stop_of_the_reactor_sends_what_was_written_and_ends_tls() {
    for wrapped in ROLES {
        println!("wrapped: {wrapped:?}");
        let stopping = side(|event, transport| {
            if matches!(event, Event::Handshake) {
                transport.write("last words");
                transport.reactor().stop()?;
            }
            Ok(())
        });
        let (stopped, other) = converse(&Simulation::new(1), wrapped, stopping, silent());
        assert!(matches!(stopped.reason(), Reason::ShuttingDown), "{:?}", stopped.reason());
        assert_eq!(other.data(), b"last words");
        assert!(other.reason().is_clean(), "{:?}", other.reason());
    }
}

/// Tells why its connection was lost.
struct Telling(Rc<RefCell<Option<Reason>>>);

impl Factory for Telling {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(torsade::wire::Echo))
    }
}

impl ClientFactory for Telling {
    fn client_connection_lost(&mut self, _connector: &Connector, reason: &Reason) -> Result {
        self.0.replace(Some(reason.clone()));
        Ok(())
    }
}

#[test]
fn a_client_factory_is_told_of_the_reason_above_tls() {
    let simulation = Simulation::new(1);
    let told = Rc::new(RefCell::new(None));
    simulation.host("10.0.0.1").listen_tls(BIND, &keys::server(), |_peer| torsade::wire::Echo).expect("a port");
    let other_name = keys::client_builder().server_name("other.test").build().expect("a configuration");
    let factory = tls_wrapping_factory(other_name, Telling(Rc::clone(&told)));
    simulation.host("10.0.0.2").connect_tcp(SERVER, factory).expect("an address");
    simulation.run_for(Duration::from_secs(5)).expect("the simulation runs");
    assert!(matches!(*told.borrow(), Some(Reason::Tls(_))), "{:?}", told.borrow());
}

#[test]
fn a_failed_task_does_not_wait_for_the_producer_and_is_the_reason() {
    let fail = |time, stopped: &Rc<Cell<u32>>| {
        let stopped = stopped.clone();
        side(move |event, transport| {
            if event.name() == time {
                transport.register_producer(Endless { stopped: stopped.clone(), ..Endless::default() }, false)?;
                transport.spawn(|transport| async move {
                    transport.write("last words");
                    Err::<(), _>("the task fails".into())
                });
            }
            Ok(())
        })
    };
    in_all_roles(fail, silent, |failed, other, stopped| {
        assert!(matches!(failed.reason(), Reason::Protocol(_)), "{:?}", failed.reason());
        assert_eq!(stopped.get(), 1, "the producer is told once");
        assert!(other.data().ends_with(b"last words"), "{} bytes", other.data().len());
        assert!(other.reason().is_clean(), "{:?}", other.reason());
    });
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
