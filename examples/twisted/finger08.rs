//! Step 8 of Twisted's finger tutorial: the answer comes later, or an error does.
//!
//! Run:    cargo run --example finger08 [ADDRESS]     (127.0.0.1:1079 unless given)
//! Try:    nc -C 127.0.0.1 1079, then: moshez
//! Expect: "Happy and well", and the end.

use std::sync::Arc;

use torsade::prelude::*;

type Users = Vec<(&'static [u8], &'static [u8])>;

struct FingerProtocol {
    users: Arc<Users>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let (users, user, transport) = (self.users.clone(), user.to_vec(), transport.clone());
        // Looking up may take its time, as it would in a file or a database, so a thread does it.
        let look_up = move || users.iter().find(|(name, _)| *name == user).map_or(&b"No such user"[..], |(_, status)| *status);
        transport.reactor().clone().call_in_thread(look_up, move |status| {
            // A thread that panicked is the error branch.
            transport.send_line(status.unwrap_or(b"Internal error in server"));
            transport.lose_connection();
        });
        Ok(())
    }
}

/// Starts the server on any reactor.
pub fn start(reactor: &Reactor, address: &str) -> Result<Port> {
    let users = Arc::new(Users::from([(&b"moshez"[..], &b"Happy and well"[..])]));
    Ok(reactor.listen_tcp(address, move |_peer| LineReceiver::new(FingerProtocol { users: users.clone() }))?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    let reactor = Reactor::new()?;
    start(&reactor, &address)?;
    reactor.run()
}
