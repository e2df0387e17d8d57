//! A stream of descriptors that are no sockets: pipes and terminals.

use std::cell::{Cell, Ref, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::rc::Rc;

use mio::Interest;
use rustix::event::PollFlags;

use super::Registry;
use super::descriptor::Descriptor;
use super::standard_io::StandardOutput;
use crate::address::Address;
use crate::backend::{Direction, Ready, Stream, TcpOptions, Token, UnixSocket};
use crate::poll_now::poll_now;

/// What comes is read from one descriptor, what goes is written to another; there may be only one of them.
pub(super) struct DescriptorStream {
    input: Option<Descriptor>,
    /// Closed when our stream ends, for nothing else tells the peer.
    output: RefCell<Option<Descriptor>>,
    /// Closing our copy of standard output is not enough: the process has another.
    standard: Option<StandardOutput>,
    /// Writing has failed, most likely because nobody reads it. Reading would never find that out, as it does on a socket.
    broken: Cell<bool>,
    /// The peer's stream has ended. That it reads no more either is no failure then, unless something is written.
    ended: Cell<bool>,
    direction: Direction,
    token: Token,
    registry: Rc<Registry>,
}

impl DescriptorStream {
    /// Takes descriptors whose descriptions are ours alone and do not block. The reading and the writing one may be copies of
    /// each other.
    ///
    /// # Errors
    /// `InvalidInput` if there are none.
    pub(super) fn new(input: Option<OwnedFd>, output: Option<OwnedFd>, registry: Rc<Registry>) -> io::Result<Self> {
        Self::of(input.map(Descriptor::Own), output.map(Descriptor::Own), None, registry)
    }

    /// Takes descriptors of any kind, and what is to be done besides when our stream ends.
    pub(super) fn of(
        input: Option<Descriptor>,
        output: Option<Descriptor>,
        standard: Option<StandardOutput>,
        registry: Rc<Registry>,
    ) -> io::Result<Self> {
        let direction = match (&input, &output) {
            (Some(_), Some(_)) => Direction::Both,
            (Some(_), None) => Direction::Input,
            (None, Some(_)) => Direction::Output,
            (None, None) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        Ok(Self {
            input,
            output: RefCell::new(output),
            standard,
            broken: Cell::new(false),
            ended: Cell::new(false),
            direction,
            token: Token::from_usize(usize::MAX),
            registry,
        })
    }

    /// The descriptor to write to, as long as our stream has not ended.
    fn output(&self) -> io::Result<Ref<'_, Descriptor>> {
        Ref::filter_map(self.output.borrow(), Option::as_ref).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn write_by(&self, write: impl FnOnce(&Descriptor) -> io::Result<usize>) -> io::Result<usize> {
        let output = self.output()?;
        write(&output).inspect_err(|error| {
            let waits = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            if error.kind() == io::ErrorKind::WouldBlock {
                output.rearm(&self.registry, self.token, Interest::WRITABLE);
            }
            self.broken.set(!waits && !matches!(*output, Descriptor::Socket(_)));
        })
    }
}

impl Drop for DescriptorStream {
    fn drop(&mut self) {
        if let Err(error) = self.shutdown_write() {
            log::debug!("the end of standard output cannot be told: {error}");
        }
        // The poll would forget it by itself only if nobody else held the same pipe or terminal open.
        if let Some(input) = self.input.as_ref().filter(|_| !self.registry.is_forked()) {
            input.deregister(&self.registry);
        }
    }
}

impl Stream for DescriptorStream {
    fn direction(&self) -> Direction {
        self.direction
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.token = token;
        if let Some(input) = &self.input {
            input.register(&self.registry, token, Interest::READABLE)?;
            if self.standard.is_some() {
                // Of a file nothing is reported, nor of a pipe that nobody wrote to any more when it was opened anew.
                self.registry.reports.add(token, Ready::READABLE);
            }
        }
        if let Some(output) = self.output.get_mut() {
            output.register(&self.registry, token, Interest::WRITABLE)?;
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
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                input.rearm(&self.registry, self.token, Interest::READABLE);
                Err(self.take_error()?.unwrap_or(error))
            }
            read => read.inspect(|count| self.ended.set(*count == 0)),
        }
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.write_by(|output| output.write(data))
    }

    fn write_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write_by(|output| output.write_vectored(pieces))
    }

    /// What a pipe has taken is no longer ours: closing it takes nothing back.
    fn unacknowledged(&self) -> Option<usize> {
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let Some(output) = self.output.take() else { return Ok(()) };
        if self.registry.is_forked() {
            return Ok(());
        }
        output.deregister(&self.registry);
        self.standard.as_ref().map_or(Ok(()), StandardOutput::end)
    }

    fn reset_on_close(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn lingers(&self) -> bool {
        false
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        if self.ended.get() {
            return Ok(None);
        }
        let Ok(output) = self.output() else { return Ok(None) };
        let found = poll_now(&*output, PollFlags::OUT)?;
        Ok(found.contains(PollFlags::ERR).then(|| io::ErrorKind::BrokenPipe.into()))
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn copy_descriptor(&self) -> io::Result<OwnedFd> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "pipes and terminals have no socket"))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        None
    }
}
