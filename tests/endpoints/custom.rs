//! A user's own kinds of endpoint, and the layers around them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{ListenError, StreamClientEndpoint, StreamServerEndpoint};

use crate::support::*;

const SERVER: &str = "10.0.0.1";

/// TCP port 7 of the server, implemented by the program itself.
#[derive(Debug)]
struct Seven;

impl fmt::Display for Seven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<seven>")
    }
}

impl StreamServerEndpoint for Seven {
    fn listen(&self, reactor: &Reactor, factory: Box<dyn Factory>) -> Result<Port, ListenError> {
        reactor.listen_tcp((SERVER, 7), factory)
    }
}

impl StreamClientEndpoint for Seven {
    fn connect(&self, reactor: &Reactor, factory: Box<dyn ClientFactory>) -> Result<Connector, ConnectError> {
        reactor.connect_tcp((SERVER, 7), factory)
    }
}

/// Connects the two over a network; returns the client's events and the transport from its Deferred, once "hello" has come back
/// or the time is up. The network lives as long as the returned simulation.
fn converse(server: ServerEndpoint, client: ClientEndpoint) -> (Simulation, Events, Option<Transport>) {
    let simulation = Simulation::new(1);
    simulation.host(SERVER).listen(server, |_peer| Echo).unwrap();
    let (events, made) = (Events::default(), Rc::new(RefCell::new(None)));
    let hello = in_callback("made", |transport| {
        transport.write("hello");
        Ok(())
    });
    let (told, seen) = (Rc::clone(&made), events.clone());
    let connecting = simulation.host("10.0.0.2").connect_protocol(client, Probe::new(&events, hello));
    let expected = Rc::new(Cell::new(false));
    let noted = Rc::clone(&expected);
    let connecting = connecting.add_callback(move |transport| {
        noted.set(!seen.names().contains(&"data"));
        told.replace(Some(transport));
    });
    connecting.add_errback(|failure| log::debug!("{failure}")).detach();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    let made = made.take();
    assert_eq!(made.is_some(), expected.get(), "it arrives before data");
    (simulation, events, made)
}

#[test]
fn what_a_custom_endpoint_makes_can_be_compressed() {
    let compressed = || "deflate".parse::<Format>().unwrap();
    let server = ServerEndpoint::custom(Seven).compressed(compressed());
    let (_simulation, events, transport) = converse(server, ClientEndpoint::custom(Seven).compressed(compressed()));
    assert_eq!(events.data(), b"hello");
    let stats = transport.expect("it is connected").compression_stats().expect("it is compressed");
    assert_eq!((stats.format_in, stats.format_out), (Some(Format::Deflate), Some(Format::Deflate)));
}

#[cfg(feature = "tls")]
#[test]
fn what_a_custom_endpoint_makes_can_be_encrypted() {
    let server = || ServerEndpoint::custom(Seven).tls(&keys::server());
    let (_simulation, events, transport) = converse(server(), ClientEndpoint::custom(Seven).tls(&keys::client()));
    assert_eq!(events.names()[..2], ["made", "handshake"]);
    assert_eq!(events.data(), b"hello");
    assert!(transport.expect("it is connected").tls_info().is_some());
    // A peer that nobody trusts is never connected to.
    let trusting_nobody = TlsClientConfig::builder().roots(TrustRoots::none()).build().unwrap();
    let (_simulation, events, transport) = converse(server(), ClientEndpoint::custom(Seven).tls(&trusting_nobody));
    assert!(transport.is_none() && matches!(events.reason(), Reason::Tls(_)), "{}", events.reason());
}

#[cfg(feature = "tls")]
#[test]
fn the_layers_of_both_sides_fit_whoever_makes_the_connection() {
    let compressed = || "deflate".parse::<Format>().unwrap();
    let server = ServerEndpoint::tcp((SERVER, 7)).unwrap().compressed(compressed()).tls(&keys::server());
    let client = ClientEndpoint::custom(Seven).tls(&keys::client()).compressed(compressed());
    let (_simulation, events, transport) = converse(server, client);
    assert_eq!(events.data(), b"hello");
    let transport = transport.expect("it is connected");
    assert!(transport.tls_info().is_some() && transport.compression_stats().is_some());
}
