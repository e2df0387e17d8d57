//! A web server in axum: JSON, notes that browsers see as they come, files, uploads, and compressed answers.
//!
//! Run:    cargo run -p torsade-hyper --example web_server [ENDPOINT] [FOLDER]     (127.0.0.1:8080 and . unless given)
//! Try:    curl 127.0.0.1:8080/notes --json '{"text": "buy milk"}'; curl '127.0.0.1:8080/notes?contains=milk'
//!         curl -N 127.0.0.1:8080/events                           each note as it is made; a browser shows them on its page /
//!         curl --compressed -r 0-99 127.0.0.1:8080/files/Cargo.toml
//!         curl -T README.md 127.0.0.1:8080/upload                 how many bytes came, and their SHA-1
//! Expect: however large a file or an upload is, the server holds some hundred kilobytes of it.
//!         With --features tls, HTTPS as well: `ssl:8443:privateKey=key.pem:certKey=certificate.pem` (`make_keys` makes them).

mod encoding;
mod file_body;
mod files;
mod notes;
mod range;
mod stored_file;
mod upload;

use std::path::PathBuf;
use std::rc::Rc;

use axum::extract::DefaultBodyLimit;
use axum::response::Html;
use axum::{Router, middleware, routing};
use send_wrapper::SendWrapper;
use torsade::prelude::*;
use torsade_hyper::{HttpServer, TowerService};

/// What all requests share. Axum wants it to be `Send`; with the wrapper it is, and stays on the reactor's thread.
type Site = SendWrapper<Rc<Shared>>;

struct Shared {
    reactor: Reactor,
    folder: PathBuf,
    notes: notes::Notes,
}

/// Serves the site with the files of `folder` on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, folder: impl Into<PathBuf>) -> Result<Port> {
    let site = Shared { reactor: reactor.clone(), folder: folder.into(), notes: notes::Notes::default() };
    let router = Router::new()
        .route("/", routing::get(|| async { Html(include_str!("index.html")) }))
        .route("/notes", routing::get(notes::list).post(notes::add))
        .route("/events", routing::get(notes::events))
        .route("/status", routing::get(notes::status))
        .route("/files/{*path}", routing::get(files::send))
        .route("/upload", routing::put(upload::count).post(upload::count))
        .layer(DefaultBodyLimit::max(64 << 10))
        .layer(middleware::from_fn(encoding::encode))
        .with_state(SendWrapper::new(Rc::new(site)));
    Ok(HttpServer::new(TowerService::new(router)).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, folder)?;
    println!("listening on {}", port.address());
    reactor.run()
}
