//! HTTPS: the protocol that the handshake negotiates is used.
#![cfg(feature = "tls")]

use std::cell::RefCell;
use std::rc::Rc;

use futures_lite::AsyncReadExt;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade_hyper::{HttpServer, RequestBody, TorsadeExecutor, TorsadeIo};

use crate::world::Answer;

async fn version(request: Request<RequestBody>) -> Answer {
    let tls = request.body().connection().tls().cloned().ok_or("no TLS")?;
    let agreed = String::from_utf8(tls.negotiated_protocol.unwrap_or_default())?;
    Ok(Response::new(Full::from(format!("{:?} {agreed} {}", request.version(), tls.version))))
}

/// A network with a server, and the endpoint for a client that offers these protocols.
fn world(offered: &[&str]) -> (Simulation, ClientEndpoint) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["10.0.0.1".into()]).expect("a certificate");
    let certificate = PrivateCertificate::from_pem(cert.pem(), signing_key.serialize_pem()).expect("it can be used");
    let config = TlsServerConfig::builder().certificate(certificate).application_protocols(["h2", "http/1.1"]);
    let config = config.build().expect("a configuration");
    let simulation = Simulation::new(1);
    let endpoint: ServerEndpoint = "tcp:443".parse().expect("an endpoint");
    let server = HttpServer::new(service_fn(version)).auto_date_header(false);
    server.listen(&simulation.host("10.0.0.1"), endpoint.tls(&config)).expect("listens");

    let roots = TrustRoots::from_pem(cert.pem()).expect("a root");
    let config = TlsClientConfig::builder().roots(roots).application_protocols(offered.iter().copied()).build();
    let endpoint: ClientEndpoint = "tcp:10.0.0.1:443".parse().expect("an endpoint");
    (simulation, endpoint.tls(&config.expect("a configuration")))
}

/// The answer to a client that offers these protocols, and uses the negotiated one, or HTTP/2 if it is to `insist`.
fn get(offered: &[&str], insist: bool) -> Option<String> {
    let (simulation, endpoint) = world(offered);
    let client = simulation.host("10.0.0.2");
    let reactor = (*client).clone();
    let got = Rc::new(RefCell::new(None));
    let there = Rc::clone(&got);
    client.spawn(async move {
        let connection = reactor.connect_async(endpoint).await?;
        let http2 = insist || connection.transport().negotiated_protocol().as_deref() == Some(b"h2");
        let io = TorsadeIo::new(connection);
        let request = Request::get("http://10.0.0.1/").header("host", "a").body(Empty::<Bytes>::new())?;
        let response = if http2 {
            let (mut sender, connection) = http2::handshake(TorsadeExecutor::new(&reactor), io).await?;
            reactor.spawn(async move { drop(connection.await) });
            sender.send_request(request).await?
        } else {
            let (mut sender, connection) = http1::handshake(io).await?;
            reactor.spawn(async move { drop(connection.await) });
            sender.send_request(request).await?
        };
        let body = response.into_body().collect().await?.to_bytes();
        there.replace(Some(String::from_utf8(body.to_vec())?));
        Ok(())
    });
    simulation.run_for(std::time::Duration::from_secs(5)).expect("runs");
    got.take()
}

#[test]
fn a_client_that_offers_http_2_gets_it() {
    assert_eq!(get(&["h2", "http/1.1"], false).as_deref(), Some("HTTP/2.0 h2 TLS 1.3"));
}

#[test]
fn a_client_that_offers_http_1_1_gets_it() {
    assert_eq!(get(&["http/1.1"], false).as_deref(), Some("HTTP/1.1 http/1.1 TLS 1.3"));
}

#[test]
fn a_client_that_offers_nothing_gets_what_it_begins_with() {
    assert_eq!(get(&[], false).as_deref(), Some("HTTP/1.1  TLS 1.3"));
    assert_eq!(get(&[], true).as_deref(), Some("HTTP/2.0  TLS 1.3"));
}

#[test]
fn what_was_agreed_on_holds() {
    assert_eq!(get(&["http/1.1"], true), None);
}

#[test]
fn a_client_that_agrees_and_says_nothing_is_ended() {
    for protocol in ["h2", "http/1.1"] {
        let (simulation, endpoint) = world(&[protocol]);
        let client = simulation.host("10.0.0.2");
        let reactor = (*client).clone();
        let ended = Rc::new(RefCell::new(false));
        let told = Rc::clone(&ended);
        client.spawn(async move {
            let mut connection = reactor.connect_async(endpoint).await?;
            while connection.read(&mut [0; 100]).await.is_ok_and(|count| count > 0) {}
            *told.borrow_mut() = true;
            Ok(())
        });
        simulation.run_for(std::time::Duration::from_secs(28)).expect("runs");
        assert!(!*ended.borrow(), "{protocol}");
        simulation.run_for(std::time::Duration::from_secs(50)).expect("runs");
        assert!(*ended.borrow(), "{protocol}");
    }
}
