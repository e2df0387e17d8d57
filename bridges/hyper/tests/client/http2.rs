//! HTTP/2: one connection for all requests to a host.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_lite::future::poll_once;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use send_wrapper::SendWrapper;
use torsade::DeferredQueue;
use torsade_hyper::{ClientErrorKind, TorsadeExecutor, TorsadeIo, TorsadeTimer};

use super::*;

/// An HTTP/2 server (prior knowledge).
#[derive(Clone)]
struct Server {
    connections: Rc<Cell<usize>>,
    open: Rc<Cell<usize>>,
    serving: Rc<Cell<usize>>,
    /// Ends the connections one after the other: with GOAWAY if true, else at once.
    ends: DeferredQueue<bool>,
}

struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(Rc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

fn serve(simulation: &Simulation) -> Server {
    let server =
        Server { connections: Rc::default(), open: Rc::default(), serving: Rc::default(), ends: DeferredQueue::new(9, 9) };
    let host = simulation.host(SERVER);
    let mut incoming = host.listen_async("tcp:80").unwrap();
    let (reactor, told) = ((*host).clone(), server.clone());
    host.spawn(async move {
        while let Some(connection) = incoming.accept().await {
            told.connections.set(told.connections.get() + 1);
            reactor.spawn(told.clone().serve(reactor.clone(), connection));
        }
    });
    server
}

impl Server {
    async fn serve(self, reactor: Reactor, connection: AsyncConnection) {
        let _open = Counted::new(&self.open);
        let (serving, clock) = (Rc::clone(&self.serving), reactor.clone());
        let service = service_fn(move |request| answer(clock.clone(), Counted::new(&serving), request));
        let mut http = http2::Builder::new(TorsadeExecutor::new(&reactor));
        let http = http.timer(TorsadeTimer::new(&reactor)).serve_connection(TorsadeIo::new(connection), service);
        let (mut http, mut end) = (pin!(http), Some(self.ends.get()));
        poll_fn(|context| {
            if let Some(waiting) = &mut end
                && let Poll::Ready(gracefully) = Pin::new(waiting).poll(context)
            {
                end = None;
                if !gracefully.unwrap() {
                    return Poll::Ready(());
                }
                http.as_mut().graceful_shutdown();
            }
            http.as_mut().poll(context).map(drop)
        })
        .await;
    }
}

type Answer = Response<UnsyncBoxBody<Bytes, hyper::Error>>;

/// Sends the request's body back at once, after three seconds, or never; or sends an endless body.
async fn answer(reactor: Reactor, serving: Counted, request: Request<Incoming>) -> Result<Answer, Infallible> {
    match request.uri().path() {
        "/endless" => {
            let serving = SendWrapper::new(serving);
            let pieces = futures_lite::stream::repeat_with(move || {
                assert!(serving.0.get() > 0);
                Ok(Frame::data(Bytes::from_static(&[7; 1000])))
            });
            return Ok(Response::new(StreamBody::new(pieces).boxed_unsync()));
        }
        "/never" => pending().await,
        "/slow" => reactor.sleep(3 * SECOND).await.unwrap(),
        _ => {}
    }
    Ok(Response::new(request.into_body().boxed_unsync()))
}

fn client(reactor: &Reactor) -> Client {
    Client::builder(reactor).http2_prior_knowledge().build()
}

async fn post(client: &Client, path: &str, said: &'static str) -> Result<String, ClientError> {
    let request = Request::post(format!("http://10.0.0.1{path}")).body(Full::<Bytes>::from(said)).unwrap();
    text(client.request(request).await?).await
}

#[test]
fn all_requests_share_one_connection_from_the_first_on() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let client = client.clone();
                reactor.spawn(async move { Ok(post(&client, "/slow", "hello").await?) })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await?, "hello");
        }
        assert!(reactor.now() < 4 * SECOND, "they were served side by side");
        Ok(())
    });
    assert_eq!((server.connections.get(), server.open.get()), (1, 0));
}

#[test]
fn a_request_that_is_dropped_ends_its_stream_only() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let seen = server.clone();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let (mut never, mut slow) = (Box::pin(client.get("http://10.0.0.1/never")), Box::pin(post(&client, "/slow", "slow")));
        assert!(poll_once(&mut never).await.is_none());
        assert!(poll_once(&mut slow).await.is_none());
        reactor.sleep(SECOND).await?;
        assert!(poll_once(&mut never).await.is_none());
        assert!(poll_once(&mut slow).await.is_none());
        reactor.sleep(SECOND).await?;
        assert_eq!(seen.serving.get(), 2);
        drop(never);
        reactor.sleep(SECOND).await?;
        assert_eq!(seen.serving.get(), 1, "the server was notified");
        assert_eq!(slow.await?, "slow");
        Ok(())
    });
    assert_eq!(server.connections.get(), 1);
}

#[test]
fn a_body_that_is_dropped_before_its_end_ends_its_stream_only() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let seen = server.clone();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let mut body = client.get("http://10.0.0.1/endless").await?.into_body();
        assert!(!body.frame().await.unwrap()?.into_data().unwrap().is_empty());
        reactor.sleep(SECOND).await?;
        assert_eq!(seen.serving.get(), 1);
        drop(body);
        reactor.sleep(SECOND).await?;
        assert_eq!(seen.serving.get(), 0);
        assert_eq!(post(&client, "/", "hello").await?, "hello");
        Ok(())
    });
    assert_eq!(server.connections.get(), 1);
}

