//! Step 12 of Twisted's finger tutorial: a second port, where users set what is said about them.
//!
//! Run:    cargo run --example finger12 [ADDRESS] [SETTER]     (default 127.0.0.1:1079 and 127.0.0.1:1080)
//! Try:    printf 'glyph\r\nBusy\r\n' | nc -q0 127.0.0.1 1080, and nc -C 127.0.0.1 1079, then: glyph
//! Expect: "Busy", and the end.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{MultiService, StreamServerEndpointService, run_service};

type Users = Rc<RefCell<HashMap<Vec<u8>, Vec<u8>>>>;

struct FingerProtocol {
    users: Users,
}

impl LineProtocol for FingerProtocol {
    fn line_received(&mut self, transport: &LineTransport, user: &[u8]) -> Result {
        transport.send_line(self.users.borrow().get(user).map_or(&b"No such user"[..], Vec::as_slice));
        transport.lose_connection();
        Ok(())
    }
}

struct FingerSetterProtocol {
    users: Users,
    lines: Vec<Vec<u8>>,
}

impl LineProtocol for FingerSetterProtocol {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        // Twisted's program keeps as many lines as a peer sends.
        if self.lines.len() < 2 {
            self.lines.push(line.to_vec());
        } else {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        if let [user, status] = &mut self.lines[..] {
            self.users.borrow_mut().insert(std::mem::take(user), std::mem::take(status));
        }
        Ok(())
    }
}

/// Both services, to be run on any reactor: the one that answers, and the one that sets.
pub fn services(
    address: &str,
    setter: &str,
) -> Result<(StreamServerEndpointService<impl Factory + use<>>, StreamServerEndpointService<impl Factory + use<>>)> {
    let users = Users::default();
    users.borrow_mut().insert(b"moshez".to_vec(), b"Happy and well".to_vec());
    let told = users.clone();
    let finger = move |_peer: Address| LineReceiver::new(FingerProtocol { users: users.clone() });
    let set = move |_peer: Address| LineReceiver::new(FingerSetterProtocol { users: told.clone(), lines: Vec::new() });
    Ok((StreamServerEndpointService::new(address, finger)?, StreamServerEndpointService::new(setter, set)?))
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:1079".into());
    let (finger, setter) = services(&address, &args.next().unwrap_or_else(|| "127.0.0.1:1080".into()))?;
    let application = MultiService::new();
    application.add_service(finger)?;
    application.add_service(setter)?;
    run_service(application, Duration::from_secs(5))
}
