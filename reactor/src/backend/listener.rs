//! A listening socket.

use std::io;

use crate::address::Address;

use super::readiness::Token;
use super::socket_options::SocketOptions;
use super::stream::Stream;
use super::unix::Descriptor;

/// How to listen.
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
    /// Connections that the system keeps waiting until they are accepted; 1,024 unless set.
    pub backlog: u32,
    /// The mode of a UNIX socket's file, which says who may connect: those who may write to it. `0o666` unless set, which is
    /// everybody. The umask does not matter. It is set before anybody can connect.
    pub mode: u32,
    /// Whether a UNIX socket's path is locked, by a file `PATH.lock` beside it. True unless set.
    ///
    /// With it no two servers have one path, and the file that a crashed one has left behind is replaced. Without it any file
    /// there is in the way. Abstract names need no lock.
    #[doc(alias = "wantPID")]
    pub lock: bool,
    /// Whether a port on `[::]` leaves IPv4 to others; none unless set, which leaves it to the system: on Linux it takes both.
    #[doc(alias = "IPV6_V6ONLY")]
    pub only_v6: Option<bool>,
    /// Whether others may listen on the same address, if they ask for that as well; false unless set. See
    /// [`workers`](crate::workers). `Unsupported` where systems cannot (Windows).
    #[doc(alias = "SO_REUSEPORT")]
    pub reuse_port: bool,
    /// What the system is told about each connection that is accepted.
    pub socket: SocketOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 1024, mode: 0o666, lock: true, only_v6: None, reuse_port: false, socket: SocketOptions::default() }
    }
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
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)>;

    /// Closes the next waiting connection, when there is no descriptor left to accept it with.
    ///
    /// # Errors
    /// As [`Listener::accept`].
    fn refuse(&self) -> io::Result<()>;

    /// The address on our side, with the port that the system chose where 0 was asked for.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<Address>;

    /// A copy of the socket's descriptor, as dup(2) makes it: for options that Torsade does not have.
    ///
    /// # Errors
    /// `Unsupported` if it is not a socket of a UNIX system; otherwise as that says.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;
}
