//! A relay, ported: two connections that say `relay TOKEN` with the same token are joined. The original is `original.py` beside
//! it.
//!
//! Run:    cargo run --example port_relay [ENDPOINT]     (default 127.0.0.1:8125)
//! Try:    nc -C 127.0.0.1 8125 in two windows, with the line `relay x` in both
//! Expect: "ok" in both, and then each line in the other window.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use torsade::prelude::*;

/// What two connections know of each other: a connection reaches the other by its transport, and whether they are paired by this.
#[derive(Clone)]
struct End {
    transport: LineTransport,
    buddy: Rc<RefCell<Option<LineTransport>>>,
    gone: Rc<Cell<bool>>,
}

type Waiting = Rc<RefCell<BTreeMap<Vec<u8>, End>>>;

struct Relay {
    waiting: Waiting,
    token: Option<Vec<u8>>,
    buddy: Rc<RefCell<Option<LineTransport>>>,
    gone: Rc<Cell<bool>>,
}

impl LineProtocol for Relay {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let Some(token) = line.strip_prefix(b"relay ") else {
            transport.send_line("error: say relay TOKEN");
            transport.lose_connection();
            return Ok(());
        };
        transport.set_raw_mode();
        let own = End { transport: transport.clone(), buddy: self.buddy.clone(), gone: self.gone.clone() };
        let other = self.waiting.borrow_mut().remove(token);
        match other {
            Some(other) => {
                own.pair(&other)?;
                other.pair(&own)?;
            }
            None => {
                self.token = Some(token.to_vec());
                self.waiting.borrow_mut().insert(token.to_vec(), own);
            }
        }
        Ok(())
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        if let Some(buddy) = &*self.buddy.borrow() {
            buddy.write(data);
        } else if !self.gone.get() {
            transport.send_line("error: nobody is there yet");
            transport.lose_connection();
            self.forget();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, _reason: &Reason) -> Result {
        self.forget();
        // Twisted's `unregisterProducer` goes: a transport that is lost unregisters itself.
        if let Some(buddy) = self.buddy.take() {
            buddy.lose_connection();
        }
        Ok(())
    }
}

impl Relay {
    fn forget(&mut self) {
        self.gone.set(true);
        if let Some(token) = self.token.take() {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.get(&token).is_some_and(|end| Rc::ptr_eq(&end.gone, &self.gone)) {
                waiting.remove(&token);
            }
        }
    }
}

impl End {
    /// What this end's peer reads no faster than it can, the other end reads no faster.
    fn pair(&self, other: &Self) -> Result {
        // Whether its own peer reads does not matter, as in Twisted: what is read goes to the other end.
        self.transport.set_read_while_congested(true);
        self.buddy.replace(Some(other.transport.clone()));
        self.transport.send_line("ok");
        Ok(self.transport.register_producer(Transport::clone(&other.transport), true)?)
    }
}

/// What makes a connection's protocol.
pub fn factory() -> impl Factory {
    let waiting = Waiting::default();
    move |_peer: Address| {
        let waiting = waiting.clone();
        LineReceiver::new(Relay { waiting, token: None, buddy: Rc::default(), gone: Rc::default() })
    }
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8125".into());
    let reactor = Reactor::new()?;
    let port = reactor.listen(&endpoint, factory())?;
    println!("listening on {}", port.address());
    reactor.run()
}
