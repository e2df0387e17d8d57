//! The same test over every wire: the kind of connection, and the layers between it and the protocol.
//!
//! A test's peer on a thread is a plain blocking socket. If the wire has layers, a [`Tunnel`] speaks them for the peer.
//!
//! These tests use the plain wire only:
//! - of `fairness`, those that count accepts, descriptors and bytes of memory, which depend on a plain socket;
//! - `telling/bad_input`, `framing/own_decoder` and `compression`, which write and read the bytes of a layer themselves;
//! - single tests of the suites that use this module: they return early, and say why.
//!
//! A test that runs over every kind of connection names the abilities it needs; it is skipped where one is missing.
//!
//! `torture` takes the wires that are not cut, and `properties` has its own layers.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use torsade::prelude::*;
#[cfg(feature = "tls")]
use torsade::tls_wrapping_factory;
use torsade::{IntoHostPort, ReactorHandle};

#[cfg(unix)]
use super::child::{capturing_child, is_child};
#[cfg(unix)]
use super::kind::socket_path;
use super::kind::{Ability, Kind, Place};
#[cfg(unix)]
use super::making::{Maker, Standard};
use super::peer::Peer;
use super::tunnel::dig;
use super::{Event, Events, Probe, cutting, peer, run};

#[cfg(feature = "tls")]
#[path = "../tls/keys.rs"]
pub mod keys;

/// What a connection goes through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wire {
    pub kind: Kind,
    pub tls: bool,
    /// TLS is above the transport, instead of a layer of its connection.
    pub over: bool,
    pub compressed: bool,
    /// Reads and writes take less than they could.
    pub cut: bool,
}

/// Runs a test over every wire of TCP, and over every other kind of connection with the abilities it needs.
pub fn on_every_kind(needs: &[Ability], test: impl Fn(Wire)) {
    on_kinds(|| on_every_wire(&test), needs, &test);
}

/// The same for a test that moves many bytes: over the two extremes of TCP only.
pub fn on_extreme_kinds(needs: &[Ability], test: impl Fn(Wire)) {
    on_kinds(|| on_extreme_wires(&test), needs, &test);
}

fn on_kinds(over_tcp: impl Fn(), needs: &[Ability], test: &impl Fn(Wire)) {
    let over = |kinds: &[Kind]| {
        for kind in kinds.iter().copied().filter(|kind| kind.can_all(needs)) {
            for wire in [Wire::PLAIN, Wire::EVERYTHING] {
                // For the layers a tunnel stands in for the peer, and it connects to a port.
                if wire == Wire::PLAIN || kind.can(Ability::Listen) {
                    let wire = Wire { kind, ..wire };
                    println!("over {wire:?}");
                    test(wire);
                }
            }
        }
    };
    #[cfg(unix)]
    {
        let name = thread::current().name().expect("a test's thread has its name").to_owned();
        if is_child(&name) {
            let _kept = Standard::keep();
            return over(Kind::OF_A_PROCESS);
        }
        if Kind::OF_A_PROCESS.iter().any(|kind| kind.can_all(needs)) {
            let ended = capturing_child(&name).output().expect("a child");
            let [said, noted] = [&ended.stdout, &ended.stderr].map(|output| String::from_utf8_lossy(output));
            let passed = ended.status.success() && said.contains("1 passed");
            assert!(passed, "over standard input and output, in a process of its own: {said}{noted}");
        }
    }
    over_tcp();
    over(Kind::OTHERS);
}

pub fn on_every_wire(test: impl Fn(Wire)) {
    for cut in [false, true] {
        for tls in [false, true].into_iter().filter(|tls| !tls || cfg!(feature = "tls")) {
            for compressed in [false, true] {
                let wire = Wire { tls, compressed, cut, over: tls && cut, ..Wire::PLAIN };
                println!("over {wire:?}");
                test(wire);
            }
        }
    }
}

/// Runs a test that moves many bytes over two wires only: one without layers, and one with all of them.
fn on_extreme_wires(test: impl Fn(Wire)) {
    for wire in [Wire::PLAIN, Wire::EVERYTHING] {
        println!("over {wire:?}");
        test(wire);
    }
}

/// Where the plain peers of a test connect to a port, or to its tunnel.
pub struct WirePort {
    pub place: Place,
    _kept: Option<Box<dyn Any>>,
}

