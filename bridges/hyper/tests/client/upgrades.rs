//! Connections that are upgraded to another protocol.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use torsade_hyper::ClientErrorKind;

use super::*;

fn switching() -> Request<Empty<Bytes>> {
    let request = Request::get("http://10.0.0.1/chat").header("connection", "upgrade").header("upgrade", "shout");
    request.body(Empty::new()).unwrap()
}

/// Answers with `answer`, then sends everything back in capitals.
fn shouting(simulation: &Simulation, answer: &'static str) -> Seen {
    raw_server(simulation, move |mut raw, _| async move {
        while raw.head().await.is_some() {
            raw.send(answer).await?;
            if answer.contains("101") {
                let mut said = Vec::new();
                raw.connection.read_to_end(&mut said).await?;
                raw.send(said.to_ascii_uppercase()).await?;
                return Ok(raw.connection.close().await?);
            }
        }
        Ok(())
    })
}

#[test]
fn after_101_the_connection_is_ours_with_what_came_behind() {
    let simulation = Simulation::new(1);
    shouting(&simulation, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\nWELCOME ");
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let (response, connection) = client.upgrade(switching()).await?;
        assert_eq!((response.status(), &response.headers()["upgrade"]), (StatusCode::SWITCHING_PROTOCOLS, &"shout".parse()?));
        let mut connection = connection.expect("it was switched");
        drop((client, response));
        reactor.sleep(1000 * SECOND).await?;
        connection.write_all(b"hello").await?;
        connection.close().await?;
        let mut heard = String::new();
        connection.read_to_string(&mut heard).await?;
        assert_eq!(heard, "WELCOME HELLO");
        Ok(())
    });
}

#[test]
fn with_any_other_answer_http_goes_on() {
    let simulation = Simulation::new(1);
    let seen = shouting(&simulation, "HTTP/1.1 426 Upgrade Required\r\ncontent-length: 5\r\n\r\nhello");
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for _ in 0..3 {
            let (response, connection) = client.upgrade(switching()).await?;
            assert!(connection.is_none());
            assert_eq!(response.status(), 426);
            assert_eq!(text(response).await?, "hello");
        }
        assert_eq!(fetch(&client).await?, "hello");
        Ok(())
    });
    assert_eq!((seen.connections.get(), &seen.ends.borrow()[..]), (1, &["closed".to_owned()][..]));
}

#[test]
fn an_answer_that_declines_and_closes_is_closed_after() {
    let simulation = Simulation::new(1);
    let seen = shouting(&simulation, "HTTP/1.1 426 Upgrade Required\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello");
    run(&simulation, |reactor| async move {
        let (response, connection) = Client::new(&reactor).upgrade(switching()).await?;
        assert!(connection.is_none());
        assert_eq!(text(response).await?, "hello");
        Ok(())
    });
    assert_eq!(*seen.ends.borrow(), ["closed"]);
}

#[test]
fn an_upgraded_connection_takes_nobodys_turn() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        if number % 2 == 1 {
            return raw.hello().await;
        }
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n").await?;
        raw.connection.read_to_end(&mut Vec::new()).await?;
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let (_, one) = client.upgrade(switching()).await?;
        assert_eq!(fetch(&client).await?, "hello");
        drop(one.unwrap());
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn a_tunnel_is_what_connect_gives() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while let Some(head) = raw.head().await {
            assert!(head.contains("\r\nhost: far.example:22\r\n"), "{head}");
            if head.starts_with("CONNECT far.example:22 ") && raw.seen.requests.borrow().len() > 1 {
                raw.send("HTTP/1.1 200 OK\r\n\r\nSSH-2.0").await?;
                return Ok(raw.connection.close().await?);
            }
            raw.send("HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await?;
        }
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connector(|_| "tcp:10.0.0.1:80").build();
        let connect = || Request::connect("far.example:22").body(Empty::<Bytes>::new());
        let (response, connection) = client.upgrade(connect()?).await?;
        assert!(response.status() == 407 && connection.is_none());
        let (response, connection) = client.upgrade(connect()?).await?;
        assert_eq!(response.status(), 200);
        let mut heard = String::new();
        connection.expect("a tunnel").read_to_string(&mut heard).await?;
        assert_eq!(heard, "SSH-2.0");
        let error = client.request(connect()?).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Request, "{error}");
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
}

#[test]
fn an_upgrade_that_is_not_asked_for_as_one_ends_its_connection() {
    let simulation = Simulation::new(1);
    let seen = shouting(&simulation, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n");
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        for _ in 0..2 {
            assert_eq!(text(client.request(switching()).await?).await?, "");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn an_upgrade_that_gets_no_answer_times_out() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        while raw.head().await.is_some() {}
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let error = Client::new(&reactor).upgrade(switching()).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::TimedOut);
        Ok(())
    });
}
