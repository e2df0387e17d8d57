//! A proxy: it forwards requests for `http://` to their servers, and opens tunnels (CONNECT) for `https://`.
//!
//! Run:    cargo run -p torsade-hyper --example http_proxy [ENDPOINT]     (default 127.0.0.1:3128)
//! Try:    curl -v -x 127.0.0.1:3128 http://example.org/; curl -v -x 127.0.0.1:3128 https://example.org/
//! Expect: the servers' pages. The first answer's head has `via: 1.1 torsade`; the proxy cannot read the second.
//!
//! Anyone who can reach its port can reach everything that this machine can.

mod forward;
mod tunnel;

use std::convert::Infallible;

use http_body_util::{Either, Full};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{Client, HttpServer, RequestBody, upgrade};

use forward::{Answer, forward, refuse};

async fn serve(reactor: Reactor, client: Client, mut request: Request<RequestBody>) -> Result<Answer, Infallible> {
    if request.method() != Method::CONNECT {
        return Ok(forward(&client, request).await);
    }
    let Some(Ok(server)) = request.uri().authority().map(|authority| ClientEndpoint::tcp(authority.as_str())) else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "CONNECT takes a host and a port"));
    };
    // The answer depends on whether the server was reached, so connect first.
    match reactor.connect_async(server).await {
        Ok(server) => {
            let client = upgrade::on(&mut request);
            reactor.spawn(async move {
                match client.await {
                    Ok(client) => tunnel::join(client, server).await,
                    // The client left before it had its answer.
                    Err(_) => Ok(()),
                }
            });
            Ok(Response::new(Either::Right(Full::default())))
        }
        Err(error) => Ok(refuse(StatusCode::BAD_GATEWAY, error)),
    }
}

/// Serves the proxy on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let (serving, client) = (reactor.clone(), Client::new(reactor));
    let service = service_fn(move |request| serve(serving.clone(), client.clone(), request));
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3128".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
