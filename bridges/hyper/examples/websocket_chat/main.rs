//! A chat over WebSocket: hyper answers the upgrade, and async-tungstenite uses the connection after that.
//!
//! Run:    cargo run -p torsade-hyper --example websocket_chat [ENDPOINT]     (default 127.0.0.1:8766)
//! Try:    http://127.0.0.1:8766 in two windows of a browser, or: websockets ws://127.0.0.1:8766/chat (of the Python package)
//! Expect: it asks for a name, and passes each line on to everyone; the server prints who left, and why. /echo sends back what it
//!         receives. Ctrl-C says goodbye to everyone first.
//!
//! Three ideas, three files: `socket` opens, limits and closes a WebSocket, `room` has the members, and this file the paths.
//!
//! tungstenite does not support permessage-deflate and refuses frames with its bit (RSV1) set, so `torsade::permessage_deflate`
//! cannot be used with it; Torsade's own example `websocket_echo` compresses.

mod room;
mod socket;

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use async_tungstenite::tungstenite::error::{Error, ProtocolError};
use async_tungstenite::tungstenite::handshake::server::create_response_with_body;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use torsade::{Port, Reactor};
use torsade_hyper::{HttpServer, RequestBody, upgrade};

use room::Room;
use socket::{converse, echo};

/// The longest message of the chat or the echo, in bytes.
const LINE: usize = 4 << 10;
const ECHO: usize = 64 << 10;

fn answer(mut request: Request<RequestBody>, room: &Rc<Room>, reactor: &Reactor) -> Response<Full<Bytes>> {
    let chat = match request.uri().path() {
        "/" => return page(),
        "/chat" => true,
        "/echo" => false,
        _ => return refusal(StatusCode::NOT_FOUND, "there are /, /chat and /echo"),
    };
    if !is_from_here(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, "another site's page asks");
    }
    let response = match create_response_with_body(&request, Full::default) {
        Ok(response) => response,
        Err(error) => return no_websocket(&error),
    };
    let upgraded = upgrade::on(&mut request);
    let (room, clone) = (Rc::clone(room), reactor.clone());
    reactor.spawn(async move {
        // There is none if the client left before it was answered.
        let (Ok(connection), reactor) = (upgraded.await, &clone) else { return };
        if chat {
            converse(connection, LINE, reactor, async |sender, receiver| room.chat(sender, receiver, reactor).await).await;
        } else {
            converse(connection, ECHO, reactor, async |sender, receiver| echo(sender, receiver, reactor).await).await;
        }
    });
    response
}

fn page() -> Response<Full<Bytes>> {
    let mut page = Response::new(Full::from(include_str!("page.html")));
    page.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    page
}

/// Browsers let every page connect anywhere, with the user's cookies, but report the page's origin.
fn is_from_here(headers: &HeaderMap) -> bool {
    let host = |value: &HeaderValue| value.to_str().ok().map(|value| value.rsplit("://").next().unwrap_or(value).to_owned());
    headers.get(ORIGIN).is_none_or(|origin| host(origin) == headers.get(HOST).and_then(host))
}

fn no_websocket(error: &Error) -> Response<Full<Bytes>> {
    let status = match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => StatusCode::METHOD_NOT_ALLOWED,
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingSecWebSocketVersionHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => StatusCode::UPGRADE_REQUIRED,
        _ => StatusCode::BAD_REQUEST,
    };
    let mut response = refusal(status, &error.to_string());
    for (name, value) in [(ALLOW, "GET"), (UPGRADE, "websocket"), (SEC_WEBSOCKET_VERSION, "13")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refusal(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{why}\n")));
    *response.status_mut() = status;
    response
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> torsade::Result<Port> {
    let room = Rc::<Room>::default();
    let (closing, stopping, serving) = (Rc::clone(&room), reactor.clone(), reactor.clone());
    reactor.before_shutdown(move || {
        closing.close();
        // Their tasks send the goodbye within this turn, and the connections are closed after it.
        stopping.sleep(Duration::ZERO)
    });
    let service = service_fn(move |request| {
        let response = answer(request, &room, &serving);
        async { Ok::<_, Infallible>(response) }
    });
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> torsade::Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8766".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