/// Where a test's clients connect to a plain peer.
pub struct WirePeer {
    pub address: SocketAddr,
    _tunnel: Option<Tunnel>,
}

impl Wire {
    pub const PLAIN: Self = Self { kind: Kind::Tcp, tls: false, over: false, compressed: false, cut: false };
    pub const EVERYTHING: Self =
        Self { tls: cfg!(feature = "tls"), over: cfg!(feature = "tls"), compressed: true, cut: true, ..Self::PLAIN };

    /// A reactor whose sockets behave as this wire says.
    pub fn reactor(self) -> Reactor {
        if self.cut { cutting::reactor() } else { Reactor::new().expect("a reactor") }
    }

    /// Listens on the loopback, for peers that speak this wire.
    pub fn listen_directly(self, reactor: &Reactor, factory: impl Factory + 'static) -> Port {
        let factory = self.switching(factory);
        #[cfg(unix)]
        if self.kind == Kind::Unix {
            #[cfg(feature = "tls")]
            if self.tls {
                return reactor.listen_unix(socket_path(), tls_wrapping_factory(keys::server(), factory)).expect("a port");
            }
            return reactor.listen_unix(socket_path(), factory).expect("a port");
        }
        #[cfg(feature = "tls")]
        if self.over {
            return reactor.listen_tcp("127.0.0.1:0", tls_wrapping_factory(keys::server(), factory)).expect("a port");
        }
        #[cfg(feature = "tls")]
        if self.tls {
            return reactor.listen_tls("127.0.0.1:0", &keys::server(), factory).expect("a port");
        }
        reactor.listen_tcp("127.0.0.1:0", factory).expect("a port")
    }

    /// Listens on the loopback, for plain peers.
    pub fn listen(self, reactor: &Reactor, factory: impl Factory + 'static) -> WirePort {
        #[cfg(unix)]
        if !self.kind.can(Ability::Listen) {
            let (maker, factory) = Maker::new(self.kind, reactor, self.switching(factory));
            return WirePort { place: Place::Made(maker), _kept: Some(Box::new(factory)) };
        }
        let place = Place::of(&self.listen_directly(reactor, factory));
        if self.is_bare() {
            return WirePort { place, _kept: None };
        }
        let tunnel = Tunnel::new(self.bare(), self, place);
        WirePort { place: tunnel.place.clone(), _kept: Some(Box::new(tunnel)) }
    }

    /// Connects to a peer that speaks this wire.
    pub fn connect<A>(self, reactor: &Reactor, address: A, factory: impl ClientFactory + 'static) -> Connector
    where
        A: IntoHostPort,
    {
        self.connect_with(reactor, address, ConnectOptions::default(), factory)
    }

    /// The same, with options.
    pub fn connect_with<A>(
        self,
        reactor: &Reactor,
        address: A,
        options: ConnectOptions,
        factory: impl ClientFactory + 'static,
    ) -> Connector
    where
        A: IntoHostPort,
    {
        let endpoint = ClientEndpoint::tcp(address).expect("an address").options(options);
        let factory = self.switching(factory);
        #[cfg(feature = "tls")]
        if self.over {
            return reactor.connect(endpoint, tls_wrapping_factory(tls_client(), factory)).expect("it can begin");
        }
        #[cfg(feature = "tls")]
        let endpoint = if self.tls { endpoint.tls(&keys::client()) } else { endpoint };
        reactor.connect(endpoint, factory).expect("it can begin")
    }

    /// Returns whether the peer sees that a close was due to an error: a compressed stream then has no end, and the tunnel resets
    /// the peer's connection.
    pub fn shows_cuts(self) -> bool {
        self.compressed && self.kind.can(Ability::Reset)
    }

    /// Connects to a place that speaks this wire.
    pub fn connect_to(self, reactor: &Reactor, place: &Place, factory: impl ClientFactory + 'static) -> Connector {
        match place {
            Place::Tcp(address) => self.connect(reactor, *address, factory),
            #[cfg(unix)]
            Place::Unix(path) => {
                let factory = self.switching(factory);
                #[cfg(feature = "tls")]
                if self.tls {
                    return reactor.connect_unix(path, tls_wrapping_factory(tls_client(), factory)).expect("a path");
                }
                reactor.connect_unix(path, factory).expect("a path")
            }
            #[cfg(unix)]
            Place::Made(_) => panic!("nothing listens"),
        }
    }

    /// Where a client reaches a plain peer at `target`.
    pub fn reach(self, target: SocketAddr) -> WirePeer {
        let tunnel = (!self.is_bare()).then(|| Tunnel::new(self, self.bare(), target.into()));
        WirePeer { address: tunnel.as_ref().map_or(target, |tunnel| tunnel.place.tcp()), _tunnel: tunnel }
    }

    /// Runs one connection between a probe on a reactor and a peer on a thread, until the probe's end is lost.
    pub fn converse<T: Send + 'static>(
        self,
        script: impl FnMut(&Event, &Transport) -> Result + 'static,
        act: impl FnOnce(Peer) -> T + Send + 'static,
    ) -> (Events, T) {
        self.converse_as(false, script, act)
    }

