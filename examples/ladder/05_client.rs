//! Step 5 of the ladder: a client. It greets the room, prints what is said, and reconnects when the connection is lost.
//!
//! Run:    cargo run --example ladder_05 [ENDPOINT]     (default 127.0.0.1:8000; start ladder_04 in another window)
//! Try:    end the server with Ctrl-C, and start it again
//! Expect: it says that the connection is lost, and reconnects by itself, after about 1 s, 3 s, 7 s, and so on up to 30 s.

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
