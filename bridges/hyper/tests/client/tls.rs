//! `https://`, and how HTTP/2 or HTTP/1.1 is chosen.

#[allow(dead_code, reason = "shared with the suite on TLS")]
#[path = "../../../../tests/tls/keys.rs"]
pub mod keys;

use std::convert::Infallible;
use std::error::Error;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Version};
use torsade_hyper::{ClientErrorKind, TorsadeExecutor, TorsadeIo};

use super::*;

/// A server of the negotiated protocol whose answers describe the request. Returns how many connections it had.
fn serve(simulation: &Simulation, protocols: &[&str]) -> Rc<Cell<usize>> {
    let connections = Rc::<Cell<usize>>::default();
    let config = keys::server_builder().application_protocols(protocols).build().unwrap();
    let host = simulation.host(SERVER);
    let mut incoming = host.listen_async(ServerEndpoint::tcp("0.0.0.0:443").unwrap().tls(&config)).unwrap();
    let (reactor, count) = ((*host).clone(), Rc::clone(&connections));
    host.spawn(async move {
        while let Some(connection) = incoming.accept().await {
            count.set(count.get() + 1);
            let agreed = connection.transport().tls_info().unwrap().negotiated_protocol;
            let (io, service) = (TorsadeIo::new(connection), service_fn(say));
            if agreed.as_deref() == Some(b"h2") {
                let http = http2::Builder::new(TorsadeExecutor::new(&reactor)).serve_connection(io, service);
                reactor.spawn_result(http);
            } else {
                reactor.spawn_result(http1::Builder::new().serve_connection(io, service));
            }
        }
    });
    connections
}

async fn say(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    Ok(Response::new(format!("{:?} {} {host:?}", request.version(), request.uri())))
}

fn client(reactor: &Reactor) -> Client {
    Client::builder(reactor).tls(&keys::client()).build()
}

#[test]
fn a_server_of_both_is_spoken_to_in_http2_on_one_connection() {
    let simulation = Simulation::new(1);
    simulation.add_name("server.test", SERVER);
    let connections = serve(&simulation, &["h2", "http/1.1"]);
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let request = client.get("https://server.test/x");
                reactor.spawn(async move {
                    let response = request.await?;
                    assert_eq!(response.version(), Version::HTTP_2);
                    Ok(text(response).await?)
                })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await?, "HTTP/2.0 https://server.test/x None");
        }
        Ok(())
    });
    assert_eq!(connections.get(), 1);
}

#[test]
fn a_server_of_http1_is_spoken_to_in_that_on_as_many_connections_as_there_may_be() {
    for protocols in [&["http/1.1"][..], &[]] {
        let simulation = Simulation::new(1);
        let connections = serve(&simulation, protocols);
        run(&simulation, |reactor| async move {
            let client = client(&reactor);
            let tasks: Vec<_> = (0..20)
                .map(|_| {
                    let request = client.get("https://10.0.0.1/x");
                    reactor.spawn(async move { Ok(text(request.await?).await?) })
                })
                .collect();
            for task in tasks {
                assert_eq!(task.await?, "HTTP/1.1 /x Some(\"10.0.0.1\")");
            }
            Ok(())
        });
        assert_eq!(connections.get(), 6);
    }
}

#[test]
fn the_certificate_is_for_the_host_of_the_uri_wherever_a_connector_leads() {
    let simulation = Simulation::new(1);
    let connections = serve(&simulation, &["http/1.1"]);
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).tls(&keys::client()).connector(|_| "tcp:10.0.0.1:443").build();
        assert_eq!(client.get("https://server.test/").await?.status(), 200);
        let error = client.get("https://other.test/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Connect, "{error}");
        let named = keys::client_builder().server_name("server.test").build()?;
        let client = Client::builder(&reactor).tls(&named).connector(|_| "tcp:10.0.0.1:443").build();
        assert_eq!(client.get("https://other.test/").await?.status(), 200, "the configuration names another");
        Ok(())
    });
    assert_eq!(connections.get(), 2);
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_spoken_to() {
    let simulation = Simulation::new(1);
    let connections = serve(&simulation, &["http/1.1"]);
    run(&simulation, |reactor| async move {
        let config = torsade::TlsClientConfig::builder().roots(keys::stranger().roots()).build()?;
        let client = Client::builder(&reactor).tls(&config).build();
        let error = client.get("https://10.0.0.1/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Connect);
        assert!(matches!(error.source().unwrap().downcast_ref(), Some(ConnectError::Lost(Reason::Tls(_)))), "{error}");
        Ok(())
    });
    assert_eq!(connections.get(), 0);
}

#[test]
fn a_body_that_ends_with_the_stream_and_without_close_notify_is_an_error() {
    let simulation = Simulation::new(1);
    let host = simulation.host(SERVER);
    let mut incoming = host.listen_async(ServerEndpoint::tcp("0.0.0.0:443").unwrap().tls(&keys::server())).unwrap();
    host.spawn(async move {
        let connection = incoming.accept().await.unwrap();
        let mut raw = Raw { connection, seen: Seen::default() };
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 200 OK\r\n\r\nhello").await?;
        drop(raw);
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let error = text(client(&reactor).get("https://10.0.0.1/").await?).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Closed, "{error}");
        Ok(())
    });
}

#[test]
fn the_systems_roots_are_trusted_unless_others_are_given() {
    let simulation = Simulation::new(1);
    let connections = serve(&simulation, &["http/1.1"]);
    run(&simulation, |reactor| async move {
        // This machine may have no trusted roots; either way this server is not trusted.
        let error = Client::new(&reactor).get("https://10.0.0.1/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Connect, "{error}");
        Ok(())
    });
    assert_eq!(connections.get(), 0);
}

#[test]
fn an_upgrade_is_spoken_in_http1_beside_the_shared_connection() {
    let simulation = Simulation::new(1);
    let config = keys::server_builder().application_protocols(["h2", "http/1.1"]).build().unwrap();
    let endpoint = ServerEndpoint::tcp("0.0.0.0:443").unwrap().tls(&config);
    let service = service_fn(|mut request: Request<torsade_hyper::RequestBody>| async move {
        let switching = torsade_hyper::upgrade::on(&mut request);
        if request.headers().contains_key("upgrade") {
            let reactor = Reactor::clone(request.extensions().get::<send_wrapper::SendWrapper<Reactor>>().unwrap());
            reactor.spawn(async move {
                let mut connection = switching.await?;
                connection.write_all(b"hello").await?;
                Ok(connection.close().await?)
            });
            let switched = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "shout");
            return switched.body(String::new());
        }
        Ok(Response::new(format!("{:?}", request.version())))
    });
    let host = simulation.host(SERVER);
    let reactor = send_wrapper::SendWrapper::new((*host).clone());
    let service = service_fn(move |mut request: Request<torsade_hyper::RequestBody>| {
        request.extensions_mut().insert(reactor.clone());
        hyper::service::Service::call(&service, request)
    });
    torsade_hyper::HttpServer::new(service).listen(&host, endpoint).unwrap();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        assert_eq!(text(client.get("https://10.0.0.1/").await?).await?, "HTTP/2.0");
        let request = Request::get("https://10.0.0.1/").header("connection", "upgrade").header("upgrade", "shout");
        let (response, connection) = client.upgrade(request.body(String::new())?).await?;
        assert_eq!(response.status(), 101);
        let mut heard = String::new();
        connection.unwrap().read_to_string(&mut heard).await?;
        assert_eq!(heard, "hello");
        assert_eq!(text(client.get("https://10.0.0.1/").await?).await?, "HTTP/2.0");
        Ok(())
    });
}