#[test]
fn a_connection_without_streams_is_closed_after_its_time() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let seen = server.clone();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        for _ in 0..3 {
            assert_eq!(post(&client, "/", "hello").await?, "hello");
            reactor.sleep(20 * SECOND).await?;
            assert_eq!(seen.open.get(), 1);
        }
        reactor.sleep(10 * SECOND).await?;
        assert_eq!(seen.open.get(), 0);
        assert_eq!(post(&client, "/", "hello").await?, "hello");
        Ok(())
    });
    assert_eq!((server.connections.get(), server.open.get()), (2, 0));
}

#[test]
fn a_stream_keeps_its_connection_however_long_it_takes() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let clock = reactor.clone();
        let pieces = futures_lite::stream::unfold(0, move |number| {
            let clock = clock.clone();
            async move {
                clock.sleep(50 * SECOND).await.unwrap();
                (number < 4).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from("x"))), number + 1))
            }
        });
        let request = Request::post("http://10.0.0.1/").body(StreamBody::new(pieces))?;
        assert_eq!(text(client.request(request).await?).await?, "xxxx");
        Ok(())
    });
    assert_eq!(server.connections.get(), 1);
}

#[test]
fn after_a_goaway_requests_are_finished_and_the_next_has_a_new_connection() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let seen = server.clone();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let mut slow = Box::pin(post(&client, "/slow", "slow"));
        assert!(poll_once(&mut slow).await.is_none());
        reactor.sleep(SECOND).await?;
        assert!(poll_once(&mut slow).await.is_none());
        reactor.sleep(SECOND).await?;
        seen.ends.put(true)?;
        reactor.sleep(SECOND).await?;
        assert_eq!(post(&client, "/", "next").await?, "next");
        assert_eq!(slow.await?, "slow");
        Ok(())
    });
    assert_eq!((server.connections.get(), server.open.get()), (2, 0));
}

#[test]
fn a_connection_that_has_broken_is_replaced() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    let seen = server.clone();
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let slow = reactor.spawn({
            let client = client.clone();
            async move { Ok(post(&client, "/slow", "slow").await) }
        });
        reactor.sleep(SECOND).await?;
        seen.ends.put(false)?;
        assert_eq!(slow.await?.unwrap_err().kind(), ClientErrorKind::Closed, "it has a body that was begun");
        assert_eq!(post(&client, "/", "next").await?, "next");
        // Broken during a request that may be sent again.
        seen.ends.put(false)?;
        assert_eq!(client.get("http://10.0.0.1/").await?.status(), 200);
        Ok(())
    });
    assert_eq!((server.connections.get(), server.open.get()), (3, 0));
}

#[test]
fn a_connection_on_which_a_request_times_out_is_shared_no_more() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        assert_eq!(client.get("http://10.0.0.1/never").await.unwrap_err().kind(), ClientErrorKind::TimedOut);
        assert_eq!(post(&client, "/", "hello").await?, "hello");
        Ok(())
    });
    assert_eq!((server.connections.get(), server.open.get(), server.serving.get()), (2, 0, 0));
}

#[test]
fn those_who_wait_for_a_connection_that_cannot_be_made_fail_with_it() {
    let simulation = Simulation::new(1);
    let server = serve(&simulation);
    simulation.host(CLIENT);
    simulation.partition(SERVER, CLIENT);
    run(&simulation, |reactor| async move {
        let client = client(&reactor);
        let tasks: Vec<_> = (0..5)
            .map(|_| {
                let client = client.clone();
                reactor.spawn(async move { Ok(post(&client, "/", "hello").await) })
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await?.unwrap_err().kind(), ClientErrorKind::Connect);
        }
        assert_eq!(reactor.now(), 30 * SECOND);
        Ok(())
    });
    assert_eq!(server.connections.get(), 0);
}

#[test]
fn twenty_megabytes_go_there_and_come_back_on_a_stream() {
    let simulation = Simulation::new(1);
    serve(&simulation);
    run(&simulation, |reactor| async move {
        let pieces = (0..2000).map(|number| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![number as u8; 10_000]))));
        let body = StreamBody::new(futures_lite::stream::iter(pieces));
        let response = client(&reactor).request(Request::post("http://10.0.0.1/").body(body)?).await?;
        let (mut body, mut length) = (response.into_body(), 0);
        while let Some(frame) = body.frame().await {
            bodies::check(&frame?.into_data().unwrap(), &mut length);
        }
        assert_eq!(length, 20_000_000);
        Ok(())
    });
}

#[test]
fn a_server_that_speaks_no_http2_is_an_error() {
    let simulation = Simulation::new(1);
    raw_server(&simulation, |mut raw, _| async move {
        raw.send("HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        Ok(raw.connection.close().await?)
    });
    run(&simulation, |reactor| async move {
        let error = client(&reactor).get("http://10.0.0.1/").await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Closed, "{error}");
        Ok(())
    });
}
