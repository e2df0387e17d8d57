//! The outside world of a reactor, as a trait.

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

/// A callback that takes the addresses of a name, with port 0, or the error of the look-up.
///
/// It may be called at once or later, on any thread. If it is dropped instead, the waiting callers are told that there is no
/// answer.
pub type Resolved = Box<dyn FnOnce(io::Result<Vec<SocketAddr>>) + Send>;

/// Everything the outside world decides: time, readiness, sockets, names, threads, randomness and signals.
///
/// One implementation is the operating system, through mio. A simulation can take its place, and neither the connection code nor
/// a user's program sees a difference.
pub trait Backend {
    /// The time since this backend was made; never goes back.
    fn now(&self) -> Duration;

    /// Waits until something is ready, a [`Wake`] was used, a signal arrived or `timeout` has passed (`None`: no limit).
    ///
    /// # Errors
    /// An error of the wait itself, which ends the loop. An interrupted wait is not an error.
    fn poll(&self, timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()>;

    /// The time since the last call of this or the end of the last [`Backend::poll`], whichever was later, if it exceeds
    /// `longest`. It is used to report slow callbacks; in a world where callbacks take no time it returns `None`.
    fn lap(&self, longest: Duration) -> Option<Duration> {
        let _ = longest;
        None
    }

    /// Called when something was queued on this backend's reactor outside of its turns, by this thread.
    ///
    /// For a backend that runs several reactors and has to know which of them has something to do; others may ignore it.
    fn nudge(&self) {}

    /// A waker with which other threads end a [`Backend::poll`] early.
    fn waker(&self) -> Arc<dyn Wake>;

    /// Opens a listening socket, which is not [registered](Listener::register) yet.
    ///
    /// # Errors
    /// Any system error: the address is in use, not local, or not permitted. `Unsupported` for a kind of address on which this
    /// world does not listen; the same applies to [`Backend::connect`].
    fn listen(&self, address: &Address, options: ListenOptions) -> io::Result<Box<dyn Listener>>;

    /// Takes over a listening socket of the system, which is not registered yet. The options are set on each accepted connection.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise any system error.
    fn adopt(&self, listener: Inherited, options: SocketOptions) -> io::Result<Box<dyn Listener>> {
        let _ = (listener, options);
        Err(io::Error::new(io::ErrorKind::Unsupported, "the socket belongs to another world"))
    }

    /// Takes a listening socket that was passed to this program when it was started.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system and the feature `systemd` is on. `NotFound` if there is no such socket;
    /// `AlreadyExists` if it was taken before, by any reactor of the process; `InvalidInput` if it is not listening, or of
    /// another domain.
    fn take_passed(&self, socket: &PassedSocket, domain: Option<SocketDomain>) -> io::Result<Inherited> {
        let _ = domain;
        let text = format!("{socket} was passed to this process, not to this world");
        Err(io::Error::new(io::ErrorKind::Unsupported, text))
    }

    /// Takes over a connected TCP or UNIX socket of the system, and returns it with its peer. It is not registered yet.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; `InvalidInput` for any other socket; otherwise any system error.
    fn adopt_stream(&self, socket: Descriptor) -> io::Result<(Box<dyn Stream>, Address)> {
        let _ = socket;
        Err(io::Error::new(io::ErrorKind::Unsupported, "the socket belongs to another world"))
    }

    /// Begins to connect, from the local address `from` if given; [`Stream::is_connected`] says when the connection is
    /// established. It is not registered yet.
    ///
    /// # Errors
    /// An error with which the attempt fails at once.
    fn connect(&self, address: &Address, from: Option<SocketAddr>, options: SocketOptions) -> io::Result<Box<dyn Stream>>;

    /// The index of the network interface with this name, used as the scope id of a link-local IPv6 address.
    ///
    /// # Errors
    /// `NotFound` if there is none, or if the interfaces of this world have no names.
    fn link_number(&self, name: &str) -> io::Result<u32> {
        Err(no_link(name))
    }

    /// Opens a datagram socket on `address`: a UNIX one for a [`UnixName`](crate::UnixName), and for [`Address::Unnamed`], to
    /// which nothing can be sent. It is not [registered](Datagrams::register) yet.
    ///
    /// # Errors
    /// Any system error: the address is in use, not local, or not permitted. `Unsupported` for a kind of address that this world
    /// has no datagrams for.
    fn bind_datagram(&self, address: &Address, options: DatagramOptions) -> io::Result<Box<dyn Datagrams>>;

    /// Takes over a UDP socket of the system, which is not registered yet.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise any system error.
    fn adopt_datagram(&self, socket: UdpSocket) -> io::Result<Box<dyn Datagrams>> {
        drop(socket);
        Err(io::Error::new(io::ErrorKind::Unsupported, "the socket belongs to another world"))
    }

    /// The program's standard input and output, as one stream.
    ///
    /// # Errors
    /// Any system error; `Unsupported` where there are none.
    fn standard_io(&self) -> io::Result<Box<dyn Stream>>;

    /// Starts a child process, which is not registered yet.
    ///
    /// # Errors
    /// Any system error: `NotFound` if there is no such program or working directory. `Unsupported` where child processes cannot
    /// be watched. In either case nothing is left running.
    fn spawn(&self, command: &Command) -> io::Result<Spawned>;

    /// Begins to look up a host name, or an address as text, without blocking the loop. Calls `resolved` with the result,
    /// possibly on another thread.
    ///
    /// It never waits: the reactor limits how many look-ups are under way.
    fn resolve(&self, name: String, resolved: Resolved);

    /// Runs `job` on a thread of the pool.
    fn run_in_thread(&self, job: Job);

    /// Sets the maximum number of threads in the pool, where there are threads.
    fn suggest_thread_pool_size(&self, threads: usize) {
        let _ = threads;
    }

    /// The number of streams this program has open: of all reactors of its process, or of its simulated host.
    ///
    /// Called before every accept, so it must be cheap.
    fn open_streams(&self) -> usize;

    /// The maximum number of descriptors of this program; `None` if there is no limit or it is not known.
    fn descriptor_limit(&self) -> Option<usize>;

    /// A random number, for jitter.
    fn random(&self) -> u64;

    /// Makes [`Backend::poll`] report under `token` when a descriptor of the system becomes ready for `interest`. With `again`,
    /// changes the interest of a watched descriptor.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise any system error.
    #[cfg(unix)]
    fn watch_descriptor(&self, descriptor: BorrowedFd<'_>, token: Token, interest: Interest, again: bool) -> io::Result<()> {
        let _ = (descriptor, token, interest, again);
        Err(io::Error::new(io::ErrorKind::Unsupported, "the descriptor belongs to another world"))
    }

    /// Ends a [`Backend::watch_descriptor`].
    #[cfg(unix)]
    fn forget_descriptor(&self, descriptor: BorrowedFd<'_>) {
        let _ = descriptor;
    }

    /// Makes [`Backend::poll`] report these signals from now on. All other signals get the system's default action again.
    ///
    /// # Errors
    /// Any system error, if it refuses to install the signal action; `Unsupported` for a signal that it does not have.
    fn watch_signals(&self, signals: &[Signal]) -> io::Result<()>;
}

/// The error for a network interface name that does not exist.
pub(crate) fn no_link(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no link named {name:?}: see `ip link`, or give its number"))
}
