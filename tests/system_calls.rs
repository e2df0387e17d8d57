//! The system calls of a server: for each connection and each request the same as a hand-written loop over epoll, and no more.
//!
//! The server runs in its own process under strace(1); if that is not installed, or may not trace, the tests are skipped.
#![cfg(target_os = "linux")]

#[path = "support/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use torsade::prelude::*;

use support::{Echo, child, is_child, lines};

/// Counted connections, one after the other.
const CONNECTIONS: usize = 20;
/// Requests on each, if any.
const REQUESTS: usize = 50;

type Calls = BTreeMap<String, usize>;

fn serve<F: Factory + 'static>(factory: F) {
    let reactor = Reactor::new().expect("descriptors");
    // A busy machine delays the loop, and reporting that is a system call.
    reactor.set_slow_callback_duration(Duration::MAX);
    let port = reactor.listen_tcp("127.0.0.1:0", factory).expect("a free port");
    let stopper = reactor.clone();
    reactor.call_in_thread(|| std::io::stdin().read_to_end(&mut Vec::new()).map(drop), move |_| stopper.stop().expect("it runs"));
    println!("\nlistening on {}", port.address());
    reactor.run().expect("it stops");
}

/// Makes this many requests, each after the answer to the one before, ends its stream, and waits for the server's end.
fn talk(address: SocketAddr, requests: usize, request: &[u8], answer: &[u8]) {
    let mut peer = TcpStream::connect(address).expect("it listens");
    peer.set_read_timeout(Some(support::LIMIT)).expect("it is longer than zero");
    let mut got = vec![0; answer.len()];
    for _ in 0..requests {
        peer.write_all(request).expect("it reads");
        peer.read_exact(&mut got).expect("it answers");
        assert!(got == answer, "another answer");
    }
    peer.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(peer.read(&mut [0]).expect("it ends"), 0);
}

/// Runs the test `name` as a child under strace and talks to it; returns the system calls of all counted connections.
fn counted(name: &str, requests: usize, request: &[u8], answer: &[u8]) -> Option<Calls> {
    let trace = std::env::temp_dir().join(format!("torsade-{name}-{}", std::process::id()));
    let test = child(name);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=%network,%desc", "-o"]).arg(&trace).arg(test.get_program()).args(test.get_args());
    strace.env("CHILD_OF", name).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut server) = strace.spawn() else {
        println!("skipped: strace is not installed");
        return None;
    };
    let mut said = lines(&mut server);
    let Some(address) = said.find_map(|line| line.strip_prefix("listening on ")?.parse::<SocketAddr>().ok()) else {
        println!("skipped: strace may not trace here ({})", server.wait().expect("it has ended"));
        return None;
    };
    // The first is not counted, nor is the last, whose accept ends the count.
    (0..CONNECTIONS + 2).for_each(|_| talk(address, requests, request, answer));
    drop(server.stdin.take());
    said.for_each(drop);
    assert!(server.wait().expect("it ends").success());
    let traced = std::fs::read_to_string(&trace).expect("it was written");
    std::fs::remove_file(&trace).expect("it is ours");
    Some(count(&traced))
}

/// Counts the system calls of the loop's thread from the second accepted connection to the last.
fn count(traced: &str) -> Calls {
    let thread_of = |line: &str| line.split_once(' ').map(|(thread, _)| thread.to_owned());
    let server = traced.lines().find(|line| line.contains("accept4")).and_then(thread_of);
    let its = traced.lines().filter(|line| thread_of(line) == server);
    let calls: Vec<(&str, &str)> = its.filter_map(|line| call(line.split_once(' ')?.1.trim())).collect();
    let is_accept = |(name, rest): (&str, &str)| name == "accept4" && !rest.contains(" = -1 ");
    let accepts: Vec<usize> = (0..calls.len()).filter(|at| is_accept(calls[*at])).collect();
    assert_eq!(accepts.len(), CONNECTIONS + 2, "{traced}");
    let mut counted = Calls::new();
    for (name, rest) in &calls[accepts[1]..accepts[CONNECTIONS + 1]] {
        // Without optimization the standard library checks that each descriptor it closes is open.
        let asks =
            cfg!(debug_assertions) && *name == "fcntl" && (rest.contains("F_GETFD") || rest.contains("(flags FD_CLOEXEC)"));
        if !asks {
            *counted.entry((*name).to_owned()).or_default() += 1;
        }
    }
    counted
}

/// The name of a system call in strace's output, and the rest. A call that another thread's interrupted has two lines, of which
/// the second is counted.
fn call(line: &str) -> Option<(&str, &str)> {
    match line.strip_prefix("<... ") {
        Some(resumed) => resumed.split_once(" resumed>"),
        None => line.split_once('(').filter(|_| !line.ends_with("<unfinished ...>")),
    }
}

/// What a loop in C calls for a connection: accept and find that no other waits, register, read and write for each request, read
/// the end, close. It would also set `TCP_NODELAY`, which Torsade inherits from the listening socket.
fn check(mut counted: Calls, requests: usize) {
    let waits = counted.remove("epoll_wait").unwrap_or_default() + counted.remove("epoll_pwait").unwrap_or_default();
    let each = [("accept4", 2), ("close", 1), ("epoll_ctl", 1), ("recvfrom", requests + 1), ("sendto", requests)];
    let expected = each.iter().filter(|(_, count)| *count > 0).map(|(name, count)| ((*name).to_owned(), count * CONNECTIONS));
    assert_eq!(counted, expected.collect::<Calls>());
    // One for the connection, one for each request and one for the end; and one that finds no request, unless it had already
    // arrived when the loop first looked.
    assert!(waits <= CONNECTIONS * (requests + 3), "{waits} waits");
}

#[test]
fn a_connection_costs_an_accept_a_registration_a_read_of_its_end_and_a_close() {
    let name = "a_connection_costs_an_accept_a_registration_a_read_of_its_end_and_a_close";
    if is_child(name) {
        return serve(|_peer| Echo);
    }
    if let Some(counted) = counted(name, 0, b"", b"") {
        check(counted, 0);
    }
}

#[test]
fn an_echo_costs_a_read_a_write_and_a_wait() {
    let name = "an_echo_costs_a_read_a_write_and_a_wait";
    if is_child(name) {
        return serve(|_peer| Echo);
    }
    if let Some(counted) = counted(name, REQUESTS, &[b'e'; 64], &[b'e'; 64]) {
        check(counted, REQUESTS);
    }
}

/// Answers each line with itself and an equals sign.
struct Lines;

impl LineProtocol for Lines {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.write_sequence(&[b"=", line, b"\r\n"]);
        Ok(())
    }
}

#[test]
fn lines_that_come_at_once_cost_one_read_and_one_write() {
    let name = "lines_that_come_at_once_cost_one_read_and_one_write";
    if is_child(name) {
        return serve(|_peer| LineReceiver::new(Lines));
    }
    let (request, answer) = ("a line of a batch\r\n".repeat(64), "=a line of a batch\r\n".repeat(64));
    if let Some(counted) = counted(name, REQUESTS, request.as_bytes(), answer.as_bytes()) {
        check(counted, REQUESTS);
    }
}
