//! A fixed amount of work for a counter of instructions: `instructions echo|line ROUNDS`; see the script beside it.
//!
//! Server and peer are in one thread. The peer is a bare socket, so that what is counted is the server's, but for two
//! calls of the system a round.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use torsade::prelude::*;

mod echo;
mod line;

/// What the peer sends in a round, and how much it gets back.
struct Work {
    request: Vec<u8>,
    answer: usize,
}

/// As many lines a round as the load generator has in flight.
const LINES: usize = 64;

fn main() -> Result {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, rounds] = args.as_slice() else { return Err("usage: instructions echo|line ROUNDS".into()) };
    let reactor = Reactor::new()?;
    let (port, work) = match mode.as_str() {
        "echo" => (reactor.listen_tcp("127.0.0.1:0", |_peer| echo::Echo)?, Work { request: vec![b'x'; 64], answer: 64 }),
        "line" => {
            let request = [&[b'x'; 48][..], b"\r\n"].concat().repeat(LINES);
            let answer = request.len() + LINES;
            (reactor.listen_tcp("127.0.0.1:0", |_peer| line::receiver(line::Line))?, Work { request, answer })
        }
        _ => return Err("there is echo and line".into()),
    };
    reactor.start_running()?;
    let peer = TcpStream::connect(("127.0.0.1", port.address().port().unwrap_or(0)))?;
    peer.set_nodelay(true)?;
    peer.set_nonblocking(true)?;
    let mut buffer = vec![0; work.answer];
    for _ in 0..rounds.parse()? {
        (&peer).write_all(&work.request)?;
        let mut missing = work.answer;
        while missing > 0 {
            reactor.iterate(Some(Duration::from_millis(100)))?;
            match (&peer).read(&mut buffer[..missing]) {
                Ok(0) => return Err("the server closed".into()),
                Ok(count) => missing -= count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
