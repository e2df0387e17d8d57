//! Options of the socket.

use std::io;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};

use torsade_reactor::spi::TcpOptions;

use super::Transport;

/// # Socket options
/// Of TCP connections, and of TLS on them.
impl Transport {
    /// Whether Nagle's algorithm is off, so that small writes leave at once; true unless set.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpNoDelay")]
    pub fn tcp_nodelay(&self) -> io::Result<bool> {
        self.options()?.nodelay()
    }

    /// Turns Nagle's algorithm off, as it is unless set, or on.
    ///
    /// A turn's writes leave together, so a program's many small writes are few segments anyway. Turned on, it holds a small
    /// segment back until what was sent before is acknowledged, for which the peer may take 40 ms.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "setTcpNoDelay")]
    pub fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.options()?.set_nodelay(on)
    }

    /// Whether the system probes the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpKeepAlive")]
    pub fn tcp_keepalive(&self) -> io::Result<bool> {
        self.options()?.keepalive()
    }

    /// Has the system probe the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "setTcpKeepAlive")]
    pub fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.options()?.set_keepalive(on)
    }

    /// Calls `look` with the socket's descriptor, for options that Torsade does not have.
    ///
    /// Options may be asked for and set. What reads, writes, closes, or makes the socket block, changes it behind Torsade's back: bytes
    /// are lost, or the loop hangs. `look` gets a copy of the descriptor, so whatever it calls of this transport is safe; the copy is
    /// closed when it returns. Do not keep another: the peer would not see the connection end before it is closed. With TLS it is the
    /// socket below.
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
