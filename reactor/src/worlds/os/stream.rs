//! TCP sockets of the system.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mio::Interest;
use socket2::SockRef;

use super::Registry;
use crate::address::Address;
use crate::backend::{Descriptor, Direction, Stream, TcpOptions, Token, UnixSocket};

/// Whether readiness is reported again after a short read without further calls, as with epoll and kqueue. mio promises it for no
/// system; tokio relies on it for these.
pub(super) const EDGES: bool = cfg!(all(
    not(mio_unsupported_force_poll_poll),
    any(
        target_os = "android",
        target_os = "dragonfly",
        target_os = "freebsd",
        target_os = "illumos",
        target_os = "linux",
        target_os = "netbsd",
        target_os = "openbsd",
        target_vendor = "apple"
    )
));

/// The open streams of all reactors of this process, which share its descriptors.
static OPEN: AtomicUsize = AtomicUsize::new(0);

pub(super) fn open_streams() -> usize {
    OPEN.load(Ordering::Relaxed)
}

/// Counts one stream until dropped.
pub(super) struct OpenStream(());

impl OpenStream {
    pub(super) fn new() -> Self {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct OsStream {
    socket: mio::net::TcpStream,
    registry: Rc<Registry>,
    _open: OpenStream,
}

impl OsStream {
    pub(super) fn new(socket: mio::net::TcpStream, registry: Rc<Registry>) -> Self {
        Self { socket, registry, _open: OpenStream::new() }
    }
}

impl Stream for OsStream {
    fn direction(&self) -> Direction {
        Direction::Both
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut self.socket, mio::Token(token.to_usize()), interest)
    }

    fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        match self.socket.peer_addr() {
            Ok(peer) if self.socket.local_addr()? == peer => {
                // Nothing listens there, and the system chose that very port for the attempt, which connected to itself (RFC
                // 9293, 3.5: simultaneous open). The reset leaves no TIME_WAIT, so the port is free for a server at once.
                self.reset_on_close()?;
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                // Where only `WouldBlock` requests another report, this does it.
                self.socket.try_io(|| Err::<(), _>(io::ErrorKind::WouldBlock.into())).ok();
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn short_io_ends_edge(&self) -> bool {
        EDGES
    }

    fn pause(&self) {}

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.socket).read(buffer)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        (&self.socket).write(data)
    }

    #[cfg(unix)]
    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.socket.try_io(|| super::passing::send_pieces(&self.socket, pieces))
    }

    #[cfg(not(unix))]
    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        (&self.socket).write_vectored(pieces)
    }

    #[cfg(target_os = "linux")]
    fn send_file(&self, file: &std::fs::File, limit: usize) -> io::Result<Option<usize>> {
        // mio has to see a `WouldBlock` where only that requests another report.
        self.socket.try_io(|| super::sending_files::send_file(&self.socket, file, limit))
    }

    fn unacknowledged(&self) -> Option<usize> {
        #[cfg(target_os = "linux")]
        return super::send_queue::send_queue(self.socket.local_addr().ok()?, self.socket.peer_addr().ok()?);
        #[cfg(not(target_os = "linux"))]
        None
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        if self.registry.is_forked() {
            // The option belongs to the socket, so it would also affect the process that continues to use it.
            return Ok(());
        }
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }

    fn lingers(&self) -> bool {
        true
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    fn local_address(&self) -> io::Result<Address> {
        self.socket.local_addr().map(Address::Tcp)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        super::copy_descriptor(&self.socket)
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        Some(self)
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        None
    }
}

impl TcpOptions for OsStream {
    fn nodelay(&self) -> io::Result<bool> {
        self.socket.nodelay()
    }

    fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket.set_nodelay(on)
    }

    fn keepalive(&self) -> io::Result<bool> {
        SockRef::from(&self.socket).keepalive()
    }

    fn set_keepalive(&self, on: bool) -> io::Result<()> {
        SockRef::from(&self.socket).set_keepalive(on)
    }
}
