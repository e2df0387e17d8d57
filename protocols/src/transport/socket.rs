//! Options of the socket.

use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

use torsade_reactor::spi::TcpOptions;

use super::Transport;

/// # Socket options
/// For TCP connections, with or without TLS.
impl Transport {
    /// Returns whether Nagle's algorithm is off, so that small writes leave at once; default true.
    ///
    /// # Errors
    /// Any system error; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpNoDelay")]
    pub fn tcp_nodelay(&self) -> io::Result<bool> {
        self.options()?.nodelay()
    }

    /// Sets whether Nagle's algorithm is off; default true.
    ///
    /// The writes of a turn leave together, so many small writes are few segments anyway. With Nagle's algorithm, a small segment
    /// waits until everything sent before is acknowledged, which the peer may delay by 40 ms.
    ///
    /// # Errors
    /// Any system error; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "setTcpNoDelay")]
    pub fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.options()?.set_nodelay(on)
    }

    /// Returns whether the system probes the peer while the connection is idle.
    ///
    /// # Errors
    /// Any system error; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpKeepAlive")]
    pub fn tcp_keepalive(&self) -> io::Result<bool> {
        self.options()?.keepalive()
    }

    /// Sets whether the system probes the peer while the connection is idle.
    ///
    /// # Errors
    /// Any system error; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "setTcpKeepAlive")]
    pub fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.options()?.set_keepalive(on)
    }

    /// Calls `look` with the socket's descriptor, for options that Torsade does not have.
    ///
    /// Use it to get and set options only. Reading, writing, closing, or making the socket blocking interferes with Torsade:
    /// bytes are lost, or the loop hangs. `look` gets a duplicate of the descriptor, which is closed when it returns, so it may
    /// call anything on this transport. Do not keep another duplicate: the peer would not see the end of the connection before
    /// that is closed. With TLS it is the socket below.
    ///
    /// # Errors
    /// `Unsupported` if there is no socket: in a simulated world, in memory, over pipes. `NotConnected` once it is closed.
    ///
    /// # Examples
    /// ```
    /// use socket2::SockRef;
    /// use torsade::prelude::*;
    ///
    /// fn set_mark(transport: &Transport) -> Result {
    ///     #[cfg(target_os = "linux")]
    ///     transport.with_descriptor(|descriptor| SockRef::from(&descriptor).set_mark(1))??;
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "ISystemHandle")]
    #[cfg(unix)]
    #[doc(alias = "getHandle")]
    pub fn with_descriptor<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> T) -> io::Result<T> {
        self.0.copy_descriptor().map(|copy| look(copy.as_fd()))
    }

    fn options(&self) -> io::Result<&dyn TcpOptions> {
        self.0.tcp().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
