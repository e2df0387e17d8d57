//! Forwards every connection to another address: two transports, each the producer of the other.
//!
//! Run:    cargo run --example portforward [ENDPOINT [TARGET]]     (default 127.0.0.1:8002 to 127.0.0.1:8000)
//! Try:    start echo_server, then nc 127.0.0.1 8002; with compress:zstd:tcp:.. on one side, it is one end of a compressed link
//! Expect: whatever the target does. Half-close passes through, and a slow reader on one side slows the other down.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;

/// A side of a forwarded connection, shared with the other side.
type Slot = Rc<RefCell<Option<Transport>>>;

struct Side {
    own: Slot,
    other: Slot,
    /// Where the client's side connects.
    target: Option<String>,
}

impl Side {
    fn with_other(&self, call: impl FnOnce(&Transport)) {
        self.other.borrow().as_ref().map(call);
    }
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // Forwards bytes without looking for compression, unless this side's endpoint is compressed.
        if transport.compression_stats().is_none() {
            transport.set_detection(Detect::Off);
        }
        // The two pause each other, so neither has to stop reading because its own peer does not read.
        transport.set_read_while_congested(true);
        self.own.replace(Some(transport.clone()));
        if let Some(target) = self.target.take() {
            transport.pause_producing();
            let server = Server { client: self.own.clone(), server: self.other.clone() };
            transport.reactor().connect(&target, server)?;
            return Ok(());
        }
        let client = self.other.borrow().clone().ok_or("the client is gone")?;
        client.register_producer(transport.clone(), true)?;
        transport.register_producer(client.clone(), true)?;
        client.resume_producing();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.with_other(|other| other.write(data));
        Ok(())
    }

    fn read_connection_lost(&mut self, _transport: &Transport) -> Result {
        self.with_other(Transport::lose_write_connection);
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.own.take();
        self.with_other(|other| if reason.is_clean() { other.lose_connection() } else { other.abort_connection() });
        Ok(())
    }
}

/// The protocol of the server's side.
struct Server {
    client: Slot,
    server: Slot,
}

impl Factory for Server {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(Side { own: self.server.clone(), other: self.client.clone(), target: None }))
    }
}

impl ClientFactory for Server {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        eprintln!("{}: {reason}", connector.destination());
        if let Some(client) = self.client.take() {
            client.abort_connection();
        }
        Ok(())
    }
}

/// Starts the forwarder on any reactor, a simulated one as well.
pub fn start(reactor: &Reactor, endpoint: &str, target: &str) -> Result<Port> {
    let target = target.to_owned();
    let side = move |_peer| Side { own: Slot::default(), other: Slot::default(), target: Some(target.clone()) };
    Ok(reactor.listen(endpoint, side)?)
}

fn main() -> Result {
    env_logger::init();
    let mut args = std::env::args().skip(1);
    let endpoint = args.next().unwrap_or_else(|| "127.0.0.1:8002".into());
    let target = args.next().unwrap_or_else(|| "127.0.0.1:8000".into());
    let reactor = Reactor::new()?;
    let port = start(&reactor, &endpoint, &target)?;
    println!("listening on {}", port.address());
    reactor.run()
}
