//! How connections end: with their port, with the reactor, when a service fails, when a peer leaves; and the limit of
//! connections.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

use crate::world::{Answer, BoxError, World};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const LATE: &str = "GET /late HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers `/late` after 2 s, never answers `/never`, fails for `/panic` and `/error`, and answers anything else at once.
async fn answer(reactor: Reactor, request: Request<RequestBody>) -> Answer {
    match request.uri().path() {
        "/late" => reactor.sleep(Duration::from_secs(2)).await.map_err(|_| "no sleep")?,
        "/never" => std::future::pending().await,
        "/panic" => panic!("as asked"),
        "/error" => return Err("as asked".into()),
        _ => {}
    }
    Ok(Response::new(Full::<Bytes>::from("hello")))
}

fn serving(
    reactor: Reactor,
) -> HttpServer<
    impl hyper::service::Service<
        Request<RequestBody>,
        Response = Response<Full<Bytes>>,
        Error = BoxError,
        Future = impl Future<Output = Answer> + 'static,
    > + Clone
    + 'static,
> {
    HttpServer::new(service_fn(move |request| answer(reactor.clone(), request)))
}

#[test]
fn a_port_that_stops_lets_its_connections_live() {
    let world = World::with(serving);
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(1);
    world.port.stop_listening();
    world.run_for(1);
    client.send(GET);
    world.run_for(1);
    assert_eq!(client.text().matches("hello").count(), 2);
    assert!(world.server.stop().is_ok());
    world.run_for(1);
    assert!(client.ended() && !world.server.is_running(), "and a stop of the reactor ends them");
}

#[test]
fn a_stop_of_the_reactor_waits_for_requests_that_have_come() {
    let world = World::with(serving);
    let late = world.client("10.0.0.2", [LATE, GET].concat().as_bytes());
    let idle = world.client("10.0.0.3", GET.as_bytes());
    let silent = world.client("10.0.0.4", b"");
    let begun = world.client("10.0.0.5", b"GET / HTTP/1.1\r\n");
    world.run_for(1);
    assert!(world.server.stop().is_ok());
    world.simulation.run_for(Duration::from_millis(500)).expect("runs");
    assert!(idle.ended() && silent.ended() && !late.ended() && world.server.is_running());
    begun.send("host: a\r\n\r\n");
    let refused = world.client("10.0.0.6", GET.as_bytes());
    world.run_for(2);
    assert_eq!(late.text(), "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    assert!(begun.text().ends_with("hello"), "{}", begun.text());
    assert!(late.ended() && begun.ended() && !world.server.is_running());
    assert_eq!(refused.text(), "");
}

#[test]
fn a_stop_of_the_reactor_waits_no_longer_than_its_timeout() {
    let world = World::with(serving);
    let never = world.client("10.0.0.2", b"GET /never HTTP/1.1\r\nhost: a\r\n\r\n");
    world.run_for(1);
    assert!(world.server.stop().is_ok());
    world.run_for(4);
    assert!(world.server.is_running());
    world.run_for(7);
    assert!(never.ended() || never.lost().is_some());
    assert!(!world.server.is_running());
}

#[test]
fn more_connections_than_may_be_wait_and_are_served_later() {
    let world = World::with(|reactor| serving(reactor).max_connections(2));
    let clients: Vec<_> = (2..6).map(|host| world.client(&format!("10.0.0.{host}"), LATE.as_bytes())).collect();
    let answered = || clients.iter().filter(|client| client.text().contains("hello")).count();
    world.run_for(3);
    assert_eq!(answered(), 2);
    assert!(clients.iter().all(|client| client.lost().is_none() && !client.ended()), "none is refused");
    for client in &clients {
        if client.text().contains("hello") {
            client.transport().lose_connection();
        }
    }
    world.run_for(4);
    assert_eq!(answered(), 4);
}

#[test]
fn a_service_that_panics_costs_its_own_connection() {
    let world = World::with(serving);
    let other = world.client("10.0.0.3", LATE.as_bytes());
    let client = world.client("10.0.0.2", b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n");
    world.run_for(1);
    assert_eq!(client.text(), "");
    assert!(client.lost().is_some() || client.ended());
    world.run_for(2);
    assert!(other.text().ends_with("hello"));
}

#[test]
fn a_service_that_fails_costs_its_own_connection() {
    let world = World::with(serving);
    let other = world.client("10.0.0.3", LATE.as_bytes());
    let client = world.client("10.0.0.2", [GET, "GET /error HTTP/1.1\r\nhost: a\r\n\r\n", GET].concat().as_bytes());
    world.run_for(1);
    assert_eq!(client.text().matches("hello").count(), 1);
    assert!(client.lost().is_some());
    world.run_for(2);
    assert!(other.text().ends_with("hello"));
}

/// A body that fails after its first piece.
struct Broken(u8);

impl Body for Broken {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0 += 1;
        Poll::Ready(Some(if self.0 == 1 { Ok(Frame::data(Bytes::from("half"))) } else { Err("broken".into()) }))
    }
}

#[test]
fn an_answer_that_breaks_off_does_not_look_complete() {
    let world =
        World::new(HttpServer::new(service_fn(|_: Request<RequestBody>| async { Ok::<_, BoxError>(Response::new(Broken(0))) })));
    // In HTTP/1.0 the end of the stream is the end of the body.
    let client = world.client("10.0.0.2", b"GET / HTTP/1.0\r\n\r\n");
    world.run_for(1);
    assert!(!client.ended(), "{}", client.text());
    assert!(matches!(client.lost(), Some(Reason::ConnectionLost(_))), "{:?}", client.lost());
}

/// Records that it was dropped.
struct Told(Rc<Cell<bool>>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

#[test]
fn what_is_done_for_a_client_that_has_reset_its_connection_is_dropped() {
    let dropped = Rc::new(Cell::new(false));
    let told = Rc::clone(&dropped);
    let world = World::new(HttpServer::new(service_fn(move |_: Request<RequestBody>| {
        let told = Told(Rc::clone(&told));
        async move {
            let _told = told;
            std::future::pending::<Answer>().await
        }
    })));
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(1);
    assert!(!dropped.get());
    client.transport().abort_connection();
    world.run_for(1);
    assert!(dropped.get());
}

#[test]
fn an_upgraded_connection_counts_until_it_ends() {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keeping = Rc::clone(&kept);
    let world = World::with(|reactor| {
        let service = service_fn(move |mut request: Request<RequestBody>| {
            let (upgrade, keeping) = (torsade_hyper::upgrade::on(&mut request), Rc::clone(&keeping));
            reactor.spawn(async move {
                let connection = upgrade.await?;
                keeping.borrow_mut().push(connection);
                Ok(())
            });
            async { Answer::Ok(Response::builder().status(101).body(Full::default())?) }
        });
        HttpServer::new(service).max_connections(1)
    });
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let clients = ["10.0.0.2", "10.0.0.3"].map(|host| world.client(host, upgrade));
    world.run_for(50);
    assert_eq!(kept.borrow().len(), 1);
    kept.borrow_mut().clear();
    world.run_for(1);
    assert_eq!(kept.borrow().len(), 1, "{:?}", clients.map(|client| client.text()));
    assert!(world.server.stop().is_ok());
    world.run_for(1);
    assert!(!world.server.is_running(), "a stop does not wait for it here");
}
