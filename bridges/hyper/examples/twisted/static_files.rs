//! A folder of files: Twisted's `web-in-60/static-content`.
//!
//! Run:    cargo run -p torsade-hyper --example static_files [ENDPOINT] [FOLDER]     (default 127.0.0.1:8080 and /tmp)
//! Try:    curl -i -r 0-99 127.0.0.1:8080/some/file; the index.html of a folder is at .../folder/
//! Expect: what `File` answers, except that this also lists folders, sends several ranges as `multipart/byteranges`, treats unknown types as
//!         HTML, and follows symbolic links out of the folder.

#[path = "../web_server/file_body.rs"]
mod file_body;
#[path = "../web_server/range.rs"]
mod range;
#[path = "../web_server/stored_file.rs"]
mod stored_file;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::rc::Rc;

use http_body_util::{Either, Full};
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use torsade::prelude::*;
use torsade_hyper::{HttpServer, RequestBody};

use file_body::FileBody;
use stored_file::StoredFile;

type Answer = Response<Either<FileBody, Full<Bytes>>>;

async fn serve(reactor: Reactor, folder: Rc<PathBuf>, request: Request<RequestBody>) -> Result<Answer, hyper::http::Error> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return other(StatusCode::METHOD_NOT_ALLOWED, ALLOW, "GET, HEAD", "");
    }
    let Ok(mut path) = percent_decode_str(request.uri().path().trim_start_matches('/')).decode_utf8() else {
        return not_found();
    };
    if path.is_empty() || path.ends_with('/') {
        path += "index.html";
    }
    match StoredFile::open(&reactor, &folder, &path).await {
        Ok(file) => Ok(file.answer(&reactor, request.method(), request.headers())?.map(Either::Left)),
        // Redirects to `FOLDER/`, so that relative links in its pages point into the folder.
        Err(error) if error.kind() == ErrorKind::IsADirectory => {
            let there = format!("{}/", request.uri().path());
            other(StatusCode::FOUND, LOCATION, &there, &format!("<a href=\"{there}\">click here</a>"))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            other(StatusCode::FORBIDDEN, CONTENT_TYPE, "text/html", "<p>Sorry, resource is forbidden.</p>")
        }
        Err(_) => not_found(),
    }
}

fn not_found() -> Result<Answer, hyper::http::Error> {
    other(StatusCode::NOT_FOUND, CONTENT_TYPE, "text/html", "<p>File not found.</p>")
}

fn other(status: StatusCode, header: HeaderName, value: &str, html: &str) -> Result<Answer, hyper::http::Error> {
    let body = Full::from(format!("<html><body>{html}</body></html>\n"));
    Response::builder().status(status).header(header, value).body(Either::Right(body))
}

/// Serves the files of `folder` on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str, folder: impl Into<PathBuf>) -> Result<Port> {
    let (serving, folder) = (reactor.clone(), Rc::new(folder.into()));
    let service = service_fn(move |request| serve(serving.clone(), Rc::clone(&folder), request));
    Ok(HttpServer::new(service).listen(reactor, endpoint)?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let folder = arguments.next().unwrap_or_else(|| "/tmp".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, folder)?;
    println!("listening on {}", port.address());
    reactor.run()
}
