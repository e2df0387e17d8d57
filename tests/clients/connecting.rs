//! Outgoing connections over every wire, their factory's hooks, and reconnecting.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::*;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::{ConnectorState, MemoryReactor, Phase, SystemEvent};

type Hook = Box<dyn FnMut(&str, &Connector, Option<&ConnectError>) -> Result>;

/// Records its hooks in order; in each does what the test says.
struct Hooks {
    record: Record,
    hook: Hook,
    build: Box<dyn FnMut() -> Option<Box<dyn Protocol>>>,
}

type Record = Rc<RefCell<Vec<String>>>;

impl Hooks {
    fn new(record: &Record, hook: impl FnMut(&str, &Connector, Option<&ConnectError>) -> Result + 'static) -> Self {
        Self { record: record.clone(), hook: Box::new(hook), build: Box::new(|| Some(Box::new(Echo))) }
    }

    fn building<P: Protocol + 'static>(mut self, mut build: impl FnMut() -> Option<P> + 'static) -> Self {
        self.build = Box::new(move || build().map(|protocol| Box::new(protocol) as Box<dyn Protocol>));
        self
    }

    fn note(&self, what: &str) {
        self.record.borrow_mut().push(what.to_owned());
    }
}

impl Factory for Hooks {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        self.note("build");
        (self.build)()
    }
    fn start_factory(&mut self) {
        self.note("start");
    }
    fn stop_factory(&mut self) {
        self.note("stop");
    }
}

impl ClientFactory for Hooks {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.note("connecting");
        (self.hook)("connecting", connector, None)
    }
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.note("failed");
        (self.hook)("failed", connector, Some(reason))
    }
    fn client_connection_lost(&mut self, connector: &Connector, _reason: &Reason) -> Result {
        self.note("lost");
        (self.hook)("lost", connector, None)
    }
}

/// Connects, stops the reactor after the failure, and returns the failure and the hooks that were called.
fn failure(
    wire: Wire,
    address: &str,
    timeout: Option<Duration>,
    act: impl FnOnce(&Connector) + 'static,
) -> (String, ConnectErrorKind, Vec<String>) {
    let reactor = wire.reactor();
    let record = Record::default();
    let failed = Rc::new(RefCell::new(None));
    let found = failed.clone();
    let hooks = Hooks::new(&record, move |hook, connector, error| {
        if let ("failed", Some(error)) = (hook, error) {
            found.replace(Some((error.to_string(), kind(error))));
            stop(connector.reactor());
        }
        Ok(())
    });
    let timeout = timeout.unwrap_or(ConnectOptions::default().timeout);
    let connector = wire.connect_with(&reactor, address, ConnectOptions { timeout, ..ConnectOptions::default() }, hooks);
    act(&connector);
    run(&reactor);
    let (text, kind) = failed.take().expect("it failed");
    (text, kind, record.take())
}

#[derive(Clone, Debug, PartialEq)]
enum ConnectErrorKind {
    Factory,
    NoProtocol,
    Refused,
    ShuttingDown,
    TimedOut,
    UnknownHost(String),
    UserError,
    Other,
}

fn kind(error: &ConnectError) -> ConnectErrorKind {
    match error {
        ConnectError::Factory(_) => ConnectErrorKind::Factory,
        ConnectError::NoProtocol => ConnectErrorKind::NoProtocol,
        ConnectError::Refused => ConnectErrorKind::Refused,
        ConnectError::ShuttingDown => ConnectErrorKind::ShuttingDown,
        ConnectError::TimedOut(_) => ConnectErrorKind::TimedOut,
        ConnectError::UnknownHost { name, .. } => ConnectErrorKind::UnknownHost(name.clone()),
        ConnectError::UserError => ConnectErrorKind::UserError,
        _ => ConnectErrorKind::Other,
    }
}

#[test]
fn where_nobody_listens_the_attempt_is_refused() {
    on_every_wire(|wire| {
        let (text, kind, hooks) = failure(wire, &nobody().to_string(), None, |_| {});
        assert_eq!(kind, ConnectErrorKind::Refused, "{text}");
        assert_eq!(hooks, ["start", "connecting", "failed", "stop"]);
    });
}

