//! Step 8 of the ladder: TLS. The chat does not change: the text that says where to listen also says that it is encrypted.
//!
//! Run:    cargo run --features tls --example ladder_08     (the keys: cargo run --features tls --example make_keys)
//! Try:    cargo run --features tls --example ladder_05 tls:localhost:8000:trustRoots=keys
//! Expect: the greeting, as before. Plain nc gets nothing, and the server prints the reason why that guest has left.

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
    let port = start(&reactor, "ssl:8000:interface=127.0.0.1:privateKey=keys/server.key:certKey=keys/server.pem")?;
    println!("listening on {}", port.address());
    reactor.run()
}
