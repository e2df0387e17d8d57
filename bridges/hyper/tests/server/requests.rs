//! What an HTTP/1 client receives, to the byte.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

use crate::world::{Answer, BoxError, Client, World};

/// Answers with the method, the path, and the body in capitals; for `/late` after 5 s, for `/unread` without reading the body.
fn capitals() -> World {
    World::with(|reactor| HttpServer::new(service_fn(move |request| answer(reactor.clone(), request))))
}

async fn answer(reactor: Reactor, request: Request<RequestBody>) -> Answer {
    let (head, body) = request.into_parts();
    match head.uri.path() {
        "/late" => reactor.sleep(Duration::from_secs(5)).await.map_err(|_| "no sleep")?,
        "/unread" => return Ok(Response::new(Full::from("no"))),
        _ => {}
    }
    let body = body.collect().await?.to_bytes().to_ascii_uppercase();
    Ok(Response::new(Full::from([head.method.as_str(), " ", head.uri.path(), " "].concat() + &String::from_utf8_lossy(&body))))
}

/// What a client receives that sends `request` and then ends its stream.
fn exchange(request: &str) -> (World, Client) {
    let world = capitals();
    let client = world.client("10.0.0.2", request.as_bytes());
    world.run_for(1);
    (world, client)
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let requests = ["/late", "/2", "/3"].map(|path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    let (world, client) = exchange(&requests.concat());
    assert_eq!(client.text(), "", "none overtakes the first");
    world.run_for(5);
    assert_eq!(client.text(), [ok("GET /late "), ok("GET /2 "), ok("GET /3 ")].concat());
    assert!(!client.ended(), "it is kept alive");
}

#[test]
fn how_requests_are_cut_does_not_matter() {
    let requests = [
        "GET /1 HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "PUT /3 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2;x\r\nde\r\n0\r\n\r\n",
        "PRI /4 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    ];
    let expected = [ok("GET /1 "), ok("POST /2 ABC"), ok("PUT /3 DE")].concat();
    for size in [1, 2, 3, 7, 50] {
        let world = capitals();
        let client = world.client("10.0.0.2", b"");
        world.run_for(1);
        for piece in requests.concat().as_bytes().chunks(size) {
            client.send(piece);
            world.simulation.run_for(Duration::from_millis(10)).expect("runs");
        }
        world.run_for(1);
        assert!(client.text().starts_with(&expected), "{size}: {}", client.text());
        assert!(client.text().ends_with("\r\n\r\nPRI /4 ") && client.ended(), "{size}: {}", client.text());
    }
    // Without the others before it, the last request begins like HTTP/2's preface.
    for size in [1, 4, 50] {
        let world = capitals();
        let client = world.client("10.0.0.2", b"");
        world.run_for(1);
        for piece in requests[3].as_bytes().chunks(size) {
            client.send(piece);
            world.simulation.run_for(Duration::from_millis(10)).expect("runs");
        }
        world.run_for(1);
        assert!(client.text().ends_with("\r\n\r\nPRI /4 "), "{size}: {}", client.text());
    }
}

#[test]
fn requests_of_a_client_that_has_ended_its_stream_are_all_answered() {
    let requests = ["/late", "/2", "/late"].map(|path| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
    let (world, client) = exchange(&requests.concat());
    client.transport().lose_write_connection();
    world.run_for(20);
    assert_eq!(client.text(), [ok("GET /late "), ok("GET /2 "), ok("GET /late ")].concat());
    assert!(matches!(client.lost(), Some(Reason::ConnectionDone)), "{:?}", client.lost());
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told_when_the_service_reads() {
    let (world, client) = exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.text(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    world.run_for(1);
    assert_eq!(client.text(), format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok("POST / ABC")));
}

#[test]
fn a_client_that_waits_to_be_told_gets_the_answer_of_a_service_that_does_not_read() {
    let (_world, client) = exchange("POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert!(client.text().starts_with("HTTP/1.1 200 OK\r\n"), "{}", client.text());
    assert!(client.text().ends_with("\r\n\r\nno"), "{}", client.text());
}

#[test]
fn head_is_answered_with_the_length_alone() {
    let (_world, client) = exchange("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.text(), format!("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{}", ok("GET /2 ")));
}

#[test]
fn a_chunked_body_is_read_with_extensions_and_trailers() {
    let chunked = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nt: 1\r\n\r\n";
    let (_world, client) = exchange(&format!("{chunked}GET /2 HTTP/1.1\r\nhost: a\r\n\r\n"));
    assert_eq!(client.text(), [ok("POST / ABCDE"), ok("GET /2 ")].concat());
}

#[test]
fn a_body_of_unknown_length_is_sent_in_chunks() {
    let world = World::new(HttpServer::new(service_fn(|request: Request<RequestBody>| async {
        Ok::<_, BoxError>(Response::new(request.into_body()))
    })));
    let client = world.client("10.0.0.2", b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n", "as it comes");
    client.send("2\r\nde\r\n0\r\n\r\n");
    world.run_for(1);
    assert!(client.text().ends_with("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "{}", client.text());
}

#[test]
fn http_1_0_ends_with_the_answer_unless_it_is_to_be_kept_alive() {
    let (_world, client) = exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.text(), "HTTP/1.0 200 OK\r\ncontent-length: 6\r\n\r\nGET / ");
    assert!(client.ended());
    let (_world, client) = exchange("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    assert!(client.text().contains("keep-alive"), "{}", client.text());
    assert!(!client.ended());
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    for (head, status) in [
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(17 << 10)), "431"),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101)), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(17 << 10)), "431"),
    ] {
        let (_world, client) = exchange(&head);
        assert!(client.text().starts_with(&format!("HTTP/1.1 {status} ")), "{}", client.text());
        assert!(client.ended());
    }
}

#[test]
fn what_is_not_a_request_is_refused() {
    for request in
        ["hello\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "PRI * HTTP/2.0\r\nx: y\r\n\r\n"]
    {
        let (_world, client) = exchange(request);
        assert!(client.text().starts_with("HTTP/1.1 400 "), "{request:?}: {}", client.text());
        assert!(client.ended());
    }
    for lengths in ["content-length: 1\r\ncontent-length: 2", "content-length: -1", "transfer-encoding: x"] {
        let (_world, client) = exchange(&format!("POST / HTTP/1.1\r\nhost: a\r\n{lengths}\r\n\r\nabc"));
        assert!(client.text().starts_with("HTTP/1.1 400 "), "{lengths:?}: {}", client.text());
    }
}

#[test]
fn a_body_that_is_cut_short_is_an_error_of_the_body() {
    let (world, client) = exchange("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nabc");
    client.transport().lose_write_connection();
    world.run_for(1);
    assert_eq!(client.text(), "", "the service failed with it");
    assert!(client.lost().is_some());
}

#[test]
fn a_service_limits_the_body_itself() {
    let world = World::new(HttpServer::new(service_fn(|request: Request<RequestBody>| async {
        let status = match Limited::new(request.into_body(), 10).collect().await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        };
        let mut response = Response::new(Full::<Bytes>::default());
        *response.status_mut() = status;
        Ok::<_, BoxError>(response)
    })));
    let client =
        world.client("10.0.0.2", format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99\r\n\r\n{:99}", "").as_bytes());
    world.run_for(1);
    assert!(client.text().starts_with("HTTP/1.1 413 "), "{}", client.text());
}

#[test]
fn a_request_knows_its_connection() {
    let world = World::new(HttpServer::new(service_fn(|request: Request<RequestBody>| async move {
        let info = request.body().connection().clone();
        // It is `Send`.
        let text = std::thread::spawn(move || format!("{} {} {}", info.peer(), info.host(), info.tls().is_none()));
        Answer::Ok(Response::new(Full::from(text.join().expect("no panic"))))
    })));
    let client = world.client("10.0.0.2", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    world.run_for(1);
    let peer = client.transport().host();
    assert!(client.text().ends_with(&format!("\r\n\r\n{peer} 10.0.0.1:80 true")), "{}", client.text());
}

#[test]
fn each_connection_has_a_service_of_its_own() {
    #[derive(Default)]
    struct Counting(std::cell::Cell<u32>);
    impl Clone for Counting {
        fn clone(&self) -> Self {
            Self::default()
        }
    }
    impl hyper::service::Service<Request<RequestBody>> for Counting {
        type Response = Response<Full<Bytes>>;
        type Error = BoxError;
        type Future = std::future::Ready<Answer>;
        fn call(&self, _: Request<RequestBody>) -> Self::Future {
            self.0.set(self.0.get() + 1);
            std::future::ready(Ok(Response::new(Full::from(format!("<{}>", self.0.get())))))
        }
    }
    let world = World::new(HttpServer::new(Counting::default()));
    for host in ["10.0.0.2", "10.0.0.3"] {
        let client = world.client(host, "GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(2).as_bytes());
        world.run_for(1);
        assert!(client.text().contains("<1>") && client.text().ends_with("<2>"), "{}", client.text());
    }
}
