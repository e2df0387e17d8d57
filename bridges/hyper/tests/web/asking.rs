//! Running examples, and a client for them that shows everything: requests are written as text, and answers are read to their
//! end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use torsade::prelude::*;
use torsade::{Phase, ReactorHandle, SystemEvent};

/// How long a test may take before it counts as hung; a busy machine is slow.
pub const LIMIT: Duration = Duration::from_secs(300);

/// An example on a reactor in its own thread; stopped when dropped.
pub struct Served {
    pub address: SocketAddr,
    handle: ReactorHandle,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    pub fn new(start: impl FnOnce(&Reactor) -> Result<Port> + Send + 'static) -> Self {
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            let reactor = Reactor::new().unwrap();
            let port = start(&reactor).unwrap();
            let address = port.address().to_string().parse().unwrap();
            let handle = reactor.handle();
            // A stop before the start would be an error.
            reactor.add_system_event_trigger(Phase::After, SystemEvent::Startup, move || tell.send((address, handle)).unwrap());
            reactor.run().unwrap();
        });
        let (address, handle) = told.recv_timeout(LIMIT).unwrap();
        Self { address, handle, thread: Some(thread) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.call_from_thread(|reactor| reactor.stop().unwrap_or_default()).ok();
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
            std::panic::resume_unwind(panic);
        }
    }
}

/// A test's empty folder; removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("torsade-web-{name}-{}", std::process::id()));
        std::fs::remove_dir_all(&path).ok();
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// An answer, with its body after the transfer coding is decoded.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header, empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        { lines }.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.set_write_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Sends the first line of a request and headers, one on each line, and reads the answer.
pub fn ask(address: SocketAddr, request: &str) -> Answer {
    ask_with_body(address, request, b"")
}

pub fn ask_with_body(address: SocketAddr, request: &str, body: &[u8]) -> Answer {
    let mut stream = connect(address);
    let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
    let mut head = format!("{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n");
    if !body.is_empty() {
        head += &format!("content-length: {}\r\n", body.len());
    }
    head.extend(headers.lines().map(|header| format!("{}\r\n", header.trim())));
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    read(&answer)
}

pub fn read(answer: &[u8]) -> Answer {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: answer[end..].to_vec() };
    if answer.header("transfer-encoding") == "chunked" && !answer.body.is_empty() {
        answer.body = unchunked(&answer.body);
    }
    answer
}

fn unchunked(mut wire: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = wire.windows(2).position(|two| two == b"\r\n").expect("the length of a chunk");
        let length = usize::from_str_radix(std::str::from_utf8(&wire[..line]).unwrap(), 16).unwrap();
        if length == 0 {
            assert_eq!(&wire[line..], b"\r\n\r\n", "the body ends with the last chunk");
            return body;
        }
        body.extend(&wire[line + 2..line + 2 + length]);
        wire = &wire[line + 4 + length..];
    }
}

/// Random bytes, the same every time.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state: u64 = 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}
