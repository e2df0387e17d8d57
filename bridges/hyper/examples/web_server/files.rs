//! The files of a folder.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use axum::body::Body;
use axum::extract::{self, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use send_wrapper::SendWrapper;
use torsade::Reactor;

use crate::Site;
use crate::file_body::FileBody;
use crate::range::{self, Part};

/// `GET /files/PATH`, and `HEAD`.
pub async fn send(
    State(site): State<Site>,
    method: Method,
    headers: HeaderMap,
    extract::Path(path): extract::Path<String>,
) -> Response {
    // The wrapper makes a future `Send` that holds a Deferred.
    let found = SendWrapper::new(find(&site.reactor, &site.folder, path)).await;
    match found {
        Ok(found) => answer(&site.reactor, found, &method, &headers).unwrap_or_else(|error| failure(&error)),
        Err(error) => failure(&error),
    }
}

/// A file that is there.
struct Found {
    file: File,
    length: u64,
    modified: SystemTime,
    content_type: &'static str,
}

/// Opens a file, on another thread.
async fn find(reactor: &Reactor, folder: &Path, path: String) -> io::Result<Found> {
    let folder = folder.to_owned();
    let found = reactor.defer_to_thread(move || Ok(open(&folder, Path::new(&path)))).await;
    found.map_err(|error| io::Error::other(error.to_string()))?
}

/// Opens a file of the folder; nothing that is elsewhere, be it by `..` or by a symbolic link, and nothing that is no file.
fn open(folder: &Path, path: &Path) -> io::Result<Found> {
    let missing = || io::Error::from(ErrorKind::NotFound);
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(missing());
    }
    let path: PathBuf = folder.join(path).canonicalize()?;
    // Looked at before it is opened: who opens a pipe waits for who writes.
    if !path.starts_with(folder.canonicalize()?) || !path.metadata()?.is_file() {
        return Err(missing());
    }
    let file = File::open(&path)?;
    let metadata = file.metadata()?;
    Ok(Found { file, length: metadata.len(), modified: metadata.modified()?, content_type: content_type(&path) })
}

fn answer(reactor: &Reactor, mut found: Found, method: &Method, headers: &HeaderMap) -> io::Result<Response> {
    let modified = httpdate::fmt_http_date(found.modified);
    let answer = Response::builder().header(header::LAST_MODIFIED, modified).header(header::ACCEPT_RANGES, "bytes");
    if range::is_unchanged(headers, found.modified) {
        return answer.status(StatusCode::NOT_MODIFIED).body(Body::empty()).map_err(io::Error::other);
    }
    // A range is of `GET` only (14.2).
    let part = if method == Method::GET { range::wanted(headers, found.length, found.modified) } else { Part::Whole };
    let answer = answer.header(header::CONTENT_TYPE, found.content_type);
    let length = found.length;
    let (answer, bytes) = match part {
        Part::Whole => (answer, 0..length),
        Part::Bytes(bytes) => {
            let range = format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1);
            (answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, range), bytes)
        }
        Part::Unsatisfiable => {
            let answer =
                answer.status(StatusCode::RANGE_NOT_SATISFIABLE).header(header::CONTENT_RANGE, format!("bytes */{length}"));
            return answer.body(Body::empty()).map_err(io::Error::other);
        }
    };
    found.file.seek(SeekFrom::Start(bytes.start))?; // moves a number, reads nothing
    let body = FileBody::new(reactor, found.file, bytes.end - bytes.start);
    answer.body(Body::new(body)).map_err(io::Error::other)
}

fn failure(error: &io::Error) -> Response {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename => {
            (StatusCode::NOT_FOUND, "there is no such file\n").into_response()
        }
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN.into_response(),
        _ => {
            log::warn!("a file cannot be sent: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What a file is, by its name.
pub fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "md" | "rs" | "toml" | "txt" => "text/plain; charset=utf-8",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