/// Connects to a closed port that the system may also choose as the attempts' source port; prints the result of each.
fn attempts_at_a_port_that_they_may_have_themselves(port: u16, count: usize) {
    let reactor = Reactor::new().unwrap();
    let (record, left) = (Record::default(), Cell::new(count));
    let hooks = Hooks::new(&record, move |hook, connector, error| {
        if let ("failed", Some(error)) = (hook, error) {
            println!("\n{:?}", kind(error));
            left.set(left.get() - 1);
            if left.get() == 0 { stop(connector.reactor()) } else { connector.connect()? }
        }
        Ok(())
    });
    reactor.connect_tcp(("127.0.0.1", port), hooks).unwrap();
    run(&reactor);
    // Leaves no TIME_WAIT either.
    reactor.disconnect_all().unwrap();
    println!("\nlistened: {}", TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[test]
fn an_attempt_that_meets_itself_is_refused_and_leaves_the_port_free() {
    const NAME: &str = "connecting::an_attempt_that_meets_itself_is_refused_and_leaves_the_port_free";
    const ATTEMPTS: usize = 20;
    if is_child(NAME) {
        return attempts_at_a_port_that_they_may_have_themselves(40_000, ATTEMPTS);
    }
    let ports = "echo 40000 40003 > /proc/sys/net/ipv4/ip_local_port_range";
    let Ok(output) = child_in_own_network(NAME, ports, &[]).output() else {
        return println!("skipped: there is no unshare command");
    };
    let printed = String::from_utf8_lossy(&output.stdout);
    if !printed.contains("running 1 test") {
        return println!("skipped: no network of its own, {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(printed.lines().filter(|line| *line == "Refused").count(), ATTEMPTS, "{printed}");
    assert!(printed.contains("listened: true"), "{printed}");
}

#[test]
fn an_unknown_host_is_named_in_the_error() {
    on_every_wire(|wire| {
        let (text, kind, hooks) = failure(wire, "something.invalid:80", None, |_| {});
        assert_eq!(kind, ConnectErrorKind::UnknownHost("something.invalid".into()), "{text}");
        assert!(text.contains("\"something.invalid\""), "{text}");
        assert_eq!(hooks, ["start", "connecting", "failed", "stop"]);
    });
}

/// A listener whose queue is full: a new connection gets no answer. `None` where the system answers anyway.
pub fn hanging() -> Option<(socket2::Socket, Vec<socket2::Socket>, SocketAddr)> {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let connected = socket.connect_timeout(&address.into(), Duration::from_millis(100));
        waiting.push(socket);
        if connected.is_err() {
            return Some((listener, waiting, address));
        }
    }
    println!("skipped: this system answers although the queue of the listener is full");
    None
}

#[test]
fn an_attempt_that_gets_no_answer_times_out_or_is_ended_by_us() {
    let Some((_listener, _waiting, address)) = hanging() else { return };
    on_every_wire(|wire| {
        let begin = Instant::now();
        let (text, kind, hooks) = failure(wire, &address.to_string(), Some(Duration::from_millis(100)), |_| {});
        assert_eq!(kind, ConnectErrorKind::TimedOut, "{text}");
        assert_eq!(hooks, ["start", "connecting", "failed", "stop"]);
        assert!(begin.elapsed() >= Duration::from_millis(100));

        for disconnects in [false, true] {
            let (text, kind, hooks) = failure(wire, &address.to_string(), None, move |connector| {
                let connector = connector.clone();
                connector.reactor().clone().call_later(Duration::from_millis(20), move || {
                    assert_eq!(connector.state(), ConnectorState::Connecting);
                    if disconnects {
                        connector.disconnect();
                    } else {
                        connector.stop_connecting().unwrap();
                        assert!(connector.stop_connecting().is_err(), "once is enough");
                    }
                });
            });
            assert_eq!(kind, ConnectErrorKind::UserError, "{text}");
            assert_eq!(hooks, ["start", "connecting", "failed", "stop"]);
        }

        let (text, kind, hooks) = failure(wire, &address.to_string(), None, |connector| {
            let reactor = connector.reactor().clone();
            // The hook also stops it; this second stop fails, and the error is ignored.
            connector.reactor().call_later(Duration::from_millis(20), move || stop(&reactor));
        });
        assert_eq!(kind, ConnectErrorKind::ShuttingDown, "{text}");
        assert_eq!(hooks, ["start", "connecting", "failed", "stop"]);
    });
}

/// Like [`failure`], but the test stops the reactor, not the hook.
fn hooks_until_stop(wire: Wire, connect: impl FnOnce(&Reactor, Hooks) + 'static) -> Vec<String> {
    let reactor = wire.reactor();
    let record = Record::default();
    let hooks = Hooks::new(&record, |_, _, error| match error {
        Some(error) if kind(error) != ConnectErrorKind::ShuttingDown => Err(format!("not {error}").into()),
        _ => Ok(()),
    });
    connect(&reactor, hooks);
    run(&reactor);
    record.take()
}

#[test]
fn stop_ends_an_attempt_in_whatever_phase_it_is() {
    on_every_wire(|wire| {
        let starting = hooks_until_stop(wire, move |reactor, hooks| {
            let again = reactor.clone();
            reactor.call_when_running(move || {
                wire.connect(&again, nobody(), hooks);
                stop(&again);
            });
        });
        assert!(starting.is_empty() || starting.ends_with(&["failed".into(), "stop".into()]), "{starting:?}");

        let resolving = hooks_until_stop(wire, move |reactor, hooks| {
            let again = reactor.clone();
            reactor.call_when_running(move || {
                wire.connect(&again, "something.invalid:80", hooks);
                stop(&again);
            });
        });
        assert_eq!(resolving, ["start", "connecting", "failed", "stop"]);
    });
}

#[test]
fn an_attempt_that_is_ended_just_before_the_reactor_stops_gets_that_reason() {
    // Before it begins, during the look-up, and while no answer comes.
    for delay in [0, 1, 20] {
        let lookup = Duration::from_millis(10);
        let simulation = Simulation::with_faults(1, Faults { connect_hangs: 1.0, lookup: lookup..=lookup, ..Faults::calm() });
        simulation.add_name("server.test", simulation.host("10.0.0.1"));
        let host = simulation.host("10.0.0.2");
        let (record, reasons) = (Record::default(), Rc::new(RefCell::new(Vec::new())));
        let failed = reasons.clone();
        let hooks = Hooks::new(&record, move |_, _, error| {
            failed.borrow_mut().extend(error.map(kind));
            Ok(())
        });
        let connector = host.connect_tcp("server.test:7", hooks).unwrap();
        let stopper = host.reactor().clone();
        host.call_later(Duration::from_millis(delay), move || stop(&stopper));
        host.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || connector.stop_connecting().unwrap());
        simulation.run_until_idle().unwrap();
        assert_eq!(*reasons.borrow(), [ConnectErrorKind::UserError], "after {delay} ms");
        assert_eq!(record.borrow().last().map(String::as_str), Some("stop"));
    }
}

fn stop_once_connected(reactor: &Reactor, connector: Connector) {
    if connector.state() == ConnectorState::Connected {
        return stop(reactor);
    }
    let again = reactor.clone();
    reactor.call_later(Duration::from_millis(1), move || stop_once_connected(&again, connector));
}

#[test]
fn an_attempt_that_begins_while_stopping_makes_no_connection_that_holds_the_stop_up() {
    on_every_wire(|wire| {
        for name in ["127.0.0.1", "localhost"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let hooks = hooks_until_stop(wire, move |reactor, hooks| {
                // The test hangs if the stop waits.
                reactor.set_stop_timeout(2 * LIMIT);
                let (before, again) = (reactor.clone(), reactor.clone());
                // Takes a moment to finish, so that the loop goes on turning.
                wire.listen_directly(reactor, |_peer| Echo);
                let busy = wire.connect(reactor, (name, port), |_peer| Echo);
                reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || {
                    wire.connect(&before, (name, port), hooks);
                });
                stop_once_connected(&again, busy);
            });
            assert!(hooks.is_empty() || hooks.ends_with(&["failed".into(), "stop".into()]), "{name}: {hooks:?}");
            assert!(!hooks.contains(&"build".into()), "{name}: {hooks:?}");
        }
    });
}

/// A server that accepts `times` connections, sends a word on each, and closes it.
fn greeter(times: usize) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(b"hi").ok();
            stream.shutdown(std::net::Shutdown::Write).ok();
            drain(&mut stream).1.ok();
        }
    });
    (address, thread)
}

