//! A server of counters, ported: `add NAME NUMBER`, `get NAME`, `quit`. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_line_server [ENDPOINT]     (default 127.0.0.1:8124)
//! Try:    printf 'add a 2\r\nadd a 3\r\nquit\r\n' | nc 127.0.0.1 8124
//! Expect: 2, 5, and the end of the connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

type Shared = Rc<RefCell<BTreeMap<Vec<u8>, u64>>>;

struct Counters(Shared);

impl LineProtocol for Counters {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        // Twisted's `getattr(self, "do_" + command)` is a match: what is not in it cannot be called.
        let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
        match words[..] {
            [b"add", name, number] => self.add(transport, name, number),
            [b"get", name] => self.get(transport, name),
            [b"quit"] => transport.lose_connection(),
            [b"add" | b"get" | b"quit", ..] => transport.send_line("error: wrong arguments"),
            _ => transport.send_line("error: no such command"),
        }
        Ok(())
    }
}

impl Counters {
    fn add(&self, transport: &LineTransport, name: &[u8], number: &[u8]) {
        // Python's numbers have no end; a line of 64 bytes is short enough to add up its digits.
        if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
            return transport.send_line("error: wrong arguments");
        }
        let number = number.iter().fold(0, |sum, digit| (sum * 10 + u64::from(digit - b'0')) % 1_000_000);
        let mut counters = self.0.borrow_mut();
        let counter = counters.entry(name.to_vec()).or_default();
        *counter = (*counter + number) % 1_000_000;
        drop(counters);
        self.get(transport, name);
    }

    fn get(&self, transport: &LineTransport, name: &[u8]) {
        let counter = self.0.borrow().get(name).copied().unwrap_or_default();
        transport.send_line(counter.to_string());
    }
}

/// What makes a connection's protocol.
pub fn factory() -> impl Factory {
    let shared = Shared::default();
    move |_peer: Address| LineReceiver::new(Counters(shared.clone())).max_length(64)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8124".into());
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, factory())?;
    println!("listening on {}", port.address());
    reactor.run()
}