    /// The same with a protocol that goes on after the peer's end of stream.
    pub fn converse_half_closeable<T: Send + 'static>(
        self,
        script: impl FnMut(&Event, &Transport) -> Result + 'static,
        act: impl FnOnce(Peer) -> T + Send + 'static,
    ) -> (Events, T) {
        self.converse_as(true, script, act)
    }

    fn converse_as<T: Send + 'static>(
        self,
        half_closeable: bool,
        mut script: impl FnMut(&Event, &Transport) -> Result + 'static,
        act: impl FnOnce(Peer) -> T + Send + 'static,
    ) -> (Events, T) {
        let reactor = self.reactor();
        let events = Events::default();
        let record = events.clone();
        let stopping = move |event: &Event, transport: &Transport| {
            if matches!(event, Event::Lost(_)) {
                // The test may have stopped it already.
                transport.reactor().stop().ok();
            }
            script(event, transport)
        };
        let mut script = Some(stopping);
        let port = self.listen(&reactor, move |_peer| {
            let probe = Probe::new(&record, script.take()?);
            Some(if half_closeable { probe.half_closeable() } else { probe })
        });
        let peer = peer(port.place.clone(), act);
        run(&reactor);
        (events, peer.join().expect("the peer does not fail"))
    }

    /// The same without layers.
    const fn bare(self) -> Self {
        Self { kind: self.kind, ..Self::PLAIN }
    }

    const fn is_bare(self) -> bool {
        !self.tls && !self.compressed
    }

    const fn switching<F>(self, factory: F) -> Switching<F> {
        Switching { factory, wire: self }
    }
}

/// For a connection without a host name to check.
#[cfg(feature = "tls")]
fn tls_client() -> torsade::TlsClientConfig {
    keys::client_builder().server_name("server.test").build().expect("a configuration")
}

/// A thread that forwards connections from one wire to another, including how they end. Stops when dropped.
pub struct Tunnel {
    pub place: Place,
    reactor: ReactorHandle,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    fn new(from: Wire, to: Wire, target: Place) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let reactor = Wire { cut: from.cut || to.cut, ..from }.reactor();
            reactor.set_stop_timeout(Duration::ZERO);
            let port = dig(&reactor, from, to, target);
            tell.send((Place::of(&port), reactor.handle())).expect("the test waits for it");
            reactor.run().expect("the reactor runs");
        });
        let (place, reactor) = told.recv().expect("the tunnel is connected");
        Self { place, reactor, thread: Some(thread) }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // It may have stopped on its own if it failed.
        self.reactor.call_from_thread(|reactor| reactor.stop().unwrap_or(())).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A factory whose protocols first switch compression on, if the wire has it.
struct Switching<F> {
    factory: F,
    wire: Wire,
}

impl<F: Factory> Factory for Switching<F> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        Some(Box::new(Switched { protocol, wire: self.wire }))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F: ClientFactory> ClientFactory for Switching<F> {
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.factory.started_connecting(connector)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.factory.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        self.factory.client_connection_lost(connector, reason)
    }
}

/// Does not report the handshake to its protocol, which sees the same callbacks as without TLS.
struct Switched {
    protocol: Box<dyn Protocol>,
    wire: Wire,
}

impl Protocol for Switched {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if self.wire.compressed {
            transport.expect_compression("deflate", b"")?;
            transport.set_compression("deflate")?;
        }
        self.protocol.connection_made(transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.protocol.data_received(transport, data)
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.protocol.read_connection_lost(transport)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.protocol.write_connection_lost(transport)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.protocol.reading_resumed(transport)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.protocol.connection_lost(transport, reason)
    }
}
