//! The chat server on simulated hosts, through a partition and back, without waiting: prints the event log.
//!
//! Run:    cargo run --example simulated_chat [SEED]     (default 1)
//! Expect: one line for each callback on each host. Bob hears nothing for a minute, then all at once. The same seed
//!         prints the same bytes, in every process and build; another seed gives another run.

use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

#[allow(dead_code, reason = "its main is not run")]
#[path = "chat_server.rs"]
mod chat_server;

const SERVER: &str = "10.0.0.1";
const ADA: &str = "10.0.0.2";
const BOB: &str = "10.0.0.3";

/// Gives its name, and sends a line every ten seconds.
struct Person {
    name: &'static str,
}

impl LineProtocol for Person {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if line == b"What's your name?" {
            transport.send_line(self.name);
        } else if line.starts_with(b"Welcome") {
            talk(transport.clone());
        }
        Ok(())
    }
}

fn talk(transport: LineTransport) {
    if transport.is_connected() {
        transport.send_line("is anybody there?");
        transport.reactor().clone().call_later(Duration::from_secs(10), move || talk(transport));
    }
}

fn main() -> Result {
    let seed = std::env::args().nth(1).map_or(Ok(1), |seed| seed.parse())?;
    let simulation = Simulation::with_faults(seed, Faults::lossy());
    chat_server::start(&simulation.host(SERVER), "0.0.0.0:8123")?;
    for (ip, name) in [(ADA, "Ada"), (BOB, "Bob")] {
        simulation.host(ip).connect("10.0.0.1:8123", move |_peer| LineReceiver::new(Person { name }))?;
    }
    simulation.run_for(Duration::from_secs(30))?;
    simulation.partition(SERVER, BOB);
    simulation.run_for(Duration::from_secs(60))?;
    simulation.heal(SERVER, BOB);
    simulation.run_for(Duration::from_secs(10))?;
    print!("{}", simulation.log());
    Ok(())
}
