//! A stream of descriptors that are no sockets: pipes and terminals.

use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use mio::Interest;
use mio::unix::SourceFd;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::Registry;
use crate::address::Address;
use crate::backend::{Direction, Stream, TcpOptions, Token};

/// What comes is read from one descriptor, what goes is written to another; there may be only one of them.
pub(super) struct DescriptorStream {
    input: Option<OwnedFd>,
    /// Closed when our stream ends, for nothing else tells the peer.
    output: RefCell<Option<OwnedFd>>,
    /// Nobody reads what we write. Reading would never find that out, as it does on a socket.
    broken: Cell<bool>,
    direction: Direction,
    registry: Rc<Registry>,
}

impl DescriptorStream {
    /// Takes descriptors that do not block. The reading and the writing one may be copies of each other.
    ///
    /// # Errors
    /// `InvalidInput` if there are none.
    pub(super) fn new(input: Option<OwnedFd>, output: Option<OwnedFd>, registry: Rc<Registry>) -> io::Result<Self> {
        let direction = match (&input, &output) {
            (Some(_), Some(_)) => Direction::Both,
            (Some(_), None) => Direction::Input,
            (None, Some(_)) => Direction::Output,
            (None, None) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Self { input, output: RefCell::new(output), broken: Cell::new(false), direction, registry })
    }

    /// The descriptor to write to, as long as our stream has not ended.
    fn output(&self) -> io::Result<Ref<'_, OwnedFd>> {
        Ref::filter_map(self.output.borrow(), Option::as_ref).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn forget(&self, descriptor: &OwnedFd) {
        if !self.registry.is_forked() {
            // It fails only where it was never registered.
            self.registry.deregister(&mut SourceFd(&descriptor.as_raw_fd())).ok();
        }
    }
}

impl Drop for DescriptorStream {
    /// The poll would forget them by itself only if nobody else held the same pipe or terminal open.
    fn drop(&mut self) {
        for descriptor in self.input.iter().chain(self.output.get_mut().iter()) {
            if !self.registry.is_forked() {
                self.registry.deregister(&mut SourceFd(&descriptor.as_raw_fd())).ok();
            }
        }
    }
}

impl Stream for DescriptorStream {
    fn direction(&self) -> Direction {
        self.direction
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        let token = mio::Token(token.to_usize());
        if let Some(input) = &self.input {
            self.registry.register(&mut SourceFd(&input.as_raw_fd()), token, Interest::READABLE)?;
        }
        if let Some(output) = self.output.get_mut() {
            self.registry.register(&mut SourceFd(&output.as_raw_fd()), token, Interest::WRITABLE)?;
        }
        Ok(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    /// A terminal gives out one line at a time, and a pipe may keep packets apart.
    fn short_io_ends_edge(&self) -> bool {
        false
    }

    fn pause(&self) {}

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.broken.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let Some(input) = &self.input else { return Err(io::ErrorKind::WouldBlock.into()) };
        Ok(rustix::io::read(input, buffer)?)
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        let written = rustix::io::write(&*self.output()?, data);
        self.broken.set(written == Err(rustix::io::Errno::PIPE));
        Ok(written?)
    }

    /// What a pipe has taken is no longer ours: closing it takes nothing back.
    fn unacknowledged(&self) -> Option<usize> {
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        if let Some(output) = self.output.take() {
            self.forget(&output);
        }
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lingers(&self) -> bool {
        false
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        let Ok(output) = self.output() else { return Ok(None) };
        let mut polled = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default()))?;
        let [polled] = polled;
        Ok(polled.revents().contains(PollFlags::ERR).then(|| io::ErrorKind::BrokenPipe.into()))
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }
}
