//! Services: trees that start and stop in order, a server, a timer, and a client that keeps its connection.

#[path = "support/support.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use support::{Event, Events, Probe};
use torsade::prelude::*;
use torsade::service::{
    ClientService, MultiService, Service, StreamServerEndpointService, TimerService, backoff_policy, run_service_on,
};
use torsade::simulated::Simulation;
use torsade::wire::Discard;
use torsade::{Clock, Deferred, StreamClientEndpoint, defer};

type Log = Rc<RefCell<Vec<String>>>;

/// A service that records its calls, and takes a while to stop.
struct Noting {
    name: &'static str,
    log: Log,
    stop_takes: Duration,
    reactor: RefCell<Option<Reactor>>,
}

impl Noting {
    fn new(name: &'static str, log: &Log) -> Self {
        Self { name, log: log.clone(), stop_takes: Duration::ZERO, reactor: RefCell::default() }
    }
}

impl Service for Noting {
    fn start_service(&self, reactor: &Reactor) -> Result {
        self.log.borrow_mut().push(format!("{} starts", self.name));
        self.reactor.replace(Some(reactor.clone()));
        if self.name == "broken" { Err("it is broken".into()) } else { Ok(()) }
    }

    fn stop_service(&self) -> Deferred<()> {
        self.log.borrow_mut().push(format!("{} stops", self.name));
        let (log, name) = (self.log.clone(), self.name);
        let reactor = self.reactor.take().expect("it was started");
        reactor.sleep(self.stop_takes).add_callback(move |()| log.borrow_mut().push(format!("{name} has stopped")))
    }
}

fn stop_soon(reactor: &Reactor) {
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop().expect("it runs"));
}

#[test]
fn a_tree_starts_in_order_stops_in_reverse_and_the_loop_waits_for_it() {
    let (reactor, log) = (Reactor::new().expect("a reactor"), Log::default());
    let tree = MultiService::new();
    let inner = MultiService::new();
    inner.add_service(Noting::new("b", &log)).expect("it is not running yet");
    tree.add_service(Noting::new("a", &log)).expect("it is not running yet");
    tree.add_service(inner).expect("it is not running yet");
    tree.add_service(Noting { stop_takes: Duration::from_secs(2), ..Noting::new("c", &log) }).expect("it is not running yet");
    stop_soon(&reactor);
    run_service_on(&reactor, tree.clone(), support::LIMIT).expect("it runs");
    assert!(!tree.is_running());
    let expected = "a starts, b starts, c starts, c stops, b stops, a stops, b has stopped, a has stopped, c has stopped";
    assert_eq!(log.borrow().join(", "), expected);
}

#[test]
fn a_service_that_does_not_start_has_the_others_stopped_and_the_program_ended() {
    let (reactor, log) = (Reactor::new().expect("a reactor"), Log::default());
    let tree = MultiService::new();
    for name in ["a", "broken", "never"] {
        tree.add_service(Noting::new(name, &log)).expect("it is not running yet");
    }
    let error = run_service_on(&reactor, tree, support::LIMIT).expect_err("it does not start");
    assert_eq!(error.to_string(), "it is broken");
    assert_eq!(log.borrow().join(", "), "a starts, broken starts, a stops, a has stopped");
}

#[test]
fn a_stop_that_takes_too_long_ends_at_the_deadline() {
    let (reactor, log) = (Reactor::new().expect("a reactor"), Log::default());
    let slow = Noting { stop_takes: Duration::from_secs(3600), ..Noting::new("slow", &log) };
    stop_soon(&reactor);
    run_service_on(&reactor, slow, Duration::from_millis(30)).expect("it runs");
    assert_eq!(log.borrow().join(", "), "slow starts, slow stops");
    assert!(reactor.now() >= Duration::from_millis(30) && reactor.now() < Duration::from_secs(1800));
}

