//! A page without an end: what `request.registerProducer` with a pull producer does in Twisted.
//!
//! Run:    cargo run -p torsade-hyper --example streamed_page [ENDPOINT]     (default 127.0.0.1:8880)
//! Try:    curl 127.0.0.1:8880/1000000 | tail -n 1; curl --limit-rate 1k 127.0.0.1:8880/1000000000000
//! Expect: a million lines, the last of which is 999999; then a page that never ends, of which the server holds only a few pieces.

use std::convert::Infallible;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

/// A pull producer: it is asked for a piece when there is room.
struct Numbers(Range<u64>);

impl Body for Numbers {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece: String = self.0.by_ref().take(1000).map(|number| format!("{number}\n")).collect();
        Poll::Ready(if piece.is_empty() { None } else { Some(Ok(Frame::data(piece.into()))) })
    }
}

async fn serve(request: Request<RequestBody>) -> Result<Response<Numbers>, hyper::http::Error> {
    let (status, count) = match request.uri().path().trim_start_matches('/').parse() {
        Ok(count) => (StatusCode::OK, count),
        Err(_) => (StatusCode::NOT_FOUND, 0),
    };
    Response::builder().status(status).header(CONTENT_TYPE, "text/plain").body(Numbers(0..count))
}

/// Serves the page on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(HttpServer::new(service_fn(serve)).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8880".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
