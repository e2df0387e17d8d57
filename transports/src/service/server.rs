//! A service that listens.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, AddressError, Factory, HostPort, IntoHostPort};
use torsade_reactor::{Deferred, Reactor, Result, defer};

use super::Service;
use crate::ends::port::Port;
use crate::ends::reactor_tcp::ReactorTcp;

/// Listens from its start to its stop; connections that are established when it stops go on.
///
/// The factory is kept for the next start. Twisted's takes an endpoint; this takes an address for
/// [`listen_tcp`](ReactorTcp::listen_tcp).
#[doc(alias = "TCPServer")]
pub struct StreamServerEndpointService<F> {
    address: HostPort,
    factory: Rc<RefCell<F>>,
    running: RefCell<Option<(Reactor, Port)>>,
}

impl<F: Factory + 'static> StreamServerEndpointService<F> {
    /// Makes a service that listens on `address`.
    ///
    /// # Errors
    /// When the text is not an address.
    pub fn new<A>(address: A, factory: F) -> Result<Self, AddressError>
    where
        A: IntoHostPort,
    {
        Ok(Self { address: address.into_host_port()?, factory: Rc::new(RefCell::new(factory)), running: RefCell::default() })
    }

    /// Where it listens, with the port that the system chose; none while it does not run.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.running.borrow().as_ref().map(|(_, port)| port.address())
    }
}

impl<F: Factory + 'static> Service for StreamServerEndpointService<F> {
    fn start_service(&self, reactor: &Reactor) -> Result {
        if self.running.borrow().is_none() {
            let port = reactor.listen_tcp::<HostPort, _>(self.address.clone(), Rc::clone(&self.factory))?;
            self.running.replace(Some((reactor.clone(), port)));
        }
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        let running = self.running.take();
        let Some((reactor, port)) = running else { return defer::succeed(()) };
        port.stop_listening();
        // The port closes at the end of this turn.
        reactor.sleep(Duration::ZERO)
    }

    fn name(&self) -> String {
        format!("the server on {}", self.address)
    }
}

impl<F> fmt::Debug for StreamServerEndpointService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamServerEndpointService").field("address", &self.address).finish_non_exhaustive()
    }
}
