//! Exercise 6: tell the remaining guests when someone was too slow.
//!
//! When a guest is disconnected with `Reason::LimitExceeded`, everyone else in the room gets the line `(somebody was too slow)`.
//! When a guest leaves for any other reason, they get nothing.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};

use torsade::prelude::*;

/// Everybody who is connected, by the number of the connection.
type Room = Rc<RefCell<BTreeMap<u64, LineTransport>>>;

struct Guest {
    room: Room,
    silence: TimeoutMixin,
}

impl LineProtocol for Guest {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.set_write_buffer_cap(100_000); // the most that may wait for this guest; beyond it the connection ends
        self.room.borrow_mut().insert(transport.id(), transport.clone());
        let guest = transport.clone();
        transport.reactor().call_later(Duration::from_secs(1), move || guest.send_line("Hello! Say something now and then."));
        self.silence.set_timeout(transport, Some(Duration::from_secs(60)));
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.silence.reset_timeout();
        for (id, other) in &*self.room.borrow() {
            if *id != transport.id() {
                other.send_line(line);
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        println!("{} has left: {reason}", transport.peer());
        self.room.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    let guest = move || Guest { room: room.clone(), silence: TimeoutMixin::new() };
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(guest()).delimiter(b"\n").max_length(1000))?)
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
    pub fn those_who_stay_are_told_of_the_slow() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let (ada, ben, cleo) = (connect(&reactor, 2), connect(&reactor, 3), connect(&reactor, 4));
        cleo.end();
        assert_eq!(heard(&reactor, &ben), "", "Cleo was not too slow");
        ada.set_room(0); // her system takes no byte from now on
        for _ in 0..2000 {
            ben.send(b"a hundred bytes, more or less, of which nobody has read any; and those who should do not read now.\n");
            reactor.advance(Duration::ZERO);
        }
        assert!(ada.is_reset(), "Ada is still there");
        assert_eq!(heard(&reactor, &ben), "(somebody was too slow)\n");
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
