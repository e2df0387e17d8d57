//! Exercise 3: have each guest give a name first, and show the others who said what.
//!
//! The first line from a guest is its name, and is not sent to anyone. Every later line reaches the others as `Ada: hello`.
//! The name belongs to one guest only, so keep it in `Guest` and not in the room.

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

#[cfg(test)]
pub mod check {
    use std::net::SocketAddr;
    use std::time::Duration;

    use torsade::{MemoryPeer, MemoryReactor};

    use super::start;

    #[test]
    pub fn the_others_see_who_has_said_it() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let (ada, ben) = (connect(&reactor, 2), connect(&reactor, 3));
        ada.send(b"Ada\n");
        assert_eq!(heard(&reactor, &ben), "", "a name is not passed on");
        ben.send(b"Ben\n");
        ada.send(b"hello\nis anybody there?\n");
        assert_eq!(heard(&reactor, &ben), "Ada: hello\nAda: is anybody there?\n");
        ben.send(b"I am\n");
        assert_eq!(heard(&reactor, &ada), "Ben: I am\n");
    }

    fn connect(reactor: &MemoryReactor, host: u8) -> MemoryPeer {
        let peer = reactor.connect_peer(SocketAddr::from(([10, 0, 0, host], 1)), SocketAddr::from(([0, 0, 0, 0], 8000)));
        reactor.advance(Duration::ZERO);
        peer.expect("it listens on port 8000")
    }

    fn heard(reactor: &MemoryReactor, peer: &MemoryPeer) -> String {
        reactor.advance(Duration::ZERO);
        String::from_utf8_lossy(&peer.take_received()).into_owned()
    }
}
