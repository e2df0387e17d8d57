//! HTTP/2, with hyper's client at the other end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade_hyper::upgrade::{self, UpgradeError};
use torsade_hyper::{HttpServer, RequestBody, TorsadeExecutor, TorsadeIo};

use crate::world::{BoxError, SERVER, World};

type Body = Either<Full<Bytes>, RequestBody>;
type Sender = SendRequest<Full<Bytes>>;

#[derive(Default)]
struct Seen {
    now: Cell<usize>,
    most: Cell<usize>,
    upgrade: Cell<Option<UpgradeError>>,
}

struct Running(Rc<Seen>);

impl Running {
    fn begin(seen: &Rc<Seen>) -> Self {
        seen.now.set(seen.now.get() + 1);
        seen.most.set(seen.most.get().max(seen.now.get()));
        Self(Rc::clone(seen))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.now.set(self.0.now.get() - 1);
    }
}

async fn answer(reactor: Reactor, seen: Rc<Seen>, mut request: Request<RequestBody>) -> Result<Response<Body>, BoxError> {
    let _running = Running::begin(&seen);
    if request.method() == "CONNECT" {
        seen.upgrade.set(upgrade::on(&mut request).await.err());
    }
    match request.uri().path() {
        "/echo" => return Ok(Response::new(Either::Right(request.into_body()))),
        "/large" => return Ok(Response::new(Either::Left(Full::from(vec![b'x'; 32 << 20])))),
        "/late" => reactor.sleep(Duration::from_secs(2)).await.map_err(|_| "no sleep")?,
        "/never" => std::future::pending().await,
        "/panic" => panic!("as asked"),
        "/error" => return Err("as asked".into()),
        _ => {}
    }
    let info = request.body().connection();
    Ok(Response::new(Either::Left(Full::from(format!("{:?} {}", request.version(), info.host())))))
}

fn world() -> (World, Rc<Seen>) {
    let seen = Rc::<Seen>::default();
    let there = Rc::clone(&seen);
    let world = World::with(move |reactor| {
        HttpServer::new(service_fn(move |request: Request<RequestBody>| {
            assert_ne!(request.uri().path(), "/panic_at_once");
            answer(reactor.clone(), Rc::clone(&there), request)
        }))
    });
    (world, seen)
}

/// The result of a client that gets a connection for its requests, and a flag that is set when the connection has ended.
fn client<T: 'static, F>(
    world: &World,
    talk: impl FnOnce(Reactor, Sender, Rc<Cell<bool>>) -> F + 'static,
) -> Rc<RefCell<Option<T>>>
where
    F: Future<Output = Result<T>> + 'static,
{
    client_of(&world.simulation, talk)
}

fn client_of<T: 'static, F>(
    simulation: &Simulation,
    talk: impl FnOnce(Reactor, Sender, Rc<Cell<bool>>) -> F + 'static,
) -> Rc<RefCell<Option<T>>>
where
    F: Future<Output = Result<T>> + 'static,
{
    let host = simulation.host("10.0.0.2");
    let reactor = (*host).clone();
    let result = Rc::new(RefCell::new(None));
    let there = Rc::clone(&result);
    host.spawn(async move {
        let io = TorsadeIo::new(reactor.connect_async(SERVER).await?);
        let (sender, connection) = http2::handshake(TorsadeExecutor::new(&reactor), io).await?;
        let ended = Rc::new(Cell::new(false));
        let told = Rc::clone(&ended);
        reactor.spawn(async move {
            connection.await.ok();
            told.set(true);
        });
        let value = talk(reactor.clone(), sender, ended).await?;
        there.replace(Some(value));
        Ok(())
    });
    result
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://a{path}")).body(Full::default()).expect("a request")
}

async fn text(response: Response<Incoming>) -> Result<String> {
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?)
}

#[test]
fn a_client_that_knows_it_begins_in_http_2() {
    let (world, _) = world();
    let got = client(&world, |_, mut sender, _| async move { text(sender.send_request(get("/")).await?).await });
    world.run_for(1);
    assert_eq!(got.take().as_deref(), Some("HTTP/2.0 10.0.0.1:80"));
}

#[test]
fn long_bodies_go_both_ways() {
    let (world, _) = world();
    let body: Vec<u8> = (0..5_000_000_u32).map(|i| (i * 7 % 251) as u8).collect();
    let sent = body.clone();
    let got = client(&world, |_, mut sender, _| async move {
        let request = Request::post("http://a/echo").body(Full::from(sent))?;
        Ok(sender.send_request(request).await?.into_body().collect().await?.to_bytes())
    });
    world.run_for(60);
    assert!(got.take().expect("it arrived") == body);
}

#[test]
fn no_more_requests_are_answered_at_a_time_than_may_be() {
    let (world, seen) = world();
    let got = client(&world, |reactor, sender, _| async move {
        let answers: Vec<_> = (0..300)
            .map(|_| {
                let mut sender = sender.clone();
                reactor.spawn(async move { text(sender.send_request(get("/late")).await?).await })
            })
            .collect();
        let mut count = 0;
        for answer in answers {
            count += usize::from(answer.await?.starts_with("HTTP/2.0"));
        }
        Ok(count)
    });
    world.run_for(20);
    assert_eq!(got.take(), Some(300));
    assert_eq!(seen.most.get(), 128);
}

