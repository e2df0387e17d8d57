//! How connections end: with their port, with the reactor.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade_hyper::{HttpServer, RequestBody};

use crate::world::{Answer, World};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

async fn hello(_: Request<RequestBody>) -> Answer {
    Ok(Response::new(Full::<Bytes>::from("hello")))
}

#[test]
fn a_port_that_stops_lets_its_connections_live() {
    let world = World::new(HttpServer::new(service_fn(hello)));
    let client = world.client("10.0.0.2", GET.as_bytes());
    world.run_for(1);
    world.port.stop_listening();
    world.run_for(1);
    client.send(GET);
    world.run_for(1);
    assert_eq!(client.text().matches("hello").count(), 2);
    assert!(world.server.stop().is_ok());
    world.run_for(1);
    assert!(client.ended());
}