#[test]
fn a_factory_that_refuses_or_panics_fails_the_attempt() {
    on_every_wire(|wire| {
        for panics in [false, true] {
            let (greeter, server) = greeter(1);
            let peer = wire.reach(greeter);
            let reactor = wire.reactor();
            let record = Record::default();
            let found = Rc::new(RefCell::new(None));
            let error_found = found.clone();
            let hooks = Hooks::new(&record, move |_, connector, error| {
                if let Some(error) = error {
                    error_found.replace(Some(kind(error)));
                    stop(connector.reactor());
                }
                Ok(())
            });
            let hooks = hooks.building(move || {
                assert!(!panics, "deliberate, in a test");
                None::<Echo>
            });
            wire.connect(&reactor, peer.address, hooks);
            run(&reactor);
            server.join().unwrap();
            assert_eq!(found.take(), Some(if panics { ConnectErrorKind::Factory } else { ConnectErrorKind::NoProtocol }));
            assert_eq!(*record.borrow(), ["start", "connecting", "build", "failed", "stop"]);
        }
    });
}

#[test]
fn connect_in_a_hook_connects_again_with_the_same_factory() {
    on_every_wire(|wire| {
        let (greeter, server) = greeter(3);
        let peer = wire.reach(greeter);
        let reactor = wire.reactor();
        let record = Record::default();
        let mut left = 3;
        let hooks = Hooks::new(&record, move |hook, connector, _| {
            if hook == "lost" {
                assert_eq!(connector.state(), ConnectorState::Disconnected);
                left -= 1;
                if left == 0 {
                    stop(connector.reactor())
                } else {
                    connector.connect()?
                }
                assert!(left == 0 || connector.connect().is_err(), "it is already connecting");
            }
            Ok(())
        });
        wire.connect(&reactor, peer.address, hooks);
        run(&reactor);
        server.join().unwrap();
        let round = ["connecting", "build", "lost"];
        let expected: Vec<&str> = std::iter::once("start").chain(round.into_iter().cycle().take(9)).chain(["stop"]).collect();
        assert_eq!(*record.borrow(), expected, "the factory is started and stopped once");
    });
}

