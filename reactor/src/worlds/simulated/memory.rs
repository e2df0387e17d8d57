//! A reactor whose peers are played by a test, and which records where the program listens and connects.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::rc::Rc;

use crate::address::Address;

use super::clock::Clock;
use super::link::{LinkId, Side};
pub use super::memory_peer::MemoryPeer;
use super::script::Script;
use super::world::World;

/// A [`Clock`] on which `listen_tcp` and `connect_tcp` work, with the test as the only peer.
///
/// Every address the program listens on or connects to is recorded. An attempt hangs until the test makes it
/// [succeed](Self::accept_attempt) or [fail](Self::fail_attempt); [`connect_peer`](Self::connect_peer) connects to a listening
/// port. Ports, connectors and connections are real ones, with all hooks, timeouts and closes. Methods only queue: callbacks are
/// made when the test advances the clock, possibly by zero.
///
/// Port 0 becomes 49,152, then 49,153, and so on. For whole networks use a simulation.
///
/// # Examples
/// A test that uses `reactor.connect_tcp` with a factory:
/// ```
/// use torsade::{Address, MemoryReactor, SocketOptions};
///
/// let reactor = MemoryReactor::new();
/// let address = Address::Tcp("192.0.2.1:80".parse()?);
/// let attempt = reactor.backend().connect(&address, None, SocketOptions::default())?;
/// assert_eq!(reactor.connected_to(), [address.clone()]);
/// let peer = reactor.accept_attempt(address)?;
/// assert!(attempt.is_connected()?);
/// attempt.write(b"GET /")?;
/// assert_eq!(peer.take_received(), b"GET /");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "MemoryReactorClock")]
#[doc(alias = "RaisingMemoryReactor")]
pub struct MemoryReactor {
    clock: Clock,
    world: Rc<World>,
}

impl MemoryReactor {
    /// A running reactor, with its clock at zero and nothing recorded.
    #[must_use]
    pub fn new() -> Self {
        let world = World::scripted(true);
        Self { clock: Clock::of(Rc::clone(&world)), world }
    }

    /// The addresses the program has listened on, in order, with the port that was chosen for port 0.
    ///
    /// Refused ones are not included; those that have stopped are.
    #[doc(alias = "tcpServers")]
    #[must_use]
    pub fn listened(&self) -> Vec<Address> {
        self.with_script(|script| script.listened.clone())
    }

    /// The addresses the program has tried to connect to, in order: one entry per attempt.
    #[doc(alias = "tcpClients")]
    #[must_use]
    pub fn connected_to(&self) -> Vec<Address> {
        self.with_script(|script| script.connected_to.clone())
    }

    /// Connects a peer from `peer` to the port that listens on `listening`, or on that port of all addresses.
    ///
    /// # Errors
    /// [`MemoryError::NobodyListens`] if there is none (any more): check [`listened`](Self::listened).
    pub fn connect_peer(&self, peer: impl Into<Address>, listening: impl Into<Address>) -> Result<MemoryPeer, MemoryError> {
        let (peer, listening) = (peer.into(), listening.into());
        let link = self.world.network.borrow_mut().connect_peer(&peer, &listening);
        Ok(self.peer(link.ok_or(MemoryError::NobodyListens(listening))?, Side::Client))
    }

    /// Makes the oldest pending attempt to connect to `address` succeed.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`] if there is none: attempts begin in the turn after `connect_tcp`, so advance the clock (by
    /// zero) first. It may also have been given up.
    #[doc(alias = "ConnectionCompleter")]
    pub fn accept_attempt(&self, address: impl Into<Address>) -> Result<MemoryPeer, MemoryError> {
        Ok(self.peer(self.end_attempt(address.into(), Ok(()))?, Side::Server))
    }

    /// Makes the oldest pending attempt to connect to `address` fail with `error`.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`]: see [`accept_attempt`](Self::accept_attempt).
    pub fn fail_attempt(&self, address: impl Into<Address>, error: io::ErrorKind) -> Result<(), MemoryError> {
        self.end_attempt(address.into(), Err(error)).map(drop)
    }

    /// Makes all listening from now on fail with `error`; `None` makes it work again.
    pub fn refuse_to_listen(&self, error: Option<io::ErrorKind>) {
        self.with_script(|script| script.listen_error = error);
    }

    /// Makes the next accept of any port fail with `error`; the waiting connection keeps waiting.
    ///
    /// The error is of a kind documented at [`Listener::accept`](crate::spi::Listener::accept): `ConnectionAborted` concerns one
    /// connection, `QuotaExceeded` is a lack of descriptors.
    pub fn fail_next_accept(&self, error: io::Error) {
        self.with_script(|script| script.accept_error = Some(error));
    }

    /// Gives `name` these addresses; all other names are unknown.
    pub fn add_host(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.world.network.borrow_mut().set_name(name, addresses.into_iter().collect());
    }

    fn end_attempt(&self, address: Address, result: Result<(), io::ErrorKind>) -> Result<LinkId, MemoryError> {
        let link = self.world.network.borrow_mut().end_attempt(&address, result);
        link.ok_or(MemoryError::NobodyConnects(address))
    }

    fn peer(&self, link: LinkId, side: Side) -> MemoryPeer {
        MemoryPeer::new(Rc::clone(&self.world), link, side)
    }

    fn with_script<T>(&self, act: impl FnOnce(&mut Script) -> T) -> T {
        let mut network = self.world.network.borrow_mut();
        act(network.script.get_or_insert_default())
    }
}

impl Default for MemoryReactor {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for MemoryReactor {
    type Target = Clock;

    fn deref(&self) -> &Clock {
        &self.clock
    }
}

impl fmt::Debug for MemoryReactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryReactor").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// A request of a test to a [`MemoryReactor`] that does not match what the program did.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemoryError {
    /// No attempt to connect to this address is pending.
    NobodyConnects(Address),
    /// No port listens on this address.
    NobodyListens(Address),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyConnects(address) => {
                write!(f, "no connection attempt to {address} is pending: an attempt starts in the turn after `connect_tcp`")
            }
            Self::NobodyListens(address) => write!(f, "nothing listens on {address}: `listened` has the addresses"),
        }
    }
}

crate::debug_as_display!(MemoryError);

impl Error for MemoryError {}
