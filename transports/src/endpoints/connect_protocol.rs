//! One connection for one protocol, as a Deferred.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_protocols::{
    Address, ClientFactory, ConnectError, Connector, Factory, MakeHandle, Offer, Protocol, Reason, Transport,
};
use torsade_reactor::{Deferred, Failure, Firer, Reactor, Result, defer};

use super::client::ClientEndpoint;

/// Builds the one protocol, and fires the Deferred with its handle, or with the reason why there is no connection.
struct OneProtocol<H: 'static> {
    protocol: Option<Box<dyn Protocol>>,
    waiting: Rc<RefCell<Option<Waiting<H>>>>,
}

/// The Deferred that waits for the connection, until it has fired.
struct Waiting<H: 'static> {
    handle: MakeHandle<H>,
    firer: Firer<H>,
}

/// Connects `offer`'s protocol to the endpoint. Cancelling the Deferred ends the attempt.
pub(super) fn connect_protocol<O: Offer>(reactor: &Reactor, endpoint: &ClientEndpoint, offer: O) -> Deferred<O::Handle> {
    let (protocol, handle) = offer.into_parts();
    let waiting = Rc::new(RefCell::new(None));
    let factory = OneProtocol { protocol: Some(protocol), waiting: Rc::clone(&waiting) };
    match endpoint.connect(reactor, Box::new(factory)) {
        Ok(connector) => {
            let (deferred, firer) = Deferred::with_canceller(move |_| connector.disconnect());
            waiting.replace(Some(Waiting { handle, firer }));
            deferred
        }
        Err(error) => defer::fail(Failure::new(error)),
    }
}

impl<H> OneProtocol<H> {
    fn fail(&self, error: ConnectError) {
        let waiting = self.waiting.take();
        if let Some(waiting) = waiting {
            waiting.firer.errback(error);
        }
    }
}

impl<H> Factory for OneProtocol<H> {
    fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
        self.protocol.take()
    }
}

impl<H> ClientFactory for OneProtocol<H> {
    fn client_connection_made(&mut self, _: &Connector, transport: &Transport) -> Result {
        let waiting = self.waiting.take();
        if let Some(Waiting { handle, firer }) = waiting {
            firer.callback(handle(transport));
        }
        Ok(())
    }

    fn client_connection_failed(&mut self, _: &Connector, reason: &ConnectError) -> Result {
        self.fail(reason.clone());
        Ok(())
    }

    fn client_connection_lost(&mut self, _: &Connector, reason: &Reason) -> Result {
        self.fail(ConnectError::Lost(reason.clone()));
        Ok(())
    }
}
