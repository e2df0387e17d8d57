//! Connected sockets.

use std::fs::File;
use std::io::{self, IoSlice};

use crate::address::Address;

use super::readiness::Token;
use super::unix::{Descriptor, UnixSocket};

/// The directions of a stream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way")]
pub enum Direction {
    /// To and from the peer.
    Both,
    /// From the peer only, as at the read end of a pipe. Our own stream counts as ended.
    Input,
    /// To the peer only, as at the write end of a pipe. The peer's stream counts as ended.
    Output,
}

/// A non-blocking stream: a socket, or an end of a pipe.
pub trait Stream {
    /// The directions it has; constant.
    fn direction(&self) -> Direction;

    /// Makes [`Backend::poll`](super::Backend::poll) report readiness of both directions under `token`; called once.
    ///
    /// # Errors
    /// Any system error; the socket is then unusable.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Returns whether a connection attempt has succeeded.
    ///
    /// # Errors
    /// The error of the attempt; `ConnectionRefused` also if the socket connected to itself.
    fn is_connected(&self) -> io::Result<bool>;

    /// Returns whether a short read or write uses up the reported readiness, so that the next report comes by itself. That is the
    /// case with epoll and kqueue. Otherwise (Windows, poll(2)) nothing more is reported until a read or write returns
    /// `WouldBlock`.
    ///
    /// Constant.
    fn short_io_ends_edge(&self) -> bool;

    /// Tells the stream that reading is paused until the next read. A socket can ignore it, since its input waits in the system.
    /// A stream on top of another transport has to keep that transport from ending meanwhile.
    fn pause(&self);

    /// Reads into `buffer`; 0 is the end of the peer's stream.
    ///
    /// # Errors
    /// `WouldBlock` if there is nothing yet; for any other error the connection is lost.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `data` as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; for any other error the connection is lost.
    fn write(&self, data: &[u8]) -> io::Result<usize>;

    /// Writes as much of `pieces`, in order, as there is room for; less than all is a short write. The default writes them one by
    /// one.
    ///
    /// # Errors
    /// See [`write`](Self::write), if nothing was written.
    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for piece in pieces {
            match self.write(piece) {
                Ok(count) => {
                    written += count;
                    if count < piece.len() {
                        break;
                    }
                }
                Err(error) if written == 0 => return Err(error),
                // A short write; a permanent error will occur again.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Writes up to `limit` bytes of `file` from its current position, without copying them through this process. The position
    /// advances; 0 is the end of the file. `None` if this is not possible, now or ever; then read and write them instead.
    ///
    /// # Errors
    /// See [`write`](Self::write).
    fn send_file(&self, file: &File, limit: usize) -> io::Result<Option<usize>> {
        let _ = (file, limit);
        Ok(None)
    }

    /// Bytes that the system has taken from [`write`](Self::write) and the peer has not acknowledged; an unacknowledged FIN
    /// counts as one. `None` where the system does not tell.
    ///
    /// This may take several system calls: call it only now and then, for example while closing a connection.
    fn unacknowledged(&self) -> Option<usize>;

    /// Ends our stream (FIN) after what was written; the peer's stream stays open.
    ///
    /// # Errors
    /// Any system error; most likely the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Makes the next close a reset: unsent bytes are dropped and the peer sees RST.
    ///
    /// # Errors
    /// Any system error.
    fn reset_on_close(&self) -> io::Result<()>;

    /// Returns whether it has to be kept after its connection is over until the peer ends its stream. That is the case where
    /// closing a socket that still receives input causes a reset, which may destroy what the peer has not read yet.
    fn lingers(&self) -> bool;

    /// Takes the error that caused [`Ready::ERROR`](super::Ready::ERROR).
    ///
    /// # Errors
    /// If the system cannot tell.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// The local address.
    ///
    /// # Errors
    /// Any system error.
    fn local_address(&self) -> io::Result<Address>;

    /// A duplicate of the socket's descriptor, as by dup(2): for options that this trait does not have.
    ///
    /// # Errors
    /// `Unsupported` if it is not a socket of a UNIX system; otherwise any system error.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;

    /// Options of TCP sockets; `None` for other sockets.
    fn tcp(&self) -> Option<&dyn TcpOptions>;

    /// Features of UNIX sockets; `None` for other sockets.
    fn unix(&self) -> Option<&dyn UnixSocket>;
}

/// The options of a TCP socket.
pub trait TcpOptions {
    /// Returns whether Nagle's algorithm is off, so that small writes are sent at once; default true.
    ///
    /// # Errors
    /// Any system error.
    fn nodelay(&self) -> io::Result<bool>;

    /// Sets [`TcpOptions::nodelay`].
    ///
    /// # Errors
    /// Any system error.
    fn set_nodelay(&self, on: bool) -> io::Result<()>;

    /// Returns whether the system probes an idle peer.
    ///
    /// # Errors
    /// Any system error.
    fn keepalive(&self) -> io::Result<bool>;

    /// Sets [`TcpOptions::keepalive`].
    ///
    /// # Errors
    /// Any system error.
    fn set_keepalive(&self, on: bool) -> io::Result<()>;
}
