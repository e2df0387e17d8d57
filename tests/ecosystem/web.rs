//! HTTP crates.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio_util::compat::FuturesAsyncReadCompatExt;
use torsade::prelude::*;
use torsade_ecosystem::{AsSocket, converse, network};
use torsade_hyper::{HttpServer, TorsadeExecutor, TorsadeIo, TowerService};

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from(format!("hello, {}", request.uri().path()))))
}

/// Requests /world with hyper's HTTP/1.1 client.
async fn ask(reactor: Reactor, connection: AsyncConnection) -> Result<Bytes> {
    let (mut sender, driver) = http1::handshake(TorsadeIo::new(connection)).await?;
    reactor.spawn_result(driver);
    let request = Request::get("/world").header("host", "10.0.0.1").body(Full::<Bytes>::default())?;
    Ok(sender.send_request(request).await?.collect().await?.to_bytes())
}

#[test]
fn hyper() {
    let http1 = converse(
        async |_, connection| {
            Ok(hyper::server::conn::http1::Builder::new().serve_connection(TorsadeIo::new(connection), service_fn(hello)).await?)
        },
        ask,
    );
    assert_eq!(http1, "hello, /world");
    let http2 = converse(
        async |reactor, connection| {
            let builder = hyper::server::conn::http2::Builder::new(TorsadeExecutor::new(&reactor));
            Ok(builder.serve_connection(TorsadeIo::new(connection), service_fn(hello)).await?)
        },
        async |reactor, connection| {
            let (mut sender, driver) = http2::handshake(TorsadeExecutor::new(&reactor), TorsadeIo::new(connection)).await?;
            reactor.spawn_result(driver);
            let request = Request::get("http://10.0.0.1/world").body(Full::<Bytes>::default())?;
            Ok(sender.send_request(request).await?.collect().await?.to_bytes())
        },
    );
    assert_eq!(http2, "hello, /world");
}

/// Its traits are tokio's.
#[test]
fn h2() {
    let body = converse(
        async |_, connection| {
            let mut server = h2::server::handshake(connection.compat()).await?;
            while let Some(request) = server.accept().await {
                let (request, mut respond) = request?;
                let body = format!("hello, {}", request.uri().path());
                respond.send_response(Response::new(()), false)?.send_data(Bytes::from(body), true)?;
            }
            Ok(())
        },
        async |reactor, connection| {
            let (mut client, driver) = h2::client::handshake(connection.compat()).await?;
            reactor.spawn_result(driver);
            let (response, _) = client.send_request(Request::get("http://10.0.0.1/world").body(())?, true)?;
            let mut body = response.await?.into_body();
            body.data().await.ok_or("no body")?.map_err(Into::into)
        },
    );
    assert_eq!(body, "hello, /world");
}

#[test]
fn axum() {
    let hello = async |Path(name): Path<String>| format!("hello, {name}");
    let router = Router::new().route("/{name}", get(hello));
    let simulation = network();
    HttpServer::new(TowerService::new(router)).listen(&simulation.host("10.0.0.1"), "tcp:7").unwrap();
    let client = simulation.host("10.0.0.2");
    let reactor = (*client).clone();
    let body = client.spawn(async move {
        let connection = reactor.connect_async("10.0.0.1:7").await?;
        ask(reactor, connection).await
    });
    simulation.run_for(Duration::from_secs(60)).unwrap();
    assert_eq!(body.into_deferred().into_result().expect("it is done").unwrap(), "hello, world");
}

/// Its timeout for a request's header is a timer of async-io, which starts a thread for it.
#[test]
fn async_h1() {
    let body = converse(
        async |_, connection| {
            let connection = async_dup::Arc::new(async_dup::Mutex::new(AsSocket::new(connection)));
            let answer = async |request: http_types::Request| Ok(format!("hello, {}", request.url().path()).into());
            async_h1::accept(connection, answer).await.map_err(|error| error.into_inner().into())
        },
        async |_, connection| {
            let request = http_types::Request::new(http_types::Method::Get, "http://10.0.0.1/world");
            let mut response = async_h1::connect(AsSocket::new(connection), request).await.map_err(|error| error.into_inner())?;
            response.body_string().await.map_err(|error| error.into_inner().into())
        },
    );
    assert_eq!(body, "hello, /world");
}

#[test]
fn trillium_http() {
    let answer = converse(
        async |_, connection| {
            let answer = async |mut conn: trillium_http::Conn<AsSocket>| {
                let body = format!("hello, {}", conn.path());
                conn.set_status(200).set_response_body(body);
                conn
            };
            Arc::new(trillium_http::HttpContext::new()).run(AsSocket::new(connection), answer).await?;
            Ok(())
        },
        async |_, mut connection| {
            connection.write_all(b"GET /world HTTP/1.1\r\nHost: 10.0.0.1\r\nConnection: close\r\n\r\n").await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            Ok(answer)
        },
    );
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello, /world"), "{answer}");
}
