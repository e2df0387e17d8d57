//! What the behaviour tests share: a protocol that follows a test's script, peers on threads, a watchdog.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(missing_docs, missing_debug_implementations, reason = "cargo takes this file for a test of its own")]

#[cfg(feature = "futures-io")]
mod async_echo;
mod child;
mod cutting;
mod kind;
pub mod logged;
#[cfg(unix)]
mod making;
mod peer;
mod tunnel;
mod wire;

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use torsade::prelude::*;

#[cfg(feature = "futures-io")]
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use async_echo::async_echo;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use child::{child, child_in_own_network, child_with_descriptors, is_child, lines, listening, output_of, signal, signal_to};
#[cfg(feature = "tls")]
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use wire::keys;
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use wire::{Wire, on_every_kind, on_every_wire, on_extreme_kinds};
#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use {
    kind::{Ability, Kind, Place, socket_path},
    peer::Peer,
};

#[allow(unused_imports, reason = "each test binary uses a part of it")]
pub use torsade::wire::Echo;

/// How long a test may take before it counts as hung; a busy machine is slow.
pub const LIMIT: Duration = Duration::from_secs(300);

/// A callback, with its arguments.
#[derive(Clone, Debug)]
pub enum Event {
    Made,
    Handshake,
    Data(Vec<u8>),
    ReadLost,
    WriteLost,
    Resumed,
    Lost(Reason),
}

impl Event {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Handshake => "handshake",
            Self::Data(_) => "data",
            Self::ReadLost => "read lost",
            Self::WriteLost => "write lost",
            Self::Resumed => "resumed",
            Self::Lost(_) => "lost",
        }
    }
}

/// The callbacks of one or more connections, in order.
#[derive(Clone, Default)]
pub struct Events(Rc<RefCell<Vec<Event>>>);

impl Events {
    pub fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.borrow().iter().map(Event::name).collect()
    }

    /// The names, without repeats: into how many pieces data is cut depends on the wire.
    pub fn course(&self) -> Vec<&'static str> {
        let mut names = self.names();
        names.dedup();
        names
    }

    pub fn count(&self, name: &str) -> usize {
        self.names().iter().filter(|known| **known == name).count()
    }

    pub fn data(&self) -> Vec<u8> {
        let events = self.0.borrow();
        events
            .iter()
            .filter_map(|event| if let Event::Data(data) = event { Some(&data[..]) } else { None })
            .collect::<Vec<_>>()
            .concat()
    }

    pub fn lost(&self) -> bool {
        matches!(self.0.borrow().last(), Some(Event::Lost(_)))
    }

    /// The reason, after a check of the order: `made` first, `lost` last, each once.
    pub fn reason(&self) -> Reason {
        let names = self.names();
        assert_eq!(names.first(), Some(&"made"), "{names:?}");
        assert_eq!(names.last(), Some(&"lost"), "{names:?}");
        for once in ["made", "lost"] {
            assert_eq!(self.count(once), 1, "{once} in {names:?}");
        }
        for at_most_once in ["read lost", "write lost"] {
            assert!(self.count(at_most_once) <= 1, "{at_most_once} in {names:?}");
        }
        let end = names.iter().position(|name| *name == "read lost").unwrap_or(names.len());
        assert!(!names[end..].contains(&"data"), "data after the end of the stream: {names:?}");
        match self.0.borrow().last() {
            Some(Event::Lost(reason)) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }
}

/// What a test does in a callback.
pub type Script = Box<dyn FnMut(&Event, &Transport) -> Result>;

/// A protocol that records its callbacks and does in each what the test says.
pub struct Probe {
    events: Events,
    script: Script,
    half_closeable: bool,
}

impl Probe {
    pub fn new(events: &Events, script: impl FnMut(&Event, &Transport) -> Result + 'static) -> Self {
        Self { events: events.clone(), script: Box::new(script), half_closeable: false }
    }

