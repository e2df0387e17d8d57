//! One connection for one protocol, as a value that arrives later.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::wire::Discard;

use crate::support::*;

const SERVER: &str = "10.0.0.2";
const CLIENT: &str = "10.0.0.1";
const SECOND: Duration = Duration::from_secs(1);

/// Counts what it has received in a shared counter.
struct Counting(Rc<Cell<usize>>);

impl Protocol for Counting {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("four");
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        self.0.set(self.0.get() + data.len());
        Ok(())
    }
}

/// The error with which the Deferred of a connection to `endpoint` fails.
fn error(simulation: &Simulation, endpoint: ClientEndpoint) -> ConnectError {
    let found = Rc::new(RefCell::new(None));
    let told = Rc::clone(&found);
    let connecting = simulation.host(CLIENT).connect_protocol(endpoint, Discard);
    connecting.add_both(move |result| drop(told.replace(result.map(drop).err()))).detach();
    simulation.run_for(60 * SECOND).unwrap();
    let failure = found.take().expect("it has failed");
    failure.downcast_ref::<ConnectError>().expect("as a ConnectError").clone()
}

#[test]
fn a_protocol_alone_gives_its_transport_and_a_pair_its_handle() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER).listen("10.0.0.2:7", |_peer| Echo).unwrap();
    let reactor = simulation.host(CLIENT);
    let seen = Rc::new(Cell::new(0));
    let told = Rc::clone(&seen);
    let again = reactor.clone();
    reactor.spawn(async move {
        let transport = again.connect_protocol("10.0.0.2:7", Discard).await?;
        assert_eq!(transport.peer().to_string(), "10.0.0.2:7");
        let count = Rc::new(Cell::new(0));
        let count: Rc<Cell<usize>> = again.connect_protocol("10.0.0.2:7", (Counting(Rc::clone(&count)), count)).await?;
        again.sleep(SECOND).await?;
        told.set(count.get());
        Ok(())
    });
    simulation.run_for(10 * SECOND).unwrap();
    assert_eq!(seen.get(), 4);
}

#[test]
fn what_an_attempt_ends_with_is_the_error_of_the_deferred() {
    let simulation = Simulation::new(1);
    let refused = error(&simulation, ClientEndpoint::tcp("10.0.0.2:7").unwrap());
    assert!(matches!(refused, ConnectError::Io(_) | ConnectError::Refused), "{refused}");
    simulation.host(SERVER).listen("10.0.0.2:8", |_peer| None::<Echo>).unwrap();
    let refused = error(&simulation, ClientEndpoint::tcp("10.0.0.2:9").unwrap());
    assert!(matches!(refused, ConnectError::Refused), "{refused}");
    let nowhere = simulation.host(CLIENT).connect_protocol("nonsense", Discard).into_result().expect("it has failed at once");
    assert!(matches!(nowhere.unwrap_err().downcast_ref(), Some(ConnectError::Endpoint(_))));
}

#[test]
fn cancelling_ends_the_attempt() {
    let reactor = torsade::MemoryReactor::new();
    let connecting = reactor.connect_protocol("192.0.2.1:7", Discard);
    reactor.advance(Duration::ZERO);
    assert_eq!(reactor.backend().open_streams(), 1);
    connecting.cancel();
    reactor.advance(Duration::ZERO);
    assert_eq!((reactor.source_count(), reactor.backend().open_streams()), (0, 0));
    assert!(connecting.into_result().expect("it has failed").unwrap_err().is_cancelled());
}

#[test]
fn compression_of_both_sides_is_a_matter_of_their_endpoints() {
    let simulation = Simulation::new(1);
    let compressed = || "deflate".parse::<Format>().unwrap();
    simulation.host(SERVER).listen(ServerEndpoint::tcp("10.0.0.2:7").unwrap().compressed(compressed()), |_peer| Echo).unwrap();
    let (count, stats) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None)));
    let told = Rc::clone(&stats);
    let endpoint = ClientEndpoint::tcp("10.0.0.2:7").unwrap().compressed(compressed());
    let reactor = simulation.host(CLIENT);
    let connecting = reactor.connect_protocol(endpoint, Counting(Rc::clone(&count)));
    connecting.add_callback(move |transport| drop(told.replace(Some(transport)))).detach();
    simulation.run_for(10 * SECOND).unwrap();
    let transport = stats.take().expect("it is connected");
    assert_eq!(count.get(), 4);
    let stats = transport.compression_stats().expect("it compresses");
    let deflate = Some(Format::Deflate);
    assert_eq!((stats.format_in, stats.format_out, stats.plain_in, stats.plain_out), (deflate, deflate, 4, 4));
}

