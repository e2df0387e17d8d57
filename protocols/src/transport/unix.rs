//! Features of UNIX sockets.

use std::io;

use torsade_reactor::{Descriptor, PeerCredentials};

use super::Transport;

/// Features of a connection over a UNIX socket. Each method implements the one of the same name on [`Transport`], which documents
/// it.
pub trait ConnectionUnix {
    /// The process of the peer.
    ///
    /// # Errors
    /// Any system error.
    fn peer_credentials(&self) -> io::Result<PeerCredentials>;

    /// Passes a descriptor to the peer.
    ///
    /// # Errors
    /// See [`Transport::send_descriptor`].
    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()>;

    /// Sets how many descriptors are accepted at once.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket.
    fn set_descriptor_limit(&self, limit: usize) -> io::Result<()>;
}

/// # UNIX sockets
/// For connections over UNIX sockets, with or without TLS.
impl Transport {
    /// The peer's process and its user, as of when it connected or listened.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket, or if the system cannot tell (Linux can).
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// fn is_superuser(transport: &Transport) -> Result<bool> {
    ///     Ok(transport.peer_credentials()?.uid == 0)
    /// }
    /// ```
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_credentials(&self) -> io::Result<PeerCredentials> {
        self.unix()?.peer_credentials()
    }

    /// Passes an open file, socket or pipe to the peer's process.
    ///
    /// The descriptor is moved: keep a clone to go on using it. It leaves with the bytes that are sent next, whether written
    /// before and still unsent or written afterwards. So write at least one byte, usually right after this. If no bytes follow,
    /// it is closed with the connection, and the log says so.
    ///
    /// # Limits
    /// 253 descriptors can wait for bytes, and leave with one message.
    ///
    /// # Errors
    /// `QuotaExceeded` above that; `Unsupported` if it is not a UNIX socket; `NotConnected` once our stream has ended.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// #[cfg(unix)]
    /// fn send_log(transport: &Transport) -> Result {
    ///     transport.send_descriptor(std::fs::File::open("/var/log/syslog")?)?;
    ///     transport.write(b"the log\n");
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "IUNIXTransport")]
    #[doc(alias = "sendFileDescriptor")]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn send_descriptor(&self, descriptor: impl Into<Descriptor>) -> io::Result<()> {
        self.unix()?.send_descriptor(descriptor.into())
    }

    /// Sets how many descriptors the peer may pass with one message; they are given to
    /// [`descriptor_received`](crate::Protocol::descriptor_received). Default 0: all are closed. At most 253 can be passed.
    ///
    /// Each counts towards this process's limit, so do not allow many to an untrusted peer. A peer that passes more at once than
    /// the limit loses the connection, with `Reason::ConnectionLost`.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket.
    pub fn set_descriptor_limit(&self, limit: usize) -> io::Result<()> {
        self.unix()?.set_descriptor_limit(limit)
    }

    fn unix(&self) -> io::Result<&dyn ConnectionUnix> {
        self.0.unix().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this is not a UNIX socket connection"))
    }
}
