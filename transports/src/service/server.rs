//! A service that listens.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, EndpointError, Factory};
use torsade_reactor::{Deferred, Reactor, Result, defer};

use super::Service;
use crate::endpoints::{IntoEndpoint, ServerEndpoint};
use crate::ends::port::Port;

/// Listens from its start to its stop; a stop does not end established connections.
///
/// The factory is kept for the next start.
///
/// # Examples
/// ```
/// use torsade::{prelude::*, service::{MultiService, StreamServerEndpointService}, wire::Echo};
///
/// let services = MultiService::new();
/// services.add_service(StreamServerEndpointService::new("127.0.0.1:7", |_peer| Echo)?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "TCPServer")]
#[doc(alias = "SSLServer")]
#[doc(alias = "UNIXServer")]
#[doc(alias = "strports")]
pub struct StreamServerEndpointService<F> {
    endpoint: ServerEndpoint,
    factory: Rc<RefCell<F>>,
    running: RefCell<Option<(Reactor, Port)>>,
}

impl<F: Factory + 'static> StreamServerEndpointService<F> {
    /// Makes a service that listens on `endpoint`.
    ///
    /// # Errors
    /// If the text is not an endpoint.
    pub fn new<E>(endpoint: E, factory: F) -> Result<Self, EndpointError>
    where
        E: IntoEndpoint<ServerEndpoint>,
    {
        let endpoint = endpoint.into_endpoint()?;
        Ok(Self { endpoint, factory: Rc::new(RefCell::new(factory)), running: RefCell::default() })
    }

    /// Returns the address that it listens on, with the port that the system chose; `None` while it is not running.
    #[must_use]
    pub fn address(&self) -> Option<Address> {
        self.running.borrow().as_ref().map(|(_, port)| port.address())
    }
}

impl<F: Factory + 'static> Service for StreamServerEndpointService<F> {
    fn start_service(&self, reactor: &Reactor) -> Result {
        if self.running.borrow().is_none() {
            let port = self.endpoint.listen(reactor, Rc::clone(&self.factory))?;
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
        format!("the server on {}", self.endpoint)
    }
}

impl<F> fmt::Debug for StreamServerEndpointService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamServerEndpointService").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