/// What the Deferred has fired with, once it has.
fn outcome(connecting: Deferred<Transport>) -> Rc<RefCell<Option<Result<Transport, Failure>>>> {
    let told = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&told);
    connecting.add_both(move |result| drop(seen.replace(Some(result)))).detach();
    told
}

#[test]
fn an_attempt_has_its_own_time_and_the_deferred_may_have_less() {
    let hanging = Simulation::with_faults(1, Faults { connect_hangs: 1.0, ..Faults::calm() });
    let options = ConnectOptions { timeout: 5 * SECOND, ..ConnectOptions::default() };
    let endpoint = ClientEndpoint::tcp("10.0.0.2:7").unwrap().options(options);
    hanging.host(SERVER).listen("10.0.0.2:7", |_peer| Echo).unwrap();
    let late = error(&hanging, endpoint.clone());
    assert!(matches!(late, ConnectError::TimedOut(after) if after == 5 * SECOND), "{late}");
    let client = hanging.host(CLIENT);
    let told = outcome(client.connect_protocol(endpoint, Discard).add_timeout(SECOND, &client));
    let begin = hanging.now();
    hanging.run_until(|| told.borrow().is_some()).unwrap();
    assert_eq!(hanging.now() - begin, SECOND);
    assert_eq!(client.backend().open_streams(), 0, "its socket is closed");
}

#[test]
fn a_reactor_that_stops_meanwhile_fails_the_attempt() {
    let hanging = Simulation::with_faults(1, Faults { connect_hangs: 1.0, ..Faults::calm() });
    hanging.host(SERVER).listen("10.0.0.2:7", |_peer| Echo).unwrap();
    let client = hanging.host(CLIENT);
    let told = outcome(client.connect_protocol("10.0.0.2:7", Discard));
    hanging.run_for(SECOND).unwrap();
    client.stop().unwrap();
    hanging.run_for(SECOND).unwrap();
    let failure = told.take().expect("it has failed").unwrap_err();
    assert!(matches!(failure.downcast_ref(), Some(ConnectError::ShuttingDown)), "{failure}");
    let late = client.connect_protocol("10.0.0.2:7", Discard).into_result().expect("at once").unwrap_err();
    assert!(matches!(late.downcast_ref(), Some(ConnectError::ShuttingDown)), "{late}");
}

/// Cancels after each delay from 0 to well after the handshake: during the look-up, the attempt and the handshake, and once
/// connected, when nothing is left to cancel.
#[cfg(feature = "tls")]
#[test]
fn it_can_be_cancelled_in_every_phase_and_leaves_nothing() {
    let slow = Duration::from_millis(10);
    let faults = Faults { lookup: slow..=slow, latency: slow..=slow, ..Faults::calm() };
    let (mut cancelled, mut connected) = (0, 0);
    for time in 0..60 {
        let simulation = Simulation::with_faults(1, faults.clone());
        // The test's certificate is for this address and this name.
        let server = ServerEndpoint::tcp("10.0.0.1:7").unwrap().tls(&keys::server());
        simulation.host("10.0.0.1").listen(server, |_peer| Echo).unwrap();
        simulation.add_name("server.test", "10.0.0.1");
        let (client, events) = (simulation.host("10.0.0.2"), Events::default());
        let endpoint = ClientEndpoint::tcp("server.test:7").unwrap().tls(&keys::client());
        let connecting = client.connect_protocol(endpoint, Probe::new(&events, |_, _| Ok(())));
        let told = Rc::new(RefCell::new(None));
        let seen = Rc::clone(&told);
        let connecting = connecting.add_both(move |result| drop(seen.replace(Some(result))));
        client.call_later(Duration::from_millis(time), move || connecting.cancel());
        simulation.run_for(10 * SECOND).unwrap();
        match told.take().expect("it has fired") {
            Err(failure) => {
                assert!(failure.is_cancelled(), "after {time} ms: {failure}");
                assert_eq!(events.names().last().copied().unwrap_or("lost"), "lost", "after {time} ms");
                client.assert_clean();
                cancelled += 1;
            }
            Ok(transport) => {
                assert!(transport.tls_info().is_some());
                connected += 1;
            }
        }
    }
    assert!(cancelled > 40 && connected > 5, "{cancelled} cancelled, {connected} connected");
}

