//! An HTTP server on the connections of a port.

mod connection_service;
mod connections;
mod head_deadline;
mod http1;
mod http2;
mod logging;
mod serving;
mod stream;
mod version;

use std::error::Error;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Body;
use hyper::service::Service;
use hyper::{Request, Response};
use torsade::{IntoEndpoint, ListenError, Port, Reactor, ReactorAsync, ServerEndpoint};

use crate::RequestBody;
use connections::Connections;
use serving::Serving;

/// Serves HTTP/1.1 and HTTP/2 on the connections of a port.
///
/// The version is negotiated in the TLS handshake if the endpoint's configuration has `h2` and `http/1.1` as application
/// protocols. Otherwise, and without TLS, HTTP/2 is detected by its first bytes ("prior knowledge"). The service gets a request's
/// connection from the body's [`connection`](RequestBody::connection), and can take the connection over with
/// [`upgrade::on`](crate::upgrade::on).
///
/// *Stopping*: when the reactor stops, the port closes, requests that have arrived are answered within the reactor's stop
/// timeout, and the connections close. If only the port is stopped, connections stay open. An error or panic of the service ends
/// its connection in HTTP/1.1 and its stream in HTTP/2, and is logged with the peer's address, as are protocol violations of a
/// peer. A client that goes away is logged at `Debug`, and the work for it is dropped.
///
/// # Limits
/// | what | default |
/// |---|---|
/// | connections; more wait to be accepted | 4,096, [`max_connections`](Self::max_connections) |
/// | silence of a client whose turn it is: to send a head (or the next one, on an idle connection) or the next piece of a body, or to take output | 30 s, [`timeout`](Self::timeout) |
/// | the head of a request | 16 KiB, and 100 headers in HTTP/1.1 |
/// | buffered bytes per connection, besides the service's own bodies | 64 KiB each way here, and as much in the connection |
/// | requests of one HTTP/2 connection answered concurrently; buffered bytes of each answer | 128; 64 KiB |
/// | unread bodies of one HTTP/2 connection, in total | 1 MiB |
///
/// The length of a request's body and the time a service takes are not limited: that is up to the service.
///
/// # Examples
/// ```
/// use std::convert::Infallible;
///
/// use http_body_util::Full;
/// use hyper::body::Bytes;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use torsade::prelude::*;
/// use torsade_hyper::{HttpServer, RequestBody};
///
/// async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
///     Ok(Response::new(Full::from("hello")))
/// }
///
/// let reactor = Reactor::new()?;
/// let port = HttpServer::new(service_fn(hello)).listen(&reactor, "127.0.0.1:0")?;
/// println!("listening on {}", port.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "Site")]
#[doc(alias = "Resource")]
pub struct HttpServer<S> {
    service: S,
    max_connections: usize,
    timeout: Duration,
    date: bool,
}

impl<S> HttpServer<S> {
    /// Makes a server for `service`; each connection gets a clone.
    pub const fn new(service: S) -> Self {
        Self { service, max_connections: 4096, timeout: Duration::from_secs(30), date: true }
    }

    /// Sets how many connections a port may have at a time, including upgraded ones; default 4,096.
    ///
    /// Further ones wait to be accepted, 64 of them here and others in the system's queue; none is refused.
    #[must_use]
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets how long a client may be silent when it is its turn; default 30 s.
    ///
    /// The timeout ends a connection that does not bring a complete request head; a request's [body](RequestBody) of which
    /// nothing arrives while the service waits for it; a connection whose client takes none of its output; and an HTTP/2
    /// connection that does not answer pings. What is checked periodically may be noticed up to two thirds of the timeout late.
    /// The time the service takes is not limited by this.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whether answers without a `date` header get one, with the system's time; default true.
    ///
    /// Turn it off in a simulated network where two runs should be identical.
    #[must_use]
    pub const fn auto_date_header(mut self, on: bool) -> Self {
        self.date = on;
        self
    }
}

impl<S, B> HttpServer<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    S::Future: 'static,
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Listens on `endpoint`.
    ///
    /// # Errors
    /// See [`listen`](torsade::ReactorEndpoints::listen).
    pub fn listen<E: IntoEndpoint<ServerEndpoint>>(self, reactor: &Reactor, endpoint: E) -> Result<Port, ListenError> {
        let incoming = reactor.listen_async(endpoint)?;
        let port = incoming.port().clone();
        let connections = Connections::new(reactor, port.clone(), self.max_connections, self.timeout);
        let serving = Rc::new(Serving::new(self.service, reactor, self.timeout, self.date));
        reactor.spawn(serving.accept(incoming, connections));
        Ok(port)
    }
}