#[test]
fn a_part_that_is_added_to_a_running_whole_is_started_at_once() {
    let (clock, log, tree) = (Clock::new(), Log::default(), MultiService::new());
    tree.start_service(clock.reactor()).expect("it starts");
    tree.add_service(Noting::new("late", &log)).expect("it starts");
    assert!(tree.add_service(Noting::new("broken", &log)).is_err());
    assert_eq!(tree.len(), 1);
    let stopped = tree.stop_service();
    clock.advance(Duration::ZERO);
    assert!(stopped.into_result().expect("it has stopped").is_ok());
    assert_eq!(log.borrow().join(", "), "late starts, broken starts, late stops, late has stopped");
}

#[test]
fn a_timer_service_calls_until_it_is_stopped_and_can_start_again() {
    let (clock, count) = (Clock::new(), Rc::new(Cell::new(0)));
    let there = count.clone();
    let timer = TimerService::new(Duration::from_secs(1), move || there.set(there.get() + 1));
    for round in 1..=2 {
        timer.start_service(clock.reactor()).expect("it starts");
        clock.pump([0, 1, 1].map(Duration::from_secs));
        assert!(timer.stop_service().into_result().expect("it stops at once").is_ok());
        clock.advance(Duration::from_secs(5));
        assert_eq!(count.get(), 3 * round);
    }
    clock.assert_clean();
}

#[test]
fn a_server_service_listens_from_start_to_stop_and_again() {
    let reactor = Reactor::new().expect("a reactor");
    let server = Rc::new(StreamServerEndpointService::new("127.0.0.1:0", |_| support::Echo).expect("an address"));
    let (there, stopper) = (server.clone(), reactor.clone());
    let run = async move {
        for _ in 0..2 {
            there.start_service(&stopper)?;
            let port = there.address().and_then(|address| address.port()).ok_or("no port")?;
            assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
            there.stop_service().await?;
            assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        }
        Ok(())
    };
    support::run_until(&reactor, run).expect("it listens");
}

/// A server that answers nothing, and whose connections the test can close.
fn server(reactor: &Reactor, connections: &Rc<RefCell<Vec<Transport>>>) -> (Port, String) {
    struct Keep(Rc<RefCell<Vec<Transport>>>);
    impl Protocol for Keep {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            self.0.borrow_mut().push(transport.clone());
            Ok(())
        }
        fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
            Ok(())
        }
    }
    let connections = connections.clone();
    let port = reactor.listen_tcp("127.0.0.1:0", move |_| Keep(connections.clone())).expect("a free port");
    let address = port.address().to_string();
    (port, address)
}

struct Silent;

impl Protocol for Silent {
    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

#[test]
fn a_client_service_connects_again_and_stops_with_nothing_left() {
    let reactor = Reactor::new().expect("a reactor");
    let connections = Rc::new(RefCell::new(Vec::new()));
    let (port, address) = server(&reactor, &connections);
    let waits = Rc::new(RefCell::new(Vec::new()));
    let there = waits.clone();
    let client = ClientService::new(&*address, |_| Silent).expect("an address").retry_policy(move |failures, _| {
        there.borrow_mut().push(failures);
        Duration::from_millis(1)
    });
    let own = reactor.clone();
    let run = async move {
        client.start_service(&own)?;
        let first = client.when_connected(None).await?;
        assert_eq!(client.when_connected(None).await?.id(), first.id(), "it is already connected");
        while connections.borrow().is_empty() {
            own.sleep(Duration::from_millis(1)).await?;
        }
        connections.borrow_mut().remove(0).abort_connection();
        while first.is_connected() {
            own.sleep(Duration::from_millis(1)).await?;
        }
        let second = client.when_connected(None).await?;
        assert_ne!(second.id(), first.id());
        client.stop_service().await?;
        assert!(!second.is_connected());
        assert!(client.when_connected(Some(1)).into_result().is_err(), "stopped, it waits for a start");
        port.stop_listening();
        Ok(())
    };
    support::run_until(&reactor, run).expect("it works");
    assert_eq!(*waits.borrow(), [0], "a good connection was lost although nothing failed");
    reactor.assert_clean();
}

#[test]
fn a_client_service_fails_those_who_do_not_want_to_wait_longer_and_cancels_all_when_stopped() {
    let reactor = Reactor::new().expect("a reactor");
    let (port, address) = server(&reactor, &Rc::default());
    let failures = Rc::new(RefCell::new(Vec::new()));
    let there = failures.clone();
    let client = ClientService::new(&*address, |_| Silent).expect("an address").retry_policy(move |count, _| {
        there.borrow_mut().push(count);
        Duration::from_millis(1)
    });
    let own = reactor.clone();
    let run = async move {
        port.stop_listening();
        own.sleep(Duration::ZERO).await?;
        client.start_service(&own)?;
        let patient = client.when_connected(None);
        let error = client.when_connected(Some(3)).await.expect_err("nothing listens");
        assert!(error.to_string().contains("refused"), "{error}");
        client.stop_service().await?;
        assert!(patient.await.expect_err("it was stopped").is_cancelled());
        Ok(())
    };
    support::run_until(&reactor, run).expect("it works");
    assert_eq!(failures.borrow()[..2], [1, 2]);
}

/// The first attempt finds no listener, and the second cannot even begin.
#[derive(Debug, Default)]
struct Moody(Cell<u32>);

impl fmt::Display for Moody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<moody>")
    }
}

