//! The chat of Twisted's guide, `servers/chat.py`: a state machine for each connection, and a room that all of them share.
//!
//! Run:    cargo run --example chat_server [ENDPOINT]     (default 127.0.0.1:8123)
//! Try:    nc -C 127.0.0.1 8123 in two windows
//! Expect: it asks for a name, refuses one that is taken, and passes each line on to everyone else.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

type Room = Rc<RefCell<BTreeMap<Vec<u8>, LineTransport>>>;

struct Chat {
    room: Room,
    name: Option<Vec<u8>>,
}

impl LineProtocol for Chat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("What's your name?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match &self.name {
            None if self.room.borrow().contains_key(line) => transport.send_line("Name taken, please choose another."),
            None => {
                transport.send_line([b"Welcome, ", line, b"!"].concat());
                self.name = Some(line.to_vec());
                self.room.borrow_mut().insert(line.to_vec(), transport.clone());
            }
            Some(name) => {
                let message = [b"<", &name[..], b"> ", line].concat();
                for other in self.room.borrow().iter().filter(|(other, _)| *other != name) {
                    other.1.send_line(&message);
                }
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let Some(name) = &self.name {
            self.room.borrow_mut().remove(name);
        }
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(Chat { room: room.clone(), name: None }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint)?;
    println!("listening on {}", port.address());
    reactor.run()
}
