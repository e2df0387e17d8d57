//! A proxy that logs all requests: Twisted's `logging-proxy.py`.
//!
//! Run:    cargo run -p torsade-hyper --example logging_proxy [ENDPOINT]     (default 127.0.0.1:8080)
//! Try:    curl -x 127.0.0.1:8080 http://example.org/; curl -x 127.0.0.1:8080 https://example.org/
//! Expect: the page, and on the terminal `Request from 127.0.0.1 for example.org`; then `HTTPS is not supported at the moment!`.

#[path = "../http_proxy/forward.rs"]
mod forward;

use std::convert::Infallible;
use std::rc::Rc;

use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{Client, HttpServer, RequestBody};

use forward::{Answer, forward, refuse};

async fn serve(client: Client, log: Rc<impl Fn(String)>, request: Request<RequestBody>) -> Result<Answer, Infallible> {
    let from = request.body().connection().peer().ip();
    let from = from.map_or_else(|| "somewhere".to_owned(), |ip| ip.to_string());
    log(format!("Request from {from} for {}", request.uri().host().unwrap_or("nobody")));
    if request.method() == Method::CONNECT {
        log("HTTPS is not supported at the moment!".into());
        return Ok(refuse(StatusCode::NOT_IMPLEMENTED, "HTTPS is not supported"));
    }
    Ok(forward(&client, request).await)
}

/// Serves the proxy on any reactor, and logs with `log`.
pub fn start(reactor: &Reactor, endpoint: &str, log: impl Fn(String) + 'static) -> Result<Port> {
    let (client, log) = (Client::new(reactor), Rc::new(log));
    let service = service_fn(move |request| serve(client.clone(), Rc::clone(&log), request));
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, |line| println!("{line}"))?;
    println!("listening on {}", port.address());
    reactor.run()
}
