//! Step 3 of Twisted's finger tutorial: closes each connection when it is made.
//!
//! Run:    cargo run --example finger03 [ENDPOINT]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: the connection ends at once.

use torsade::prelude::*;

struct FingerProtocol;

impl Protocol for FingerProtocol {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| FingerProtocol)?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
