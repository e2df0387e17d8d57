//! A chat, ported: members give a name, and all others hear what one says. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_chat [ENDPOINT]     (default 127.0.0.1:8123)
//! Try:    nc -C 127.0.0.1 8123 in two windows
//! Expect: it asks for a name, passes each line on to everyone else, and tells who comes and who leaves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

/// Twisted's `self.factory.people`: what all connections share, each has a handle of.
type People = Rc<RefCell<BTreeMap<Vec<u8>, LineTransport>>>;

struct Chat {
    people: People,
    name: Option<Vec<u8>>,
}

impl LineProtocol for Chat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("What's your name?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match &self.name {
            None => self.enter(transport, line),
            Some(_) if line == b"/quit" => {
                transport.send_line("Good bye.");
                transport.lose_connection();
                // Not left to `connection_lost`, which waits a moment for the peer: meanwhile the name would be taken.
                self.leave();
            }
            Some(name) => self.tell([b"<", &name[..], b"> ", line].concat()),
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.leave();
        Ok(())
    }
}

impl Chat {
    fn enter(&mut self, transport: &LineTransport, name: &[u8]) {
        if name.is_empty() || self.people.borrow().contains_key(name) {
            transport.send_line("Please choose another name.");
            return;
        }
        self.name = Some(name.to_vec());
        self.people.borrow_mut().insert(name.to_vec(), transport.clone());
        transport.send_line([b"Welcome, ", name, b"!"].concat());
        self.tell([name, b" has come."].concat());
    }

    fn leave(&mut self) {
        if let Some(name) = self.name.take() {
            self.people.borrow_mut().remove(&name);
            self.tell([&name[..], b" has left."].concat());
        }
    }

    /// Everybody else. Writing calls nobody back, so the map may stay borrowed.
    fn tell(&self, message: Vec<u8>) {
        let people = self.people.borrow();
        for (_, person) in people.iter().filter(|(name, _)| Some(*name) != self.name.as_ref()) {
            person.send_line(&message);
        }
    }
}

/// What makes a connection's protocol.
pub fn factory() -> impl Factory {
    let people = People::default();
    move |_peer: Address| LineReceiver::new(Chat { people: people.clone(), name: None })
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, factory())?;
    println!("listening on {}", port.address());
    reactor.run()
}
