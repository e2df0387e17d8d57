//! The program's sockets in a memory reactor.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::rc::Rc;

use crate::address::Address;
use crate::backend::{Listener, Ready, Stream, TcpOptions, Token};

use super::network::{Link, Listening, Network, Stage};

pub(super) struct MemoryStream {
    network: Rc<Network>,
    link: Rc<Link>,
}

pub(super) struct MemoryListener {
    network: Rc<Network>,
    listening: Rc<Listening>,
}

impl MemoryStream {
    pub(super) fn new(network: &Rc<Network>, link: Rc<Link>) -> Self {
        network.streams.set(network.streams.get() + 1);
        Self { network: Rc::clone(network), link }
    }

    fn check_open(&self) -> io::Result<()> {
        match self.link.stage.get() {
            Stage::Connecting => Err(ErrorKind::NotConnected.into()),
            Stage::Failed(error) => Err(error.into()),
            Stage::Open => Ok(()),
        }
    }
}

impl Stream for MemoryStream {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.link.token.set(Some(token));
        let ready = self.link.readiness();
        if ready != Ready::NONE {
            self.network.wake(Some(token), ready);
        }
        Ok(())
    }

    fn is_connected(&self) -> io::Result<bool> {
        match self.link.stage.get() {
            Stage::Connecting => Ok(false),
            _ => self.check_open().map(|()| true),
        }
    }

    fn short_io_ends_edge(&self) -> bool {
        true
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut input = self.link.input.borrow_mut();
        if !input.is_empty() {
            return input.read(buffer);
        }
        self.check_open()?;
        if self.link.input_ended.get() { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.check_open()?;
        if self.link.output_ended.get() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let mut output = self.link.output.borrow_mut();
        let taken = data.get(..self.link.room.get().saturating_sub(output.len())).unwrap_or(data);
        if taken.is_empty() && !data.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        output.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn unacknowledged(&self) -> Option<usize> {
        // What was written is with the peer at once.
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.check_open()?;
        self.link.output_ended.set(true);
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        self.link.reset_on_close.set(true);
        Ok(())
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(match self.link.stage.get() {
            Stage::Failed(error) => Some(error.into()),
            Stage::Connecting | Stage::Open => None,
        })
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(self.link.local.into())
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        Some(self)
    }
}

impl TcpOptions for MemoryStream {
    fn nodelay(&self) -> io::Result<bool> {
        Ok(self.link.nodelay.get())
    }

    fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.link.nodelay.set(on);
        Ok(())
    }

    fn keepalive(&self) -> io::Result<bool> {
        Ok(self.link.keepalive.get())
    }

    fn set_keepalive(&self, on: bool) -> io::Result<()> {
        self.link.keepalive.set(on);
        Ok(())
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.network.streams.set(self.network.streams.get() - 1);
        self.link.token.set(None);
        self.link.output_ended.set(true);
        // As the system does it: what was not read makes a close a reset, too.
        let unread = !self.link.input.borrow().is_empty();
        self.link.reset.set(self.link.reset.get() || unread || self.link.reset_on_close.get());
        self.link.stage.set(Stage::Failed(ErrorKind::NotConnected));
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStream").field("link", &self.link).finish_non_exhaustive()
    }
}

impl MemoryListener {
    pub(super) fn new(network: &Rc<Network>, listening: Rc<Listening>) -> Self {
        Self { network: Rc::clone(network), listening }
    }

    fn next(&self) -> io::Result<MemoryStream> {
        let link = self.listening.waiting.borrow_mut().pop_front().ok_or(ErrorKind::WouldBlock)?;
        Ok(MemoryStream::new(&self.network, link))
    }
}

impl Listener for MemoryListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.listening.token.set(Some(token));
        if !self.listening.waiting.borrow().is_empty() {
            self.network.wake(Some(token), Ready::READABLE);
        }
        Ok(())
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)> {
        if let Some(error) = self.network.take_accept_error() {
            return Err(error);
        }
        let stream = self.next()?;
        let peer = stream.link.remote;
        Ok((Box::new(stream), peer.into()))
    }

    fn refuse(&self) -> io::Result<()> {
        self.next().map(drop)
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(self.listening.address.into())
    }
}

impl Drop for MemoryListener {
    fn drop(&mut self) {
        // Nobody will accept them: as from the system, they are reset.
        while let Ok(stream) = self.next() {
            stream.link.reset_on_close.set(true);
        }
    }
}
