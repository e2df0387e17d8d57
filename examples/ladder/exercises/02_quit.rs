//! Exercise 2: make the server answer the line `quit` with `Goodbye.` and close the connection.
//!
//! `transport.lose_connection()` closes it once everything written before has been sent. Lines after `quit` are not answered.

use torsade::prelude::*;

/// One connection, with a state of its own.
struct Counter {
    lines: u32,
}

impl LineProtocol for Counter {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines += 1;
        transport.send_line(format!("{}: {}", self.lines, String::from_utf8_lossy(line)));
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(Counter { lines: 0 }).delimiter(b"\n"))?)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = start(&reactor, "127.0.0.1:8000")?;
    println!("listening on {}", port.address());
    reactor.run()
}

#[cfg(test)]
pub mod check {
    use std::net::SocketAddr;
    use std::time::Duration;

    use torsade::{MemoryPeer, MemoryReactor};

    use super::start;

    #[test]
    pub fn quit_ends_the_connection_and_nothing_else_does() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let ada = connect(&reactor, 2);
        ada.send(b"hello\nqu");
        assert_eq!(heard(&reactor, &ada), "1: hello\n");
        ada.send(b"it\nis anybody there?\n");
        assert_eq!(heard(&reactor, &ada), "Goodbye.\n");
        assert!(ada.has_end(), "it is not closed");
    }

    fn connect(reactor: &MemoryReactor, host: u8) -> MemoryPeer {
        let peer = reactor.connect_peer(SocketAddr::from(([10, 0, 0, host], 1)), SocketAddr::from(([0, 0, 0, 0], 8000)));
        reactor.advance(Duration::ZERO);
        peer.expect("it listens on port 8000")
    }

    fn heard(reactor: &MemoryReactor, peer: &MemoryPeer) -> String {
        reactor.advance(Duration::ZERO);
        String::from_utf8_lossy(&peer.take_received()).into_owned()
    }
}
