//! Fetches a page and shows or saves it: Twisted's `getpage`, `dlpage`, and the `request` and `response` of its howto on `Agent`.
//!
//! Run:    cargo run -p torsade-hyper --example simple_client URL [FILE]
//! Try:    http://example.org/; then http://example.org/ page.html
//! Expect: the response's version, status, headers and body, which goes into the file if given; or `an error occurred`.

use std::io::Write;

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::USER_AGENT;
use torsade::prelude::*;
use torsade::react;
use torsade_hyper::Client;

/// Fetches `url`, writes its head to `head`, and its body to `body` as it arrives.
pub async fn fetch(client: Client, url: String, mut head: impl Write, mut body: impl Write) -> Result {
    let request = Request::get(&url).header(USER_AGENT, "Torsade Web Client Example").body(Empty::<Bytes>::new())?;
    let response = client.request(request).await?;
    writeln!(head, "Response version: {:?}", response.version())?;
    writeln!(head, "Response code: {}", response.status())?;
    writeln!(head, "Response headers: {:?}", response.headers())?;
    let mut pieces = response.into_body();
    while let Some(piece) = pieces.frame().await {
        // Trailers, which may follow a body, are not shown.
        if let Ok(data) = piece?.into_data() {
            body.write_all(&data)?;
        }
    }
    writeln!(head, "Finished receiving body")?;
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("say which URL")?;
    let body: Box<dyn Write> = match arguments.next() {
        Some(file) => Box::new(std::fs::File::create(file)?),
        None => Box::new(std::io::stdout()),
    };
    react(|reactor| async move {
        let fetched = fetch(Client::new(&reactor), url, std::io::stdout(), body).await;
        fetched.map_err(|error| format!("an error occurred: {error}").into())
    })
}
