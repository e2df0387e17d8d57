//! A fixed amount of work for a counter of instructions: `instructions echo|line|zline ROUNDS`; see the script beside it.
//!
//! Server and peer are in one thread. The peer is a bare socket, so that what is counted is the server's, but for two
//! calls of the system a round.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use torsade::prelude::*;

mod echo;
mod line;
mod zline;

/// What the peer sends in a round, and how much it gets back, compressed or not.
struct Work {
    request: Vec<u8>,
    answer: usize,
    inflate: Option<Decompress>,
}

/// As many lines a round as the load generator has in flight.
const LINES: usize = 64;

fn main() -> Result {
    let args: Vec<String> = std::env::args().collect();
    let [_, mode, rounds] = args.as_slice() else { return Err("usage: instructions echo|line|zline ROUNDS".into()) };
    let reactor = Reactor::new()?;
    let (port, mut work) = match mode.as_str() {
        "echo" => {
            let work = Work { request: vec![b'x'; 64], answer: 64, inflate: None };
            (reactor.listen_tcp("127.0.0.1:0", |_peer| echo::Echo)?, work)
        }
        "line" => (reactor.listen_tcp("127.0.0.1:0", |_peer| line::receiver(line::Line))?, lines(None)),
        "zline" => {
            let answer = |_peer| line::receiver(zline::CompressedLine { flush_each: true });
            (reactor.listen_tcp("127.0.0.1:0", answer)?, lines(Some(Decompress::new(true))))
        }
        _ => return Err("there is echo, line and zline".into()),
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
            match (&peer).read(&mut buffer) {
                Ok(0) => return Err("the server closed".into()),
                Ok(count) => missing -= work.plain(&buffer[..count])?,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn lines(inflate: Option<Decompress>) -> Work {
    let request = [&[b'x'; 48][..], b"\r\n"].concat().repeat(LINES);
    Work { answer: request.len() + LINES, request, inflate }
}

impl Work {
    /// How many plain bytes came with these.
    fn plain(&mut self, wire: &[u8]) -> Result<usize> {
        let Some(inflate) = &mut self.inflate else { return Ok(wire.len()) };
        let mut plain = Vec::with_capacity(self.answer + 1);
        inflate.decompress_vec(wire, &mut plain, FlushDecompress::None)?;
        Ok(plain.len())
    }
}
