//! The outside world, behind one trait.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::reactor::source::{Ready, Token};

/// A piece of work for the thread pool.
pub type Job = Box<dyn FnOnce() + Send>;

/// Takes the addresses of a name, or the error that the look-up ended with.
pub type Resolved = Box<dyn FnOnce(io::Result<Vec<IpAddr>>) + Send>;

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
    /// As the system says: the address is in use, not ours, or not permitted.
    fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<Box<dyn Listener>>;

    /// Takes a socket of the system that listens already; it is not registered yet.
    ///
    /// # Errors
    /// `Unsupported`, unless this backend is the system; otherwise as that says.
    fn adopt(&self, listener: TcpListener) -> io::Result<Box<dyn Listener>> {
        drop(listener);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this is not the world that the socket belongs to"))
    }

    /// Begins a connection; [`Stream::is_connected`] says when it is established. It is not registered yet.
    ///
    /// # Errors
    /// When the attempt fails at once.
    fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;

    /// Begins to look up a host name off the loop, and calls `resolved` with what comes, maybe on another thread.
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

    /// Begins or ends taking SIGINT and SIGTERM, which [`Backend::poll`] then reports.
    ///
    /// # Errors
    /// When the system refuses to install the signal action.
    fn watch_signals(&self, watch: bool) -> io::Result<()>;
}

/// A non-blocking stream socket.
pub trait Stream {
    /// Has readiness of both directions reported under `token`, once and for the life of the socket.
    ///
    /// # Errors
    /// As the system says; the socket cannot be used then.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Whether a connection that was begun stands now.
    ///
    /// # Errors
    /// The error that the attempt ended with; `ConnectionRefused` also for one that met itself.
    fn is_connected(&self) -> io::Result<bool>;

    /// Reads what is there, at most `buffer`; 0 is the end of the peer's stream.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing yet; otherwise the connection is lost.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `data` as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; otherwise the connection is lost.
    fn write(&self, data: &[u8]) -> io::Result<usize>;

    /// Bytes that the system has taken from [`write`](Self::write) and the peer has not acknowledged; an end of ours that
    /// is on its way counts as one. `None` where the system does not tell.
    ///
    /// It may take several system calls: for a look now and then, at a connection that is being closed for instance.
    fn unacknowledged(&self) -> Option<usize>;

    /// Ends our stream (FIN) after what was written; the peer's goes on.
    ///
    /// # Errors
    /// As the system says; most likely the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Makes the coming close an abortive one: unsent bytes are dropped and the peer sees a reset.
    ///
    /// # Errors
    /// As the system says.
    fn reset_on_close(&self) -> io::Result<()>;

    /// The error that made the socket [`Ready::ERROR`], once.
    ///
    /// # Errors
    /// When the system cannot tell.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// The address on our side.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<SocketAddr>;

    /// Whether small writes are sent at once instead of being held back by Nagle's algorithm; on unless set.
    ///
    /// # Errors
    /// As the system says.
    fn nodelay(&self) -> io::Result<bool>;

    /// Sets [`Stream::nodelay`].
    ///
    /// # Errors
    /// As the system says.
    fn set_nodelay(&self, on: bool) -> io::Result<()>;

    /// Whether the system probes an idle peer.
    ///
    /// # Errors
    /// As the system says.
    fn keepalive(&self) -> io::Result<bool>;

    /// Sets [`Stream::keepalive`].
    ///
    /// # Errors
    /// As the system says.
    fn set_keepalive(&self, on: bool) -> io::Result<()>;
}

/// A non-blocking listening socket.
pub trait Listener {
    /// Has readiness reported under `token`.
    ///
    /// # Errors
    /// As the system says.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Takes the next waiting connection and its peer's address.
    ///
    /// # Errors
    /// `WouldBlock` when nobody waits; `ConnectionAborted` or `Interrupted` when it says nothing about the next connection;
    /// `QuotaExceeded` when there are no descriptors or no memory left (see [`Listener::refuse`]); otherwise as the system says.
    fn accept(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)>;

    /// Closes the next waiting connection, when there is no descriptor left to accept it with.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    fn refuse(&self) -> io::Result<()>;

    /// The address on our side, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// Ends a [`Backend::poll`] from another thread.
pub trait Wake: Send + Sync {
    /// Makes the poll that is waiting now, or else the next one, return at once.
    fn wake(&self);
}

/// A request from outside to end the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
}

/// What a [`Backend::poll`] found.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Sources and what they are ready for.
    pub ready: Vec<(Token, Ready)>,
    /// Signals that came since the last poll.
    pub signals: Vec<Signal>,
}
