//! A reactor without a network that notes what is listened on and connected to.

mod network;
mod peer;
mod sockets;

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::rc::Rc;

use crate::worlds::clock::Clock;
pub(crate) use network::Network;
pub use peer::MemoryPeer;

/// A [`Clock`] on which `listen_tcp` and `connect_tcp` work, with nobody there but the test.
///
/// Every address that is listened on or connected to is recorded. An attempt hangs until the test lets it
/// [succeed](Self::accept_attempt) or [fail](Self::fail_attempt); a listening port is reached with
/// [`connect_peer`](Self::connect_peer). Ports, connectors and connections are the real ones, so factories' hooks, timeouts
/// and closes are too. All methods only queue: the callbacks come when the test moves the clock, also by zero.
///
/// The first port that is asked for as 0 is 49,152, the next one 49,153, and so on. For whole networks there is a
/// simulation.
///
/// # Examples
/// With `reactor.connect_tcp` and a factory in place of the socket:
/// ```
/// use torsade::MemoryReactor;
///
/// let reactor = MemoryReactor::new();
/// let address: std::net::SocketAddr = "192.0.2.1:80".parse()?;
/// let attempt = reactor.backend().connect(&address.into())?;
/// assert_eq!(reactor.connected_to(), [address]);
/// let peer = reactor.accept_attempt(address)?;
/// assert!(attempt.is_connected()?);
/// attempt.write(b"GET /")?;
/// assert_eq!(peer.take_received(), b"GET /");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "MemoryReactorClock")]
#[doc(alias = "RaisingMemoryReactor")]
#[derive(Debug)]
pub struct MemoryReactor {
    clock: Clock,
    network: Rc<Network>,
}

impl MemoryReactor {
    /// A reactor that runs, with its clock at zero, and nothing recorded.
    #[must_use]
    pub fn new() -> Self {
        let network = Rc::new(Network::default());
        Self { clock: Clock::with_network(Rc::clone(&network)), network }
    }

    /// Where the program has listened since the start, in order, with the port that was chosen where 0 was asked for.
    ///
    /// Those that were refused are not in it; those that have stopped since are.
    #[doc(alias = "tcpServers")]
    #[must_use]
    pub fn listened(&self) -> Vec<SocketAddr> {
        self.network.listened()
    }

    /// Where the program has tried to connect since the start, in order: one entry an address that was tried.
    #[doc(alias = "tcpClients")]
    #[must_use]
    pub fn connected_to(&self) -> Vec<SocketAddr> {
        self.network.connected_to()
    }

    /// Has a peer connect from `peer` to the port that listens on `listening`, or on that port of all addresses.
    ///
    /// # Errors
    /// [`MemoryError::NobodyListens`] when there is none, or none any more: look into [`listened`](Self::listened).
    pub fn connect_peer(&self, peer: SocketAddr, listening: SocketAddr) -> Result<MemoryPeer, MemoryError> {
        let link = self.network.connect_peer(peer, listening).ok_or(MemoryError::NobodyListens(listening))?;
        Ok(MemoryPeer::new(&self.network, link))
    }

    /// Lets the oldest attempt to connect to `address` that waits succeed.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`] when none waits: attempts begin in the turn after `connect_tcp`, so move the clock
    /// (by zero) first; it may also have been given up.
    pub fn accept_attempt(&self, address: SocketAddr) -> Result<MemoryPeer, MemoryError> {
        let link = self.network.end_attempt(address, Ok(())).ok_or(MemoryError::NobodyConnects(address))?;
        Ok(MemoryPeer::new(&self.network, link))
    }

    /// Lets the oldest attempt to connect to `address` that waits fail with `error`.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`], as of [`accept_attempt`](Self::accept_attempt).
    pub fn fail_attempt(&self, address: SocketAddr, error: io::ErrorKind) -> Result<(), MemoryError> {
        self.network.end_attempt(address, Err(error)).map(drop).ok_or(MemoryError::NobodyConnects(address))
    }

    /// Has all listening from now on fail with `error`, or work again.
    pub fn refuse_to_listen(&self, error: Option<io::ErrorKind>) {
        self.network.refuse_to_listen(error);
    }

    /// Has the next accept of any port fail with `error`; who waits goes on waiting.
    ///
    /// Of the kind that [`Listener::accept`](crate::spi::Listener::accept) says: `ConnectionAborted` is one connection's,
    /// `QuotaExceeded` the want of descriptors.
    pub fn fail_next_accept(&self, error: io::Error) {
        self.network.fail_next_accept(error);
    }

    /// Gives `name` these addresses; every other name is unknown.
    pub fn add_host(&self, name: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        self.network.add_host(name, addresses.into_iter().collect());
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

/// What a test asked of a [`MemoryReactor`] that its program gave no cause for.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemoryError {
    /// No attempt to connect to this address is waiting.
    NobodyConnects(SocketAddr),
    /// No port listens there.
    NobodyListens(SocketAddr),
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NobodyConnects(address) => {
                write!(f, "no attempt to connect to {address} is waiting: one begins in the turn after `connect_tcp`")
            }
            Self::NobodyListens(address) => write!(f, "nobody listens on {address}: `listened` has the addresses"),
        }
    }
}

crate::debug_as_display!(MemoryError);

impl Error for MemoryError {}
