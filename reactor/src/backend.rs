//! The outside world, behind one trait.

mod child;
mod command;
mod datagrams;
mod inherited;
#[cfg(unix)]
mod interest;
mod listener;
mod process_end;
mod readiness;
mod socket_options;
mod stream;
mod unix;
mod wake;

use std::io;
use std::net::{SocketAddr, UdpSocket};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;

pub use child::{Child, Spawned};
pub use command::{AtStop, ChildDescriptor, Command};
pub use datagrams::{DatagramOptions, Datagrams, MulticastInterface, UdpOptions};
#[cfg(all(unix, feature = "systemd"))]
pub(crate) use inherited::listening_domain;
pub use inherited::{Inherited, PassedSocket, SocketDomain};
#[cfg(unix)]
pub use interest::Interest;
pub use listener::{ListenOptions, Listener};
pub use process_end::{ProcessEnd, ProcessSignal};
pub use readiness::{Ready, Token};
pub use socket_options::{Keepalive, SocketOptions};
pub use stream::{Direction, Stream, TcpOptions};
pub use unix::{Descriptor, PeerCredentials, UnixSocket};
pub use wake::{Signal, Wake, Wakeups};

/// A piece of work for the thread pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// Takes the addresses of a name, with ports of 0, or the error that the look-up ended with.
///
/// It may be called at once or later, on any thread. Dropped, it tells those who asked that there is no answer.
pub type Resolved = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

/// Everything that the outside world decides: time, readiness, sockets, names, threads, chance and signals.
///
/// One implementation is the operating system, through mio; a simulated one can stand in its place, and neither the
/// connection code nor a user's program sees a difference.
pub trait Backend {
    /// The time since this backend was made; never goes back.
    fn now(&self) -> Duration;