    /// The peer's end of stream does not close the connection.
    pub fn half_closeable(mut self) -> Self {
        self.half_closeable = true;
        self
    }

    fn event(&mut self, event: Event, transport: &Transport) -> Result {
        self.events.0.borrow_mut().push(event.clone());
        (self.script)(&event, transport)
    }
}

impl Protocol for Probe {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.event(Event::Made, transport)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.event(Event::Handshake, transport)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        assert!(!data.is_empty(), "data_received without data");
        self.event(Event::Data(data.to_vec()), transport)
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        let result = self.event(Event::ReadLost, transport);
        if !self.half_closeable {
            transport.lose_connection();
        }
        result
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.event(Event::WriteLost, transport)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.event(Event::Resumed, transport)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.event(Event::Lost(reason.clone()), transport)
    }
}

/// A script that does one thing when a certain callback comes, and whatever is needed to make that callback come.
pub fn in_callback(
    wanted: &'static str,
    mut act: impl FnMut(&Transport) -> Result + 'static,
) -> impl FnMut(&Event, &Transport) -> Result {
    move |event, transport| {
        if event.name() == wanted {
            return act(transport);
        }
        match (event, wanted) {
            (Event::Made, "write lost") => transport.lose_write_connection(),
            (Event::Made, "resumed") => {
                transport.pause_producing();
                transport.resume_producing();
            }
            _ => {}
        }
        Ok(())
    }
}

/// Runs the reactor until it stops; panics if it never does.
pub fn run(reactor: &Reactor) {
    watched(reactor, || reactor.run()).expect("the reactor runs");
}

/// Runs the reactor until `task` has ended; panics if it never does.
pub fn run_until<T: 'static>(reactor: &Reactor, task: impl Future<Output = Result<T>> + 'static) -> Result<T> {
    watched(reactor, || reactor.run_until(task))
}

fn watched<T>(reactor: &Reactor, run: impl FnOnce() -> T) -> T {
    let hung = Rc::new(Cell::new(false));
    let (flag, stopper) = (hung.clone(), reactor.clone());
    let watchdog = reactor.call_later(LIMIT, move || {
        flag.set(true);
        stopper.crash().ok();
    });
    let result = run();
    assert!(!hung.get(), "hung: {reactor:?}");
    watchdog.cancel().ok();
    result
}

/// Calls `act` in the turn in which `holds` first returns true: a test waits for a condition, not for a time.
pub fn once(reactor: &Reactor, holds: impl Fn() -> bool + 'static, act: impl FnOnce() + 'static) {
    let again = reactor.clone();
    reactor.call_later(Duration::from_millis(1), move || if holds() { act() } else { once(&again, holds, act) });
}

pub fn stop(reactor: &Reactor) {
    reactor.stop().expect("the reactor is running");
}

/// The address of a port, for a peer.
pub fn address(port: &Port) -> SocketAddr {
    socket_address(&port.address())
}

/// A socket address that a reactor reports, for a peer.
pub fn socket_address(address: &Address) -> SocketAddr {
    match address {
        Address::Tcp(address) => *address,
        other => panic!("{other:?}"),
    }
}

/// An address where nothing listens or can begin to: a socket that never listens is bound to it.
pub fn nobody() -> SocketAddr {
    static SOCKET: OnceLock<(socket2::Socket, SocketAddr)> = OnceLock::new();
    let (_, address) = SOCKET.get_or_init(|| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
        let address = socket.local_addr().expect("it is bound").as_socket().expect("it is an IPv4 address");
        (socket, address)
    });
    *address
}

/// A blocking socket with timeouts.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout can be set");
    stream.set_write_timeout(Some(LIMIT)).expect("a timeout can be set");
    stream
}