impl StreamClientEndpoint for Moody {
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        match self.0.replace(self.0.get() + 1) {
            0 => reactor.connect_tcp("10.0.0.2:8", factory),
            1 => {
                let cause: Box<dyn std::error::Error> = "its file is being written".into();
                Err(ConnectError::Configuration(cause.into()))
            }
            _ => reactor.connect_tcp("10.0.0.2:7", factory),
        }
    }
}

#[test]
fn a_client_service_whose_endpoint_cannot_begin_to_connect_tries_again() {
    let simulation = Simulation::new(1);
    simulation.host("10.0.0.2").listen("10.0.0.2:7", |_peer| Discard).unwrap();
    let service = ClientService::new(ClientEndpoint::custom(Moody::default()), |_peer| Discard).unwrap();
    service.start_service(&simulation.host("10.0.0.1")).unwrap();
    let [told, connected] = [Some(2), None].map(|failures| service.when_connected(failures));
    simulation.run_for(Duration::from_secs(60)).unwrap();
    let failure = told.into_result().expect("two attempts have failed").unwrap_err();
    assert!(matches!(failure.downcast_ref(), Some(ConnectError::Configuration(_))), "{failure}");
    assert!(connected.into_result().expect("the third attempt was made").is_ok());
}

#[test]
fn a_connection_that_cannot_be_prepared_is_a_failed_attempt() {
    let reactor = Reactor::new().expect("a reactor");
    let connections = Rc::default();
    let (_port, address) = server(&reactor, &connections);
    let attempts = Rc::new(Cell::new(0));
    let there = attempts.clone();
    let client = ClientService::new(&*address, |_| Silent)
        .expect("an address")
        .retry_policy(|_, _| Duration::from_millis(1))
        .prepare_connection(move |_| -> Result {
            there.set(there.get() + 1);
            if there.get() < 3 { Err("wrong password".into()) } else { Ok(()) }
        });
    let own = reactor.clone();
    let run = async move {
        client.start_service(&own)?;
        let hasty = client.when_connected(Some(1));
        client.when_connected(None).await?;
        assert_eq!(hasty.await.expect_err("the first failed").to_string(), "wrong password");
        Ok(client.stop_service().await?)
    };
    support::run_until(&reactor, run).expect("it works");
    assert_eq!(attempts.get(), 3);
}

