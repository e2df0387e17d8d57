//! Options of the socket.

use std::io;

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

    fn options(&self) -> io::Result<&dyn TcpOptions> {
        self.0.tcp().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