/// Connects to `place` and runs `act` on a thread. The connection is established when this returns, so that a loop that runs next
/// cannot reset it too early.
pub fn peer<T: Send + 'static>(place: impl Into<Place>, act: impl FnOnce(Peer) -> T + Send + 'static) -> JoinHandle<T> {
    let peer = place.into().connect();
    thread::spawn(move || act(peer))
}

/// Runs one connection between a probe on a reactor and a peer on a thread, until the probe's end is lost.
pub fn converse<T: Send + 'static>(
    script: impl FnMut(&Event, &Transport) -> Result + 'static,
    act: impl FnOnce(Peer) -> T + Send + 'static,
) -> (Events, T) {
    Wire::PLAIN.converse(script, act)
}

/// The same with a protocol that goes on after the peer's end of stream.
pub fn converse_half_closeable<T: Send + 'static>(
    script: impl FnMut(&Event, &Transport) -> Result + 'static,
    act: impl FnOnce(Peer) -> T + Send + 'static,
) -> (Events, T) {
    Wire::PLAIN.converse_half_closeable(script, act)
}

/// Reads to the end of the stream; returns the bytes, and whether the end was clean.
pub fn drain(stream: &mut impl Read) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut got = Vec::new();
    let result = stream.read_to_end(&mut got).map(drop).map_err(|error| error.kind());
    (got, result)
}

pub fn read_exactly(stream: &mut impl Read, count: usize) -> Vec<u8> {
    let mut got = vec![0; count];
    stream.read_exact(&mut got).expect("as many bytes as expected");
    got
}

/// Closes with a reset.
pub fn reset(peer: impl Into<Peer>) {
    peer.into().reset();
}

/// Bytes that show their position, so that lost, repeated or swapped bytes are noticed. They repeat after about a mebibyte, which
/// is more than any window of deflate, so that they do not compress.
pub fn pattern(from: usize, count: usize) -> Vec<u8> {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let block = BLOCK.get_or_init(|| {
        let mut chance = Chance(5);
        (0..131_101).flat_map(|_| chance.draw().to_le_bytes()).collect()
    });
    let mut bytes = Vec::with_capacity(count);
    while bytes.len() < count {
        let rest = &block[(from + bytes.len()) % block.len()..];
        bytes.extend_from_slice(&rest[..rest.len().min(count - bytes.len())]);
    }
    bytes
}

/// This many bytes that do not compress.
pub fn noise(count: usize) -> Vec<u8> {
    pattern(0, count)
}

/// Numbers that look random and are the same in every run.
pub struct Chance(pub u64);

impl Chance {
    pub fn draw(&mut self) -> u64 {
        // Marsaglia's xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() >> 11) as usize % end
    }
}

/// Where cargo has put an example: beside this test's directory.
pub fn example(name: &str) -> std::path::PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let profile = test.parent().and_then(std::path::Path::parent).expect("target/PROFILE/deps");
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    static BUILT: OnceLock<()> = OnceLock::new();
    // `cargo test` builds the examples, `cargo test --test examples` does not.
    if !path.exists() {
        BUILT.get_or_init(|| {
            let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
            let profile = if profile.ends_with("release") { "--release" } else { "--profile=test" };
            let features = [
                ("--features=lz4", cfg!(feature = "lz4")),
                ("--features=systemd", cfg!(feature = "systemd")),
                ("--features=tls", cfg!(feature = "tls")),
                ("--features=zstd", cfg!(feature = "zstd")),
            ];
            let features = features.into_iter().filter_map(|(feature, has)| has.then_some(feature));
            let built = std::process::Command::new(cargo).args(["build", "--examples", profile]).args(features).status();
            assert!(built.is_ok_and(|status| status.success()), "the examples do not build");
        });
    }
    path
}

pub fn formats() -> impl Iterator<Item = Format> {
    let optional = [(Format::Zstd, cfg!(feature = "zstd")), (Format::Lz4, cfg!(feature = "lz4"))];
    Format::ALL.into_iter().filter(move |format| !optional.contains(&(*format, false)))
}
