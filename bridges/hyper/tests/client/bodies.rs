//! Long bodies in both directions.

use std::convert::Infallible;

use futures_lite::stream;
use http_body_util::StreamBody;
use hyper::Request;
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use torsade_hyper::{HttpServer, RequestBody};

use super::*;

const PIECE: usize = 10_000;
const PIECES: usize = 2_000;

/// 20 MB, and how many pieces of them were taken.
fn long() -> (impl Body<Data = Bytes, Error = Infallible>, Rc<Cell<usize>>) {
    let taken = Rc::new(Cell::new(0));
    let there = Rc::clone(&taken);
    let pieces = stream::unfold(0, move |number: usize| {
        there.set(number);
        async move { (number < PIECES).then(|| (Ok(Frame::data(Bytes::from(vec![number as u8; PIECE]))), number + 1)) }
    });
    (StreamBody::new(pieces), taken)
}

/// Checks the bytes received at `length`, and adds them to it.
pub fn check(mut data: &[u8], length: &mut usize) {
    while !data.is_empty() {
        let (this, rest) = data.split_at(data.len().min(PIECE - *length % PIECE));
        assert!(this == &[(*length / PIECE) as u8; PIECE][..this.len()], "at {length}");
        *length += this.len();
        data = rest;
    }
}

#[test]
fn twenty_megabytes_go_there_and_come_back() {
    let simulation = Simulation::new(1);
    // The service sends each piece back as it arrives.
    let echo = service_fn(|request: Request<RequestBody>| async move { Ok::<_, Infallible>(Response::new(request.into_body())) });
    HttpServer::new(echo).listen(&simulation.host(SERVER), "tcp:80").unwrap();
    run(&simulation, |reactor| async move {
        let (body, _) = long();
        let response = Client::new(&reactor).request(Request::post("http://10.0.0.1/").body(body)?).await?;
        let (mut body, mut length) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            check(&frame?.into_data().unwrap(), &mut length);
        }
        assert_eq!(length, PIECE * PIECES);
        Ok(())
    });
}

#[test]
fn a_body_is_taken_no_faster_than_the_server_reads() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.head().await.unwrap();
        raw.connection.transport().reactor().sleep(30 * SECOND).await?;
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let (body, taken) = long();
        let request = Request::post("http://10.0.0.1/").body(body)?;
        assert!(Client::new(&reactor).request(request).await.is_err());
        assert!(taken.get() * PIECE < 2 << 20, "{} bytes were taken that nobody has read", taken.get() * PIECE);
        Ok(())
    });
}

#[test]
fn a_body_comes_no_faster_than_it_is_read() {
    let simulation = Simulation::new(1);
    let sent = Rc::new(Cell::new(0));
    let there = Rc::clone(&sent);
    raw_server(&simulation, move |mut raw, _| {
        let sent = Rc::clone(&there);
        async move {
            raw.head().await.unwrap();
            raw.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECE * PIECES)).await?;
            for _ in 0..PIECES {
                raw.connection.write_all(&[7; PIECE]).await?;
                sent.set(sent.get() + PIECE);
            }
            raw.hello().await
        }
    });
    run(&simulation, |reactor| async move {
        let response = Client::new(&reactor).get("http://10.0.0.1/").await?;
        // Longer than the timeout, which applies to the server, not to the reader.
        reactor.sleep(100 * SECOND).await?;
        assert!(sent.get() < 2 << 20, "{} bytes arrived that nobody has read", sent.get());
        assert_eq!(response.into_body().collect().await?.to_bytes().len(), PIECE * PIECES);
        Ok(())
    });
}

#[test]
fn a_chunked_body_comes_with_its_trailers_and_without_its_extensions() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while raw.head().await.is_some() {
            raw.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n").await?;
            raw.send("5;a=b\r\nhello\r\n1\r\n \r\n005\r\nworld\r\n0\r\nsum: 7\r\n\r\n").await?;
        }
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for _ in 0..2 {
            let body = client.get("http://10.0.0.1/").await?.into_body().collect().await?;
            assert_eq!(body.trailers().unwrap()["sum"], "7");
            assert_eq!(body.to_bytes(), "hello world");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
}

#[test]
fn answers_without_a_body_leave_the_connection_usable() {
    let simulation = Simulation::new(1);
    let seen = raw_server(&simulation, |mut raw, _| async move {
        while let Some(head) = raw.head().await {
            raw.send(match &head[..4] {
                "HEAD" => "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
                "GET " => "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
                _ => "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            })
            .await?;
        }
        Ok(())
    });
    run(&simulation, |reactor| async move {
        let client = Client::new(&reactor);
        for (method, status) in [("HEAD", 200), ("GET", 304), ("DELETE", 204), ("HEAD", 200)] {
            let request = Request::builder().method(method).uri("http://10.0.0.1/").body(String::new())?;
            let response = client.request(request).await?;
            assert_eq!(response.status(), status);
            assert_eq!(text(response).await?, "");
        }
        Ok(())
    });
    assert_eq!(seen.connections.get(), 1);
}
