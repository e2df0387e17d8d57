//! A client that reconnects whenever it has lost its server, ported. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_agent [ENDPOINT]     (default 127.0.0.1:8129; start `nc -lkC 127.0.0.1 8129` first)
//! Expect: "connection 1" in the window of nc; it answers `ping`, reconnects after `again`, and ends after `stop`.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::Backoff;
use torsade::prelude::*;

/// What all connections of the client share.
#[derive(Clone)]
struct Shared {
    connections: Rc<Cell<u32>>,
    /// Twisted's `continueTrying`, turned round.
    stopped: Rc<Cell<bool>>,
    backoff: Backoff,
}

struct Agent(Shared);

impl LineProtocol for Agent {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let Shared { connections, backoff, .. } = &self.0;
        backoff.reset_delay();
        connections.set(connections.get() + 1);
        transport.send_line(format!("connection {}", connections.get()));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match line {
            b"ping" => transport.send_line("pong"),
            b"again" => transport.lose_connection(),
            b"stop" => {
                self.0.stopped.set(true);
                self.0.backoff.stop_trying();
                transport.lose_connection();
            }
            _ => {}
        }
        Ok(())
    }

    // In the original a hook of the factory, which is a closure here.
    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        if self.0.stopped.get() { Ok(transport.reactor().stop()?) } else { Ok(()) }
    }
}

/// Connects, again and again.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result {
    let factory = ReconnectingClientFactory::with_backoff(|backoff| {
        let shared = Shared { connections: Rc::default(), stopped: Rc::default(), backoff };
        move |_peer: Address| LineReceiver::new(Agent(shared.clone()))
    });
    reactor.connect(endpoint, factory.initial_delay(Duration::from_millis(10)).jitter(0.0))?;
    Ok(())
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8129".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
