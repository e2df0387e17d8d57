//! Step 2 of the ladder: lines. A stream is bytes without messages; a `LineReceiver` divides it into lines.
//!
//! Run:    cargo run --example ladder_02
//! Try:    nc 127.0.0.1 8000, then type; or { printf hel; sleep 1; printf 'lo\nwor'; sleep 1; printf 'ld\n'; } | nc 127.0.0.1 8000
//! Expect: each line comes back with its number, however the bytes were cut.

use torsade::prelude::*;

/// One connection, with a state of its own.
struct Counter {
    lines: u32,
}

impl LineProtocol for Counter {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines += 1;
        transport.send_line(format!("{}: {}", self.lines, String::from_utf8_lossy(line)));
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    Ok(reactor.listen(endpoint, |_peer| LineReceiver::new(Counter { lines: 0 }).delimiter(b"\n"))?)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = start(&reactor, "127.0.0.1:8000")?;
    println!("listening on {}", port.address());
    reactor.run()
}
