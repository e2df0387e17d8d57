//! Step 7 of Twisted's finger tutorial: answers from a table of users.
//!
//! Run:    cargo run --example finger07 [ENDPOINT]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: "Happy and well", and the end.

use std::collections::HashMap;
use std::rc::Rc;

use torsade::prelude::*;

type Users = HashMap<&'static [u8], &'static [u8]>;

struct FingerProtocol {
    users: Rc<Users>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let status = self.users.get(user).copied().unwrap_or(b"No such user");
        transport.write_sequence(&[status, b"\r\n"]);
        transport.lose_connection();
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let users = Rc::new(Users::from([(&b"moshez"[..], &b"Happy and well"[..])]));
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(FingerProtocol { users: users.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
