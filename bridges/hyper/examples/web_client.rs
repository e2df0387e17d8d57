//! Fetches several URLs concurrently: with limits per host, in total and for the size of a page, and with retries.
//!
//! Run:    cargo run -p torsade-hyper --features tls --example web_client URL...
//! Try:    http://example.org/ https://www.rust-lang.org/ http://localhost:1/
//! Expect: a line for each URL when it is done: status and size, or the error, here `connection refused` after three attempts.
//!         Without the feature `tls` it supports only `http://`.

use std::error::Error;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use torsade::prelude::*;
use torsade::{DeferredSemaphore, react};
use torsade_hyper::{Client, ClientError, ClientErrorKind};

const AT_ONCE: usize = 20;
const LARGEST: usize = 10_000_000;
const ATTEMPTS: u32 = 3;

/// Fetches a page; returns its status and size as text.
async fn fetch(client: &Client, url: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let response = client.get(url).await?;
    let status = response.status();
    let page = Limited::new(response.into_body(), LARGEST).collect().await?;
    Ok(format!("{status}, {} bytes", page.to_bytes().len()))
}

/// Fetches a page, and retries after a second, then after two, if the network was at fault.
async fn fetch_again(reactor: &Reactor, client: &Client, url: &str) -> Result<String> {
    let mut attempt = 1;
    loop {
        match fetch(client, url).await {
            Err(error) if attempt < ATTEMPTS && is_passing(&*error) => reactor.sleep(attempt * Duration::from_secs(1)).await?,
            result => return result.map_err(|error| error as Box<dyn Error>),
        }
        attempt += 1;
    }
}

fn is_passing(error: &(dyn Error + 'static)) -> bool {
    use ClientErrorKind::{Closed, Connect, TimedOut};
    error.downcast_ref().map(ClientError::kind).is_some_and(|kind| matches!(kind, Closed | Connect | TimedOut))
}

/// Fetches all pages, and reports each with a line when it is done.
pub async fn run(reactor: Reactor, client: Client, urls: Vec<String>, tell: impl Fn(String) + Clone + 'static) -> Result {
    let slots = DeferredSemaphore::new(AT_ONCE);
    let mut fetches = Vec::new();
    for url in urls {
        let slot = slots.acquire().await?;
        let (fetching, client, tell) = (reactor.clone(), client.clone(), tell.clone());
        fetches.push(reactor.spawn(async move {
            let outcome = fetch_again(&fetching, &client, &url).await.unwrap_or_else(|error| error.to_string());
            drop(slot);
            tell(format!("{url}: {outcome}"));
        }));
    }
    for fetch in fetches {
        fetch.await?;
    }
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let urls = std::env::args().skip(1).collect();
    react(|reactor| {
        let client = Client::builder(&reactor).timeout(Duration::from_secs(20)).build();
        run(reactor, client, urls, |line| println!("{line}"))
    })
}
