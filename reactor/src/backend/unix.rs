//! Features of UNIX sockets: the peer's credentials, and passing descriptors.

use std::io;

/// An open file, socket or pipe, closed when dropped: an `OwnedFd`.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;

/// An open file, socket or pipe of a UNIX system; none exists on this system.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Descriptor(());

/// The process of a UNIX socket's peer, as of when it connected or listened.
///
/// The kernel vouches for it: a peer cannot claim to be another. The process may have ended since and its id been reused. User
/// and group are those it had at that time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "struct ucred of unix(7)")]
#[doc(alias = "SO_PEERCRED")]
pub struct PeerCredentials {
    /// The process id; 0 if it is in a PID namespace that we cannot see.
    pub pid: u32,
    /// Its effective user id.
    pub uid: u32,
    /// Its effective group id.
    pub gid: u32,
}

/// Features of a connected UNIX socket.
pub trait UnixSocket {
    /// The peer's process.
    ///
    /// # Errors
    /// Any system error; `Unsupported` where it cannot tell.
    fn peer_credentials(&self) -> io::Result<PeerCredentials>;

    /// Queues a descriptor to be sent with the bytes written next. It is ours until then, and closed here once sent.
    ///
    /// # Errors
    /// `QuotaExceeded` if as many descriptors are queued as fit in one message.
    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()>;

    /// Sets how many descriptors one read may bring. Default 0: all are closed. With another limit, exceeding it fails the read
    /// and so the connection.
    fn set_descriptor_limit(&self, limit: usize);

    /// Takes the next descriptor that came with the last read. They belong before its bytes.
    fn take_descriptor(&self) -> Option<Descriptor>;

    /// Returns whether the last read was short because a descriptor arrived, rather than because there was nothing more.
    fn was_cut_short(&self) -> bool;
}
