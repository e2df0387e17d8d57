//! HTTP on the connections of a port.

mod connection_service;
mod connections;
mod head_deadline;
mod http1;
mod http2;
mod serving;
mod stream;
mod telling;
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
/// Which of the two a client speaks is agreed on in the TLS handshake, if the endpoint's configuration has `h2` and `http/1.1`
/// as its application protocols; else, and without TLS, HTTP/2 is known by its first bytes ("prior knowledge"). The service
/// finds out whose connection a request came on by its body's [`connection`](RequestBody::connection), and can take the connection
/// over by [`upgrade::on`](crate::upgrade::on).
///
/// *Ends*: when the reactor stops, the port does, requests that have come are answered, within the reactor's stop timeout, and
/// the connections close. If only the port is stopped, they stay. A service that fails or panics costs its own connection in
/// HTTP/1.1, its own stream in HTTP/2; the log says so with the peer's address, as it does if a peer breaks the protocol. That
/// a client goes away is logged at `Debug`; what is being done for it is dropped.
///
/// # Limits
/// | what | default |
/// |---|---|
/// | connections; more wait to be accepted | 4,096, [`max_connections`](Self::max_connections) |
/// | silence of a client that owes something: a head (or the next one, on an idle connection), the next piece of a body, taking what it is sent | 30 s, [`timeout`](Self::timeout) |
/// | the head of a request | 16 KiB, and 100 headers in HTTP/1.1 |
/// | what is buffered of a connection, beside the service's own bodies | 64 KiB each way here, and as much in the connection |
/// | requests of one HTTP/2 connection that are answered at a time; what is buffered of each answer | 128; 64 KiB |
/// | bodies of one HTTP/2 connection that the service has not read, all together | 1 MiB |
///
/// Not bounded are the length of a request's body and how long a service takes: that is for the service to say.
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
    /// Serves `service`, of which each connection gets a clone.
    pub const fn new(service: S) -> Self {
        Self { service, max_connections: 4096, timeout: Duration::from_secs(30), date: true }
    }

    /// Sets how many connections of a port there may be at a time, those that were upgraded included; 4,096 unless set.
    ///
    /// More wait to be accepted, 64 of them here and others in the system's queue; none is refused.
    #[must_use]
    pub const fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// Sets how long a client may be silent when it is its turn; 30 s unless set.
    ///
    /// It ends a connection that does not bring a request's whole head, or none; a request's [body](RequestBody) of which
    /// nothing comes while the service waits for it; a connection whose client takes nothing of what it is sent; and an HTTP/2
    /// connection that does not answer pings. What is noticed by looking now and then takes up to two thirds of it
    /// longer. How long the service takes is not limited by it.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says whether answers that have no `date` header get one, with the system's time; they do unless set.
    ///
    /// In a simulated network, where two runs are to be the same, they must not.
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
    /// As [`listen`](torsade::ReactorEndpoints::listen).
    pub fn listen<E: IntoEndpoint<ServerEndpoint>>(self, reactor: &Reactor, endpoint: E) -> Result<Port, ListenError> {
        let incoming = reactor.listen_async(endpoint)?;
        let port = incoming.port().clone();
        let connections = Connections::new(reactor, port.clone(), self.max_connections, self.timeout);
        let serving = Rc::new(Serving::new(self.service, reactor, self.timeout, self.date));
        reactor.spawn(serving.accept(incoming, connections));
        Ok(port)
    }
}
