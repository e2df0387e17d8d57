//! Requests that nobody waits for any more, and clients and reactors that are dropped.

use futures_lite::future::{poll_once, yield_now};
use hyper::body::Body;

use super::*;

#[test]
fn a_request_that_is_dropped_ends_its_connection_and_the_next_one_has_another() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        if number == 0 {
            raw.head().await.unwrap();
            // The client closes without a second request.
            assert!(raw.head().await.is_none());
            return Ok(());
        }
        raw.hello().await
    });
    let (ends, wait) = (seen.clone(), SECOND);
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let mut request = Box::pin(fetch(&client));
        assert!(poll_once(&mut request).await.is_none());
        reactor.sleep(wait).await?;
        assert!(poll_once(&mut request).await.is_none());
        reactor.sleep(wait).await?;
        assert_eq!(ends.requests.borrow().len(), 1);
        drop(request);
        assert_eq!(fetch(&client).await?, "hello");
        assert_eq!(ends.ends.borrow().len(), 1, "{:?}", ends.ends.borrow());
        Ok(())
    });
    assert!(seen.ends.borrow()[0].contains("reset"), "{:?}", seen.ends.borrow());
}

#[test]
fn a_request_that_is_dropped_while_it_connects_ends_the_attempt() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |raw, _| raw.hello());
    simulation.host(CLIENT);
    simulation.partition(SERVER, CLIENT);
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let mut request = Box::pin(fetch(&client));
        assert!(poll_once(&mut request).await.is_none());
        assert_eq!(reactor.leftovers().sources.len(), 1);
        drop(request);
        yield_now().await;
        assert_eq!(reactor.leftovers().sources, Vec::<String>::new());
        Ok(())
    });
}

#[test]
fn a_body_that_is_dropped_before_its_end_ends_its_connection() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        if number > 0 {
            return raw.hello().await;
        }
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 200 OK\r\n\r\n").await?;
        let error = loop {
            if let Err(error) = raw.connection.write_all(&[7; 1000]).await {
                break error;
            }
        };
        raw.seen.ends.borrow_mut().push(error.to_string());
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let mut body = client.get("http://10.0.0.1/").await?.into_body();
        assert!(!body.frame().await.unwrap()?.into_data().unwrap().is_empty());
        drop(body);
        assert_eq!(fetch(&client).await?, "hello");
        Ok(())
    });
    assert!(seen.ends.borrow()[0].contains("reset"), "{:?}", seen.ends.borrow());
}

#[test]
fn a_server_that_answers_before_it_has_the_request_does_not_keep_the_connection() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, number| async move {
        if number > 0 {
            return raw.hello().await;
        }
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 413 Too Much\r\ncontent-length: 0\r\n\r\n").await?;
        raw.connection.transport().reactor().sleep(1000 * SECOND).await?;
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::builder(&reactor).connections_per_host(1).build();
        let endless = http_body_util::StreamBody::new(futures_lite::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(hyper::body::Frame::data(hyper::body::Bytes::from(vec![7; 10_000])))
        }));
        let response = client.request(hyper::Request::post("http://10.0.0.1/").body(endless)?).await?;
        assert_eq!(response.status(), 413);
        drop(response);
        assert_eq!(fetch(&client).await?, "hello");
        Ok(())
    });
    assert_eq!(seen.connections.get(), 2);
}

#[test]
fn a_response_outlives_its_client() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let response = Client::new(&reactor).get("http://10.0.0.1/").await?;
        reactor.sleep(SECOND).await?;
        assert_eq!(response.body().size_hint().exact(), Some(5));
        assert_eq!(text(response).await?, "hello");
        Ok(())
    });
    assert_eq!(*seen.ends.borrow(), ["closed"]);
}

#[test]
fn the_reactors_stop_closes_connections_that_rest_at_once_and_requests_go_on_for_who_waits_for_them() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while let Some(head) = raw.head().await {
            if head.starts_with("GET /slow") {
                raw.connection.transport().reactor().sleep(3 * SECOND).await?;
            }
            raw.send(HELLO).await?;
        }
        Ok(())
    });
    let host = simulation.host(CLIENT);
    let (reactor, answer) = ((*host).clone(), Rc::new(RefCell::new(None)));
    let there = Rc::clone(&answer);
    let ends = seen.clone();
    host.spawn(async move {
        let client = Client::new(&reactor);
        let slow = client.get("http://10.0.0.1/slow");
        let (slow, fast) = futures_lite::future::zip(
            async {
                let slow = slow.await?;
                reactor.stop().expect_err("it was already stopped");
                text(slow).await
            },
            async {
                fetch(&client).await?;
                let (stopped, firer) = Deferred::new();
                reactor.before_shutdown(move || stopped);
                reactor.stop().unwrap();
                reactor.sleep(SECOND).await.unwrap();
                assert_eq!(*ends.ends.borrow(), ["closed"], "it rested");
                let sleep = reactor.sleep(3 * SECOND);
                reactor.spawn(async move {
                    sleep.await?;
                    firer.callback(());
                    Ok(())
                });
                Ok::<_, ClientError>(())
            },
        )
        .await;
        fast?;
        *there.borrow_mut() = Some(slow?);
        Ok(())
    });
    simulation.run_for(100 * SECOND).unwrap();
    assert_eq!(answer.take().as_deref(), Some("hello"));
    assert!(!host.is_running());
    assert_eq!(seen.ends.borrow().len(), 2);
}

#[test]
fn a_client_without_requests_keeps_nothing_alive() {
    let reactor = Reactor::new().unwrap();
    let clients: Vec<_> = (0..3).map(|_| Client::new(&reactor)).collect();
    reactor.assert_clean();
    drop(clients);
    reactor.run_until(async { Ok(()) }).unwrap();
}
