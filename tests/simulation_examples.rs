//! The examples run in a simulated world with their source unchanged.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation, simulate_with};

#[allow(dead_code)]
#[path = "../examples/chat_server.rs"]
mod chat_server;
#[allow(dead_code)]
#[path = "../examples/portforward.rs"]
mod portforward;
#[allow(dead_code)]
#[path = "../examples/quickstart.rs"]
mod quickstart;

/// A client that keeps the lines it gets.
#[derive(Clone, Default)]
struct Person(Rc<RefCell<(Option<Transport>, Vec<u8>)>>);

impl Protocol for Person {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.borrow_mut().0 = Some(transport.clone());
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().1.extend_from_slice(data);
        Ok(())
    }
}

impl Person {
    fn on(host: &Host, address: &str) -> Self {
        let person = Self::default();
        let shared = person.clone();
        host.connect_tcp(address, move |_peer: Address| shared.clone()).expect("an address");
        person
    }

    fn say(&self, line: &str) {
        let transport = self.0.borrow().0.clone();
        transport.expect("connected").write(format!("{line}\r\n"));
    }

    fn heard(&self, line: &str) -> bool {
        String::from_utf8_lossy(&self.0.borrow().1).contains(&format!("{line}\r\n"))
    }
}

/// Bad, but nothing is lost for good.
fn faults() -> Faults {
    Faults { segment: 1..=20, ..Faults::lossy() }
}

#[test]
fn two_people_chat_through_a_partition() {
    simulate_with(&faults(), 0..20, |simulation| {
        chat_server::start(&simulation.host("10.0.0.1"), "0.0.0.0:8123").expect("the port is free");
        let people = ["10.0.0.2", "10.0.0.3"].map(|ip| Person::on(&simulation.host(ip), "10.0.0.1:8123"));
        let [ada, bob] = &people;
        for (person, name) in [(ada, "Ada"), (bob, "Bob")] {
            simulation.run_until(|| person.heard("What's your name?"))?;
            person.say(name);
            simulation.run_until(|| person.heard(&format!("Welcome, {name}!")))?;
        }
        simulation.partition("10.0.0.1", "10.0.0.3");
        ada.say("anybody there?");
        simulation.run_for(Duration::from_secs(60))?;
        assert!(!bob.heard("<Ada> anybody there?"));
        simulation.heal("10.0.0.1", "10.0.0.3");
        simulation.run_until(|| bob.heard("<Ada> anybody there?"))?;
        bob.say("now I am");
        simulation.run_until(|| ada.heard("<Bob> now I am"))
    });
}

#[test]
fn a_forwarded_port_reaches_the_chat() {
    simulate_with(&faults(), 0..20, |simulation| {
        simulation.add_name("chat.example", "10.0.0.1");
        chat_server::start(&simulation.host("10.0.0.1"), "0.0.0.0:8123").expect("the port is free");
        portforward::start(&simulation.host("10.0.0.9"), "0.0.0.0:80", "chat.example:8123").expect("the port is free");
        let ada = Person::on(&simulation.host("10.0.0.2"), "10.0.0.9:80");
        simulation.run_until(|| ada.heard("What's your name?"))?;
        ada.say("Ada");
        simulation.run_until(|| ada.heard("Welcome, Ada!"))
    });
}

#[test]
fn the_quickstart_ends_by_itself() {
    simulate_with(&faults(), 0..20, |simulation| {
        let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
        quickstart::start_server(&server, "0.0.0.0:7").expect("the port is free");
        quickstart::start_client(&client, "10.0.0.1:7").expect("an address");
        simulation.run_until(|| !client.is_running() && simulation.now() > Duration::ZERO)?;
        simulation.run_until(|| simulation.connections() == 0)
    });
}

#[test]
fn a_client_that_reconnects_finds_the_server_that_comes_late_and_comes_again() {
    let simulation = Simulation::new(1);
    let (client, person) = (simulation.host("10.0.0.2"), Person::default());
    let shared = person.clone();
    let factory = ReconnectingClientFactory::new(move |_peer: Address| shared.clone());
    client.connect_tcp("10.0.0.1:8123", factory).unwrap();
    let server = simulation.host("10.0.0.1");
    simulation.run_for(Duration::from_secs(30)).unwrap();
    let port = chat_server::start(&server, "0.0.0.0:8123").unwrap();
    let question = "What's your name?";
    simulation.run_until(|| person.heard(question)).unwrap();
    port.stop_listening();
    person.0.borrow_mut().1.clear();
    person.0.borrow().0.as_ref().unwrap().abort_connection();
    simulation.run_for(Duration::from_secs(30)).unwrap();
    assert!(!person.heard(question));
    chat_server::start(&server, "0.0.0.0:8123").unwrap();
    simulation.run_until(|| person.heard(question)).unwrap();
}
