//! A member that has left costs no memory. This suite is alone in its process, whose memory is measured.

#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Encoding, Hub, Member};
use torsade::prelude::*;
use torsade::simulated::Simulation;

/// How many bytes of memory this process takes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_connection_that_joins_and_leaves_again_and_again_costs_nothing_afterwards() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let (hub, encoding, slot) =
        (Hub::open(&host, "local:").unwrap(), Encoding::lines(), Rc::<RefCell<Option<Transport>>>::default());
    let made = Rc::clone(&slot);
    host.listen("10.0.0.1:1", move |_| Kept(Rc::clone(&made))).unwrap();
    simulation.host("10.0.0.2").connect("10.0.0.1:1", |_| Kept(Rc::default())).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let transport = slot.borrow().clone().unwrap();
    let come_and_go = |times: usize| {
        for _ in 0..times {
            hub.join("room", Member::new(&transport, &encoding)).unwrap().unsubscribe();
            simulation.run_for(Duration::from_millis(1)).unwrap();
        }
    };
    come_and_go(1000);
    let before = resident();
    come_and_go(50_000);
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

/// Keeps its connection where the test finds it.
struct Kept(Rc<RefCell<Option<Transport>>>);

impl Protocol for Kept {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.replace(Some(transport.clone()));
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}
