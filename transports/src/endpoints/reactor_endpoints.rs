//! Endpoints on a reactor.

use torsade_protocols::{ClientFactory, ConnectError, Connector, Factory, ListenError, Offer};
use torsade_reactor::{Deferred, Failure, Reactor, defer};

use super::client::ClientEndpoint;
use super::connect_protocol::connect_protocol;
use super::into_endpoint::IntoEndpoint;
use super::server::ServerEndpoint;
use crate::ends::port::Port;

/// Servers and clients on a [`Reactor`] whose addresses are endpoints: text from a configuration, or values.
///
/// `torsade::manual::endpoints` lists all texts. No method blocks, and none calls the factory before it returns.
pub trait ReactorEndpoints {
    /// Listens on `endpoint`; `factory` builds a protocol for each connection.
    ///
    /// # Errors
    /// [`ListenError::Endpoint`] if the text is not an endpoint; [`Configuration`](ListenError::Configuration) if a file that it
    /// names cannot be used; otherwise as [`listen_tcp`](crate::ReactorTcp::listen_tcp) and its siblings.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, wire::Echo};
    ///
    /// let reactor = Reactor::new()?;
    /// let port = reactor.listen("127.0.0.1:0", |_peer| Echo)?;
    /// assert_ne!(port.address().port(), Some(0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn listen<E, F>(&self, endpoint: E, factory: F) -> Result<Port, ListenError>
    where
        E: IntoEndpoint<ServerEndpoint>,
        F: Factory + 'static;

    /// Connects to `endpoint`; `factory` builds the protocol once the connection is established.
    ///
    /// # Errors
    /// [`ConnectError::Endpoint`] if the text is not an endpoint; [`Configuration`](ConnectError::Configuration) if a file that
    /// it names cannot be used; `ShuttingDown`. All other errors are reported to the factory.
    ///
    /// # Examples
    /// A client that reconnects whenever it has lost its server:
    /// ```
    /// use torsade::{prelude::*, wire::Discard};
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.connect("tcp:localhost:8000:timeout=5", ReconnectingClientFactory::new(|_peer| Discard))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn connect<E, F>(&self, endpoint: E, factory: F) -> Result<Connector, ConnectError>
    where
        E: IntoEndpoint<ClientEndpoint>,
        F: ClientFactory + 'static;

    /// Connects one protocol to `endpoint`. The Deferred gives its handle once the connection is ready to use: with TLS, after
    /// the handshake.
    ///
    /// The handle of a plain protocol is its [`Transport`](torsade_protocols::Transport); a pair `(protocol, handle)` gives its
    /// handle, see [`Offer`]. The Deferred fires after the protocol's `connection_made`. Cancelling it, as
    /// [`add_timeout`](Deferred::add_timeout) does, ends the attempt; dropping it does not.
    ///
    /// # Errors
    /// The Deferred fails with a [`ConnectError`]: `failure.downcast_ref::<ConnectError>()`.
    ///
    /// # Examples
    /// ```
    /// use torsade::{prelude::*, simulated::Simulation, wire::{Discard, Echo}};
    ///
    /// let simulation = Simulation::new(1);
    /// simulation.host("10.0.0.2").listen("10.0.0.2:7", |_peer| Echo)?;
    /// let client = simulation.host("10.0.0.1");
    /// let reactor = client.clone();
    /// client.spawn(async move {
    ///     let transport = reactor.connect_protocol("10.0.0.2:7", Discard).await?;
    ///     transport.write("hello");
    ///     assert!(reactor.connect_protocol("10.0.0.2:8", Discard).await.is_err(), "nothing listens there");
    ///     Ok(())
    /// });
    /// simulation.run_for(std::time::Duration::from_secs(1))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "connectProtocol")]
    #[doc(alias = "ClientCreator")]
    fn connect_protocol<E, O>(&self, endpoint: E, protocol: O) -> Deferred<O::Handle>
    where
        E: IntoEndpoint<ClientEndpoint>,
        O: Offer;
}

impl ReactorEndpoints for Reactor {
    fn listen<E, F>(&self, endpoint: E, factory: F) -> Result<Port, ListenError>
    where
        E: IntoEndpoint<ServerEndpoint>,
        F: Factory + 'static,
    {
        endpoint.into_endpoint()?.listen(self, factory)
    }

    fn connect<E, F>(&self, endpoint: E, factory: F) -> Result<Connector, ConnectError>
    where
        E: IntoEndpoint<ClientEndpoint>,
        F: ClientFactory + 'static,
    {
        endpoint.into_endpoint()?.connect(self, Box::new(factory))
    }

    fn connect_protocol<E, O>(&self, endpoint: E, protocol: O) -> Deferred<O::Handle>
    where
        E: IntoEndpoint<ClientEndpoint>,
        O: Offer,
    {
        match endpoint.into_endpoint() {
            Ok(endpoint) => connect_protocol(self, &endpoint, protocol),
            Err(error) => defer::fail(Failure::new(ConnectError::from(error))),
        }
    }
}
