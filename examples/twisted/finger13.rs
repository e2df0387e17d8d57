//! Step 13 of Twisted's finger tutorial: one service that has the users, and makes the factories of both ports.
//!
//! Run:    cargo run --example finger13 [ADDRESS] [SETTER]     (default 127.0.0.1:1079 and 127.0.0.1:1080)
//! Try:    as finger12
//! Expect: as finger12

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::defer;
use torsade::prelude::*;
use torsade::service::{MultiService, StreamServerEndpointService, run_service};

/// The application itself; protocols only translate.
#[derive(Debug, Default)]
pub struct FingerService {
    users: RefCell<HashMap<Vec<u8>, Vec<u8>>>,
}

impl FingerService {
    /// Returns a user's status.
    pub fn user(&self, user: &[u8]) -> Deferred<Vec<u8>> {
        defer::succeed(self.users.borrow().get(user).cloned().unwrap_or_else(|| b"No such user".to_vec()))
    }

    /// Sets a user's status.
    pub fn set_user(&self, user: &[u8], status: &[u8]) {
        self.users.borrow_mut().insert(user.to_vec(), status.to_vec());
    }

    /// The factory of the port that answers.
    pub fn finger_factory(self: &Rc<Self>) -> impl Factory + use<> {
        let service = self.clone();
        move |_peer: Address| LineReceiver::new(FingerProtocol { service: service.clone() })
    }

    /// The factory of the port that sets.
    pub fn finger_setter_factory(self: &Rc<Self>) -> impl Factory + use<> {
        let service = self.clone();
        move |_peer: Address| LineReceiver::new(FingerSetterProtocol { service: service.clone(), lines: Vec::new() })
    }
}

struct FingerProtocol {
    service: Rc<FingerService>,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        let (client, status) = (transport.clone(), self.service.user(user));
        transport.spawn(|_| async move {
            client.send_line(status.await.unwrap_or_else(|_| b"Internal error in server".to_vec()));
            client.lose_connection();
        });
        Ok(())
    }
}

struct FingerSetterProtocol {
    service: Rc<FingerService>,
    lines: Vec<Vec<u8>>,
}

impl LineProtocol for FingerSetterProtocol {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if self.lines.len() < 2 {
            self.lines.push(line.to_vec());
        } else {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let [user, status] = &self.lines[..] {
            self.service.set_user(user, status);
        }
        Ok(())
    }
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:1079".into());
    let setter = args.next().unwrap_or_else(|| "127.0.0.1:1080".into());
    let service = Rc::new(FingerService::default());
    service.set_user(b"moshez", b"Happy and well");
    let application = MultiService::new();
    application.add_service(StreamServerEndpointService::new(address, service.finger_factory())?)?;
    application.add_service(StreamServerEndpointService::new(setter, service.finger_setter_factory())?)?;
    run_service(application, Duration::from_secs(5))
}
