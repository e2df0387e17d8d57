//! Transfers that are cancelled and reset: the server goes on, and nothing is left of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::asking::{Folder, LIMIT, ask, ask_with_body, connect, noise};
use crate::child;
use crate::server_process::ServerProcess;

/// How many descriptors a process has open (Linux).
fn descriptors(process: u32) -> Option<usize> {
    Some(std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

#[derive(Clone, Copy, Debug)]
enum End {
    Close,
    Reset,
}

impl End {
    fn of(self, stream: TcpStream) {
        if matches!(self, Self::Reset) {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        drop(stream);
    }
}

#[test]
fn cancelled_and_reset_transfers_leave_the_server_running_and_no_descriptor_open() {
    const NAME: &str = "resets::cancelled_and_reset_transfers_leave_the_server_running_and_no_descriptor_open";
    if child::is_child(NAME) {
        return ServerProcess::run();
    }
    let folder = Folder::new("resets");
    folder.file("large.bin", noise(8 << 20));
    folder.file("large.txt", "all work and no play\n".repeat(1 << 18));
    let server = ServerProcess::new(NAME, &folder);
    let address = server.address;
    let request = |head: &str| {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).unwrap();
        stream
    };
    assert_eq!(ask(address, "GET /files/large.bin").body.len(), 8 << 20);
    let before = descriptors(server.id());
    for number in 0..50 {
        let end = if number % 2 == 0 { End::Reset } else { End::Close };
        // Downloads: during the head, and during the body; plain and compressed.
        end.of(request("GET /files/large.bin HTTP/1.1\r\nhost: test\r\n\r\n"));
        let mut stream = request("GET /files/large.txt HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip\r\n\r\n");
        stream.read_exact(&mut [0; 100]).unwrap();
        end.of(stream);
        // Uploads: during the body, and during the head.
        let mut stream = request("PUT /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 1000000\r\n\r\n");
        stream.write_all(&[0; 70_000]).unwrap();
        end.of(stream);
        end.of(request("PUT /upl"));
        let answer = ask_with_body(address, "PUT /upload", b"still there");
        assert_eq!(answer.status, 200, "after {number} of each, by {end:?}");
    }
    assert_eq!(ask(address, "GET /files/large.bin").body.len(), 8 << 20);
    if let Some(before) = before {
        // Gracefully closed connections end when the server has noticed.
        let begun = Instant::now();
        while descriptors(server.id()).is_some_and(|now| now > before) {
            assert!(begun.elapsed() < LIMIT, "{before} descriptors before, {:?} after", descriptors(server.id()));
            ask(address, "GET /status");
        }
        println!("descriptors: {before} before, {:?} after 200 broken transfers", descriptors(server.id()));
    } else {
        println!("skipped: there is no /proc to count descriptors by");
    }
}
