//! A web server with axum: JSON, notes that browsers see as they are made, files, uploads, and compressed answers.
//!
//! Run:    cargo run -p torsade-hyper --example web_server [ENDPOINT [FOLDER]]     (default 127.0.0.1:8080 and .)
//! Try:    curl 127.0.0.1:8080/notes --json '{"text": "buy milk"}'; curl '127.0.0.1:8080/notes?contains=milk'
//!         curl -N 127.0.0.1:8080/events                           each note as it is made; a browser shows them on its page /
//!         curl --compressed -r 0-99 127.0.0.1:8080/files/Cargo.toml
//!         curl -T README.md 127.0.0.1:8080/upload                 how many bytes came, and their SHA-1
//! Expect: however large a file or an upload is, the server holds only some hundred kilobytes of it.
//! HTTPS:  cargo run -p torsade-hyper --features tls --example web_server 127.0.0.1:8443 . keys/server.pem keys/server.key
//!         (torsade's example make_keys makes them), and curl --cacert keys/ca.pem https://127.0.0.1:8443/, in HTTP/2 too

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
use torsade::IntoEndpoint;
use torsade::prelude::*;
use torsade_hyper::{HttpServer, TowerService};

/// What all requests share. Axum requires it to be `Send`; the wrapper makes it so, though it stays on the reactor's thread.
type Site = SendWrapper<Rc<Shared>>;

struct Shared {
    reactor: Reactor,
    folder: PathBuf,
    notes: notes::Notes,
}

/// Serves the site with the files of `folder` on any reactor.
pub fn start(reactor: &Reactor, endpoint: impl IntoEndpoint<ServerEndpoint>, folder: impl Into<PathBuf>) -> Result<Port> {
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

/// Where to listen; with a certificate and its key, with TLS, for HTTP/2 and HTTP/1.1.
fn endpoint(address: Option<String>, keys: Option<(String, String)>) -> Result<ServerEndpoint> {
    let endpoint: ServerEndpoint = address.as_deref().unwrap_or("127.0.0.1:8080").parse()?;
    #[cfg(feature = "tls")]
    if let Some((certificate, key)) = keys {
        let certificate = PrivateCertificate::from_pem_files(certificate, key)?;
        let config = TlsServerConfig::builder().certificate(certificate).application_protocols(["h2", "http/1.1"]).build()?;
        return Ok(endpoint.tls(&config));
    }
    if keys.is_some() { Err("keys are of use with --features tls only".into()) } else { Ok(endpoint) }
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let (address, folder) = (arguments.next(), arguments.next().unwrap_or_else(|| ".".into()));
    let reactor = Reactor::new()?;
    let port = start(&reactor, endpoint(address, arguments.next().zip(arguments.next()))?, folder)?;
    println!("listening on {}", port.address());
    reactor.run()
}
