//! Failures, and their error kinds.

use std::error::Error;
use std::io;

use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Bytes, Frame};
use torsade::{ReasonText, simulated::Simulation};
use torsade_hyper::ClientErrorKind;

use super::*;

/// The error of a fetch from a server that answers each request with `answer` and then ends as `end` says.
fn failure(answer: impl AsRef<[u8]> + Clone + 'static, end: End) -> (ClientError, Duration) {
    let simulation = Simulation::new(1);
    raw_server(&simulation, move |mut raw, _| {
        let answer = answer.clone();
        async move {
            raw.head().await.unwrap();
            raw.send(answer).await?;
            match end {
                End::Abort => drop(raw),
                End::Close => raw.connection.close().await?,
                End::Stay => assert!(raw.head().await.is_none()),
            }
            Ok(())
        }
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let error = fetch(&client).await.expect_err("it is not a proper response");
        Ok((error, reactor.now()))
    })
}

#[derive(Clone, Copy)]
enum End {
    Abort,
    Close,
    Stay,
}

#[test]
fn a_body_that_ends_early_is_an_error_and_never_just_short() {
    let known = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let until_the_end = "HTTP/1.1 200 OK\r\n\r\nhello";
    for (answer, end) in [
        (known, End::Close),
        (known, End::Abort),
        (chunked, End::Close),
        (chunked, End::Abort),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel", End::Close),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", End::Close),
        (until_the_end, End::Abort),
    ] {
        let (error, _) = failure(answer, end);
        assert_eq!(error.kind(), ClientErrorKind::Closed, "{answer:?}: {error}");
    }
}

#[test]
fn the_cause_of_a_loss_is_in_the_error() {
    let (error, _) = failure("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", End::Abort);
    let hyper = error.source().unwrap().downcast_ref::<hyper::Error>().expect("hyper's error");
    let cause = hyper.source().unwrap().downcast_ref::<io::Error>().expect("an error of input");
    assert!(cause.get_ref().unwrap().downcast_ref::<ReasonText>().is_some(), "{cause:?}");
    assert!(error.to_string().contains("reset"), "{error}");
}

#[test]
fn a_head_that_is_not_http_is_an_error_of_the_protocol() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    for answer in [
        "SSH-2.0-OpenSSH_9.7\r\n",
        "HTTP/1.1 99999 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfive\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n",
        &many,
        &huge,
    ] {
        let (error, _) = failure(answer.to_owned(), End::Stay);
        assert_eq!(error.kind(), ClientErrorKind::Protocol, "{:?}: {error}", &answer[..answer.len().min(80)]);
    }
}

#[test]
fn a_server_that_sends_nothing_is_abandoned_after_the_timeout() {
    for answer in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let (error, at) = failure(answer, End::Stay);
        assert_eq!(error.kind(), ClientErrorKind::TimedOut, "{answer:?}: {error}");
        assert!((60.0..61.0).contains(&at.as_secs_f32()), "{answer:?}: {at:?}");
    }
}

#[test]
fn a_response_that_comes_slowly_is_waited_for() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await?;
        for letter in ["h", "e", "l", "l", "o"] {
            raw.connection.transport().reactor().sleep(50 * SECOND).await?;
            raw.send(letter).await?;
        }
        raw.hello().await
    });
    run(&simulation, |reactor| async move {
        assert_eq!(fetch(&Client::new(&reactor)).await?, "hello");
        assert!(reactor.now() > 250 * SECOND);
        Ok(())
    });
}

#[test]
fn the_timeout_is_not_for_those_who_read_slowly() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel").await?;
        raw.connection.transport().reactor().sleep(110 * SECOND).await?;
        raw.send("lo").await?;
        raw.hello().await
    });
    run(&simulation, |reactor| async move {
        let mut body = Client::new(&reactor).get("http://10.0.0.1/").await?.into_body();
        assert_eq!(body.frame().await.unwrap()?.into_data().unwrap(), "hel");
        reactor.sleep(100 * SECOND).await?;
        assert_eq!(body.frame().await.unwrap()?.into_data().unwrap(), "lo");
        Ok(())
    });
}

