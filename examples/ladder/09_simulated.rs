//! Step 9 of the ladder: a test of the chat on simulated hosts: the same `start`, no sockets, no waiting, and a seed.
//!
//! Run:    cargo run --example ladder_09
//! Expect: "a hundred bad networks: everybody was heard", after what the chat prints at the end of each.

use std::{cell::RefCell, rc::Rc, time::Duration};

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation, SimulationError, simulate_with};

#[allow(dead_code, reason = "its main is not run")]
#[path = "07_compression.rs"]
mod chat;

/// A guest that the test plays: it says three lines, one every ten seconds, and keeps what it hears.
#[derive(Clone)]
struct Person {
    name: &'static str,
    heard: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for Person {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.expect_compression("deflate")?; // without this line, seed 29 fails: see the tutorial
        for number in 1..=3 {
            let (guest, line) = (transport.clone(), format!("{}: {number}", self.name));
            transport.reactor().call_later(Duration::from_secs(10 * number), move || guest.send_line(line));
        }
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.heard.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        Ok(())
    }
}

/// What has to hold on every network: Ben hears all that Ada says, once and in order; and Ada is not told what she said.
pub fn everybody_is_heard(simulation: &Simulation) -> Result<(), SimulationError> {
    chat::start(&simulation.host("10.0.0.1"), "tcp:8000").expect("the port is free");
    let heard = [("10.0.0.2", "Ada"), ("10.0.0.3", "Ben")].map(|(ip, name)| {
        let person = Person { name, heard: Rc::default() };
        let heard = Rc::clone(&person.heard);
        let factory = move |_peer| LineReceiver::new(person.clone()).delimiter(b"\n");
        simulation.host(ip).connect("10.0.0.1:8000", factory).expect("an address");
        heard
    });
    simulation.run_until(|| heard.iter().all(|lines| lines.borrow().len() == 4))?;
    assert_eq!(heard[0].borrow()[1..], ["Ben: 1", "Ben: 2", "Ben: 3"]);
    assert_eq!(heard[1].borrow()[1..], ["Ada: 1", "Ada: 2", "Ada: 3"]);
    Ok(())
}

fn main() {
    simulate_with(&Faults::lossy(), 1..101, everybody_is_heard);
    println!("a hundred bad networks: everybody was heard");
}
