//! A user's value may panic when it is dropped: that ends its own connection or port, never the loop.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::SocketAddr;
use std::panic::panic_any;
use std::rc::Rc;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;
use torsade::{ClientFactory, Connector, Factory, MemoryPeer, MemoryReactor, Phase, Producer, SystemEvent, TaskGroup};

/// Panics when dropped, with a payload that also panics when dropped.
#[derive(Debug, Default)]
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bomb")
    }
}

impl std::error::Error for Bomb {}

impl Producer for Bomb {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        Ok(())
    }

    fn stop_producing(&mut self) {}
}

/// A protocol that is a bomb; each callback does what the test says.
struct Armed(Probe, Bomb);

impl Protocol for Armed {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.connection_made(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.0.connection_lost(transport, reason)
    }
}

/// A port's factory that is a bomb.
struct Doomed(Bomb);

impl Factory for Doomed {
    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Echo))
    }
}

/// A client's factory that is a bomb, as is the error of each hook.
struct Client(Events, Rc<RefCell<Vec<&'static str>>>, Bomb);

impl Client {
    fn fail(&self, hook: &'static str) -> Result {
        self.1.borrow_mut().push(hook);
        Err(Bomb.into())
    }
}

impl Factory for Client {
    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Armed(Probe::new(&self.0, |_, _| Err(Bomb.into())), Bomb)))
    }

    fn stop_factory(&mut self) {
        self.1.borrow_mut().push("stop_factory");
    }
}

impl ClientFactory for Client {
    fn started_connecting(&mut self, _: &Connector) -> Result {
        self.fail("started_connecting")
    }

    fn client_connection_failed(&mut self, _: &Connector, _: &ConnectError) -> Result {
        self.fail("client_connection_failed")
    }

    fn client_connection_lost(&mut self, _: &Connector, _: &Reason) -> Result {
        self.fail("client_connection_lost")
    }
}

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 1000);

/// A reactor in memory with a second connection, unrelated to the first.
struct Beside {
    reactor: MemoryReactor,
    port: Port,
    peer: MemoryPeer,
}

impl Beside {
    fn new() -> Self {
        let reactor = MemoryReactor::new();
        let port = reactor.listen_tcp("127.0.0.1:7", |_peer| Echo).unwrap();
        let peer = reactor.connect_peer(PEER, address(&port)).unwrap();
        reactor.advance(Duration::ZERO);
        Self { reactor, port, peer }
    }

    /// The loop turns, the second connection is served, and a new one is accepted.
    fn assert_unharmed(&self, case: &str) {
        assert!(self.reactor.is_running(), "{case}");
        let new = self.reactor.connect_peer(PEER, address(&self.port)).unwrap();
        for peer in [&self.peer, &new] {
            peer.send(b"hello");
            self.reactor.advance(Duration::ZERO);
            assert_eq!(peer.take_received(), b"hello", "{case}");
        }
        new.reset();
        self.reactor.advance(Duration::ZERO);
    }
}

/// A connection whose protocol follows `script`, and whose peer sends a byte and ends its stream.
fn connection(script: impl Fn(&Event, &Transport) -> Result + Clone + 'static, case: &str) -> Events {
    let (beside, events) = (Beside::new(), Events::default());
    let record = events.clone();
    let listened = beside.reactor.listen_tcp("127.0.0.1:8", move |_peer| Armed(Probe::new(&record, script.clone()), Bomb));
    let address = address(&listened.unwrap());
    let peer = beside.reactor.connect_peer(PEER, address).unwrap();
    beside.reactor.advance(Duration::ZERO);
    peer.send(b"!");
    beside.reactor.advance(Duration::ZERO);
    peer.end();
    beside.reactor.advance(Duration::from_secs(120));
    beside.assert_unharmed(case);
    assert!(beside.reactor.connect_peer(PEER, address).is_ok(), "{case}: its port listens");
    events
}