#[test]
fn a_request_whose_body_comes_slowly_is_waited_for_and_one_whose_body_stops_is_not() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        let mut body = [0; 3 * 6];
        raw.connection.read_exact(&mut body).await?;
        raw.send(HELLO).await?;
        raw.hello().await
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let pieces = |pause: Duration| {
            let reactor = reactor.clone();
            let pieces = futures_lite::stream::unfold(0, move |number| {
                let reactor = reactor.clone();
                async move {
                    reactor.sleep(pause).await.unwrap();
                    (number < 3).then(|| (Ok::<_, io::Error>(Frame::data(Bytes::from("x"))), number + 1))
                }
            });
            Request::post("http://10.0.0.1/").body(StreamBody::new(pieces)).unwrap()
        };
        assert_eq!(text(client.request(pieces(50 * SECOND)).await?).await?, "hello");
        let error = client.request(pieces(70 * SECOND)).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::TimedOut, "{error}");
        Ok(())
    });
}

#[test]
fn a_user_body_that_fails_is_an_error_of_the_request_and_ends_the_connection() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |raw, _| raw.hello());
    run(&simulation, |reactor| async move {
        let body = StreamBody::new(futures_lite::stream::iter([
            Ok(Frame::data(Bytes::from("one"))),
            Err(io::Error::other("the disk is gone")),
        ]));
        let error = Client::new(&reactor).request(Request::post("http://10.0.0.1/").body(body)?).await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Request);
        assert!(error.to_string().contains("the disk is gone"), "{error}");
        Ok(())
    });
    assert_eq!(seen.ends.borrow().len(), 1);
}

#[test]
fn nobody_there_and_no_such_name_are_errors_of_the_connection() {
    let simulation = Simulation::new(1);
    simulation.host(SERVER);
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        let error = client.get("http://10.0.0.1:81/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Connect);
        assert!(matches!(error.source().unwrap().downcast_ref(), Some(ConnectError::Refused)), "{error}");
        let error = client.get("http://nowhere.example/").await.unwrap_err();
        assert!(matches!(error.source().unwrap().downcast_ref(), Some(ConnectError::UnknownHost { .. })), "{error}");
        assert_eq!(error.to_string(), format!("no connection could be made: {}", error.source().unwrap()), "each cause once");
        Ok(())
    });
}

#[test]
fn a_host_that_does_not_answer_is_abandoned_after_thirty_seconds() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |raw, _| raw.hello());
    simulation.host(CLIENT);
    simulation.partition(SERVER, CLIENT);
    run(&simulation, |reactor| async move {
        let error = fetch(&Client::new(&reactor)).await.unwrap_err();
        assert!(matches!(error.source().unwrap().downcast_ref(), Some(ConnectError::TimedOut(_))), "{error}");
        assert_eq!(reactor.now(), 30 * SECOND);
        Ok(())
    });
}

#[test]
fn the_reactors_stop_ends_a_request_that_nobody_waits_for_and_says_why() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while raw.head().await.is_some() {}
        Ok(())
    });
    let host = simulation.host(CLIENT);
    let (reactor, told) = ((*host).clone(), Rc::new(RefCell::new(None)));
    let there = Rc::clone(&told);
    host.spawn(async move {
        let client = Client::new(&reactor);
        reactor.call_later(SECOND, {
            let reactor = reactor.clone();
            move || reactor.stop().unwrap()
        });
        there.replace(Some(fetch(&client).await.unwrap_err()));
        Ok(())
    });
    simulation.run_for(10 * SECOND).unwrap();
    let error = told.take().expect("it was notified");
    assert_eq!(error.kind(), ClientErrorKind::Closed);
    assert!(error.to_string().contains("the reactor is shutting down"), "{error}");
    assert_eq!(seen.ends.borrow().len(), 1);
}

#[test]
fn an_error_on_another_thread_has_its_kind_and_text() {
    let (error, _) = failure("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello", End::Close);
    let text = error.to_string();
    std::thread::spawn(move || {
        assert_eq!((error.kind(), error.to_string()), (ClientErrorKind::Closed, text));
        assert!(error.source().is_none());
    })
    .join()
    .unwrap();
}
