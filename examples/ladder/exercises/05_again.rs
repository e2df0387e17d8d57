//! Exercise 5: make the visitor say `Here I am again.` every time but the first.
//!
//! A protocol lives only as long as its connection. What has to live longer belongs to whatever builds the protocols: the closure
//! in `start`, which is called once for each connection, and can own a variable (`move`).

use std::time::Duration;

use torsade::Backoff;
use torsade::prelude::*;

struct Visitor {
    backoff: Backoff,
}

impl LineProtocol for Visitor {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        println!("connected to {}", transport.peer());
        transport.send_line("Here I am.");
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.backoff.reset_delay(); // the server is well: after the next loss, begin with a short wait
        println!("{}", String::from_utf8_lossy(line));
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        println!("disconnected: {reason}");
        Ok(())
    }
}

/// Starts the client on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Connector> {
    let factory = ReconnectingClientFactory::with_backoff(|backoff| {
        move |_peer| LineReceiver::new(Visitor { backoff: backoff.clone() }).delimiter(b"\n")
    });
    Ok(reactor.connect(endpoint, factory.max_delay(Duration::from_secs(30)))?)
}

fn main() -> Result {
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}

#[cfg(test)]
pub mod check {
    use std::net::SocketAddr;
    use std::time::Duration;

    use torsade::MemoryReactor;

    use super::start;

    #[test]
    pub fn whoever_comes_back_says_so() {
        let (reactor, server) = (MemoryReactor::new(), SocketAddr::from(([10, 0, 0, 1], 8000)));
        start(&reactor, "10.0.0.1:8000").expect("it starts");
        for greeting in ["Here I am.\n", "Here I am again.\n", "Here I am again.\n"] {
            reactor.advance(Duration::ZERO);
            let peer = reactor.accept_attempt(server).expect("it connects");
            reactor.advance(Duration::ZERO);
            assert_eq!(String::from_utf8_lossy(&peer.take_received()), greeting);
            peer.send(b"Hello!\n");
            peer.end();
            reactor.advance(Duration::ZERO);
            reactor.advance(Duration::from_secs(2)); // it waits for about a second before it connects again
        }
    }
}
