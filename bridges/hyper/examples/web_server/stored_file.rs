//! A file in a folder, and the answer to a request for it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::time::SystemTime;

use hyper::header::{ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, LAST_MODIFIED};
use hyper::{Method, Response, StatusCode};
use torsade::Reactor;

use super::file_body::FileBody;
use super::range::{self, Part};

/// An open file.
pub struct StoredFile {
    file: File,
    length: u64,
    modified: SystemTime,
    content_type: &'static str,
}

impl StoredFile {
    /// Opens a file in the folder, on another thread.
    ///
    /// Fails with `NotFound` if the path leads elsewhere, by `..` or by a symbolic link, or is not a file, but with
    /// `IsADirectory` for a folder.
    pub async fn open(reactor: &Reactor, folder: &Path, path: &str) -> io::Result<Self> {
        let (folder, path) = (folder.to_owned(), path.to_owned());
        let found = reactor.defer_to_thread(move || Ok(Self::open_here(&folder, Path::new(&path)))).await;
        found.map_err(|error| io::Error::other(error.to_string()))?
    }

    fn open_here(folder: &Path, path: &Path) -> io::Result<Self> {
        let missing = || io::Error::from(ErrorKind::NotFound);
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(missing());
        }
        let path = folder.join(path).canonicalize()?;
        if !path.starts_with(folder.canonicalize()?) {
            return Err(missing());
        }
        let metadata = path.metadata()?;
        if metadata.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        // Checked before opening, since opening a pipe waits for a writer.
        if !metadata.is_file() {
            return Err(missing());
        }
        let file = File::open(&path)?;
        Ok(Self { file, length: metadata.len(), modified: metadata.modified()?, content_type: content_type(&path) })
    }

    /// The answer to `GET` or `HEAD` with these headers.
    pub fn answer(
        self,
        reactor: &Reactor,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response<FileBody>, hyper::http::Error> {
        let modified = httpdate::fmt_http_date(self.modified);
        let answer = Response::builder().header(LAST_MODIFIED, modified).header(ACCEPT_RANGES, "bytes");
        if range::is_unchanged(headers, self.modified) {
            return answer.status(StatusCode::NOT_MODIFIED).body(self.bytes(reactor, 0, 0));
        }
        // Only `GET` has ranges (14.2).
        let part = if method == Method::GET { range::wanted(headers, self.length, self.modified) } else { Part::Whole };
        let length = self.length;
        match part {
            Part::Whole => answer.header(CONTENT_TYPE, self.content_type).body(self.bytes(reactor, 0, length)),
            Part::Bytes { first, count } => {
                let range = format!("bytes {first}-{}/{length}", first + count - 1);
                let answer = answer.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range);
                answer.header(CONTENT_TYPE, self.content_type).body(self.bytes(reactor, first, count))
            }
            Part::Unsatisfiable => {
                let answer = answer.status(StatusCode::RANGE_NOT_SATISFIABLE);
                answer.header(CONTENT_RANGE, format!("bytes */{length}")).body(self.bytes(reactor, 0, 0))
            }
        }
    }

    fn bytes(self, reactor: &Reactor, first: u64, count: u64) -> FileBody {
        FileBody::new(reactor, self.file, first, count)
    }
}

/// The content type, by the file's name.
fn content_type(path: &Path) -> &'static str {
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
