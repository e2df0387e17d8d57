//! A stream that is connected already, until its connection begins in the next turn.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade_protocols::{Address, Protocol, Reason};
use torsade_reactor::Reactor;
use torsade_reactor::spi::{Ready, Source, Stream, Token};

use crate::connection::shared::Shared;
use crate::connection::{OnLost, OnMade, StreamConnection};

/// What a connection begins with.
struct Beginning {
    stream: Box<dyn Stream>,
    peer: Address,
    protocol: Box<dyn Protocol>,
    on_made: OnMade,
    on_lost: OnLost,
}

/// Waits for the loop, for `connection_made` comes from there like every callback.
struct Adopted {
    shared: Rc<Shared>,
    token: Cell<Token>,
    beginning: RefCell<Option<Beginning>>,
}

/// Has a connection begin in the next turn. `on_made` is told before `connection_made`; `on_lost` after `connection_lost`, and
/// also if the connection never begins.
pub(crate) fn adopt(
    reactor: &Reactor,
    stream: Box<dyn Stream>,
    peer: Address,
    protocol: Box<dyn Protocol>,
    (on_made, on_lost): (OnMade, OnLost),
) {
    let beginning = RefCell::new(Some(Beginning { stream, peer, protocol, on_made, on_lost }));
    let adopted = Rc::new(Adopted { shared: Shared::of(reactor), token: Cell::new(Token::from_usize(usize::MAX)), beginning });
    adopted.token.set(reactor.add_source(Rc::<Adopted>::clone(&adopted)));
    reactor.requeue(adopted.token.get(), Ready::NONE);
}

impl Adopted {
    fn leave(&self) -> Option<Beginning> {
        self.shared.reactor.remove_source(self.token.get());
        self.beginning.take()
    }
}

impl Source for Adopted {
    fn ready(self: Rc<Self>, _: Ready) {
        let Some(beginning) = self.leave() else { return };
        let Beginning { stream, peer, protocol, on_made, on_lost } = beginning;
        if let Err(error) = StreamConnection::adopt(&self.shared, stream, peer.clone(), protocol, (on_made, on_lost)) {
            torsade_reactor::report_error("adopt", format_args!("the stream with {peer} cannot be registered: {error}"));
        }
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        if let Some(beginning) = self.leave() {
            (beginning.on_lost)(&Reason::ShuttingDown);
        }
    }

    fn abort(self: Rc<Self>) {
        self.shut_down();
    }

    fn describe(&self) -> String {
        "a connection that is about to begin".to_owned()
    }
}
