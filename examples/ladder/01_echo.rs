//! Step 1 of the ladder: a socket that echoes.
//!
//! Run:    cargo run --example ladder_01
//! Try:    nc 127.0.0.1 8000 in a second window, then type
//! Expect: each line comes back.

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
