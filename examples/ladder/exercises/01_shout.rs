//! Exercise 1: make the server answer in capitals.
//!
//! Change the program until `cargo test` passes. The test plays a peer that says something, and looks at what comes back.

use torsade::prelude::*;

/// One connection, and what to do when something happens to it.
struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| Echo)?)
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
    pub fn what_is_said_comes_back_in_capitals() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let ada = connect(&reactor, 2);
        ada.send(b"hello\n");
        assert_eq!(heard(&reactor, &ada), "HELLO\n");
        ada.send(b"Still here, 2nd line\n");
        assert_eq!(heard(&reactor, &ada), "STILL HERE, 2ND LINE\n");
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
