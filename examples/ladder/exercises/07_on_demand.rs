//! Exercise 7: compress only for guests who ask for it.
//!
//! At first nothing is compressed. The line `compress` is not passed on to the others. The server answers it with `Compressed
//! from here on.`, still uncompressed, and compresses everything that this guest gets afterwards. `set_compression` does not
//! affect what was written before it.

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
        transport.set_compression("deflate")?;
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
    pub fn whoever_asks_for_compression_gets_it() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let (ada, ben) = (connect(&reactor, 2), connect(&reactor, 3));
        ben.send(b"one, two, three\n");
        assert_eq!(heard(&reactor, &ada), "one, two, three\n", "Ada has not asked");
        ada.send(b"compress\n");
        assert_eq!(heard(&reactor, &ada), "Compressed from here on.\n");
        assert_eq!(heard(&reactor, &ben), "", "this was not said to Ben");
        ben.send(b"one, two, three\n");
        reactor.advance(Duration::ZERO);
        let received = ada.take_received();
        assert_eq!(received.first(), Some(&0x78), "a zlib stream begins with x: {}", received.escape_ascii());
        ada.send(b"hello\n");
        assert_eq!(heard(&reactor, &ben), "hello\n", "Ben has not asked");
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
