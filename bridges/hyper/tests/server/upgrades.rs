//! Connections that are upgraded from HTTP.

use std::cell::RefCell;
use std::rc::Rc;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade_hyper::upgrade::{OnUpgrade, UpgradeError};
use torsade_hyper::{HttpServer, RequestBody, upgrade};

use crate::world::{Answer, World};

const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";

/// Answers with the request's path, and echoes on upgraded connections; keeps errors of upgrades.
fn echoing(errors: &Rc<RefCell<Vec<UpgradeError>>>) -> World {
    World::with(|reactor| {
        let errors = Rc::clone(errors);
        HttpServer::new(service_fn(move |mut request: Request<RequestBody>| {
            let status: u16 = request.uri().path().trim_start_matches('/').parse().unwrap_or(101);
            if request.headers().get("ask").is_none_or(|ask| ask != "no") {
                let errors = Rc::clone(&errors);
                let upgrade = upgrade::on(&mut request);
                reactor.spawn(async move {
                    if let Err(error) = echo(upgrade).await {
                        errors.borrow_mut().push(*error.downcast::<UpgradeError>()?);
                    }
                    Ok(())
                });
            }
            let response = Response::builder().status(if request.method() == "CONNECT" { 200 } else { status });
            async move { Answer::Ok(response.body(Full::<Bytes>::default())?) }
        }))
    })
}

async fn echo(upgrade: OnUpgrade) -> Result {
    let mut connection = upgrade.await?;
    connection.write_all(b"[").await?;
    let mut all = Vec::new();
    connection.read_to_end(&mut all).await?;
    connection.write_all(&all).await?;
    connection.write_all(b"]").await?;
    Ok(connection.close().await?)
}

#[test]
fn an_upgraded_connection_has_what_came_behind_the_request() {
    let world = echoing(&Rc::default());
    let client = world.client("10.0.0.2", &[UPGRADE.as_bytes(), b"early "].concat());
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 101 Switching Protocols\r\n\r\n[");
    client.send("late");
    client.transport().lose_write_connection();
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 101 Switching Protocols\r\n\r\n[early late]");
    assert!(matches!(client.lost(), Some(Reason::ConnectionDone)), "{:?}", client.lost());
}

#[test]
fn an_upgraded_connection_has_no_deadline_of_http_left() {
    let world = echoing(&Rc::default());
    let client = world.client("10.0.0.2", UPGRADE.as_bytes());
    world.run_for(1);
    assert!(client.text().ends_with('['));
    // Within a third of the timeout the server checks its connections again, and finds none that uses HTTP.
    world.run_for(10);
    assert_eq!(world.server.delayed_calls(), 0);
    assert!(client.lost().is_none());
}

#[test]
fn connect_makes_a_tunnel() {
    let world = echoing(&Rc::default());
    let client = world.client("10.0.0.2", b"CONNECT b:443 HTTP/1.1\r\nhost: b:443\r\n\r\nhello");
    world.run_for(1);
    client.transport().lose_write_connection();
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 200 OK\r\n\r\n[hello]");
}

#[test]
fn an_answer_that_is_not_an_upgrade_says_so_and_http_goes_on() {
    let errors = Rc::default();
    let world = echoing(&errors);
    let declined = UPGRADE.replace("GET /", "GET /200");
    let client = world.client("10.0.0.2", [declined.as_str(), UPGRADE, "x"].concat().as_bytes());
    world.run_for(1);
    assert_eq!(*errors.borrow(), [UpgradeError::Declined]);
    client.transport().lose_write_connection();
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n[x]");
}

#[test]
fn a_declined_upgrade_leaves_a_connection_that_ends_as_usual() {
    let world = echoing(&Rc::default());
    let client = world.client("10.0.0.2", UPGRADE.replace("GET /", "GET /200").as_bytes());
    world.run_for(1);
    client.transport().lose_write_connection();
    world.run_for(1);
    assert!(client.text().starts_with("HTTP/1.1 200 OK"));
    assert!(matches!(client.lost(), Some(Reason::ConnectionDone)), "{:?}", client.lost());
}

#[test]
fn an_upgrade_that_nobody_asked_for_closes_the_connection() {
    let world = echoing(&Rc::default());
    let client = world.client("10.0.0.2", UPGRADE.replace("host: a", "host: a\r\nask: no").as_bytes());
    world.run_for(1);
    assert_eq!(client.text(), "HTTP/1.1 101 Switching Protocols\r\n\r\n");
    assert!(client.ended() && client.lost().is_none(), "gracefully");
}

#[test]
fn a_request_that_asks_for_no_upgrade_has_none() {
    let errors = Rc::default();
    let world = echoing(&errors);
    world.client("10.0.0.2", b"GET /200 HTTP/1.1\r\nhost: a\r\n\r\n");
    world.run_for(1);
    assert_eq!(*errors.borrow(), [UpgradeError::NotAsked]);
}
