//! HTTP on Torsade: `ours HOST:PORT`. Answers every request with a short text.

use std::convert::Infallible;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

async fn hello(_: Request<RequestBody>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("hello, world\n")))
}

fn main() -> Result {
    let address = std::env::args().nth(1).ok_or("usage: ours HOST:PORT")?;
    let reactor = Reactor::new()?;
    HttpServer::new(service_fn(hello)).listen(&reactor, address.as_str())?;
    reactor.run()
}