#[test]
fn an_error_that_panics_when_dropped_is_the_reason_of_its_own_connection() {
    for callback in ["made", "data", "read lost", "lost"] {
        let events = connection(move |event, _| if event.name() == callback { Err(Bomb.into()) } else { Ok(()) }, callback);
        match events.reason() {
            Reason::Protocol(error) => {
                assert_ne!(callback, "lost");
                // The test owns the error now, like a user who keeps it.
                std::mem::forget(error);
            }
            Reason::ConnectionDone => assert!(callback == "lost" || callback == "read lost", "{callback}"),
            reason => panic!("{callback}: {reason}"),
        }
        std::mem::forget(events);
    }
    // Every callback fails: the second error has nowhere to go. Then an abort, which ends the connection in the port's turn.
    std::mem::forget(connection(|_, _| Err(Bomb.into()), "every callback"));
    let aborted = connection(
        |_, transport| {
            transport.abort_connection();
            Err(Bomb.into())
        },
        "abort",
    );
    assert_eq!(aborted.names(), ["made", "lost"]);
    std::mem::forget(aborted);
}

#[test]
fn a_panic_whose_payload_panics_when_dropped_is_the_reason_of_its_own_connection() {
    for callback in ["made", "data", "lost"] {
        let events = connection(
            move |event, _| {
                if event.name() == callback {
                    panic_any(Bomb);
                }
                Ok(())
            },
            callback,
        );
        let reason = events.reason();
        assert!(matches!(reason, Reason::Panicked(_)) || callback == "lost" && reason.is_clean(), "{callback}: {reason}");
    }
}

#[test]
fn a_producer_that_panics_when_dropped_costs_its_own_connection_at_most() {
    for way in ["unregistered", "refused", "the connection fails", "the connection is aborted"] {
        let events = connection(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.register_producer(Bomb, true)?;
                    match way {
                        "unregistered" => transport.unregister_producer(),
                        "refused" => transport.register_producer(Bomb, true)?,
                        "the connection fails" => return Err("it fails".into()),
                        _ => transport.abort_connection(),
                    }
                }
                Ok(())
            },
            way,
        );
        let reason = events.reason();
        assert_eq!(matches!(reason, Reason::ConnectionAborted), way.contains("aborted"), "{way}: {reason}");
    }
}

#[test]
fn a_producer_that_panics_when_it_is_dropped_in_its_own_call_stops_nothing() {
    struct Fragile;
    impl Producer for Fragile {
        fn resume_producing(&mut self, consumer: &Transport) -> Result {
            consumer.write("all");
            consumer.unregister_producer();
            consumer.lose_connection();
            Ok(())
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("deliberate, in a test");
        }
    }
    let (events, got) = converse(
        |event, transport| {
            if matches!(event, Event::Made) {
                transport.register_producer(Fragile, false)?;
            }
            Ok(())
        },
        |mut stream| drain(&mut stream),
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert_eq!(got, (b"all".to_vec(), Ok(())));
}

#[test]
fn a_factory_that_panics_when_dropped_costs_its_own_port() {
    let beside = Beside::new();
    let port = beside.reactor.listen_tcp("127.0.0.1:8", Doomed(Bomb)).unwrap();
    beside.reactor.advance(Duration::ZERO);
    port.stop_listening();
    drop(port);
    beside.reactor.advance(Duration::ZERO);
    beside.assert_unharmed("stop_listening");
    // Stops the reactor, with one more connection attempt that has not begun.
    let reactor = &beside.reactor;
    reactor.listen_tcp("127.0.0.1:9", Doomed(Bomb)).map(drop).unwrap();
    reactor.connect_tcp("192.0.2.1:9", Client(Events::default(), Rc::default(), Bomb)).map(drop).unwrap();
    let last = Rc::new(Cell::new(false));
    let told = last.clone();
    reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, move || told.set(true));
    reactor.stop().unwrap();
    reactor.pump([Duration::ZERO, Duration::from_secs(20)]);
    assert!(last.get() && !reactor.is_running());
}

