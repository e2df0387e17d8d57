//! Tower services for hyper.

use std::future::{Future, poll_fn};
use std::pin::Pin;

use hyper::Request;
use hyper::service::Service;

use crate::RequestBody;

/// Adapts a tower service, such as axum's router, for an [`HttpServer`](crate::HttpServer).
///
/// Each request goes to a clone of the service once it is ready. In HTTP/2, requests of one connection may run concurrently. A
/// value that is not `Send` can be put into axum's state in a `send_wrapper::SendWrapper`, since everything runs on the reactor's
/// thread. The [`ConnectionInfo`](crate::ConnectionInfo) of a request is in its extensions, where axum's `Extension` finds it.
///
/// # Examples
/// ```
/// use axum::{Router, routing};
/// use torsade::prelude::*;
/// use torsade_hyper::{HttpServer, TowerService};
///
/// let router = Router::new().route("/", routing::get(|| async { "hello" }));
/// let reactor = Reactor::new()?;
/// let port = HttpServer::new(TowerService::new(router)).listen(&reactor, "127.0.0.1:0")?;
/// println!("listening on {}", port.address());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TowerService<S>(S);

impl<S> TowerService<S> {
    /// Passes requests to clones of `service`.
    pub const fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S> Service<Request<RequestBody>> for TowerService<S>
where
    S: tower_service::Service<Request<RequestBody>> + Clone + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>>>>;

    fn call(&self, mut request: Request<RequestBody>) -> Self::Future {
        let info = request.body().connection().clone();
        request.extensions_mut().insert(info);
        let mut service = self.0.clone();
        Box::pin(async move {
            poll_fn(|context| service.poll_ready(context)).await?;
            service.call(request).await
        })
    }
}
