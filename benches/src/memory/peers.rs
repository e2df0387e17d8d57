//! The other ends, in their own process.

use std::cell::Cell;
use std::io::Read;
use std::rc::Rc;
use std::time::{Duration, Instant};

use torsade::prelude::*;

/// The timeout for one connection.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
struct Peer {
    says: Rc<str>,
    tls: bool,
    open: Rc<Cell<usize>>,
}

impl Peer {
    fn begin(&self, transport: &Transport) -> Result {
        if !self.says.is_empty() {
            transport.write(self.says.as_bytes());
        }
        self.open.set(self.open.get() + 1);
        Ok(())
    }
}

impl Protocol for Peer {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        // The received bytes need not be decompressed, which would take a decoder each.
        transport.set_detection(Detect::Off);
        if self.tls { Ok(()) } else { self.begin(transport) }
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.begin(transport)
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }
}

/// Connects `count` peers, one after the other, which send `says` and stay until standard input ends.
pub fn run(address: &str, count: usize, says: &str, tls: bool) -> Result {
    let reactor = Reactor::new()?;
    reactor.start_running()?;
    let peer = Peer { says: says.into(), tls, open: Rc::default() };
    let config = TlsClientConfig::builder().dangerous_no_verification().server_name("localhost").build()?; // accepts any certificate
    for number in 0..count {
        let begun = Instant::now();
        let made = peer.clone();
        let factory = move |_peer| made.clone();
        if tls {
            reactor.connect_tls(address, &config, factory)?
        } else {
            reactor.connect_tcp(address, factory)?
        };
        while peer.open.get() <= number {
            reactor.iterate(Some(Duration::from_millis(100)))?;
            if begun.elapsed() > PATIENCE {
                return Err(format!("no connection after {number}").into());
            }
        }
    }
    // Sends what is written but still unsent.
    reactor.iterate(Some(Duration::ZERO))?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
