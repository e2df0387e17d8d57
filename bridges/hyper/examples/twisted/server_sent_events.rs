//! Server-sent events: a page that grows as long as someone looks at it.
//!
//! Run:    cargo run -p torsade-hyper --example server_sent_events [ENDPOINT]     (default 127.0.0.1:8880)
//! Try:    curl -N 127.0.0.1:8880/events, or 127.0.0.1:8880 in a browser
//! Expect: a tick a second. When the client has left, the next tick notices, and the timer ends with the page.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

const PAGE: &str = "<!DOCTYPE html><title>Ticks</title><ol></ol><script>
new EventSource('/events').onmessage = (event) => document.querySelector('ol').append(event.data, document.createElement('br'));
</script>";

/// A tick, an interval, a tick, and so on: in Twisted, a `LoopingCall` with `request.write`.
struct Ticks {
    reactor: Reactor,
    count: u64,
    next: Deferred<()>,
}

impl Body for Ticks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // Only a cancelled timer would fail, and nobody cancels it.
        let _ = ready!(Pin::new(&mut self.next).poll(context));
        self.next = self.reactor.sleep(Duration::from_secs(1));
        self.count += 1;
        Poll::Ready(Some(Ok(Frame::data(format!("data: tick {}\n\n", self.count).into()))))
    }
}

async fn serve(
    reactor: Reactor,
    request: Request<RequestBody>,
) -> Result<Response<Either<Ticks, Full<Bytes>>>, hyper::http::Error> {
    let answer = Response::builder().header(CACHE_CONTROL, "no-cache");
    match request.uri().path() {
        "/events" => {
            let ticks = Ticks { next: reactor.sleep(Duration::ZERO), reactor, count: 0 };
            answer.header(CONTENT_TYPE, "text/event-stream").body(Either::Left(ticks))
        }
        "/" => answer.header(CONTENT_TYPE, "text/html").body(Either::Right(Full::from(PAGE))),
        _ => answer.status(StatusCode::NOT_FOUND).body(Either::Right(Full::default())),
    }
}

/// Serves the page and its events on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let ticking = reactor.clone();
    Ok(HttpServer::new(service_fn(move |request| serve(ticking.clone(), request))).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8880".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