#[test]
fn a_client_service_that_is_stopped_while_its_protocol_is_built_stops() {
    let reactor = Reactor::new().expect("a reactor");
    let (port, address) = server(&reactor, &Rc::default());
    let known = Rc::new(RefCell::new(None::<ClientService>));
    let building = known.clone();
    let stopped = Rc::new(RefCell::new(None));
    let stopping = stopped.clone();
    let client = ClientService::new(&*address, move |_| {
        let client: ClientService = building.take()?;
        stopping.replace(Some(client.stop_service()));
        Some(Silent)
    });
    let client = client.expect("an address");
    let own = reactor.clone();
    let run = async move {
        known.replace(Some(client.clone()));
        client.start_service(&own)?;
        while stopped.borrow().is_none() {
            own.sleep(Duration::from_millis(1)).await?;
        }
        let stopped = stopped.take().ok_or("it was stopped")?;
        stopped.await?;
        port.stop_listening();
        Ok(())
    };
    support::run_until(&reactor, run).expect("it works");
    reactor.assert_clean();
}

#[test]
fn a_client_service_that_is_started_twice_while_it_stops_connects_once() {
    let reactor = Reactor::new().expect("a reactor");
    let connections = Rc::default();
    let (port, address) = server(&reactor, &connections);
    let client = ClientService::new(&*address, |_| Silent).expect("an address").retry_policy(|_, _| Duration::ZERO);
    let own = reactor.clone();
    let run = async move {
        client.start_service(&own)?;
        client.when_connected(None).await?;
        let (again, there) = (client.clone(), own.clone());
        let restarted = client.stop_service().add_callback(move |()| again.start_service(&there));
        client.start_service(&own)?;
        restarted.await?;
        client.when_connected(None).await?;
        own.sleep(Duration::from_millis(20)).await?;
        client.stop_service().await?;
        port.stop_listening();
        Ok(())
    };
    support::run_until(&reactor, run).expect("it works");
    assert_eq!(connections.borrow().len(), 2, "the first, and the one after the stop");
    reactor.assert_clean();
}

#[test]
fn when_connected_waits_for_the_next_connection_while_one_closes() {
    let reactor = Reactor::new().expect("a reactor");
    let (_port, address) = server(&reactor, &Rc::default());
    let client = ClientService::new(&*address, |_| Silent).expect("an address").retry_policy(|_, _| Duration::ZERO);
    let own = reactor.clone();
    let run = async move {
        client.start_service(&own)?;
        let first = client.when_connected(None).await?;
        client.stop_service().detach();
        client.start_service(&own)?;
        let second = client.when_connected(None).await?;
        assert_ne!(second.id(), first.id());
        assert!(!second.is_closing());
        second.lose_connection();
        assert_ne!(client.when_connected(None).await?.id(), second.id());
        Ok(client.stop_service().await?)
    };
    support::run_until(&reactor, run).expect("it works");
}

#[test]
fn the_back_off_grows_to_its_limit_and_has_jitter() {
    let policy = backoff_policy(Duration::from_secs(1), Duration::from_secs(60), 1.5);
    let seconds: Vec<u64> = [0, 1, 2, 5, 20, u32::MAX].into_iter().map(|failures| policy(failures, 0).as_secs()).collect();
    assert_eq!(seconds, [1, 1, 2, 7, 60, 60]);
    assert_eq!(policy(20, u64::MAX), Duration::from_secs(61));
}

#[cfg(unix)]
#[test]
fn sigterm_stops_a_service_in_order() {
    const NAME: &str = "sigterm_stops_a_service_in_order";
    if support::is_child(NAME) {
        let (reactor, log) = (Reactor::new().expect("a reactor"), Log::default());
        reactor.call_when_running(|| println!("\nrunning"));
        run_service_on(&reactor, Noting::new("it", &log), support::LIMIT).expect("it runs");
        println!("{}", log.borrow().join(", "));
        return;
    }
    let mut child = support::child(NAME).spawn().expect("it starts");
    let mut lines = support::lines(&mut child);
    assert!(lines.any(|line| line == "running"));
    if !support::signal(&mut child, "-TERM") {
        return;
    }
    assert!(lines.any(|line| line == "it starts, it stops, it has stopped"));
    assert!(child.wait().expect("it has ended").success());
}

