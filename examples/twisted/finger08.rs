//! Step 8 of Twisted's finger tutorial: the answer comes later, or an error does.
//!
//! Run:    cargo run --example finger08 [ENDPOINT]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: "Happy and well", and the end.

use std::collections::HashMap;
use std::rc::Rc;

use torsade::defer;
use torsade::prelude::*;

type Status = &'static [u8];

struct Users(HashMap<&'static [u8], Status>);

impl Users {
    /// Answers at once; a file or database would answer later, with no other change to the program.
    fn get_user(&self, user: &[u8]) -> Deferred<Status> {
        defer::succeed(self.0.get(user).copied().unwrap_or(b"No such user"))
    }
}

struct FingerProtocol {
    users: Rc<Users>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let transport = transport.clone();
        let status = self.users.get_user(user).add_errback(|_failure| Ok(&b"Internal error in server"[..]));
        let answered = status.add_callback(move |status| {
            transport.send_line(status);
            transport.lose_connection();
            Ok(())
        });
        answered.detach();
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let users = Rc::new(Users(HashMap::from([(&b"moshez"[..], &b"Happy and well"[..])])));
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(FingerProtocol { users: users.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &endpoint)?;
    reactor.run()
}
