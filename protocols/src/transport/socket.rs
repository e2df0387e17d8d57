//! Options of the socket.

use std::io;

use super::Transport;

/// The options of a [`Connection`](crate::spi::Connection)'s socket. Each method is the one of the same name on [`Transport`].
pub trait SocketOptions {
    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// As the system says.
    fn tcp_nodelay(&self) -> io::Result<bool>;

    /// Turns Nagle's algorithm off or on.
    ///
    /// # Errors
    /// As the system says.
    fn set_tcp_nodelay(&self, on: bool) -> io::Result<()>;

    /// Whether an idle peer is probed.
    ///
    /// # Errors
    /// As the system says.
    fn tcp_keepalive(&self) -> io::Result<bool>;

    /// Turns the probing of an idle peer on or off.
    ///
    /// # Errors
    /// As the system says.
    fn set_tcp_keepalive(&self, on: bool) -> io::Result<()>;
}

/// # Socket options
/// Of TCP connections, and of TLS on them.
impl Transport {
    /// Whether Nagle's algorithm is off, so that small writes leave at once; true unless set.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpNoDelay")]
    pub fn tcp_nodelay(&self) -> io::Result<bool> {
        self.socket()?.tcp_nodelay()
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
        self.socket()?.set_tcp_nodelay(on)
    }

    /// Whether the system probes the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "getTcpKeepAlive")]
    pub fn tcp_keepalive(&self) -> io::Result<bool> {
        self.socket()?.tcp_keepalive()
    }

    /// Has the system probe the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is not a TCP connection.
    #[doc(alias = "setTcpKeepAlive")]
    pub fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.socket()?.set_tcp_keepalive(on)
    }

    fn socket(&self) -> io::Result<&dyn SocketOptions> {
        self.0.socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}
