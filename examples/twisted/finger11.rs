//! Step 11 of Twisted's finger tutorial: the server as a service, which a service manager can start and stop.
//!
//! Run:    cargo run --example finger11 [ADDRESS]     (default 127.0.0.1:1079)
//! Try:    nc -C 127.0.0.1 1079, then: moshez; and Ctrl-C or SIGTERM to the server
//! Expect: "Happy and well", and the end; the server stops gracefully, with exit code 0.

use std::rc::Rc;
use std::time::Duration;

use torsade::defer;
use torsade::prelude::*;
use torsade::service::{StreamServerEndpointService, run_service};

type Users = Vec<(&'static [u8], &'static [u8])>;

fn find_user(users: &Users, user: &[u8]) -> Deferred<Vec<u8>> {
    let status = users.iter().find(|(name, _)| *name == user).map_or(&b"No such user"[..], |(_, status)| *status);
    defer::succeed(status.to_vec())
}

struct FingerProtocol {
    users: Rc<Users>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let transport = transport.clone();
        let status = find_user(&self.users, user).add_errback(|_| Ok(b"Internal error in server".to_vec()));
        let answered = status.add_callback(move |message| {
            transport.send_line(message);
            transport.lose_connection();
        });
        answered.detach();
        Ok(())
    }
}

/// The service, to be run on any reactor.
pub fn service(address: &str) -> Result<StreamServerEndpointService<impl Factory + use<>>> {
    let users = Rc::new(Users::from([(&b"moshez"[..], &b"Happy and well"[..])]));
    let factory = move |_peer: Address| LineReceiver::new(FingerProtocol { users: users.clone() });
    Ok(StreamServerEndpointService::new(address, factory)?)
}

fn main() -> Result {
    env_logger::init();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1079".into());
    run_service(service(&address)?, Duration::from_secs(5))
}
