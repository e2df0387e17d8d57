//! Step 10 of the ladder: everything together. A compressed chat over TLS, in a simulated network that is cut and repaired.
//!
//! Run:    cargo run --features tls --example ladder_10     (the keys: cargo run --features tls --example make_keys)
//! Expect: what Ada has heard: Ben before and after the outage, and a second greeting, because she had to reconnect.

use std::{cell::RefCell, rc::Rc, time::Duration};

use torsade::prelude::*;
use torsade::simulated::Simulation;

#[allow(dead_code, reason = "its main is not run")]
#[path = "08_tls.rs"]
mod chat;

/// A guest that says its name every twenty seconds, and keeps what it hears.
#[derive(Clone)]
struct Person(&'static str, Rc<RefCell<Vec<String>>>);

impl LineProtocol for Person {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        talk(transport.clone(), self.0);
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
        self.1.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        Ok(())
    }
}

fn talk(guest: LineTransport, name: &'static str) {
    if guest.is_connected() {
        guest.send_line(name);
        guest.reactor().clone().call_later(Duration::from_secs(20), move || talk(guest, name));
    }
}

/// Has Ada cut off from the server for 100 s, and gives what she has heard until 30 s after it; `keys` is a folder.
pub fn play(simulation: &Simulation, keys: &str) -> Result<Vec<String>> {
    simulation.add_name("example.com", "10.0.0.1");
    let server = format!("ssl:8000:privateKey={keys}/server.key:certKey={keys}/server.pem");
    chat::start(&simulation.host("10.0.0.1"), &server)?;
    let heard = Rc::<RefCell<Vec<String>>>::default();
    for (ip, person) in [("10.0.0.2", Person("Ada", heard.clone())), ("10.0.0.3", Person("Ben", Rc::default()))] {
        let factory = ReconnectingClientFactory::new(move |_peer| LineReceiver::new(person.clone()).delimiter(b"\n"));
        simulation.host(ip).connect(&*format!("tls:example.com:8000:trustRoots={keys}"), factory)?;
    }
    simulation.run_for(Duration::from_secs(30))?;
    simulation.partition("10.0.0.1", "10.0.0.2");
    simulation.run_for(Duration::from_secs(100))?;
    simulation.heal("10.0.0.1", "10.0.0.2");
    simulation.run_for(Duration::from_secs(30))?;
    Ok(heard.take())
}

fn main() -> Result {
    play(&Simulation::new(1), "keys")?.iter().for_each(|line| println!("{line}"));
    Ok(())
}
