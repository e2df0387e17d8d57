//! Clients that are silent when it is their turn, and slow services.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody, RequestBodyError};

use crate::world::{Answer, BoxError, World};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

/// Answers with how the body ended.
async fn read(request: Request<RequestBody>) -> Answer {
    let mut response = Response::new(Full::from("read"));
    if let Err(RequestBodyError::TimedOut) = request.into_body().collect().await {
        *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    }
    Ok(response)
}

fn reading() -> World {
    World::new(HttpServer::new(service_fn(read)))
}

#[test]
fn a_client_that_says_nothing_is_closed() {
    let world = reading();
    let client = world.client("10.0.0.2", b"");
    world.run_for(29);
    assert!(!client.ended());
    world.run_for(15);
    assert!(client.ended());
    assert_eq!(client.text(), "");
}

#[test]
fn a_head_that_arrives_bit_by_bit_has_one_deadline() {
    let world = reading();
    let client = world.client("10.0.0.2", b"GET / HTTP/1.1\r\n");
    for _ in 0..29 {
        world.run_for(1);
        client.send("x: y\r\n");
    }
    assert!(client.lost().is_none() && !client.ended());
    world.run_for(2);
    assert!(client.ended());
    assert_eq!(client.text(), "");
}

#[test]
fn the_beginning_of_http_2_that_comes_bit_by_bit_has_a_deadline_too() {
    let world = reading();
    let client = world.client("10.0.0.2", b"P");
    for byte in b"RI * HTT" {
        world.run_for(5);
        client.send([*byte]);
    }
    world.run_for(5);
    assert!(client.ended());
}

#[test]
fn an_idle_connection_is_closed_and_what_it_was_sent_arrives() {
    let world = reading();
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(29);
    client.send(GET);
    world.run_for(29);
    assert!(!client.ended());
    world.run_for(2);
    assert_eq!(client.text().matches("read").count(), 2);
    assert!(client.ended() && client.lost().is_none(), "with the end of the stream, not with a reset");
}

#[test]
fn a_body_that_does_not_arrive_is_an_error_of_the_body() {
    let world = reading();
    let client = world.client("10.0.0.2", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n");
    for _ in 0..4 {
        client.when_connected(&world, |transport| transport.write("slow"));
        world.run_for(25);
    }
    assert_eq!(client.text(), "");
    world.run_for(10);
    assert!(client.text().starts_with("HTTP/1.1 408 "), "{}", client.text());
    assert!(client.ended(), "{}", client.text());
}

#[test]
fn a_service_that_takes_long_and_one_that_reads_late_are_waited_for() {
    let world = World::with(|reactor| {
        HttpServer::new(service_fn(move |request| {
            let slept = reactor.sleep(Duration::from_secs(300));
            async move {
                slept.await.map_err(|_| "no sleep")?;
                read(request).await
            }
        }))
    });
    let client = world.client("10.0.0.2", format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab{GET}").as_bytes());
    world.run_for(601);
    assert_eq!(client.text().matches("200 OK").count(), 2, "{}", client.text());
}

/// A body with a piece every minute, like server-sent events.
struct Events {
    reactor: Reactor,
    sleep: Option<torsade::Deferred<()>>,
    left: u32,
}

impl Body for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let reactor = &this.reactor;
        let sleep = this.sleep.get_or_insert_with(|| reactor.sleep(Duration::from_secs(60)));
        ready!(Pin::new(sleep).poll(context)).map_err(|_| "no sleep")?;
        this.sleep = None;
        this.left -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from("event")))))
    }
}

#[test]
fn a_body_that_the_service_gives_slowly_is_waited_for() {
    let world = World::with(|reactor| {
        HttpServer::new(service_fn(move |_: Request<RequestBody>| {
            let events = Events { reactor: reactor.clone(), sleep: None, left: 5 };
            async { Ok::<_, BoxError>(Response::new(events)) }
        }))
    });
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(301);
    assert_eq!(client.text().matches("event").count(), 5);
}

#[test]
fn a_client_that_does_not_read_what_it_asked_for_is_reset() {
    let world = World::new(HttpServer::new(service_fn(|_: Request<RequestBody>| async {
        Answer::Ok(Response::new(Full::from(vec![b'x'; 32 << 20])))
    })));
    let client = world.client("10.0.0.2", GET.as_bytes());
    let slow = world.client("10.0.0.3", GET.as_bytes());
    client.when_connected(&world, Transport::pause_producing);
    slow.when_connected(&world, Transport::pause_producing);
    for _ in 0..10 {
        // This one reads a little now and then.
        world.run_for(10);
        slow.transport().resume_producing();
        world.simulation.run_for(Duration::from_millis(20)).expect("runs");
        slow.transport().pause_producing();
    }
    client.transport().resume_producing();
    world.run_for(1);
    assert!(matches!(client.lost(), Some(Reason::ConnectionLost(_))), "{:?}", client.lost());
    assert!(slow.lost().is_none() && !slow.ended());
    slow.transport().resume_producing();
    world.run_for(20);
    assert!(slow.text().len() > 32 << 20, "{}", slow.text().len());
    slow.send(GET);
    world.run_for(20);
    assert!(slow.text().len() > 64 << 20, "it has its full time for the next request");
}

#[test]
fn the_timeout_can_be_set() {
    let world = World::new(HttpServer::new(service_fn(read)).timeout(Duration::from_secs(3)));
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(2);
    assert!(!client.ended());
    world.run_for(2);
    assert!(client.ended());
}
