//! Serves a folder over HTTP/1.1: lines for the request heads, `FileSender` for the files.
//!
//! Run:    cargo run --example file_server [ENDPOINT [FOLDER]]     (default 127.0.0.1:8080 and the working directory)
//! Try:    curl -i http://127.0.0.1:8080/Cargo.toml
//! Expect: the file; 404 for anything that is not a file, is hidden, or is outside the folder (links are followed). A connection is
//!         kept open, and closed after 30 s in which its client neither requests nor takes anything, or after a head of over 8 KiB.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use torsade::policies::TimeoutMixin;
use torsade::{FileSender, prelude::*};

const IDLE: Duration = Duration::from_secs(30);
const MAX_HEAD: usize = 8 << 10;

struct Files {
    folder: Rc<Path>,
    idle: TimeoutMixin,
    /// The request's first line, and the result of the others.
    request: Vec<u8>,
    head_length: usize,
    keeps: bool,
}

impl LineProtocol for Files {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.idle.set_timeout(transport, Some(IDLE));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.head_length += line.len() + 2;
        if self.head_length > MAX_HEAD {
            answer(transport, "431 Request Header Fields Too Large", false);
        } else if self.request.is_empty() {
            self.request.extend_from_slice(line); // an empty line before it is ignored: RFC 9112, 2.2
            self.keeps = line.ends_with(b" HTTP/1.1");
        } else if line.is_empty() {
            self.idle.reset_timeout();
            self.respond(transport)?;
            self.request.clear();
            self.head_length = 0;
        } else {
            let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':').unwrap_or(line.len()));
            // This server reads no bodies, so what follows one would not be a request.
            let has_body = name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding");
            self.keeps &= !(has_body || name.eq_ignore_ascii_case(b"connection") && !value.ends_with(b"keep-alive"));
        }
        Ok(())
    }
}

impl Files {
    fn respond(&self, transport: &LineTransport) -> Result {
        let keeps = self.keeps;
        let mut words = self.request.split(|byte| *byte == b' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if method != b"GET" && method != b"HEAD" {
            answer(transport, "405 Method Not Allowed", keeps);
            return Ok(());
        }
        let Ok((file, length)) = path_of(&self.folder, target).ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(open)
        else {
            answer(transport, "404 Not Found", keeps);
            return Ok(());
        };
        let connection = if keeps { "keep-alive" } else { "close" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n");
        transport.write(head);
        if method == b"HEAD" {
            close_unless(keeps, transport);
            return Ok(());
        }
        // Further requests wait until the file is sent.
        transport.pause_producing();
        FileSender::new(file).length(length).begin_file_transfer(transport, move |transport, sent| {
            sent?; // the connection is closed if the file was shorter than announced
            transport.resume_producing();
            close_unless(keeps, transport);
            Ok(())
        })?;
        Ok(())
    }
}

fn answer(transport: &Transport, status: &str, keeps: bool) {
    let connection = if keeps { "keep-alive" } else { "close" };
    transport.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: {connection}\r\n\r\n"));
    close_unless(keeps, transport);
}

fn close_unless(keeps: bool, transport: &Transport) {
    if !keeps {
        transport.lose_connection();
    }
}

/// The path of a target in the folder. `None` for names that are hidden, lead upwards, or would have to be decoded.
fn path_of(folder: &Path, target: &[u8]) -> Option<PathBuf> {
    let path = std::str::from_utf8(target).ok()?.strip_prefix('/')?;
    let is_plain = |name: &str| {
        !name.starts_with('.')
            && !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.split('/').all(is_plain).then(|| folder.join(path))
}

/// A file and its length. Its type is checked before it is opened, since opening a named pipe would wait for a writer.
fn open(path: PathBuf) -> io::Result<(File, u64)> {
    let metadata = path.metadata()?;
    if metadata.is_file() { Ok((File::open(path)?, metadata.len())) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str, folder: &Path) -> Result<Port> {
    let folder: Rc<Path> = folder.into();
    Ok(reactor.listen(endpoint, move |_peer| {
        let (folder, idle) = (folder.clone(), TimeoutMixin::new());
        LineReceiver::new(Files { folder, idle, request: Vec::new(), head_length: 0, keeps: false }).max_length(MAX_HEAD)
    })?)
}

fn main() -> Result {
    env_logger::init();
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let folder = arguments.next().unwrap_or_else(|| ".".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, folder.as_ref())?;
    println!("serving {folder} on {}", port.address());
    reactor.run()
}