#[test]
fn disconnect_ends_a_connection_also_from_inside_its_own_connection_made() {
    on_every_wire(|wire| {
        for inside in [false, true] {
            let (greeter, server) = greeter(1);
            let peer = wire.reach(greeter);
            let reactor = wire.reactor();
            let record = Record::default();
            let events = Events::default();
            let slot: Rc<RefCell<Option<Connector>>> = Rc::default();
            let hooks = Hooks::new(&record, |hook, connector, _| {
                if hook != "connecting" {
                    stop(connector.reactor());
                }
                Ok(())
            });
            let (seen, found) = (events.clone(), slot.clone());
            let hooks = hooks.building(move || {
                let found = found.clone();
                Some(Probe::new(&seen, move |event, transport| {
                    if matches!(event, Event::Made) {
                        let connector = found.borrow().clone().ok_or("it was stored")?;
                        transport.write("bye");
                        if inside {
                            assert_eq!(connector.state(), ConnectorState::Connected);
                            connector.disconnect();
                            // A connector closes the transport it made, which may be the one below this one.
                            assert!(transport.is_closing() || wire.over);
                        } else {
                            transport.reactor().call_later(Duration::ZERO, move || connector.disconnect());
                        }
                    }
                    Ok(())
                }))
            });
            slot.replace(Some(wire.connect(&reactor, peer.address, hooks)));
            run(&reactor);
            server.join().unwrap();
            assert!(events.reason().is_clean(), "{}", events.reason());
            assert_eq!(*record.borrow(), ["start", "connecting", "build", "lost", "stop"], "inside: {inside}");
        }
    });
}

#[test]
fn disconnect_while_the_protocol_is_built_makes_no_connection() {
    on_every_wire(|wire| {
        let reactor = wire.reactor();
        let port = wire.listen_directly(&reactor, |_peer| Echo);
        let record = Record::default();
        let events = Events::default();
        let probed = events.clone();
        let known = Rc::new(RefCell::new(None::<Connector>));
        let building = known.clone();
        let hooks = Hooks::new(&record, move |hook, connector, error| {
            if hook == "failed" {
                assert_eq!(error.map(kind), Some(ConnectErrorKind::UserError));
                stop(connector.reactor());
            }
            Ok(())
        })
        .building(move || {
            building.borrow().as_ref().expect("it connects").disconnect();
            Some(Probe::new(&probed, |_, _| Ok(())))
        });
        let connector = wire.connect(&reactor, address(&port), hooks);
        known.replace(Some(connector.clone()));
        run(&reactor);
        assert_eq!(*record.borrow(), ["start", "connecting", "build", "failed", "stop"]);
        assert!(events.all().is_empty());
        assert_eq!(connector.state(), ConnectorState::Disconnected);
    });
}

