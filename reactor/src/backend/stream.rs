//! A connected socket.

use std::fs::File;
use std::io::{self, IoSlice};

use crate::address::Address;

use super::readiness::Token;
use super::unix::{Descriptor, UnixSocket};

/// Which ways bytes go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "there is no other way")]
pub enum Direction {
    /// To the peer and from it.
    Both,
    /// From the peer only, as from the reading end of a pipe. Nothing is written, and our stream counts as ended.
    Input,
    /// To the peer only, as to the writing end of a pipe. Nothing is read, and the peer's stream counts as ended.
    Output,
}

/// A non-blocking stream: a socket, or an end of a pipe.
pub trait Stream {
    /// Which ways it goes; that does not change while it lives.
    fn direction(&self) -> Direction;

    /// Has readiness of both directions reported under `token`, once and for the life of the socket.
    ///
    /// # Errors
    /// As the system says; the socket cannot be used then.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Whether a connection that was begun is established now.
    ///
    /// # Errors
    /// The error that the attempt ended with; `ConnectionRefused` also for one that met itself.
    fn is_connected(&self) -> io::Result<bool>;

    /// Whether a read or write that took less than it could has used up the readiness that was reported, so that the next
    /// report comes by itself. So it is with epoll and kqueue; otherwise (Windows, poll(2)) nothing more is reported
    /// before a read or write has ended with `WouldBlock`.
    ///
    /// It does not change while the socket lives.
    fn short_io_ends_edge(&self) -> bool;

    /// The connection reads no more until further notice, which is its next read. A socket need not care, for its input waits in
    /// the system; a stream that is carried by another transport keeps that from ending meanwhile.
    fn pause(&self);

    /// Reads what is there, at most `buffer`; 0 is the end of the peer's stream.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing yet; otherwise the connection is lost.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as much of `data` as there is room for.
    ///
    /// # Errors
    /// `WouldBlock` when there is no room; otherwise the connection is lost.
    fn write(&self, data: &[u8]) -> io::Result<usize>;

    /// Writes as much of `pieces`, one after the other, as there is room for: less than all of them is a short write. Unless a stream
    /// has a call for that it writes them one by one.
    ///
    /// # Errors
    /// As for [`write`](Self::write), if nothing of them was written.
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
                // The rest is a short write; what has failed for good fails again.
                Err(_) => break,
            }
        }
        Ok(written)
    }

    /// Writes at most `limit` bytes of `file`, from its position, which moves on, without taking them through this process; 0 is
    /// the end of the file. `None` where that cannot be done, now or ever: they are to be read and written then.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    fn send_file(&self, file: &File, limit: usize) -> io::Result<Option<usize>> {
        let _ = (file, limit);
        Ok(None)
    }

    /// Bytes that the system has taken from [`write`](Self::write) and the peer has not acknowledged; an end of ours that
    /// is on its way counts as one. `None` where the system does not tell.
    ///
    /// It may take several system calls: for a look now and then, at a connection that is being closed for instance.
    fn unacknowledged(&self) -> Option<usize>;

    /// Ends our stream (FIN) after what was written; the peer's goes on.
    ///
    /// # Errors
    /// As the system says; most likely the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Makes the coming close an abortive one: unsent bytes are dropped and the peer sees a reset.
    ///
    /// # Errors
    /// As the system says.
    fn reset_on_close(&self) -> io::Result<()>;

    /// Whether it has to be kept, once its connection is over, until the peer ends its stream: where closing a socket that
    /// still gets input is answered by a reset, which may destroy what the peer has not read yet.
    fn lingers(&self) -> bool;

    /// The error that made the socket [`Ready::ERROR`](super::Ready::ERROR), once.
    ///
    /// # Errors
    /// When the system cannot tell.
    fn take_error(&self) -> io::Result<Option<io::Error>>;

    /// The address on our side.
    ///
    /// # Errors
    /// As the system says.
    fn local_address(&self) -> io::Result<Address>;

    /// A copy of the socket's descriptor, as dup(2) makes it: for options that this trait does not have.
    ///
    /// # Errors
    /// `Unsupported` if it is not a socket of a UNIX system; otherwise as that says.
    fn copy_descriptor(&self) -> io::Result<Descriptor>;

    /// What can be set for TCP only; none if it is something else.
    fn tcp(&self) -> Option<&dyn TcpOptions>;

    /// What can be done with a UNIX socket only; none if it is something else.
    fn unix(&self) -> Option<&dyn UnixSocket>;
}

/// The options of a TCP socket.
pub trait TcpOptions {
    /// Whether small writes are sent at once instead of being held back by Nagle's algorithm; on unless set.
    ///
    /// # Errors
    /// As the system says.
    fn nodelay(&self) -> io::Result<bool>;

    /// Sets [`TcpOptions::nodelay`].
    ///
    /// # Errors
    /// As the system says.
    fn set_nodelay(&self, on: bool) -> io::Result<()>;

    /// Whether the system probes an idle peer.
    ///
    /// # Errors
    /// As the system says.
    fn keepalive(&self) -> io::Result<bool>;

    /// Sets [`TcpOptions::keepalive`].
    ///
    /// # Errors
    /// As the system says.
    fn set_keepalive(&self, on: bool) -> io::Result<()>;
}
