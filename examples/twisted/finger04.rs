//! Step 4 of Twisted's finger tutorial: reads a user name, and closes.
//!
//! Run:    cargo run --example finger04 [ENDPOINT]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: the connection ends after the first line.

use torsade::prelude::*;

struct FingerProtocol;

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, _user: &[u8]) -> Result {
        transport.lose_connection();
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(FingerProtocol))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