    /// Waits until something is ready, a [`Wake`] was used, a signal came or `timeout` has passed (none: no limit).
    ///
    /// # Errors
    /// When waiting itself fails, which ends the loop. An interrupted wait is not an error.
    fn poll(&self, timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()>;

    /// How long it is since this was last called or the last [`Backend::poll`] has ended, whichever was later, if it is more
    /// than `longest`; for telling of callbacks that take long. In a world where callbacks take no time there is nothing to tell.
    fn lap(&self, longest: Duration) -> Option<Duration> {
        let _ = longest;
        None
    }

    /// Something was queued on this backend's reactor outside of its turns, by this thread.
    ///
    /// For a backend that turns several reactors and has to know which of them has something to do; others need not care.
    fn nudge(&self) {}

    /// What other threads use to end a [`Backend::poll`] early.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Binds a listening socket; it is not [registered](Listener::register) yet.
    ///
    /// # Errors
    /// As the system says: the address is in use, not ours, or not permitted. `Unsupported` for an address of a kind that this
    /// world does not listen on, as for [`Backend::connect`].
    fn listen(&self, address: &Address, options: ListenOptions) -> io::Result<Box<dyn Listener>>;

    /// Takes a socket of the system that listens already; it is not registered yet. The options are set at each connection that is
    /// accepted.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise as that says.
    fn adopt(&self, listener: Inherited, options: SocketOptions) -> io::Result<Box<dyn Listener>> {
        let _ = (listener, options);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this is not the world that the socket belongs to"))
    }

    /// Takes a listening socket that was passed to this program when it was started.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system and the feature `systemd` is on. `NotFound` if there is no such socket,
    /// `AlreadyExists` if it was taken before, by any reactor of the process; `InvalidInput` if it is not one that listens, or of
    /// another domain.
    fn take_passed(&self, socket: &PassedSocket, domain: Option<SocketDomain>) -> io::Result<Inherited> {
        let _ = domain;
        let text = format!("{socket} was passed to this process, and not to this world");
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Takes a connected socket of the system, of TCP or of UNIX by what it is, and says whom it is connected to; it is not
    /// registered yet.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise as that says. `InvalidInput` for what is not such a socket.
    fn adopt_stream(&self, socket: Descriptor) -> io::Result<(Box<dyn Stream>, Address)> {
        let _ = socket;
        Err(io::Error::new(io::ErrorKind::Unsupported, "this is not the world that the socket belongs to"))
    }

    /// Begins a connection, from an address of ours if there is one to be used; [`Stream::is_connected`] says when it is established.
    /// It is not registered yet.
    ///
    /// # Errors
    /// When the attempt fails at once.
    fn connect(&self, address: &Address, from: Option<SocketAddr>, options: SocketOptions) -> io::Result<Box<dyn Stream>>;

    /// The number of the link of this name: what the scope of a link-local IPv6 address is.
    ///
    /// # Errors
    /// `NotFound` if there is none, or its links have no names.
    fn link_number(&self, name: &str) -> io::Result<u32> {
        Err(no_link(name))
    }

    /// Opens a socket of datagrams on `address`; of UNIX datagrams for a [`UnixName`](crate::UnixName), and for
    /// [`Address::Unnamed`], to which nobody can send. It is not [registered](Datagrams::register) yet.
    ///
    /// # Errors
    /// As the system says: the address is in use, not ours, or not permitted. `Unsupported` for an address of a kind that this
    /// world has no datagrams for.
    fn bind_datagram(&self, address: &Address, options: DatagramOptions) -> io::Result<Box<dyn Datagrams>>;

    /// Takes a UDP socket of the system; it is not registered yet.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise as that says.
    fn adopt_datagram(&self, socket: UdpSocket) -> io::Result<Box<dyn Datagrams>> {
        drop(socket);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this is not the world that the socket belongs to"))
    }

    /// The streams that the program was started with: standard input and output as one.
    ///
    /// # Errors
    /// As the system says; `Unsupported` where there are none.
    fn standard_io(&self) -> io::Result<Box<dyn Stream>>;

    /// Starts a child process; nothing is registered yet.
    ///
    /// # Errors
    /// As the system says: `NotFound` if there is no such program, or no such working directory. `Unsupported` where no child can
    /// be watched. Nothing is left of it then.
    fn spawn(&self, command: &Command) -> io::Result<Spawned>;

    /// Begins to look up a host name, or an address as text, off the loop, and calls `resolved` with what comes, maybe on
    /// another thread.
    ///
    /// It waits for nothing: the reactor bounds how many are under way.
    fn resolve(&self, name: String, resolved: Resolved);

    /// Runs `job` on a thread of the pool.
    fn run_in_thread(&self, job: Job);

    /// Sets how many threads the pool has at most, where there are threads.
    fn suggest_thread_pool_size(&self, threads: usize) {
        let _ = threads;
    }

    /// How many streams this program has open: all reactors of its process, or of its simulated host.
    ///
    /// Asked for before every accept, so it must be cheap.
    fn open_streams(&self) -> usize;

    /// How many descriptors this program may have at a time; none if nothing limits them, or that is not known.
    fn descriptor_limit(&self) -> Option<usize>;

    /// A random number, for jitter.
    fn random(&self) -> u64;

    /// Has [`Backend::poll`] report under `token` when a descriptor of the system becomes ready for what is of `interest`; or for
    /// something else than before, with `again`.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise as that says.
    #[cfg(unix)]
    fn watch_descriptor(&self, descriptor: BorrowedFd<'_>, token: Token, interest: Interest, again: bool) -> io::Result<()> {
        let _ = (descriptor, token, interest, again);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this is not the world that the descriptor belongs to"))
    }

    /// Ends what [`Backend::watch_descriptor`] has begun.
    #[cfg(unix)]
    fn forget_descriptor(&self, descriptor: BorrowedFd<'_>) {
        let _ = descriptor;
    }

    /// Has [`Backend::poll`] report these signals from now on, and no others, which have the system's default action again.
    ///
    /// # Errors
    /// When the system refuses to install the signal action; `Unsupported` for a signal that it does not have.
    fn watch_signals(&self, signals: &[Signal]) -> io::Result<()>;
}

/// Says that no link has this name.
pub(crate) fn no_link(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no link named {name:?}: see `ip link`, or give its number"))
}
