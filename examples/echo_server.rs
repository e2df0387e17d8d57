//! The smallest server: it sends every byte back. Twisted's `echoserv.py`, and its `simpleserv.py`.
//!
//! Run:    cargo run --example echo_server [ENDPOINT]     (default 127.0.0.1:8000)
//! Try:    nc 127.0.0.1 8000, then type
//! Expect: each line comes back. A peer that never reads is not read from either, so memory stays small.

use torsade::prelude::*;

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
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
