//! Twisted's `chatserver.py`: every line goes to everyone, including its sender.
//!
//! Run:    cargo run --example chatserver [ENDPOINT]     (default 127.0.0.1:1025)
//! Try:    nc -C 127.0.0.1 1025 in two windows
//! Expect: each line, in both windows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

type Clients = Rc<RefCell<BTreeMap<u64, LineTransport>>>;

struct MyChat {
    clients: Clients,
}

impl LineProtocol for MyChat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        println!("Got new client!");
        self.clients.borrow_mut().insert(transport.id(), transport.clone());
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        println!("received {}", line.escape_ascii());
        for client in self.clients.borrow().values() {
            client.write([line, b"\n"].concat());
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        println!("Lost a client!");
        self.clients.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let clients = Clients::default();
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(MyChat { clients: clients.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1025".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
