//! Connections that the server closed while they were idle.

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use torsade_hyper::ClientErrorKind;

use super::*;

/// A server whose connections serve one request each, and close without an answer at the second.
fn forgetful(simulation: &Simulation) -> Seen {
    raw_server(simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send(HELLO).await?;
        raw.head().await;
        Ok(())
    })
}

#[test]
fn a_request_that_may_be_sent_twice_is_sent_again_on_a_new_connection() {
    let simulation = Simulation::new(1);
    let seen = forgetful(&simulation);
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        for _ in 0..3 {
            assert_eq!(fetch(&client).await?, "hello");
        }
        Ok(())
    });
    assert_eq!((seen.connections.get(), seen.requests.borrow().len()), (3, 5));
}

#[test]
fn a_request_with_a_body_that_was_begun_is_not_sent_again() {
    let simulation = Simulation::new(1);
    let seen = forgetful(&simulation);
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for request in [Request::post("http://10.0.0.1/"), Request::put("http://10.0.0.1/")] {
            fetch(&client).await?;
            let error = client.request(request.body(Full::<Bytes>::from("money"))?).await.unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Closed, "{error}");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn a_post_without_a_body_is_not_sent_again_either() {
    let simulation = Simulation::new(1);
    forgetful(&simulation);
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        fetch(&client).await?;
        let error = client.request(Request::post("http://10.0.0.1/").body(Full::<Bytes>::default())?).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Closed);
        Ok(())
    });
}

#[test]
fn a_new_connection_that_ends_without_an_answer_is_an_error() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let error = fetch(&Client::new(&reactor)).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Closed);
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
}

#[test]
fn it_is_sent_again_once_only() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        raw.head().await.unwrap();
        if number == 0 {
            raw.send(HELLO).await?;
            raw.head().await.unwrap();
        }
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        fetch(&client).await?;
        assert_eq!(fetch(&client).await.unwrap_err().kind(), ClientErrorKind::Closed);
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn a_connection_whose_end_was_seen_is_not_used_whatever_the_request() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send(HELLO).await?;
        Ok(raw.connection.close().await?)
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        for _ in 0..3 {
            reactor.sleep(SECOND).await?;
            let request = Request::post("http://10.0.0.1/").body(Full::<Bytes>::from("x"))?;
            assert_eq!(text(client.request(request).await?).await?, "hello");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 3);
}

#[test]
fn bytes_that_nobody_asked_for_end_a_connection_that_rests() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send(HELLO).await?;
        raw.connection.transport().reactor().sleep(SECOND).await?;
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil").await?;
        raw.hello().await
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        fetch(&client).await?;
        reactor.sleep(2 * SECOND).await?;
        assert_eq!(fetch(&client).await?, "hello");
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn another_that_rests_is_taken_where_the_youngest_has_ended() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        if number == 1 {
            return raw.hello().await;
        }
        raw.head().await.unwrap();
        // It becomes idle later than the other.
        raw.connection.transport().reactor().sleep(SECOND).await?;
        raw.send(HELLO).await?;
        raw.connection.transport().reactor().sleep(2 * SECOND).await?;
        Ok(raw.connection.close().await?)
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let first = reactor.spawn({
            let client = client.clone();
            async move { Ok(fetch(&client).await?) }
        });
        reactor.sleep(SECOND / 2).await?;
        fetch(&client).await?;
        first.await?;
        reactor.sleep(5 * SECOND).await?;
        fetch(&client).await?;
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn an_answer_that_is_not_http_is_an_answer_and_nothing_is_sent_again() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send(HELLO).await?;
        raw.head().await.unwrap();
        raw.send("no HTTP\r\n").await?;
        assert!(raw.head().await.is_none());
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        fetch(&client).await?;
        assert_eq!(fetch(&client).await.unwrap_err().kind(), ClientErrorKind::Protocol);
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
}
