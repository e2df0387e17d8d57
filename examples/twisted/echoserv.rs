//! Twisted's `echoserv.py`: the smallest server.
//!
//! Run:    cargo run --example echoserv [ADDRESS]     (127.0.0.1:8000 unless given)
//! Try:    cargo run --example echoclient
//! Expect: every byte comes back.

use torsade::prelude::*;

struct Echo;

impl Protocol for Echo {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, address: &str) -> Result<Port> {
    Ok(reactor.listen_tcp(address, |_peer| Echo)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
