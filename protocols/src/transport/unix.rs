//! What a UNIX socket can do besides.

use std::io;

use torsade_reactor::{Descriptor, PeerCredentials};

use super::Transport;

/// What a connection over a UNIX socket can do besides; each method is the one of the same name on
/// [`Transport`], where it is described.
pub trait ConnectionUnix {
    /// The process at the other end.
    ///
    /// # Errors
    /// As the system says.
    fn peer_credentials(&self) -> io::Result<PeerCredentials>;

    /// Passes a descriptor to the peer.
    ///
    /// # Errors
    /// As [`Transport::send_descriptor`].
    fn send_descriptor(&self, descriptor: Descriptor) -> io::Result<()>;

    /// Sets how many descriptors are taken at once.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket.
    fn set_descriptor_limit(&self, limit: usize) -> io::Result<()>;
}

/// # UNIX sockets
/// Of connections over UNIX sockets, and of TLS on them.
impl Transport {
    /// Which process is at the other end, and whose it is, as of when it connected or listened.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket, or the system cannot tell (Linux can).
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
    /// It is taken over: keep a clone to go on using it. It leaves with the bytes that are sent next: with those that were written
    /// before and have not left yet, or else with the first that are written afterwards. So write at least one, most often right
    /// after this. What no bytes follow is closed with the connection, and the log says so.
    ///
    /// # Limits
    /// 253 can wait for bytes, and go with one message.
    ///
    /// # Errors
    /// `QuotaExceeded` above that; `Unsupported` if it is not a UNIX socket; `NotConnected` when our stream has ended.
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

    /// Has descriptors that the peer passes given to
    /// [`descriptor_received`](crate::Protocol::descriptor_received), at most so many that came with one message; 0, as it
    /// is unless set, takes none: they are closed. More than 253 cannot be passed.
    ///
    /// Each is one of those that this process may have, so let nobody pass many whom you do not trust: a peer that passes more at
    /// once than the limit loses the connection, with `Reason::ConnectionLost`.
    ///
    /// # Errors
    /// `Unsupported` if it is not a UNIX socket.
    pub fn set_descriptor_limit(&self, limit: usize) -> io::Result<()> {
        self.unix()?.set_descriptor_limit(limit)
    }

    fn unix(&self) -> io::Result<&dyn ConnectionUnix> {
        self.0.unix().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this connection is not one of UNIX sockets"))
    }
}
