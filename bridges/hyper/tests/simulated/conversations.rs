//! Requests and answers of random sizes and shapes, over HTTP/1.1 and HTTP/2, with hyper's own builders, `HttpServer` and
//! `Client`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, client, server};
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade_hyper::{Client, HttpServer, RequestBody, TorsadeExecutor, TorsadeIo, TorsadeTimer};

#[cfg(feature = "tls")]
use crate::keys;
use crate::service::{Failed, Pieces, Wanted, answer};
use crate::{CLIENT, SECOND, SERVER, assert_nothing_is_left, play};

/// Seeds of each test, by default. Each is played twice in each way.
const SEEDS: u64 = 4;
/// For one request with its answer, bodies included.
const DEADLINE: Duration = Duration::from_secs(600);
const AUTHORITY: &str = "10.0.0.1:80";
pub const ORIGIN: &str = "http://10.0.0.1:80";

/// The server and the client.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// hyper's builders at both ends.
    Builders(Version),
    /// `HttpServer`, and hyper's builder for the client.
    Server(Version),
    /// `HttpServer` and `Client`.
    Both(Version),
    /// The same over TLS, with the version negotiated.
    #[cfg(feature = "tls")]
    Tls(Version),
}

#[derive(Clone, Copy, Debug)]
pub enum Version {
    One,
    Two,
}

const WAYS: &[Way] = &[
    Way::Builders(Version::One),
    Way::Builders(Version::Two),
    Way::Server(Version::One),
    Way::Server(Version::Two),
    Way::Both(Version::One),
    Way::Both(Version::Two),
    #[cfg(feature = "tls")]
    Way::Tls(Version::One),
    #[cfg(feature = "tls")]
    Way::Tls(Version::Two),
];

type Outcomes = Rc<RefCell<Vec<Result<(), Failed>>>>;

#[test]
fn every_request_is_answered_right_on_a_calm_network() {
    for way in WAYS.iter().copied() {
        play(&Faults::calm(), SEEDS, |simulation| {
            all_is_answered(simulation, way, 1 << 17);
        });
    }
}

#[test]
fn every_request_is_answered_right_on_a_lossy_network() {
    for way in WAYS.iter().copied() {
        play(&Faults::lossy(), SEEDS, |simulation| {
            all_is_answered(simulation, way, 1 << 13);
        });
    }
}

#[test]
fn every_request_ends_in_time_and_leaves_nothing_behind_on_a_hostile_network() {
    for way in WAYS.iter().copied() {
        play(&Faults::hostile(), SEEDS, |simulation| {
            // Requests may fail; the count checks that each one ends.
            converse(simulation, way, |simulation| Wanted::draw(simulation, 1 << 13));
        });
    }
}

#[test]
fn requests_that_are_given_up_harm_no_others_and_leave_nothing_behind() {
    // With HTTP/1.1 and no pool, its connection would end with it.
    let alone = |way: &&Way| !matches!(way, Way::Builders(Version::One) | Way::Server(Version::One));
    for way in WAYS.iter().copied().filter(|way| alone(&way)) {
        play(&Faults::calm(), SEEDS, |simulation| {
            let draw = |simulation: &Simulation| {
                let patience = Some(Duration::from_micros(simulation.draw(20_000))).filter(|_| simulation.draw(2) == 0);
                Wanted { patience, ..Wanted::draw(simulation, 1 << 17) }
            };
            for outcome in converse(simulation, way, draw).take() {
                outcome.unwrap_or_else(|error| panic!("{way:?}: {error}"));
            }
        });
    }
}

fn all_is_answered(simulation: &Simulation, way: Way, most: usize) {
    for outcome in converse(simulation, way, |simulation| Wanted::draw(simulation, most)).take() {
        outcome.unwrap_or_else(|error| panic!("{way:?}: {error}"));
    }
}