/// Over the loopback and over a network: the Deferred fires after the handshake, and fails with the handshake's error.
#[cfg(feature = "tls")]
#[test]
fn with_tls_it_comes_after_the_handshake_or_fails_with_its_error() {
    let trusting_nobody = || TlsClientConfig::builder().roots(TrustRoots::none()).build().unwrap();
    let both = |reactor: &Reactor, port: String| {
        let reactor = reactor.clone();
        async move {
            let endpoint = || ClientEndpoint::tcp(&*port);
            let events = Events::default();
            let probe = Probe::new(&events, |_, _| Ok(()));
            let transport = reactor.connect_protocol(endpoint()?.tls(&keys::client()), probe).await?;
            assert_eq!(events.names(), ["made", "handshake"]);
            assert!(transport.tls_info().is_some());
            transport.lose_connection();
            let failing = reactor.connect_protocol(endpoint()?.tls(&trusting_nobody()), Discard);
            let failure = failing.await.expect_err("nobody is trusted");
            assert!(matches!(failure.downcast_ref(), Some(ConnectError::Lost(Reason::Tls(_)))), "{failure}");
            Ok(())
        }
    };
    let reactor = Reactor::new().unwrap();
    let server = |address: &str| ServerEndpoint::tcp(address).unwrap().tls(&keys::server());
    let port = reactor.listen(server("127.0.0.1:0"), |_peer| Echo).unwrap();
    run_until(&reactor, both(&reactor, port.address().to_string())).unwrap();

    let simulation = Simulation::new(1);
    simulation.host("10.0.0.1").listen(server("10.0.0.1:7"), |_peer| Echo).unwrap();
    let (client, passed) = (simulation.host("10.0.0.2"), Rc::new(Cell::new(false)));
    let (task, done) = (both(&client, "10.0.0.1:7".to_owned()), Rc::clone(&passed));
    client.spawn(async move {
        task.await?;
        done.set(true);
        Ok(())
    });
    simulation.run_for(10 * SECOND).unwrap();
    assert!(passed.get());
}

#[test]
fn a_connection_from_an_address_of_ours_has_it() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER).listen("10.0.0.2:7", |_peer| Echo).unwrap();
    let from = |address: &str| {
        let options = ConnectOptions { bind_address: Some(address.parse().unwrap()), ..ConnectOptions::default() };
        ClientEndpoint::tcp("10.0.0.2:7").unwrap().options(options)
    };
    let client = simulation.host(CLIENT);
    let told = outcome(client.connect_protocol(from("10.0.0.1:1234"), Discard));
    simulation.run_for(SECOND).unwrap();
    let transport = told.take().expect("it is connected").unwrap();
    assert_eq!(transport.host().to_string(), "10.0.0.1:1234");
    for (address, kind) in [
        ("10.0.0.1:1234", ErrorKind::AddrInUse),
        ("10.0.0.9:0", ErrorKind::AddrNotAvailable),
        ("[::1]:0", ErrorKind::AddrNotAvailable),
    ] {
        let ConnectError::Io(cause) = error(&simulation, from(address)) else { panic!("it is a system error") };
        assert_eq!(cause.kind(), kind, "{address}: {cause}");
    }
    let told = outcome(client.connect_protocol(from("0.0.0.0:1235"), Discard));
    simulation.run_for(SECOND).unwrap();
    assert_eq!(told.take().expect("it is connected").unwrap().host().to_string(), "10.0.0.1:1235");
}

#[test]
fn a_real_connection_from_an_address_of_ours_has_it() {
    let reactor = Reactor::new().unwrap();
    let port = address(&reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap();
    let own = reactor.clone();
    let connecting = async move {
        let from = |address| {
            let options = ConnectOptions { bind_address: Some(address), ..ConnectOptions::default() };
            own.connect_protocol(ClientEndpoint::from(port).options(options), Discard)
        };
        let transport = from("127.0.0.1:0".parse()?).await?;
        let Address::Tcp(ours) = transport.host() else { panic!("{:?}", transport.host()) };
        assert!(ours.ip().is_loopback() && ours.port() != 0);
        // Nobody has an address in 192.0.2.0/24 (RFC 5737).
        for (address, kind) in [
            (in_use, ErrorKind::AddrInUse),
            ("192.0.2.1:0".parse()?, ErrorKind::AddrNotAvailable),
            ("[::1]:0".parse()?, ErrorKind::AddrNotAvailable),
        ] {
            let failure = from(address).await.expect_err("it cannot be used");
            let Some(ConnectError::Io(cause)) = failure.downcast_ref() else { panic!("{failure}") };
            assert_eq!(cause.kind(), kind, "{address}: {cause}");
        }
        Ok(())
    };
    run_until(&reactor, connecting).unwrap();
}
