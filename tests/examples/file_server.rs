//! The example that serves a folder.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU32, Ordering};

use torsade::prelude::*;

use crate::programs::file_server;
use crate::support::{address, drain, pattern, peer, run, stop};

/// What the server answers to these requests, until either side ends the connection.
fn answers(requests: Vec<u8>) -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("torsade-file-server-{}-{number}", std::process::id()));
    std::fs::create_dir_all(folder.join("inner")).unwrap();
    std::fs::write(folder.join("inner/small.txt"), "small").unwrap();
    std::fs::write(folder.join("large"), pattern(0, 300_000)).unwrap();
    std::fs::write(folder.join(".hidden"), "hidden").unwrap();
    let reactor = Reactor::new().unwrap();
    let port = file_server::start(&reactor, "127.0.0.1:0", &folder).unwrap();
    let handle = reactor.handle();
    let client = peer(address(&port), move |mut peer| {
        peer.write_all(&requests).unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let got = drain(&mut peer).0;
        handle.call_from_thread(stop).unwrap();
        got
    });
    run(&reactor);
    std::fs::remove_dir_all(&folder).unwrap();
    client.join().unwrap()
}

fn ok(length: usize, connection: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: {connection}\r\n\r\n")
}

#[test]
fn requests_that_come_together_are_answered_in_order_small_and_large() {
    let request = |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let requests = [
        request("GET", "/inner/small.txt"),
        request("GET", "/large"),
        request("HEAD", "/large"),
        request("GET", "/inner/small.txt"),
    ];
    let small = ok(5, "keep-alive") + "small";
    let large = [ok(300_000, "keep-alive").into_bytes(), pattern(0, 300_000)].concat();
    let expected = [small.as_bytes(), &large, ok(300_000, "keep-alive").as_bytes(), small.as_bytes()].concat();
    assert!(answers(requests.concat().into_bytes()) == expected);
}

#[test]
fn what_is_hidden_or_elsewhere_or_not_a_file_is_not_found() {
    let targets = [
        "/.hidden",
        "/../etc/passwd",
        "/inner/../large",
        "/inner//small.txt",
        "/%2e%2e/x",
        "//etc/passwd",
        "/inner",
        "/",
        "large",
        "*",
    ];
    for target in targets {
        let got = answers(format!("GET {target} HTTP/1.1\r\n\r\n").into_bytes());
        let expected = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected), "{target}");
    }
}

#[test]
fn nothing_behind_a_body_or_a_request_to_close_is_taken_for_a_request() {
    for field in ["Content-Length: 40", "transfer-encoding: chunked", "Connection: close"] {
        let got = answers(format!("GET /large HTTP/1.1\r\n{field}\r\n\r\nGET /inner/small.txt HTTP/1.1\r\n\r\n").into_bytes());
        assert!(got == [ok(300_000, "close").into_bytes(), pattern(0, 300_000)].concat(), "{field}");
    }
    assert_eq!(answers(b"GET /inner/small.txt HTTP/1.0\r\n\r\n".to_vec()), (ok(5, "close") + "small").as_bytes());
}

#[test]
fn a_head_without_an_end_is_refused() {
    let got = answers([&b"GET / HTTP/1.1\r\n"[..], &b"A: b\r\n".repeat(2_000)].concat());
    assert!(got.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&got));
}