/// It used not to count as failed, so that a new attempt came every second for ever, and nobody was told.
#[test]
fn a_connection_that_is_lost_while_it_is_prepared_is_a_failed_attempt() {
    let simulation = Simulation::new(1);
    let refuse = |_: &Event, transport: &Transport| {
        transport.abort_connection();
        Ok(())
    };
    simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", move |_peer| Probe::new(&Events::default(), refuse)).unwrap();
    let kept = RefCell::new(Vec::new());
    let client = ClientService::new("10.0.0.1:7", |_peer| Discard).unwrap().prepare_connection(move |_| {
        let (never, firer) = Deferred::<()>::new();
        kept.borrow_mut().push(firer);
        never
    });
    client.start_service(&simulation.host("10.0.0.2")).unwrap();
    let failed = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&failed);
    let told = client.when_connected(Some(3)).add_both(move |result| {
        seen.replace(Some(result.expect_err("it is never prepared")));
    });
    told.detach();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    let failure = failed.take().expect("it has failed three times");
    let lost = matches!(failure.downcast_ref(), Some(ConnectError::Lost(Reason::ConnectionLost(_))));
    assert!(lost, "{failure}");
}

/// A service added while its parent was starting used never to be started.
#[test]
fn a_service_that_is_added_during_the_start_is_also_started() {
    struct Adding(MultiService, Rc<Cell<bool>>);
    struct Late(Rc<Cell<bool>>);

    impl Service for Adding {
        fn start_service(&self, _reactor: &Reactor) -> Result {
            self.0.add_service(Late(Rc::clone(&self.1)))
        }

        fn stop_service(&self) -> Deferred<()> {
            defer::succeed(())
        }
    }

    impl Service for Late {
        fn start_service(&self, _reactor: &Reactor) -> Result {
            self.0.set(true);
            Ok(())
        }

        fn stop_service(&self) -> Deferred<()> {
            defer::succeed(())
        }
    }

    let (tree, started) = (MultiService::new(), Rc::new(Cell::new(false)));
    tree.add_service(Adding(tree.clone(), Rc::clone(&started))).unwrap();
    tree.start_service(&Clock::new()).unwrap();
    assert!(started.get());
}

/// Runs a client service on a network for some time; returns what it reported to those who waited for it, by time.
fn watch_service<H: Clone + 'static>(
    simulation: &Simulation,
    client: &ClientService<H>,
    failures: Option<u32>,
) -> Rc<RefCell<Option<Result<H, Failure>>>> {
    client.start_service(&simulation.host("10.0.0.2")).unwrap();
    let told = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&told);
    client.when_connected(failures).add_both(move |result| drop(seen.replace(Some(result)))).detach();
    told
}

#[test]
fn a_client_service_gives_a_new_handle_for_each_connection() {
    let simulation = Simulation::new(1);
    simulation.host("10.0.0.1").listen("10.0.0.1:7", |_peer| support::Echo).unwrap();
    let made = Rc::new(Cell::new(0));
    let count = Rc::clone(&made);
    let client = ClientService::offering("10.0.0.1:7", move |_peer| {
        count.set(count.get() + 1);
        let events = Events::default();
        (Probe::new(&events, |_, _| Ok(())), (count.get(), events))
    });
    let prepared = Rc::new(Cell::new(0));
    let there = Rc::clone(&prepared);
    let client = client.unwrap().prepare_connection(move |(number, events): &(u32, Events)| -> Result {
        assert_eq!(events.names(), ["made"], "it is called after connection_made");
        there.set(*number);
        Ok(())
    });
    let told = watch_service(&simulation, &client, None);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(told.take().expect("it is connected").unwrap().0, 1);
    simulation.host("10.0.0.1").kill();
    let server = simulation.host("10.0.0.1").restart();
    server.listen("10.0.0.1:7", |_peer| support::Echo).unwrap();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    let (number, events) = client.when_connected(None).into_result().expect("it is connected again").unwrap();
    assert_eq!((number, prepared.get()), (2, 2));
    assert!(!events.lost());
    client.stop_service().detach();
    simulation.run_until_idle().unwrap();
    simulation.host("10.0.0.2").assert_clean();
}

