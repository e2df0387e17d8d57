//! A web server and a client on simulated hosts, with a partition between them, and retries until one succeeds; without waiting.
//!
//! Run:    cargo run -p torsade-hyper --example simulated_web [SEED]     (default 1)
//! Expect: a page; then attempts that fail during the partition, and one that succeeds after it; then the event log, one line for each
//!         callback on each host. The same seed prints the same bytes, in every process and build.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt::Write;
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade_hyper::{Client, HttpServer, RequestBody};

const SERVER: &str = "10.0.0.1";
const CLIENT: &str = "10.0.0.2";

/// Serves a page that counts its visitors.
fn serve(reactor: &Reactor) -> Result<Port> {
    let visitors = Rc::new(Cell::new(0));
    let page = service_fn(move |_: Request<RequestBody>| {
        visitors.set(visitors.get() + 1);
        let text = format!("you are visitor {}", visitors.get());
        async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text))) }
    });
    // The date would be the system's, different in every run.
    Ok(HttpServer::new(page).auto_date_header(false).listen(reactor, "tcp:80")?)
}

/// Fetches the page once.
async fn get(client: &Client) -> Result<String> {
    let response = client.get("http://shop.example/").await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

/// Fetches the page, retrying with longer and longer delays.
async fn get_at_last(reactor: &Reactor, client: &Client, told: &Told) -> Result<()> {
    for attempt in 0..10 {
        match get(client).await {
            Ok(page) => {
                told.tell(reactor, &page);
                return Ok(());
            }
            Err(error) => told.tell(reactor, &error.to_string()),
        }
        reactor.sleep(Duration::from_secs(1 << attempt)).await?;
    }
    Err("given up".into())
}

/// What the client reports, with the time.
#[derive(Clone, Default)]
struct Told(Rc<std::cell::RefCell<String>>);

impl Told {
    fn tell(&self, reactor: &Reactor, text: &str) {
        writeln!(self.0.borrow_mut(), "{:8.3} s: {text}", reactor.now().as_secs_f64()).expect("a String takes everything");
    }
}

/// Runs the simulation; returns the client's report and the log.
pub fn play(seed: u64) -> Result<String> {
    let simulation = Simulation::with_faults(seed, Faults::lossy());
    simulation.add_name("shop.example", SERVER);
    serve(&simulation.host(SERVER))?;
    let host = simulation.host(CLIENT);
    let (reactor, told) = (host.reactor().clone(), Told::default());
    let client = Client::builder(&reactor).timeout(Duration::from_secs(5)).build();
    let telling = told.clone();
    host.spawn(async move {
        for _ in 0..2 {
            get_at_last(&reactor, &client, &telling).await?;
            reactor.sleep(Duration::from_secs(10)).await?;
        }
        Ok(())
    });
    simulation.run_for(Duration::from_secs(5))?;
    simulation.partition(SERVER, CLIENT);
    simulation.run_for(Duration::from_secs(60))?;
    simulation.heal(SERVER, CLIENT);
    simulation.run_for(Duration::from_secs(60))?;
    Ok(format!("{}{}", told.0.take(), simulation.log()))
}

fn main() -> Result {
    let seed = std::env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    print!("{}", play(seed)?);
    Ok(())
}
