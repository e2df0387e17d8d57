//! Standard input and output as a port with a single connection.

use std::cell::RefCell;
use std::io;

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Factory, ListenError};
use torsade_reactor::spi::{Listener, Ready, Stream, Token};
use torsade_reactor::{Descriptor, Reactor};

use crate::ends::port::Port;
use crate::ends::reactor_tcp::open;

/// Takes standard input and output; the connection is accepted in the next turn.
pub(super) fn listen(reactor: &Reactor, factory: Box<dyn Factory>, layers: Layers) -> Result<Port, ListenError> {
    open(reactor, &Address::Unnamed, || {
        let stream = RefCell::new(Some(reactor.backend().standard_io()?));
        let listener = OneConnection { reactor: reactor.clone(), stream };
        Port::open(reactor, Box::new(listener), factory, 1, layers)
    })
}

/// A listener whose only connection is ready at once.
struct OneConnection {
    reactor: Reactor,
    stream: RefCell<Option<Box<dyn Stream>>>,
}

impl OneConnection {
    fn take(&self) -> io::Result<Box<dyn Stream>> {
        self.stream.take().ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

impl Listener for OneConnection {
    fn register(&mut self, token: Token) -> io::Result<()> {
        self.reactor.requeue(token, Ready::READABLE);
        Ok(())
    }

    fn accept(&self) -> io::Result<(Box<dyn Stream>, Address)> {
        Ok((self.take()?, Address::Unnamed))
    }

    fn refuse(&self) -> io::Result<()> {
        self.take().map(drop)
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "standard input and output have no listening socket"))
    }
}