#[test]
fn a_client_lost_within_connection_made_is_reported_and_can_connect_again() {
    on_every_wire(|wire| {
        let (greeter, server) = greeter(2);
        let peer = wire.reach(greeter);
        let reactor = wire.reactor();
        let record = Record::default();
        let mut again = true;
        let hooks = Hooks::new(&record, move |hook, connector, _| {
            if hook == "lost" {
                if again {
                    connector.connect()?
                } else {
                    stop(connector.reactor())
                }
                again = false;
            }
            Ok(())
        });
        let hooks = hooks.building(|| {
            Some(Probe::new(&Events::default(), |event, transport| {
                if matches!(event, Event::Made) {
                    transport.abort_connection();
                }
                Ok(())
            }))
        });
        wire.connect(&reactor, peer.address, hooks);
        run(&reactor);
        server.join().unwrap();
        assert_eq!(*record.borrow(), ["start", "connecting", "build", "lost", "connecting", "build", "lost", "stop"]);
    });
}

fn reconnecting(inner: Hooks) -> ReconnectingClientFactory<Hooks> {
    ReconnectingClientFactory::new(inner).initial_delay(Duration::from_millis(1)).max_delay(Duration::from_millis(5))
}

#[test]
fn a_client_whose_connection_lost_fails_or_panics_still_reconnects() {
    on_every_wire(|wire| {
        for panics in [false, true] {
            let (greeter, server) = greeter(3);
            let peer = wire.reach(greeter);
            let reactor = wire.reactor();
            let record = Record::default();
            let lost = Rc::new(Cell::new(0));
            let count = lost.clone();
            // The factory's hook fails as well.
            let hooks = Hooks::new(&record, move |_, connector, _| {
                if count.get() == 3 {
                    stop(connector.reactor());
                }
                assert!(!panics, "deliberate, in a test");
                Err("deliberate".into())
            });
            let hooks = hooks.building(move || {
                let lost = lost.clone();
                Some(Probe::new(&Events::default(), move |event, _| match event {
                    Event::Lost(_) => {
                        lost.set(lost.get() + 1);
                        assert!(!panics, "deliberate, in a test");
                        Err("deliberate".into())
                    }
                    _ => Ok(()),
                }))
            });
            wire.connect(&reactor, peer.address, reconnecting(hooks));
            run(&reactor);
            server.join().unwrap();
            assert_eq!(record.borrow().iter().filter(|hook| *hook == "lost").count(), 3, "panics: {panics}");
        }
    });
}

#[test]
fn a_reconnecting_client_gives_up_after_its_last_retry() {
    on_every_wire(|wire| {
        let reactor = wire.reactor();
        let record = Record::default();
        let mut failures = 0;
        let hooks = Hooks::new(&record, move |hook, connector, _| {
            if hook == "failed" {
                failures += 1;
                if failures == 4 {
                    // Another retry would come well within this time.
                    let reactor = connector.reactor().clone();
                    connector.reactor().call_later(Duration::from_millis(50), move || stop(&reactor));
                }
            }
            Ok(())
        });
        let factory = reconnecting(hooks).max_retries(3);
        let backoff = factory.backoff();
        wire.connect(&reactor, nobody(), factory);
        run(&reactor);
        assert_eq!(backoff.retries(), 3);
        assert_eq!(record.borrow().iter().filter(|hook| *hook == "failed").count(), 4);
    });
}

