//! Listening sockets.

use std::io;

use crate::address::Address;

use super::readiness::Token;
use super::socket_options::SocketOptions;
use super::stream::Stream;
use super::unix::Descriptor;

/// Options of a listening port.
///
/// # Examples
/// ```
/// use torsade::ListenOptions;
///
/// let for_the_group = ListenOptions { mode: 0o660, ..ListenOptions::default() };
/// assert_eq!((for_the_group.backlog, for_the_group.lock), (1024, true));
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "made with the update syntax")]
pub struct ListenOptions {
    /// How many connections the system queues until they are accepted; default 1,024.
    pub backlog: u32,
    /// The mode of a UNIX socket's file: write permission allows connecting. Default `0o666`, which is everybody. The umask is
    /// ignored. It is set before anyone can connect.
    pub mode: u32,
    /// Whether a UNIX socket's path is locked, by a file `PATH.lock` beside it; default true.
    ///
    /// With the lock, no two servers share a path, and a file left behind by a crashed server is replaced. Without it, an
    /// existing file is an error. Abstract names need no lock.
    #[doc(alias = "wantPID")]
    pub lock: bool,
    /// Whether a port on `[::]` leaves IPv4 to other sockets. Default `None`: the system decides; Linux includes IPv4.
    #[doc(alias = "IPV6_V6ONLY")]
    pub only_v6: Option<bool>,
    /// Whether other sockets that set this too may listen on the same address; default false. See [`workers`](crate::workers).
    /// `Unsupported` on systems without it (Windows).
    #[doc(alias = "SO_REUSEPORT")]
    pub reuse_port: bool,
    /// Options set on each accepted connection.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, mode: 0o666, lock: true, only_v6: None, reuse_port: false, socket: SocketOptions::default() }
    }
}

/// A non-blocking listening socket.
pub trait Listener {
    /// Makes [`Backend::poll`](super::Backend::poll) report under `token` when a connection waits.
    ///
    /// # Errors
    /// Any system error.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Accepts the next waiting connection. Returns it with its peer's address.
    ///
    /// # Errors
    /// `WouldBlock` if none waits; `ConnectionAborted` or `Interrupted` if the error says nothing about the next connection;
    /// `QuotaExceeded` if there are no descriptors or memory left (see [`Listener::refuse`]); otherwise any system error.
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)>;

    /// Closes the next waiting connection, when there is no descriptor left to accept it with.
    ///
    /// # Errors
    /// See [`Listener::accept`].
    fn refuse(&self) -> io::Result<()>;

    /// The local address, with the port the system chose if 0 was requested.
    ///
    /// # Errors
    /// Any system error.
    fn local_address(&self) -> io::Result<Address>;

    /// A duplicate of the socket's descriptor, as by dup(2): for options that Torsade does not have.
    ///
    /// # Errors
    /// `Unsupported` if it is not a socket of a UNIX system; otherwise any system error.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;
}
