//! Async connections of a reactor.

use torsade_protocols::{ListenError, MakeHandle, Offer, Protocol};
use torsade_reactor::{Deferred, Reactor};

use super::protocol::AsyncProtocol;
use super::{AsyncConnection, Incoming};
use crate::endpoints::client::ClientEndpoint;
use crate::endpoints::into_endpoint::IntoEndpoint;
use crate::endpoints::reactor_endpoints::ReactorEndpoints;
use crate::endpoints::server::ServerEndpoint;

/// Servers and clients for `async` code on a [`Reactor`].
pub trait ReactorAsync {
    /// Connects to `endpoint`. The Deferred gives the connection once it is ready to use: with TLS, after the handshake.
    ///
    /// Cancelling the Deferred, as [`add_timeout`](Deferred::add_timeout) does, ends the attempt.
    ///
    /// # Errors
    /// The Deferred fails with a [`ConnectError`](torsade_protocols::ConnectError).
    ///
    /// # Examples
    /// See [`AsyncConnection`].
    fn connect_async<E: IntoEndpoint<ClientEndpoint>>(&self, endpoint: E) -> Deferred<AsyncConnection>;

    /// Listens on `endpoint`, and returns its connections one by one.
    ///
    /// # Errors
    /// As [`listen`](ReactorEndpoints::listen).
    ///
    /// # Examples
    /// A server with a task for each connection:
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use torsade::{prelude::*, simulated::Simulation};
    ///
    /// async fn shout(mut connection: AsyncConnection) -> Result {
    ///     let mut text = Vec::new();
    ///     connection.read_to_end(&mut text).await?;
    ///     connection.write_all(&text.to_ascii_uppercase()).await?;
    ///     Ok(connection.close().await?)
    /// }
    ///
    /// let simulation = Simulation::new(1);
    /// let server = simulation.host("10.0.0.1");
    /// let mut incoming = server.listen_async("tcp:7")?;
    /// let reactor = server.clone();
    /// server.spawn(async move {
    ///     while let Some(connection) = incoming.accept().await {
    ///         reactor.spawn(shout(connection));
    ///     }
    /// });
    /// let client = simulation.host("10.0.0.2");
    /// let reactor = client.clone();
    /// let heard = client.spawn(async move {
    ///     let mut connection = reactor.connect_async("10.0.0.1:7").await?;
    ///     connection.write_all(b"hello").await?;
    ///     connection.close().await?;
    ///     let mut heard = String::new();
    ///     connection.read_to_string(&mut heard).await?;
    ///     Ok(heard)
    /// });
    /// simulation.run_for(std::time::Duration::from_secs(1))?;
    /// assert_eq!(heard.into_deferred().into_result().expect("it is done")?, "HELLO");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn listen_async<E: IntoEndpoint<ServerEndpoint>>(&self, endpoint: E) -> Result<Incoming, ListenError>;
}

impl ReactorAsync for Reactor {
    fn connect_async<E: IntoEndpoint<ClientEndpoint>>(&self, endpoint: E) -> Deferred<AsyncConnection> {
        self.connect_protocol(endpoint, Connecting)
    }

    fn listen_async<E: IntoEndpoint<ServerEndpoint>>(&self, endpoint: E) -> Result<Incoming, ListenError> {
        let (factory, finish) = Incoming::begin();
        self.listen(endpoint, factory).map(finish)
    }
}

/// A connection that is being made: its handle gets everything that the protocol has received by then.
struct Connecting;

impl Offer for Connecting {
    type Handle = AsyncConnection;

    fn into_parts(self) -> (Box<dyn Protocol>, MakeHandle<AsyncConnection>) {
        let protocol = AsyncProtocol::default();
        let received = protocol.received();
        (Box::new(protocol), Box::new(move |transport| AsyncConnection::new(transport, received)))
    }
}