/// Makes some requests on some connections; returns their results when nothing is left of them.
fn converse(simulation: &Simulation, way: Way, draw: impl Fn(&Simulation) -> Wanted) -> Outcomes {
    simulation.add_name("server.test", SERVER);
    let port = serve(&simulation.host(SERVER), way);
    let host = simulation.host(CLIENT);
    let outcomes = Outcomes::default();
    let mut asked = 0;
    for _ in 0..1 + simulation.draw(3) {
        let wanted: Vec<Wanted> = (0..1 + simulation.draw(4)).map(|_| draw(simulation)).collect();
        asked += wanted.len();
        host.spawn(ask(host.reactor().clone(), way, wanted, Rc::clone(&outcomes)));
    }
    let all = asked as u32;
    simulation.run_for(all * DEADLINE + 60 * SECOND).unwrap();
    assert_eq!(outcomes.borrow().len(), asked, "{way:?}: not every request has ended\n{}", simulation.report());
    port.stop_listening();
    assert_nothing_is_left(simulation);
    outcomes
}

/// Serves on port 80, with TLS on port 443.
pub fn serve(reactor: &Reactor, way: Way) -> Port {
    match way {
        Way::Builders(version) => {
            let mut incoming = reactor.listen_async("tcp:80").unwrap();
            let port = incoming.port().clone();
            let there = reactor.clone();
            reactor.spawn(async move {
                while let Some(connection) = incoming.accept().await {
                    // The client decides how it ends.
                    there.spawn(serve_one(there.clone(), version, connection));
                }
            });
            port
        }
        Way::Server(_) | Way::Both(_) => serve_on(reactor, ServerEndpoint::tcp("0.0.0.0:80").unwrap()),
        #[cfg(feature = "tls")]
        Way::Tls(version) => {
            let protocols: &[&str] = match version {
                Version::One => &["http/1.1"],
                Version::Two => &["h2", "http/1.1"],
            };
            let config = keys::server_builder().application_protocols(protocols).build().unwrap();
            serve_on(reactor, ServerEndpoint::tcp("0.0.0.0:443").unwrap().tls(&config))
        }
    }
}

fn serve_on(reactor: &Reactor, endpoint: ServerEndpoint) -> Port {
    let timer = TorsadeTimer::new(reactor);
    let service = service_fn(move |request: Request<RequestBody>| answer(timer.clone(), request));
    HttpServer::new(service).auto_date_header(false).listen(reactor, endpoint).unwrap()
}

async fn serve_one(reactor: Reactor, version: Version, connection: AsyncConnection) {
    let (timer, io) = (TorsadeTimer::new(&reactor), TorsadeIo::new(connection));
    let clock = timer.clone();
    let service = service_fn(move |request: Request<Incoming>| answer(timer.clone(), request));
    let _ended = match version {
        Version::One => {
            let mut builder = server::conn::http1::Builder::new();
            builder.timer(clock).auto_date_header(false).serve_connection(io, service).await
        }
        Version::Two => {
            let mut builder = server::conn::http2::Builder::new(TorsadeExecutor::new(&reactor));
            builder.timer(clock).auto_date_header(false).serve_connection(io, service).await
        }
    };
}

