//! Step 3 of the ladder: a room. Connections share state without a lock, because there is only one thread.
//!
//! Run:    cargo run --example ladder_03
//! Try:    nc 127.0.0.1 8000 in two windows, then type in each
//! Expect: each shows what you type in the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

/// Everybody who is connected, by the number of the connection.
type Room = Rc<RefCell<BTreeMap<u64, LineTransport>>>;

struct Guest {
    room: Room,
}

impl LineProtocol for Guest {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.room.borrow_mut().insert(transport.id(), transport.clone());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        for (id, other) in &*self.room.borrow() {
            if *id != transport.id() {
                other.send_line(line);
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.room.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(Guest { room: room.clone() }).delimiter(b"\n"))?)
}

fn main() -> Result {
    let reactor = Reactor::new()?;
    let port = start(&reactor, "127.0.0.1:8000")?;
    println!("listening on {}", port.address());
    reactor.run()
}