#[test]
fn a_reconnecting_client_that_is_told_to_stop_trying_makes_no_connection_afterwards() {
    on_every_wire(|wire| {
        // Before the first turn, while it waits, and exactly when the wait is over.
        for when in ["before the first turn", "while waiting", "in its own failure hook"] {
            let reactor = wire.reactor();
            let record = Record::default();
            let backoff: Rc<RefCell<Option<torsade::Backoff>>> = Rc::default();
            let found = backoff.clone();
            let hooks = Hooks::new(&record, move |hook, connector, _| {
                if hook == "failed" {
                    let backoff = found.borrow().clone().ok_or("it was stored")?;
                    match when {
                        "in its own failure hook" => backoff.stop_trying(),
                        "while waiting" => drop(connector.reactor().call_later(Duration::ZERO, move || backoff.stop_trying())),
                        _ => {}
                    }
                }
                Ok(())
            });
            let factory = reconnecting(hooks).initial_delay(Duration::from_millis(20)).max_delay(Duration::from_millis(20));
            backoff.replace(Some(factory.backoff()));
            if when == "before the first turn" {
                let (address, _server) = (TcpListener::bind("127.0.0.1:0").unwrap(), ());
                wire.connect(&reactor, address.local_addr().unwrap(), factory);
                backoff.borrow().as_ref().unwrap().stop_trying();
                let stopper = reactor.clone();
                reactor.call_later(Duration::from_millis(60), move || stop(&stopper));
                run(&reactor);
            } else {
                wire.connect(&reactor, nobody(), factory);
                let stopper = reactor.clone();
                reactor.call_later(Duration::from_millis(80), move || stop(&stopper));
                run(&reactor);
            }
            let record = record.borrow();
            assert!(!record.contains(&"build".into()), "{when}: {record:?}");
            assert!(record.iter().filter(|hook| *hook == "connecting").count() <= 1, "{when}: {record:?}");
        }
    });
}

#[test]
fn the_factory_of_a_port_is_started_once_and_stopped_once() {
    on_every_wire(|wire| {
        for stops in ["stop_listening", "stop", "both"] {
            let reactor = wire.reactor();
            let record = Record::default();
            let port = wire.listen_directly(&reactor, Hooks::new(&record, |_, _, _| Ok(())));
            let stopper = reactor.clone();
            reactor.call_later(Duration::from_millis(5), move || {
                if stops != "stop" {
                    port.stop_listening();
                    port.stop_listening();
                }
                let reactor = stopper.clone();
                stopper.call_later(Duration::from_millis(if stops == "both" { 0 } else { 5 }), move || stop(&reactor));
            });
            run(&reactor);
            assert_eq!(*record.borrow(), ["start", "stop"], "{stops}");
        }
    });
}

#[test]
fn a_port_that_stops_listening_in_a_callback_accepts_no_more() {
    on_every_wire(|wire| {
        let reactor = wire.reactor();
        let slot: Rc<RefCell<Option<Port>>> = Rc::default();
        let (found, built) = (slot.clone(), Rc::new(Cell::new(0)));
        let (count, stopper) = (built.clone(), reactor.clone());
        let port = wire.listen_directly(&reactor, move |_peer| {
            count.set(count.get() + 1);
            if let Some(port) = found.take() {
                port.stop_listening();
                // Time enough to accept the others, if they were accepted.
                let reactor = stopper.clone();
                stopper.call_later(Duration::from_millis(20), move || stop(&reactor));
            }
            Echo
        });
        let address = address(&port);
        // All of them are waiting when the loop begins.
        let mut waiting: Vec<_> = (0..5).map(|_| connect(address)).collect();
        slot.replace(Some(port));
        run(&reactor);
        assert_eq!(built.get(), 1, "of {}", waiting.len());
        for refused in &mut waiting[1..] {
            assert_eq!(drain(refused), (Vec::new(), Err(ErrorKind::ConnectionReset)));
        }
    });
}

/// So that a program with many tests does not grow.
#[test]
fn a_memory_reactor_that_is_dropped_drops_its_connections_and_attempts() {
    struct Holding(#[expect(dead_code, reason = "it is held")] Rc<()>);

    impl Protocol for Holding {
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }

    let (reactor, held) = (MemoryReactor::new(), Rc::new(()));
    for address in ["10.0.0.1:80", "10.0.0.2:80"] {
        let there = Rc::clone(&held);
        reactor.connect_tcp(address, move |_peer| Holding(Rc::clone(&there))).unwrap();
    }
    reactor.advance(Duration::ZERO);
    let _peer = reactor.accept_attempt("10.0.0.1:80".parse::<SocketAddr>().unwrap()).unwrap();
    reactor.advance(Duration::ZERO);
    assert_eq!(Rc::strong_count(&held), 4, "two factories and a protocol");
    drop(reactor);
    assert_eq!(Rc::strong_count(&held), 1);
}