/// Makes all requests on one connection: one after the other, or concurrently with HTTP/2 or a `Client`.
async fn ask(reactor: Reactor, way: Way, wanted: Vec<Wanted>, outcomes: Outcomes) {
    match way {
        Way::Builders(Version::One) | Way::Server(Version::One) => {
            let mut sender = connect1(&reactor).await.map_err(|error| error.to_string());
            for wanted in wanted {
                let outcome = match &mut sender {
                    Ok(sender) => patiently(&reactor, wanted, ask1(&reactor, sender, wanted)).await,
                    Err(error) => Err(error.clone().into()),
                };
                outcomes.borrow_mut().push(outcome);
            }
        }
        Way::Builders(Version::Two) | Way::Server(Version::Two) => {
            let sender = in_time(&reactor, connect2(&reactor)).await.map_err(|error| error.to_string());
            for wanted in wanted {
                let (reactor, sender, outcomes) = (reactor.clone(), sender.clone(), Rc::clone(&outcomes));
                reactor.clone().spawn(async move {
                    let outcome = match sender {
                        Ok(sender) => patiently(&reactor, wanted, ask2(&reactor, sender, wanted)).await,
                        Err(error) => Err(error.into()),
                    };
                    outcomes.borrow_mut().push(outcome);
                });
            }
        }
        _ => {
            let (client, origin) = pool(&reactor, way);
            for wanted in wanted {
                let (reactor, client, outcomes) = (reactor.clone(), client.clone(), Rc::clone(&outcomes));
                reactor.clone().spawn(async move {
                    let outcome = patiently(&reactor, wanted, ask_client(&reactor, &client, origin, wanted)).await;
                    outcomes.borrow_mut().push(outcome);
                });
            }
        }
    }
}

/// A client for this way, and the server's URL.
fn pool(reactor: &Reactor, way: Way) -> (Client, &'static str) {
    let builder = Client::builder(reactor);
    match way {
        Way::Both(Version::Two) => (builder.http2_prior_knowledge().build(), ORIGIN),
        #[cfg(feature = "tls")]
        Way::Tls(_) => (builder.tls(&keys::client()).build(), "https://server.test"),
        _ => (builder.build(), ORIGIN),
    }
}

/// Cancels a request when its time comes.
async fn patiently(reactor: &Reactor, wanted: Wanted, asking: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let Some(patience) = wanted.patience else { return in_time(reactor, asking).await };
    let given_up = async {
        reactor.sleep(patience).await.ok();
        Ok(())
    };
    futures_lite::future::or(asking, given_up).await
}

/// Fails if it takes too long.
async fn in_time<T>(reactor: &Reactor, asking: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let late = async {
        reactor.sleep(DEADLINE).await.ok();
        Err("it came too late".into())
    };
    futures_lite::future::or(asking, late).await
}

type Sender1 = client::conn::http1::SendRequest<Pieces>;
type Sender2 = client::conn::http2::SendRequest<Pieces>;

pub async fn connect1(reactor: &Reactor) -> Result<Sender1, Failed> {
    let connection = reactor.connect_async(AUTHORITY).await.map_err(|failure| failure.to_string())?;
    let (sender, connection) = client::conn::http1::Builder::new().handshake(TorsadeIo::new(connection)).await?;
    // The requests report its error.
    reactor.spawn(async move { drop(connection.await) });
    Ok(sender)
}

pub async fn ask1(reactor: &Reactor, sender: &mut Sender1, wanted: Wanted) -> Result<(), Failed> {
    sender.ready().await?;
    let response = sender.send_request(wanted.request(&TorsadeTimer::new(reactor), ORIGIN)).await?;
    wanted.check(response).await
}

pub async fn connect2(reactor: &Reactor) -> Result<Sender2, Failed> {
    let connection = reactor.connect_async(AUTHORITY).await.map_err(|failure| failure.to_string())?;
    let mut builder = client::conn::http2::Builder::new(TorsadeExecutor::new(reactor));
    let (sender, connection) = builder.timer(TorsadeTimer::new(reactor)).handshake(TorsadeIo::new(connection)).await?;
    reactor.spawn(async move { drop(connection.await) });
    Ok(sender)
}

pub async fn ask2(reactor: &Reactor, mut sender: Sender2, wanted: Wanted) -> Result<(), Failed> {
    sender.ready().await?;
    let response = sender.send_request(wanted.request(&TorsadeTimer::new(reactor), ORIGIN)).await?;
    wanted.check(response).await
}

pub async fn ask_client(reactor: &Reactor, client: &Client, origin: &str, wanted: Wanted) -> Result<(), Failed> {
    let response = client.request(wanted.request(&TorsadeTimer::new(reactor), origin)).await?;
    wanted.check(response).await
}
