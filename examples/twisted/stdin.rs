//! Twisted's `stdin.py`: reads lines from standard input and repeats them, without blocking the loop.
//!
//! Run:    cargo run --example stdin
//! Try:    type a line; Ctrl-D ends it
//! Expect: a prompt, and "Echo: " with each line.

use torsade::prelude::*;

struct Echo;

impl LineProtocol for Echo {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.write(">>> ");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        transport.send_line([b"Echo: ", line].concat());
        transport.write(">>> ");
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        // Twisted's program runs on, with nothing left to do.
        transport.reactor().stop().ok();
        Ok(())
    }
}

/// Starts it on any reactor; it stops the reactor at the end.
pub fn start(reactor: &Reactor) -> Result {
    Ok(reactor.standard_io(LineReceiver::new(Echo).delimiter(b"\n"))?)
}

fn main() -> Result {
    env_logger::init();
    let reactor = Reactor::new()?;
    start(&reactor)?;
    reactor.run()
}
