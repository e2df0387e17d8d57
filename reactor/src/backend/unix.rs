//! What only UNIX sockets can do: say who the peer is, and pass descriptors.

use std::io;

/// An open file, socket or pipe of the system, which is closed when it is dropped: an `OwnedFd`.
#[cfg(unix)]
pub type Descriptor = std::os::fd::OwnedFd;

/// An open file, socket or pipe of a UNIX system. On this one there is none, and nothing makes one.
#[cfg(not(unix))]
#[derive(Debug)]
pub struct Descriptor(());

/// The process at the other end of a UNIX socket, as it was when it connected or listened.
///
/// The kernel vouches for it: a peer cannot say that it is somebody else. The process may have ended since, and its number may have
/// been given to another; user and group are those of the process, whatever it has become later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "struct ucred of unix(7)")]
#[doc(alias = "SO_PEERCRED")]
pub struct PeerCredentials {
    /// The process; 0 if it is in a PID namespace that we do not see.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// What a connected UNIX socket can do besides.
pub trait UnixSocket {
    /// The process at the other end.
    ///
    /// # Errors
    /// As the system says; `Unsupported` where it cannot tell.
    fn peer_credentials(&self) -> io::Result<PeerCredentials>;

    /// Has a descriptor go with the bytes that are written next. It is ours until then, and is closed here once it was sent.
    ///
    /// # Errors
    /// `QuotaExceeded` if as many wait for bytes to go with as one message can take.
    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()>;

    /// Sets how many descriptors one read may bring; 0, as it is unless set, closes what comes. More than that, if it is not 0, fail
    /// the read, and so the connection.
    fn set_descriptor_limit(&self, limit: usize);

    /// Takes the next of the descriptors that came with what was read last. They belong before those bytes.
    fn take_descriptor(&self) -> Option<Descriptor>;

    /// Whether the last read was short because a descriptor came, and not because nothing more was there.
    fn was_cut_short(&self) -> bool;
}
