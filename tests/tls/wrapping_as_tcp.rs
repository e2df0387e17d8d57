//! TLS over a transport keeps the contract that TLS as a layer of a TCP connection keeps: closes, producers, limits. All of
//! it in virtual time, with the layer at the other end.

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::tls_wrapping_factory;

use crate::keys;
use crate::support::Events;
use crate::world::{Side, side, silent};

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
}

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
    for wrapped in [Wrapped::Nobody, Wrapped::Server, Wrapped::Client] {
        for time in ["made", "handshake"] {
            println!("wrapped: {wrapped:?}, at {time}");
            let told = T::default();
            let (events, other) = converse(&Simulation::new(1), wrapped, side(time, &told), other());
            check(&events, &other, &told);
        }
    }
}

#[test]
fn the_sockets_options_are_reached_through_tls() {
    let set = |time, (): &()| {
        side(move |event, transport| {
            if event.name() == time {
                assert!(!transport.tcp_nodelay()? && !transport.tcp_keepalive()?);
                transport.set_tcp_nodelay(true)?;
                transport.set_tcp_keepalive(true)?;
                assert!(transport.tcp_nodelay()? && transport.tcp_keepalive()?);
                transport.lose_connection();
            }
            Ok(())
        })
    };
    in_all_roles(set, silent, |events, _, ()| assert!(events.reason().is_clean(), "{:?}", events.reason()));
}
