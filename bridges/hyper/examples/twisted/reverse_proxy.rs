//! A server that fetches its pages from another one: Twisted's `reverse-proxy.py`.
//!
//! Run:    cargo run -p torsade-hyper --example reverse_proxy [ENDPOINT] [SERVER]     (default 127.0.0.1:8080 and example.com)
//! Try:    curl -v 127.0.0.1:8080/some/path
//! Expect: the page at http://example.com/some/path, requested with that host's name.

#[path = "../http_proxy/forward.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod forward;

use std::convert::Infallible;

use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Request, StatusCode, Uri};
use torsade::prelude::*;
use torsade_hyper::{Client, HttpServer, RequestBody};

use forward::{Answer, forward, refuse};

async fn serve(client: Client, server: Authority, mut request: Request<RequestBody>) -> Result<Answer, Infallible> {
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(server);
    match Uri::from_parts(uri) {
        Ok(uri) => *request.uri_mut() = uri,
        // The target of OPTIONS may be an asterisk, which is not a path.
        Err(error) => return Ok(refuse(StatusCode::BAD_REQUEST, error)),
    }
    Ok(forward(&client, request).await)
}

/// Serves the pages of `server` on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, server: &str) -> Result<Port> {
    let (client, server) = (Client::new(reactor), server.parse::<Authority>()?);
    let service = service_fn(move |request| serve(client.clone(), server.clone(), request));
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let server = arguments.next().unwrap_or_else(|| "example.com".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, &server)?;
    println!("listening on {}", port.address());
    reactor.run()
}
