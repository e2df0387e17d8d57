//! Which connection a request gets, and when.

use std::convert::Infallible;
use std::pin::pin;

use futures_lite::future::try_zip;
use http_body_util::{Empty, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Method, Request, Uri};
use torsade_hyper::{ClientErrorKind, HttpServer, RequestBody};

use super::*;

#[test]
fn one_connection_serves_request_after_request() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for _ in 0..10 {
            assert_eq!(fetch(&client).await?, "hello");
        }
        assert_eq!(reactor.leftovers().delayed_calls.len(), 1, "it will be closed");
        drop(client);
        assert_eq!(reactor.leftovers().delayed_calls, Vec::<String>::new());
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
    assert_eq!(*seen.ends.borrow(), ["closed"], "it ends with the client");
}

#[test]
fn a_body_that_has_arrived_but_is_not_read_leaves_the_connection_usable() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for _ in 0..10 {
            assert_eq!(client.get("http://10.0.0.1/").await?.status(), 200);
        }
        Ok(())
    });
    assert_eq!((seen.connections.get(), &seen.ends.borrow()[..]), (1, &["closed".to_owned()][..]));
}

#[test]
fn a_host_has_no_more_connections_than_it_may_and_further_requests_wait_in_order() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while raw.head().await.is_some() {
            raw.connection.transport().reactor().sleep(SECOND).await?;
            raw.send(HELLO).await?;
        }
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(2).build();
        let tasks: Vec<_> = (0..10)
            .map(|number| {
                let request = client.get(format!("http://10.0.0.1/{number}"));
                reactor.spawn(async move { Ok(text(request.await?).await?) })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await?, "hello");
        }
        assert!((5.0..5.5).contains(&reactor.now().as_secs_f32()), "two at a time: {:?}", reactor.now());
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
    let mut requests: Vec<_> = seen.requests.borrow().iter().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    // Two requests in flight may overtake each other.
    requests.chunks_mut(2).for_each(<[_]>::sort);
    assert_eq!(requests, ["/0", "/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8", "/9"]);
}

#[test]
fn a_request_that_is_dropped_while_it_waits_loses_its_turn_and_nobody_else_does() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let first = client.get("http://10.0.0.1/1").await?;
        let (mut second, mut third) = (Box::pin(client.get("http://10.0.0.1/2")), pin!(client.get("http://10.0.0.1/3")));
        assert!(futures_lite::future::poll_once(&mut second).await.is_none());
        assert!(futures_lite::future::poll_once(&mut third).await.is_none());
        drop(second);
        text(first).await?;
        text(third.await?).await?;
        Ok(())
    });
    assert_eq!(*seen.requests.borrow(), ["GET /1 HTTP/1.1", "GET /3 HTTP/1.1"]);
}

#[test]
fn other_hosts_and_other_ports_have_connections_of_their_own() {
    let simulation = Simulation::new(1);
    simulation.add_name("one.example", SERVER);
    simulation.add_name("two.example", SERVER);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let one = client.get("http://one.example").await?;
        let two = client.get("http://TWO.example:80/there?here").await?;
        assert_eq!((text(one).await?, text(two).await?), ("hello".to_owned(), "hello".to_owned()));
        text(client.get("http://two.example/again").await?).await?;
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
    assert_eq!(*seen.requests.borrow(), ["GET / HTTP/1.1", "GET /there?here HTTP/1.1", "GET /again HTTP/1.1"]);
}

#[test]
fn a_connection_that_rests_is_closed_after_its_time() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    let ends = seen.clone();
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).idle_timeout(10 * SECOND).build();
        try_zip(fetch(&client), fetch(&client)).await?;
        reactor.sleep(6 * SECOND).await?;
        fetch(&client).await?;
        reactor.sleep(2 * SECOND).await?;
        fetch(&client).await?;
        assert_eq!(ends.ends.borrow().len(), 0);
        reactor.sleep(4 * SECOND).await?;
        assert_eq!(ends.ends.borrow().len(), 1, "the one that was not used, since the youngest is taken first");
        reactor.sleep(8 * SECOND).await?;
        assert_eq!(ends.ends.borrow().len(), 2);
        fetch(&client).await?;
        Ok(())
    });
    assert_eq!(seen.connections.get(), 3);
    assert_eq!(*seen.ends.borrow(), ["closed", "closed", "closed"]);
}