#[test]
fn a_service_that_panics_or_fails_costs_its_own_stream() {
    let (world, _) = world();
    let got = client(&world, |reactor, mut sender, ended| async move {
        let mut other = sender.clone();
        let late = reactor.spawn(async move { text(other.send_request(get("/late")).await?).await });
        for path in ["/panic_at_once", "/panic", "/error"] {
            assert!(sender.send_request(get(path)).await.is_err(), "{path}");
        }
        text(sender.send_request(get("/")).await?).await?;
        late.await?;
        Ok(ended.get())
    });
    world.run_for(10);
    assert_eq!(got.take(), Some(false));
}

#[test]
fn a_request_that_is_cancelled_is_dropped() {
    let (world, seen) = world();
    let during = Rc::clone(&seen);
    let got = client(&world, |reactor, mut sender, _| async move {
        let mut other = sender.clone();
        let never = reactor.spawn(async move { text(other.send_request(get("/never")).await?).await });
        text(sender.send_request(get("/late")).await?).await?;
        let running = during.now.get();
        never.cancel();
        text(sender.send_request(get("/late")).await?).await?;
        Ok((running, during.now.get()))
    });
    world.run_for(10);
    assert_eq!(got.take(), Some((1, 0)));
}

#[test]
fn a_stop_of_the_reactor_waits_for_streams_that_have_begun() {
    let (world, _) = world();
    let got = client(&world, |reactor, mut sender, ended| async move {
        let answer = text(sender.send_request(get("/late")).await?).await?;
        reactor.sleep(Duration::from_millis(500)).await?;
        Ok((answer, ended.get()))
    });
    world.run_for(1);
    assert!(world.server.stop().is_ok());
    world.simulation.run_for(Duration::from_millis(500)).expect("runs");
    assert!(world.server.is_running());
    world.run_for(2);
    assert_eq!(got.take(), Some(("HTTP/2.0 10.0.0.1:80".into(), true)));
    assert!(!world.server.is_running());
}

#[test]
fn an_idle_connection_is_ended_and_one_in_use_is_not() {
    let (world, _) = world();
    let got = client(&world, |reactor, mut sender, ended| async move {
        let mut other = sender.clone();
        let never = reactor.spawn(async move { text(other.send_request(get("/never")).await?).await });
        reactor.sleep(Duration::from_secs(200)).await?;
        let while_used = ended.get();
        never.cancel();
        text(sender.send_request(get("/late")).await?).await?;
        reactor.sleep(Duration::from_secs(25)).await?;
        let soon = ended.get();
        reactor.sleep(Duration::from_secs(25)).await?;
        Ok((while_used, soon, ended.get()))
    });
    world.run_for(300);
    assert_eq!(got.take(), Some((false, false, true)));
}

#[test]
fn a_slow_download_is_not_cut() {
    let (world, _) = world();
    let got = client(&world, |reactor, mut sender, _| async move {
        let mut body = sender.send_request(get("/large")).await?.into_body();
        let (mut length, mut pauses) = (0, 0);
        while let Some(frame) = body.frame().await {
            length += frame?.into_data().map_or(0, |data| data.len());
            if length > pauses * (3 << 20) {
                pauses += 1;
                reactor.sleep(Duration::from_secs(20)).await?;
            }
        }
        Ok((length, pauses))
    });
    world.run_for(400);
    assert_eq!(got.take(), Some((32 << 20, 11)));
}

#[test]
fn there_is_no_upgrade_in_it() {
    let (world, seen) = world();
    let got = client(&world, |_, mut sender, _| async move {
        let request = Request::connect("b:443").version(Version::HTTP_2).body(Full::default())?;
        sender.send_request(request).await.ok();
        Ok(())
    });
    world.run_for(1);
    assert!(got.take().is_some());
    assert_eq!(seen.upgrade.take(), Some(UpgradeError::NotAsked));
}

#[cfg(feature = "tls")]
#[path = "../../examples/http2_server.rs"]
#[allow(dead_code, reason = "it has a main function")]
mod http2_server;

#[cfg(feature = "tls")]
#[test]
fn the_example_says_what_was_spoken_and_gives_back_what_it_is_sent() {
    let simulation = Simulation::new(1);
    http2_server::start(&simulation.host("10.0.0.1"), "tcp:443", "tcp:80").expect("listens");
    let got = client_of(&simulation, |_, mut sender, _| async move {
        let first = text(sender.send_request(get("/")).await?).await?;
        let echo = Request::post("http://a/echo").body(Full::from("there and back"))?;
        let echo = text(sender.send_request(echo).await?).await?;
        Ok([first, echo, text(sender.send_request(get("/x")).await?).await?])
    });
    simulation.run_for(Duration::from_secs(1)).expect("runs");
    let [first, echo, missing] = got.take().expect("it arrived");
    assert!(first.starts_with("HTTP/2.0 with 10.0.0.2:") && first.ends_with(": no TLS\n"), "{first}");
    assert_eq!((echo.as_str(), missing.as_str()), ("there and back", "there is no /x here\n"));
}
