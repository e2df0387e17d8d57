//! Names that are held for a moment, ported: a tree of two services. The original is `original.py` beside it.
//!
//! Run:    cargo run --example port_leases [ENDPOINT]     (default 127.0.0.1:8127)
//! Try:    nc -C 127.0.0.1 8127, and the line `hold x`
//! Expect: "held x", and immediately "expired x".

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{MultiService, StreamServerEndpointService, TimerService, run_service};

type Holders = Rc<RefCell<BTreeMap<Vec<u8>, LineTransport>>>;

struct Lease(Holders);

impl LineProtocol for Lease {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let Some(name) = line.strip_prefix(b"hold ") else {
            transport.send_line("error: say hold NAME");
            return Ok(());
        };
        let mut holders = self.0.borrow_mut();
        if holders.contains_key(name) {
            transport.send_line([b"taken ", name].concat());
        } else {
            holders.insert(name.to_vec(), transport.clone());
            transport.send_line([b"held ", name].concat());
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.0.borrow_mut().retain(|_, holder| holder.id() != transport.id());
        Ok(())
    }
}

/// All services of the program; `wrap` is for whoever puts something around its factory.
pub fn make_service<F: Factory + 'static>(endpoint: &str, wrap: impl FnOnce(Box<dyn Factory>) -> F) -> Result<MultiService> {
    let holders = Holders::default();
    let shared = holders.clone();
    let factory = move |_peer: Address| LineReceiver::new(Lease(shared.clone()));
    let parent = MultiService::new();
    parent.add_service(StreamServerEndpointService::new(endpoint, wrap(Box::new(factory)))?)?;
    parent.add_service(TimerService::new(Duration::from_millis(20), move || {
        for (name, holder) in holders.take() {
            holder.send_line([b"expired ", &name[..]].concat());
        }
    }))?;
    Ok(parent)
}

fn main() -> Result {
    env_logger::init();
    let endpoint = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8127".into());
    run_service(make_service(&endpoint, |factory| factory)?, Duration::from_secs(5))
}