#[test]
fn a_service_that_connects_once_does_not_connect_again_and_its_stop_closes_the_connection() {
    let simulation = Simulation::new(1);
    let server = simulation.host("10.0.0.1");
    let client = ClientService::new("10.0.0.1:7", |_peer| Discard).unwrap().once();
    let told = watch_service(&simulation, &client, None);
    simulation.run_until_idle().unwrap();
    let failure = told.take().expect("whoever waits is told").expect_err("nothing listens");
    assert!(matches!(failure.downcast_ref(), Some(ConnectError::Refused)), "{failure}");

    server.listen("10.0.0.1:7", |_peer| support::Echo).unwrap();
    let told = watch_service(&simulation, &client, None);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let transport = told.take().expect("it connects after each start").unwrap();
    let stopped = client.stop_service();
    simulation.run_until(|| stopped.is_called()).unwrap();
    assert!(!transport.is_connected());

    let told = watch_service(&simulation, &client, None);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let transport = told.take().expect("it is connected").unwrap();
    transport.abort_connection();
    simulation.run_for(Duration::from_secs(3600)).unwrap();
    assert!(!client.when_connected(None).is_called(), "a lost connection is not made again");
    simulation.host("10.0.0.2").assert_clean();
}

#[cfg(feature = "tls")]
#[test]
fn a_client_service_is_connected_once_the_handshake_is_complete() {
    let simulation = Simulation::new(1);
    let server = ServerEndpoint::tcp("10.0.0.1:7").unwrap().tls(&support::keys::server());
    simulation.host("10.0.0.1").listen(server, |_peer| support::Echo).unwrap();
    let endpoint = || ClientEndpoint::tcp("10.0.0.1:7").unwrap();
    let client = ClientService::new(endpoint().tls(&support::keys::client()), |_peer| Discard).unwrap();
    let told = watch_service(&simulation, &client, Some(1));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(told.take().expect("it is connected").unwrap().tls_info().is_some());

    let trusting_nobody = TlsClientConfig::builder().roots(TrustRoots::none()).build().unwrap();
    let client = ClientService::new(endpoint().tls(&trusting_nobody), |_peer| Discard).unwrap();
    let told = watch_service(&simulation, &client, Some(2));
    simulation.run_for(Duration::from_secs(10)).unwrap();
    let failure = told.take().expect("it has failed twice").expect_err("nobody is trusted");
    assert!(matches!(failure.downcast_ref(), Some(ConnectError::Lost(Reason::Tls(_)))), "{failure}");
}

#[test]
fn a_service_finds_others_by_their_names_and_knows_its_parent() {
    let (tree, inner, log) = (MultiService::new(), MultiService::new(), Log::default());
    inner.add_service_named("a", Noting::new("a", &log)).unwrap();
    tree.add_service_named("inner", inner.clone()).unwrap();
    tree.add_service(Noting::new("b", &log)).unwrap();
    let found = tree.get_service_named::<MultiService>("inner").expect("it was added");
    assert_eq!(found.get_service_named::<Noting>("a").expect("it was added").name, "a");
    assert!(tree.get_service_named::<Noting>("inner").is_none(), "it has another type");
    assert!(tree.get_service_named::<Noting>("a").is_none(), "it belongs to another service");
    let error = tree.add_service_named("inner", MultiService::new()).expect_err("the name is taken");
    assert!(error.to_string().contains("\"inner\""), "{error}");
    assert_eq!(tree.len(), 2);
    assert!(tree.parent().is_none());
    assert_eq!(inner.parent().expect("it has one").len(), 2);
    drop((tree, found));
    assert!(inner.parent().is_none(), "it does not keep its parent alive");
}
