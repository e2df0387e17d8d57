//! A stream over descriptors that are not sockets: pipes and terminals.

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

/// Reads from one descriptor and writes to another; one of them may be missing.
pub(super) struct DescriptorStream {
    input: Option<Descriptor>,
    /// Closed when our stream ends, since nothing else tells the peer.
    output: RefCell<Option<Descriptor>>,
    /// Standard output, for which closing our duplicate is not enough: the process has another.
    standard: Option<StandardOutput>,
    /// Whether writing has failed, most likely because nothing reads it. Unlike on a socket, reading would not find that out.
    broken: Cell<bool>,
    /// Whether the peer's stream has ended. Then it is no error that the peer no longer reads, unless something is written.
    ended: Cell<bool>,
    direction: Direction,
    token: Token,
    registry: Rc<Registry>,
}

impl DescriptorStream {
    /// Takes over descriptors whose descriptions are ours alone and non-blocking. The two may be duplicates of each other.
    ///
    /// # Errors
    /// `InvalidInput` if both are missing.
    pub(super) fn new(input: Option<OwnedFd>, output: Option<OwnedFd>, registry: Rc<Registry>) -> io::Result<Self> {
        Self::of(input.map(Descriptor::Own), output.map(Descriptor::Own), None, registry)
    }

    /// Takes over descriptors of any kind, and standard output if it is to be closed when our stream ends.
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

    /// The descriptor to write to, until our stream ends.
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
            log::debug!("the end of standard output could not be sent: {error}");
        }
        // The poll forgets it by itself only if nothing else holds the same pipe or terminal open.
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
                // For a file nothing is reported, nor for a pipe that was reopened after its writers had gone.
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

    /// A terminal returns one line at a time, and a pipe may preserve packet boundaries.
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

    /// Closing a pipe does not take back what it has taken.
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
