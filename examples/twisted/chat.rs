//! Twisted's `servers/chat.py`: asks for a name, then passes lines on; a small state machine for each connection.
//!
//! Run:    cargo run --example twisted_chat [ADDRESS]     (127.0.0.1:8123 unless given)
//! Try:    nc -C 127.0.0.1 8123 in two windows
//! Expect: a question, a welcome, and then what the others write.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

type Users = Rc<RefCell<BTreeMap<Vec<u8>, LineTransport>>>;

enum State {
    GetName,
    Chat(Vec<u8>),
}

struct Chat {
    users: Users,
    state: State,
}

impl LineProtocol for Chat {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("What's your name?");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        match &self.state {
            State::GetName if self.users.borrow().contains_key(line) => {
                transport.send_line("Name taken, please choose another.");
            }
            State::GetName => {
                transport.send_line(format!("Welcome, {}!", std::str::from_utf8(line)?));
                self.users.borrow_mut().insert(line.to_vec(), transport.clone());
                self.state = State::Chat(line.to_vec());
            }
            State::Chat(name) => {
                let message = [b"<", &name[..], b"> ", line].concat();
                self.users.borrow().iter().filter(|(user, _)| *user != name).for_each(|(_, other)| other.send_line(&message));
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let State::Chat(name) = &self.state {
            self.users.borrow_mut().remove(name);
        }
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, address: &str) -> Result<Port> {
    let users = Users::default();
    let chat = move |_peer| LineReceiver::new(Chat { users: users.clone(), state: State::GetName });
    Ok(reactor.listen_tcp(address, chat)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8123".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
