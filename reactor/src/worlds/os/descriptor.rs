//! A descriptor that is not a socket of ours, read and written without blocking and without changing it for others.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use mio::Interest;
use mio::unix::SourceFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use rustix::termios::isatty;

use super::Registry;
use super::pooled_descriptor::PooledDescriptor;
use super::stream::EDGES;
use crate::backend::Token;

/// How a descriptor is kept from blocking the loop. `O_NONBLOCK` belongs to the open file description, which a program may share
/// with its shell, so it is set only on descriptors that we opened.
pub(super) enum Descriptor {
    /// Its description is ours alone, and non-blocking.
    Own(OwnedFd),
    /// A socket: each call is made non-blocking by a flag.
    Socket(OwnedFd),
    /// Everything else: threads wait for it.
    Pooled(PooledDescriptor),
}

impl Descriptor {
    pub(super) fn register(&self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        let descriptor = self.as_fd().as_raw_fd();
        let registered = registry.register(&mut SourceFd(&descriptor), mio::Token(token.to_usize()), interest);
        match self {
            Self::Own(_) | Self::Socket(_) => registered,
            Self::Pooled(pooled) => {
                // The system refuses to poll files.
                pooled.begin(token, registered.is_ok());
                Ok(())
            }
        }
    }

    /// Requests another report of readiness after `WouldBlock`, on systems without edges.
    pub(super) fn rearm(&self, registry: &Registry, token: Token, interest: Interest) {
        if !EDGES {
            // This fails only for what is not polled.
            registry.reregister(&mut SourceFd(&self.as_fd().as_raw_fd()), mio::Token(token.to_usize()), interest).ok();
        }
    }

    pub(super) fn deregister(&self, registry: &Registry) {
        // This fails only if it was never registered.
        registry.deregister(&mut SourceFd(&self.as_fd().as_raw_fd())).ok();
    }

    /// See [`Stream::read`](crate::backend::Stream::read). A terminal whose window was closed has ended, like a pipe.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Self::Own(descriptor) => rustix::io::read(descriptor, buffer).map_err(io::Error::from),
            Self::Socket(socket) => recv(socket, buffer, RecvFlags::DONTWAIT).map(|(count, _)| count).map_err(io::Error::from),
            Self::Pooled(pooled) => pooled.read(buffer),
        };
        match read {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) && isatty(self) => Ok(0),
            read => read,
        }
    }

    /// See [`Stream::write`](crate::backend::Stream::write).
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        match self {
            Self::Own(descriptor) => Ok(rustix::io::write(descriptor, data)?),
            Self::Socket(socket) => Ok(send(socket, data, SendFlags::DONTWAIT)?),
            Self::Pooled(pooled) => pooled.write(data),
        }
    }

    /// See [`Stream::write_vectored`](crate::backend::Stream::write_vectored).
    pub(super) fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Own(descriptor) => Ok(rustix::io::writev(descriptor, pieces)?),
            Self::Socket(socket) => Ok(sendmsg(socket, pieces, &mut SendAncillaryBuffer::default(), SendFlags::DONTWAIT)?),
            // A thread writes it, one piece at a time.
            Self::Pooled(pooled) => pieces.first().map_or(Ok(0), |piece| pooled.write(piece)),
        }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(descriptor) | Self::Socket(descriptor) => descriptor.as_fd(),
            Self::Pooled(pooled) => pooled.as_fd(),
        }
    }
}