#[test]
fn a_server_that_closes_after_its_answer_is_connected_to_again() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello").await?;
        Ok(raw.connection.close().await?)
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        for _ in 0..3 {
            assert_eq!(fetch(&client).await?, "hello");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 3);
}

#[test]
fn a_connector_says_where_a_host_is() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    let asked = Rc::new(RefCell::new(Vec::new()));
    let there = Rc::clone(&asked);
    run(&simulation, |reactor| async move {
        let connector = move |authority: &str| {
            there.borrow_mut().push(authority.to_owned());
            "tcp:10.0.0.1:80"
        };
        let client = Client::builder(&reactor).connector(connector).build();
        assert_eq!(text(client.get("http://who.example:8080/").await?).await?, "hello");
        let failing = Client::builder(&reactor).connector(|_| "no such endpoint").build();
        let error = failing.get("http://who.example/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Connect);
        Ok(())
    });
    assert_eq!(*asked.borrow(), ["who.example:8080"]);
    assert_eq!(seen.connections.get(), 1);
}

#[test]
fn the_host_is_named_and_what_the_user_sets_is_kept() {
    let simulation = Simulation::new(1);
    let server = simulation.host(SERVER);
    let service = service_fn(|request: Request<RequestBody>| async move {
        let said = format!("{} {} {:?}", request.method(), request.uri(), request.headers()["host"]);
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(said)))
    });
    HttpServer::new(service).listen(&server, "tcp:80").unwrap();
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connector(|_| "tcp:10.0.0.1:80").build();
        let said = async |uri: &str| text(client.get(uri).await?).await;
        assert_eq!(said("http://example.org").await?, r#"GET / "example.org""#);
        assert_eq!(said("http://me:secret@Example.org:80/x?y=z").await?, r#"GET /x?y=z "example.org""#);
        assert_eq!(said("http://example.org:8080/").await?, r#"GET / "example.org:8080""#);
        assert_eq!(said("http://me@example.org:/").await?, r#"GET / "example.org""#);
        assert_eq!(said("http://[2001:db8::1]/").await?, r#"GET / "[2001:db8::1]""#);
        let request = Request::put("http://example.org/").header("host", "other.example").body(Empty::<Bytes>::new())?;
        assert_eq!(text(client.request(request).await?).await?, r#"PUT / "other.example""#);
        Ok(())
    });
}

#[test]
fn what_is_not_a_request_is_refused_with_the_reason() {
    let simulation = Simulation::new(1);
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for (uri, says) in [
            ("/only/a/path", "must begin with http:// or https://"),
            ("ftp://example.org/", "must begin with http:// or https://"),
            ("http://", "empty"),
            ("no uri at all", "invalid"),
            ("http://10.0.0.1:99999/", "99999 is not a port"),
            ("http://user:12@10.0.0.1:65536/", "65536 is not a port"),
        ] {
            let error = client.get(uri).await.expect_err(uri);
            assert_eq!(error.kind(), ClientErrorKind::Request, "{uri}");
            assert!(error.to_string().contains(says), "{uri}: {error}");
        }
        let request = Request::builder().method(Method::CONNECT).uri(Uri::from_static("/")).body(Empty::<Bytes>::new())?;
        assert_eq!(client.request(request).await.unwrap_err().kind(), ClientErrorKind::Request);
        for (uri, says) in [("10.0.0.1", "has no port"), ("http://10.0.0.1:80/", "a host and a port")] {
            let error = client.upgrade(Request::connect(uri).body(Empty::<Bytes>::new())?).await.unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Request);
            assert!(error.to_string().contains(says), "{uri}: {error}");
        }
        Ok(())
    });
}

#[test]
fn a_hundred_connections_may_rest_and_one_more_is_closed() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connector(|_| "tcp:10.0.0.1:80").build();
        for number in 0..120 {
            text(client.get(format!("http://host{number}.example/")).await?).await?;
        }
        reactor.sleep(SECOND).await?;
        assert_eq!((seen.connections.get(), seen.ends.borrow().len()), (120, 20));
        assert_eq!(*seen.ends.borrow(), ["closed"; 20]);
        Ok(())
    });
}

#[test]
fn what_a_client_returns_can_be_required_to_be_send() {
    fn assert_send<T: Send>() {}
    assert_send::<(Client, torsade_hyper::ResponseFuture, ResponseBody, ClientError)>();
}
