//! A connection whose socket is another transport: the calls from that transport's protocol.

use std::io;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_protocols::spi::Layers;
use torsade_protocols::{Address, Callback, PassedDescriptor, Protocol, Reason, TlsConfig};
use torsade_reactor::Descriptor;
use torsade_reactor::spi::Stream;

use super::shared::Shared;
use super::state::State;
use super::{OnLost, StreamConnection};

impl StreamConnection {
    /// Makes a connection on such a stream, with TLS; from the loop only.
    pub(crate) fn stack(
        shared: &Rc<Shared>,
        stream: Box<dyn Stream>,
        peer: Address,
        protocol: Box<dyn Protocol>,
        tls: &TlsConfig,
        on_lost: OnLost,
    ) -> io::Result<Weak<Self>> {
        let connection = Self::new(shared, peer, protocol);
        connection.state.borrow_mut().rare().on_lost = Some(on_lost);
        if crate::tls::is_client(tls) {
            connection.detect_at_start();
        }
        connection.enter(stream, &Layers { tls: Some(tls.clone()), ..Layers::default() })?;
        Ok(Rc::downgrade(&connection))
    }

    /// Processes bytes in the call that brought them. False if that is not possible now: then the stream keeps them.
    pub(crate) fn receive(self: &Rc<Self>, wire: &[u8]) -> bool {
        let mut taken = false;
        self.shared.reactor.call_for(self.token.get(), |_| {
            self.work.begin_turn(&self.shared.reactor);
            let state = self.resume_protocol(self.state.borrow_mut());
            taken = self.work.is_left() && state.takes_input();
            if taken {
                self.deliver(state, wire);
            } else {
                drop(state);
            }
            self.settle();
        });
        taken
    }

    /// Passes on a descriptor that the transport below has received.
    pub(crate) fn receive_descriptor(self: &Rc<Self>, descriptor: Descriptor) {
        self.shared.reactor.call_for(self.token.get(), |_| {
            if !self.state.borrow().drops_input() {
                self.call(Callback::Descriptor(&PassedDescriptor::new(descriptor)));
            }
            self.settle();
        });
    }

    /// Whether more input can be taken now.
    pub(crate) fn takes_input(&self) -> bool {
        self.state.borrow().takes_input()
    }

    /// How long a close waits for the peer, if that was set.
    pub(crate) fn close_timeout(&self) -> Option<Duration> {
        let timeout = self.state.borrow().close_timeout();
        (timeout.flush == timeout.linger).then_some(timeout.flush)
    }

    /// Ends this connection, since the transport below is lost.
    pub(crate) fn lose_below(self: &Rc<Self>, reason: &Reason) {
        self.shared.reactor.call_for(self.token.get(), |_| {
            self.state.borrow_mut().lifecycle.doom(reason.clone());
            self.settle();
        });
    }
}

impl State {
    /// Whether input can be taken: it is wanted, and no earlier input is held.
    fn takes_input(&self) -> bool {
        self.takes_more() && !self.holds_input()
    }
}
