//! Exercise 4: ask a guest who has been silent for 45 seconds `Still there?`. The connection still ends after a minute.
//!
//! A second `TimeoutMixin` will do. `TimeoutMixin::with` takes what to do instead of closing: a closure that is given the
//! transport. Once that has run, the timeout is over, and `reset_timeout` does nothing until `set_timeout` starts it again.

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

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.room.borrow_mut().remove(&transport.id());
        Ok(())
    }
}

/// Starts the server on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str) -> Result<Port> {
    let room = Room::default();
    let guest = move || Guest { room: room.clone(), silence: TimeoutMixin::new() };
    Ok(reactor.listen(endpoint, move |_peer| LineReceiver::new(guest()).delimiter(b"\n"))?)
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
    pub fn whoever_is_silent_is_asked_before_the_end() {
        let reactor = MemoryReactor::new();
        start(&reactor, "tcp:8000").expect("it starts");
        let ada = connect(&reactor, 2);
        assert!(!wait(&reactor, &ada, 44).contains("Still there?"), "it is too early to ask");
        assert_eq!(wait(&reactor, &ada, 2), "Still there?\n", "after 45 s");
        ada.send(b"yes\n");
        assert_eq!(wait(&reactor, &ada, 44), "", "it is too early to ask again");
        assert_eq!(wait(&reactor, &ada, 2), "Still there?\n", "45 s after the next line");
        assert!(!ada.has_end(), "it is too early to close");
        wait(&reactor, &ada, 15);
        assert!(ada.has_end(), "a minute after that line");
    }

    /// What comes in so many seconds.
    fn wait(reactor: &MemoryReactor, peer: &MemoryPeer, seconds: u32) -> String {
        let second = |_| {
            reactor.advance(Duration::from_secs(1));
            heard(reactor, peer)
        };
        (0..seconds).map(second).collect()
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
