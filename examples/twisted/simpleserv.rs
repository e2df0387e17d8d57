//! Twisted's `simpleserv.py`: an echo server with a factory of its own.
//!
//! Run:    cargo run --example simpleserv [ADDRESS]     (127.0.0.1:8000 unless given)
//! Try:    cargo run --example simpleclient
//! Expect: every byte comes back.

use torsade::prelude::*;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

struct EchoFactory;

impl Factory for EchoFactory {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Echo))
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, address: &str) -> Result<Port> {
    Ok(reactor.listen_tcp(address, EchoFactory)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
