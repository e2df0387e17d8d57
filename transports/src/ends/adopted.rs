//! An already connected stream, until its connection begins in the next turn.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Protocol};
use torsade_reactor::Reactor;
use torsade_reactor::spi::{Ready, Source, Stream, Token};

use crate::connection::StreamConnection;
use crate::connection::shared::Shared;

/// What a connection begins with.
struct Beginning {
    stream: Box<dyn Stream>,
    peer: Address,
    protocol: Box<dyn Protocol>,
}

/// Waits for the loop, since `connection_made` comes from there like every callback.
struct Adopted {
    shared: Rc<Shared>,
    token: Cell<Token>,
    beginning: RefCell<Option<Beginning>>,
}

/// Begins a connection on the stream that `open` returns in the next turn, unless the reactor stops before.
pub(crate) fn adopt(
    reactor: &Reactor,
    open: impl FnOnce() -> io::Result<(Box<dyn Stream>, Address)>,
    protocol: Box<dyn Protocol>,
) -> io::Result<()> {
    if reactor.is_stopping() {
        return Err(io::Error::other("no more connections are made: the reactor is stopping"));
    }
    let (stream, peer) = open()?;
    let beginning = RefCell::new(Some(Beginning { stream, peer, protocol }));
    let adopted = Rc::new(Adopted { shared: Shared::of(reactor), token: Cell::new(Token::from_usize(usize::MAX)), beginning });
    adopted.token.set(reactor.add_source(Rc::<Adopted>::clone(&adopted)));
    reactor.requeue(adopted.token.get(), Ready::NONE);
    Ok(())
}

impl Adopted {
    fn leave(&self) -> Option<Beginning> {
        self.shared.reactor.remove_source(self.token.get());
        self.beginning.take()
    }
}

impl Source for Adopted {
    fn ready(self: Rc<Self>, _: Ready) {
        let Some(Beginning { stream, peer, protocol }) = self.leave() else { return };
        if let Err(error) = StreamConnection::accept(&self.shared, stream, peer.clone(), protocol, &Layers::default()) {
            torsade_reactor::report_error("adopt", format_args!("the stream with {peer} cannot be registered: {error}"));
        }
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        drop(self.leave());
    }

    fn abort(self: Rc<Self>) {
        self.shut_down();
    }

    fn describe(&self) -> String {
        "a connection that is about to begin".to_owned()
    }
}
