//! The HTTP client: its pool, timeouts and errors, in simulated networks and over the loopback.

#[path = "../web/asking.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod asking;
mod bodies;
mod cancelling;
mod chance;
mod examples;
mod failures;
mod http2;
#[cfg(all(feature = "tls", unix))]
mod nginx;
mod pool;
mod programs;
mod sockets;
mod stale;
#[cfg(feature = "tls")]
mod tls;
mod upgrades;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::BodyExt;
use hyper::Response;
use torsade::Panic;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade_hyper::{Client, ClientError, ResponseBody};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";
const SECOND: Duration = Duration::from_secs(1);

thread_local! {
    /// Failures of the servers' tasks, which nobody awaits.
    static FAILED: RefCell<Vec<String>> = RefCell::default();
}

/// Runs `main` on the client's host, for at most an hour of simulated time, and returns its result. Nothing may be left behind on
/// that host, and no server of the test may have panicked.
fn run<T, F>(simulation: &Simulation, main: impl FnOnce(Reactor) -> F) -> T
where
    T: 'static,
    F: Future<Output = Result<T>> + 'static,
{
    let client = simulation.host(CLIENT);
    let task = client.spawn(main((*client).clone())).into_deferred();
    simulation.run_for(3600 * SECOND).unwrap();
    client.assert_clean();
    assert_eq!(FAILED.take(), Vec::<String>::new());
    task.into_result().expect("the task has ended").unwrap_or_else(|failure| panic!("{failure}"))
}

#[derive(Clone, Default)]
struct Seen {
    connections: Rc<Cell<usize>>,
    requests: Rc<RefCell<Vec<String>>>,
    /// How each connection ended, in order of ending.
    ends: Rc<RefCell<Vec<String>>>,
}

/// Serves each connection to the server's port 80 with `serve`, which also gets the connection's number, from 0.
fn raw_server<F>(simulation: &Simulation, serve: impl Fn(Raw, usize) -> F + 'static) -> Seen
where
    F: Future<Output = Result> + 'static,
{
    let seen = Seen::default();
    let server = simulation.host(SERVER);
    let mut incoming = server.listen_async("tcp:80").unwrap();
    let (reactor, told) = ((*server).clone(), seen.clone());
    server.spawn(async move {
        while let Some(connection) = incoming.accept().await {
            let number = told.connections.get();
            told.connections.set(number + 1);
            let raw = Raw { connection, seen: told.clone() };
            let served = reactor.spawn(serve(raw, number)).into_deferred().add_errback(|failure| {
                // Many tests are about lost connections.
                if failure.check::<Panic>() {
                    FAILED.with_borrow_mut(|failed| failed.push(failure.to_string()));
                }
                Ok(())
            });
            served.detach();
        }
    });
    seen
}

/// A server's end of a connection, on which the test writes HTTP by hand.
struct Raw {
    connection: AsyncConnection,
    seen: Seen,
}

impl Raw {
    /// Reads the head of a request; `None` at the end of the connection.
    async fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.connection.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                Ok(_) => {
                    self.seen.ends.borrow_mut().push("closed".to_owned());
                    return None;
                }
                Err(error) => {
                    self.seen.ends.borrow_mut().push(error.to_string());
                    return None;
                }
            }
        }
        let head = String::from_utf8(head).unwrap();
        self.seen.requests.borrow_mut().push(head.lines().next().unwrap().to_owned());
        Some(head)
    }

    async fn send(&mut self, text: impl AsRef<[u8]>) -> Result {
        self.connection.write_all(text.as_ref()).await?;
        Ok(self.connection.flush().await?)
    }

    /// Answers each request with "hello", until the client closes.
    async fn hello(mut self) -> Result {
        while self.head().await.is_some() {
            self.send(HELLO).await?;
        }
        Ok(())
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

async fn text(response: Response<ResponseBody>) -> Result<String, ClientError> {
    Ok(String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec()).unwrap())
}

async fn fetch(client: &Client) -> Result<String, ClientError> {
    text(client.get("http://10.0.0.1/").await?).await
}
