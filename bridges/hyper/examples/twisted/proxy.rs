//! A very simple proxy: Twisted's `proxy.py`.
//!
//! Run:    cargo run -p torsade-hyper --example proxy [ENDPOINT]     (default 127.0.0.1:8080)
//! Try:    curl -x 127.0.0.1:8080 http://example.org/
//! Expect: the page. Like Twisted's, it does not support `https://` (see `http_proxy`). Unlike Twisted's, it passes bodies on as they
//!         arrive, keeps connections to servers open for further requests, adds a `via` header, and answers 502 with the reason if it
//!         reaches no server (Twisted: 501).

#[path = "../http_proxy/forward.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod forward;

use std::convert::Infallible;

use hyper::service::service_fn;
use torsade::prelude::*;
use torsade_hyper::{Client, HttpServer};

use forward::forward;

/// Serves the proxy on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let client = Client::new(reactor);
    let service = service_fn(move |request| {
        let client = client.clone();
        async move { Ok::<_, Infallible>(forward(&client, request).await) }
    });
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
