//! A reactor whose peers a test plays, and which notes what is listened on and connected to.

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
    /// A reactor that runs, with its clock at zero, and nothing recorded.
    #[must_use]
    pub fn new() -> Self {
        let world = World::scripted(true);
        Self { clock: Clock::of(Rc::clone(&world)), world }
    }

    /// Where the program has listened since the start, in order, with the port that was chosen where 0 was asked for.
    ///
    /// Those that were refused are not in it; those that have stopped since are.
    #[doc(alias = "tcpServers")]
    #[must_use]
    pub fn listened(&self) -> Vec<Address> {
        self.with_script(|script| script.listened.clone())
    }

    /// Where the program has tried to connect since the start, in order: one entry an address that was tried.
    #[doc(alias = "tcpClients")]
    #[must_use]
    pub fn connected_to(&self) -> Vec<Address> {
        self.with_script(|script| script.connected_to.clone())
    }

    /// Has a peer connect from `peer` to the port that listens on `listening`, or on that port of all addresses.
    ///
    /// # Errors
    /// [`MemoryError::NobodyListens`] when there is none, or none any more: look into [`listened`](Self::listened).
    pub fn connect_peer(&self, peer: impl Into<Address>, listening: impl Into<Address>) -> Result<MemoryPeer, MemoryError> {
        let (peer, listening) = (peer.into(), listening.into());
        let link = self.world.network.borrow_mut().connect_peer(&peer, &listening);
        Ok(self.peer(link.ok_or(MemoryError::NobodyListens(listening))?, Side::Client))
    }

    /// Lets the oldest attempt to connect to `address` that waits succeed.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`] when none waits: attempts begin in the turn after `connect_tcp`, so move the clock
    /// (by zero) first; it may also have been given up.
    #[doc(alias = "ConnectionCompleter")]
    pub fn accept_attempt(&self, address: impl Into<Address>) -> Result<MemoryPeer, MemoryError> {
        Ok(self.peer(self.end_attempt(address.into(), Ok(()))?, Side::Server))
    }

    /// Lets the oldest attempt to connect to `address` that waits fail with `error`.
    ///
    /// # Errors
    /// [`MemoryError::NobodyConnects`], as of [`accept_attempt`](Self::accept_attempt).
    pub fn fail_attempt(&self, address: impl Into<Address>, error: io::ErrorKind) -> Result<(), MemoryError> {
        self.end_attempt(address.into(), Err(error)).map(drop)
    }

    /// Has all listening from now on fail with `error`, or work again.
    pub fn refuse_to_listen(&self, error: Option<io::ErrorKind>) {
        self.with_script(|script| script.listen_error = error);
    }

    /// Has the next accept of any port fail with `error`; who waits goes on waiting.
    ///
    /// Of the kind that [`Listener::accept`](crate::spi::Listener::accept) says: `ConnectionAborted` is one connection's,
    /// `QuotaExceeded` the want of descriptors.
    pub fn fail_next_accept(&self, error: io::Error) {
        self.with_script(|script| script.accept_error = Some(error));
    }

    /// Gives `name` these addresses; every other name is unknown.
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

/// What a test asked of a [`MemoryReactor`] that its program gave no cause for.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum MemoryError {
    /// No attempt to connect to this address is waiting.
    NobodyConnects(Address),
    /// No port listens there.
    NobodyListens(Address),
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