#[test]
fn a_clients_factory_hears_everything_though_it_and_its_errors_panic_when_dropped() {
    let attempt = ["started_connecting", "client_connection_failed", "stop_factory"];
    let connection = ["started_connecting", "client_connection_lost", "stop_factory"];
    for connects in [false, true] {
        let (beside, hooks) = (Beside::new(), Rc::<RefCell<Vec<&'static str>>>::default());
        let remote: SocketAddr = "192.0.2.9:9".parse().unwrap();
        beside.reactor.connect_tcp(remote, Client(Events::default(), hooks.clone(), Bomb)).map(drop).unwrap();
        beside.reactor.advance(Duration::ZERO);
        if connects {
            beside.reactor.accept_attempt(remote).unwrap().end();
        } else {
            beside.reactor.fail_attempt(remote, std::io::ErrorKind::ConnectionRefused).unwrap();
        }
        beside.reactor.pump([Duration::ZERO, Duration::from_secs(120)]);
        assert_eq!(*hooks.borrow(), if connects { connection } else { attempt });
        beside.assert_unharmed("a client");
    }
}

#[test]
fn what_a_delayed_call_a_trigger_an_observer_or_a_thread_leaves_is_dropped_alone() {
    let beside = Beside::new();
    let reactor = &beside.reactor;
    let made = Rc::new(Cell::new(0));
    for bomb in [Bomb, Bomb] {
        let made = made.clone();
        reactor.call_later(Duration::ZERO, move || {
            made.set(made.get() + 1);
            drop(bomb);
        });
    }
    reactor.handle().call_from_thread(|_| panic_any(Bomb)).unwrap();
    reactor.call_in_thread(|| panic_any(Bomb), |_: std::thread::Result<()>| {});
    reactor.defer_to_thread(|| Ok(Bomb)).detach();
    let observer = Bomb;
    reactor.set_observer(move |_| {
        let _held = &observer;
    });
    reactor.advance(Duration::ZERO);
    assert_eq!(made.get(), 2);
    beside.assert_unharmed("calls");
    for bomb in [Bomb, Bomb] {
        reactor.add_system_event_trigger(Phase::After, SystemEvent::Startup, move || drop(bomb));
    }
    reactor.stop().unwrap();
    reactor.pump([Duration::ZERO, Duration::from_secs(20)]);
    assert!(!reactor.is_running());
}

#[test]
fn tasks_and_deferreds_go_on_beside_one_whose_value_or_future_panics_when_dropped() {
    let beside = Beside::new();
    let reactor = &beside.reactor;
    let done = Rc::new(Cell::new(0));
    let group = TaskGroup::new();
    for _ in 0..2 {
        // Nobody takes the task's value, its error, or what the cancelled future owns.
        reactor.spawn(async { Ok(Bomb) }).into_deferred().detach();
        reactor.spawn(async { Err::<(), _>(Bomb.into()) }).into_deferred().detach();
        let held = Bomb;
        drop(group.spawn(reactor, async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        let done = done.clone();
        reactor.spawn(async move { done.set(done.get() + 1) }).into_deferred().detach();
    }
    reactor.advance(Duration::ZERO);
    group.cancel();
    reactor.advance(Duration::ZERO);
    assert_eq!((done.get(), reactor.leftovers().tasks), (2, 0));
    let (deferred, firer) = Deferred::<Bomb>::with_canceller({
        let held = Bomb;
        move |_| drop(held)
    });
    let told = done.clone();
    let passed = deferred.add_callback(move |bomb| {
        told.set(told.get() + 1);
        Ok(bomb)
    });
    passed.detach();
    firer.callback(Bomb);
    assert_eq!(done.get(), 3);
    beside.assert_unharmed("tasks");
}
