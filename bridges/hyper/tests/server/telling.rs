//! What is logged, at which level.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::{Either, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use hyper::{Request, Response};
use log::{Level, LevelFilter, Log, Metadata, Record};
use torsade_hyper::{HttpServer, RequestBody};

use crate::world::{BoxError, World};

thread_local! {
    static LINES: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what the bridge logs on this thread.
struct Lines;

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        if record.target().starts_with("torsade_hyper") {
            LINES.with_borrow_mut(|lines| lines.push((record.level(), record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

/// Fails at once.
struct Broken;

impl Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Err("the disk is gone".into())))
    }
}

/// What is logged for a client that sends `data` and then does `end`.
fn told(data: &[u8], end: impl FnOnce(&World, &crate::world::Client)) -> Vec<(Level, String)> {
    // Another test may have set it already.
    log::set_logger(&Lines).ok();
    log::set_max_level(LevelFilter::Debug);
    LINES.take();
    let world = World::new(HttpServer::new(service_fn(|request: Request<RequestBody>| {
        assert!(request.uri().path() != "/atonce", "no answer");
        async move {
            match request.uri().path() {
                "/panics" => panic!("no answer"),
                "/error" => Err(BoxError::from("no such table\nforged line")),
                "/broken" => Ok(Response::new(Either::Left(Broken))),
                _ => Ok(Response::new(Either::Right(Full::<Bytes>::from("hello")))),
            }
        }
    })));
    let client = world.client("10.0.0.2", data);
    world.run_for(1);
    end(&world, &client);
    world.run_for(1);
    let lines = LINES.take();
    let peer = client.transport().host().to_string();
    assert!(lines.iter().all(|(_, line)| line.contains("10.0.0.2:")), "{lines:?}, of {peer}");
    lines
}

/// The first bytes of an HTTP/2 client, with one request.
fn http2_request(path: &[u8; 7]) -> Vec<u8> {
    let head = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x0e\x01\x05\0\0\0\x01\x82\x86\x41\x01a\x04\x07";
    [&head[..], path].concat()
}

fn nothing(_: &World, _: &crate::world::Client) {}

#[test]
fn what_the_service_breaks_is_an_error_that_is_reported_once() {
    let lines = told(b"GET /error HTTP/1.1\r\nhost: a\r\n\r\n", nothing);
    let errors: Vec<_> = lines.iter().filter(|(level, _)| *level < Level::Debug).collect();
    assert!(matches!(errors[..], [(Level::Error, line)] if line.ends_with(r": no such table\nforged line")), "{lines:?}");
}

#[test]
fn an_answer_that_breaks_off_is_an_error_with_its_cause() {
    let lines = told(b"GET /broken HTTP/1.1\r\nhost: a\r\n\r\n", nothing);
    assert!(matches!(&lines[..], [(Level::Error, line)] if line.ends_with(": the disk is gone")), "{lines:?}");
    let lines = told(&http2_request(b"/broken"), nothing);
    assert!(matches!(&lines[..], [(Level::Error, line)] if line.ends_with(": the disk is gone")), "{lines:?}");
}

#[test]
fn a_panic_in_http_2_is_an_error_that_names_the_peer() {
    for path in [b"/panics", b"/atonce"] {
        let lines = told(&http2_request(path), nothing);
        assert!(matches!(&lines[..], [(Level::Error, line)] if line.ends_with(": panicked: no answer")), "{lines:?}");
    }
}

#[test]
fn what_the_peer_breaks_is_a_warning() {
    let lines = told(b"no request\r\n\r\n", nothing);
    assert!(matches!(lines[..], [(Level::Warn, _)]), "{lines:?}");
    let lines = told(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x01\0\0\0\0\0\0x\0\0\0", nothing);
    assert!(matches!(lines[..], [(Level::Warn, _)]), "{lines:?}");
}

#[test]
fn a_peer_that_goes_away_is_logged_at_debug_only() {
    let silent = |world: &World, _: &crate::world::Client| world.run_for(40);
    let gone = |_: &World, client: &crate::world::Client| client.transport().abort_connection();
    let ended = |_: &World, client: &crate::world::Client| client.transport().lose_connection();
    for data in [&b""[..], b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        for lines in [told(data, silent), told(data, gone), told(data, ended), told(data, nothing)] {
            assert!(lines.iter().all(|(level, _)| *level == Level::Debug), "{lines:?} after {data:?}");
        }
    }
}
