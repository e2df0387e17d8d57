//! Magic Wormhole's transit relay: the port alone in a simulated network, and beside its original.

mod beside;
mod simulated;
mod usage;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{MemoryPeer, MemoryReactor};

use crate::programs::transit_relay;
use transit_relay::usage::Usage;

const ADDRESS: &str = "10.0.0.1:4001";

fn token() -> String {
    "0123456789abcdef".repeat(4)
}

fn unsided() -> Vec<u8> {
    format!("please relay {}\n", token()).into()
}

/// One side, of a letter.
fn sided(letter: &str) -> Vec<u8> {
    format!("please relay {} for side {}\n", token(), letter.repeat(16)).into()
}

/// What is written to it, for others to read.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The relay, with nobody in its network but the test.
struct World {
    reactor: MemoryReactor,
    log: Shared,
    made: std::cell::Cell<u16>,
    _port: Port,
}

impl World {
    fn new() -> Self {
        Self::blurred(0)
    }

    fn blurred(blur: u64) -> Self {
        let (reactor, log) = (MemoryReactor::new(), Shared::default());
        let usage = Usage::new(Some(Box::new(log.clone())), blur, Duration::from_secs(1_000_000));
        let port = reactor.reactor().listen(ADDRESS, transit_relay::factory(usage)).unwrap();
        Self { reactor, log, made: std::cell::Cell::default(), _port: port }
    }

    /// Somebody who comes, and sends this.
    fn guest(&self, data: impl AsRef<[u8]>) -> MemoryPeer {
        self.made.set(self.made.get() + 1);
        let peer = Address::Tcp(([10, 0, 0, 2], 1000 + self.made.get()).into());
        let guest = self.reactor.connect_peer(peer, Address::Tcp(ADDRESS.parse().unwrap())).unwrap();
        self.send(&guest, data);
        guest
    }

    fn send(&self, guest: &MemoryPeer, data: impl AsRef<[u8]>) {
        guest.send(data.as_ref());
        self.settle();
    }

    fn settle(&self) {
        self.reactor.advance(Duration::ZERO);
    }

    /// The usage log.
    fn log(&self) -> String {
        String::from_utf8(self.log.0.borrow().clone()).unwrap()
    }

    /// The moods in it.
    fn moods(&self) -> Vec<String> {
        let mood = |line: &str| line.rsplit('"').nth(1).unwrap().to_owned();
        self.log().lines().map(mood).collect()
    }
}
