//! Large bodies in both directions, and clients that do not read: a server holds only its own pieces in memory.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use serde_json::json;
use sha1_smol::Sha1;

use crate::asking::{Folder, LIMIT, Served, ask, ask_with_body, connect, noise, read};
use crate::child;
use crate::programs::{streamed_page, web_server};
use crate::server_process::ServerProcess;

const LARGE: usize = 20 << 20;

fn digest(bytes: &[u8]) -> String {
    Sha1::from(bytes).digest().to_string()
}

#[test]
fn twenty_megabytes_go_both_ways_with_the_digest_right() {
    let folder = Folder::new("large");
    let body = noise(LARGE);
    let expected = digest(&body);
    folder.file("large.bin", &body);
    let path = folder.0.clone();
    let served = Served::new(move |reactor| web_server::start(reactor, "127.0.0.1:0", path));
    let up = ask_with_body(served.address, "PUT /upload", &body);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&up.body).unwrap(), json!({ "bytes": LARGE, "sha1": expected }));
    let down = ask(served.address, "GET /files/large.bin");
    assert_eq!((down.header("content-length"), digest(&down.body)), (&*LARGE.to_string(), expected.clone()));
    let rest = ask(served.address, &format!("GET /files/large.bin\nrange: bytes={}-", LARGE / 2));
    assert_eq!(rest.body, body[LARGE / 2..]);
}

#[test]
fn a_chunked_upload_is_counted_and_one_that_is_cut_off_is_not_answered_with_a_count() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let upload = |end: &[u8]| {
        let mut stream = connect(served.address);
        stream
            .write_all(b"PUT /upload HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        stream.write_all(b"5\r\nhello\r\n7;a=b\r\n, world\r\n").unwrap();
        stream.write_all(end).unwrap();
        if !end.ends_with(b"\r\n\r\n") {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut answer = Vec::new();
        // A truncated body may be answered with a reset.
        stream.read_to_end(&mut answer).ok();
        answer
    };
    assert_eq!(read(&upload(b"0\r\n\r\n")).text(), json!({ "bytes": 12, "sha1": digest(b"hello, world") }).to_string());
    let cut = upload(b"20\r\nno");
    assert!(!String::from_utf8(cut).unwrap().contains("bytes"));
}

#[test]
fn an_upload_that_says_it_is_too_large_is_refused_before_it_comes() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let mut stream = connect(served.address);
    stream
        .write_all(b"PUT /upload HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 1073741825\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(read(&answer).status, 413);
}

#[test]
fn a_streamed_page_comes_whole() {
    let served = Served::new(|reactor| streamed_page::start(reactor, "127.0.0.1:0"));
    let page = ask(served.address, "GET /100000").text();
    assert!(page.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..100_000));
    assert_eq!(ask(served.address, "GET /many").status, 404);
}

/// The resident memory of a process, in kilobytes (Linux).
fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok())
}

#[test]
fn four_readers_that_stall_in_bodies_of_32_mb_cost_some_pieces() {
    const NAME: &str = "bodies::four_readers_that_stall_in_bodies_of_32_mb_cost_some_pieces";
    if child::is_child(NAME) {
        return ServerProcess::run();
    }
    let folder = Folder::new("stalled");
    folder.file("32mb.bin", noise(32 << 20));
    let server = ServerProcess::new(NAME, &folder);
    let address = server.address;
    // Warm-up: starts threads and allocates buffers.
    for _ in 0..4 {
        assert_eq!(ask(address, "GET /files/32mb.bin\nrange: bytes=0-1999999").body.len(), 2_000_000);
    }
    let before = resident(server.id());
    let stalled: Vec<_> = (0..4).map(|_| stall(address)).collect();
    // Each has an answer under way that fills the system's buffers; others are still served.
    for _ in 0..5 {
        assert_eq!(ask(address, "GET /files/32mb.bin\nrange: bytes=0-1999999").body.len(), 2_000_000);
    }
    if let (Some(before), Some(after)) = (before, resident(server.id())) {
        println!("resident: {before} KB before, {after} KB with four stalled readers of 32 MB");
        assert!(after < before + 4 * 1024, "{before} KB before, {after} KB with the readers");
    } else {
        println!("skipped: there is no /proc to read how much memory a process has");
    }
    for mut stream in stalled {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.len() > 31 << 20, "a reader that continues gets the rest: {}", rest.len());
    }
}

/// A client that has read the head of an answer and reads no more.
fn stall(address: SocketAddr) -> std::net::TcpStream {
    let mut stream = connect(address);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream.write_all(b"GET /files/32mb.bin HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    stream
}
