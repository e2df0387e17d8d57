//! Step 6 of Twisted's finger tutorial: the answer comes from state shared by all connections.
//!
//! Run:    cargo run --example finger06 [ENDPOINT]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: "No such user", and the end.

use std::rc::Rc;

use torsade::prelude::*;

/// The factory's state; it has no users yet.
struct Users;

impl Users {
    fn get_user(&self, _user: &[u8]) -> &[u8] {
        b"No such user"
    }
}

struct FingerProtocol {
    users: Rc<Users>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        transport.write_sequence(&[self.users.get_user(user), b"\r\n"]);
        transport.lose_connection();
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let users = Rc::new(Users);
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(FingerProtocol { users: users.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
