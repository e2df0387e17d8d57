//! A listening TCP socket of the system.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use mio::Interest;
use socket2::{Domain, Protocol, Socket, Type};

use super::Reserve;
use super::stream::OsStream;
use crate::backend::{Listener, Stream};
use crate::source::Token;

pub(super) struct OsListener {
    socket: mio::net::TcpListener,
    registry: Rc<mio::Registry>,
    reserve: Rc<Reserve>,
}

impl OsListener {
    pub(super) fn bind(address: SocketAddr, backlog: u32, registry: Rc<mio::Registry>, reserve: Rc<Reserve>) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A server that is started again must get its port back while old connections are still in TIME_WAIT. On Windows
        // the option means something else: that others may take the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(Self { socket: mio::net::TcpListener::from_std(socket.into()), registry, reserve })
    }
}

impl Listener for OsListener {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.registry.register(&mut self.socket, mio::Token(token.to_usize()), Interest::READABLE)
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, SocketAddr)> {
        let (socket, peer) = self.socket.accept()?;
        Ok((Box::new(OsStream::new(socket, Rc::clone(&self.registry))), peer))
    }

    fn refuse(&self) -> io::Result<()> {
        // With no reserve this accept fails for want of a descriptor, as the one before it did.
        self.reserve.release();
        let refused = self.socket.accept().map(drop);
        self.reserve.refill();
        refused
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}
