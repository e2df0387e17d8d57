//! HTTP on the connections of a port.

use std::error::Error;
use std::future::Future;

use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use torsade::{AsyncConnection, IntoEndpoint, ListenError, Port, Reactor, ReactorAsync, ServerEndpoint};

use crate::{RequestBody, TorsadeIo, TorsadeTimer};

/// Serves HTTP/1.1 and HTTP/2 on the connections of a port.
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
pub struct HttpServer<S> {
    service: S,
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
    /// Serves `service`, of which each connection gets a clone.
    pub const fn new(service: S) -> Self {
        Self { service }
    }

    /// Listens on `endpoint`.
    ///
    /// # Errors
    /// As [`listen`](torsade::ReactorEndpoints::listen).
    pub fn listen<E: IntoEndpoint<ServerEndpoint>>(self, reactor: &Reactor, endpoint: E) -> Result<Port, ListenError> {
        let mut incoming = reactor.listen_async(endpoint)?;
        let port = incoming.port().clone();
        let spawning = reactor.clone();
        reactor.spawn(async move {
            while let Some(connection) = incoming.accept().await {
                spawning.spawn_result(self.serve(&spawning, connection));
            }
        });
        Ok(port)
    }

    fn serve(&self, reactor: &Reactor, connection: AsyncConnection) -> impl Future<Output = hyper::Result<()>> + use<S, B> {
        let service = self.service.clone();
        let timer = TorsadeTimer::new(reactor);
        let service = service_fn(move |request: Request<_>| service.call(request.map(RequestBody::new)));
        http1::Builder::new().timer(timer).serve_connection(TorsadeIo::new(connection), service)
    }
}
