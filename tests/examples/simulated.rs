//! The examples, unchanged, in simulated networks: one or two of them, and all at once in one town of hosts, on hostile networks,
//! with partitions and hosts that stop. The same seed gives the same log, byte for byte, in every process and build.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use crate::programs::{chat_server, compressed_server, portforward, quickstart, stdin, stdin_client, stdiodemo};
use torsade::event_log::{Log, Subject, fingerprint};
use torsade::prelude::*;
use torsade::simulated::{Faults, Host, Simulation, SimulationError, simulate_with};

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
        host.connect(address, move |_peer: Address| shared.clone()).expect("an address");
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
fn a_person_at_a_terminal_joins_the_chat_and_leaves_it() {
    simulate_with(&faults(), 0..20, |simulation| {
        chat_server::start(&simulation.host("10.0.0.1"), "0.0.0.0:8123").expect("the port is free");
        let bob = Person::on(&simulation.host("10.0.0.3"), "10.0.0.1:8123");
        simulation.run_until(|| bob.heard("What's your name?"))?;
        bob.say("Bob");
        let host = simulation.host("10.0.0.2");
        let terminal = host.console();
        let client = host.clone();
        host.spawn(async move {
            let reason = stdin_client::start(&client, "10.0.0.1:8123").await?;
            assert!(reason.is_clean(), "{reason}");
            Ok(client.stop()?)
        });
        simulation.run_until(|| terminal.shows("What's your name?\r\n"))?;
        terminal.type_line("Ada");
        simulation.run_until(|| terminal.shows("Welcome, Ada!\r\n"))?;
        terminal.type_line("hello, Bob");
        simulation.run_until(|| bob.heard("<Ada> hello, Bob"))?;
        bob.say("hello, Ada");
        simulation.run_until(|| terminal.shows("<Bob> hello, Ada\r\n"))?;
        terminal.end();
        simulation.run_until(|| terminal.has_end())?;
        simulation.run_for(Duration::from_secs(300))?;
        assert!(!host.is_running(), "it ends when both have nothing more to say");
        Ok::<(), SimulationError>(())
    });
}

#[test]
fn consoles_of_twisted_answer_line_by_line() {
    simulate_with(&Faults::calm(), 0..5, |simulation| {
        let host = simulation.host("10.0.0.1");
        let terminal = host.console();
        stdin::start(&host).expect("it has a console");
        simulation.run_until(|| terminal.shows(">>> "))?;
        terminal.type_line("one");
        simulation.run_until(|| terminal.shows("Echo: one\n>>> "))?;
        terminal.end();
        simulation.run_until(|| terminal.has_end())?;

        let page = || {
            let mut asked = Vec::new();
            AsSaid(move |transport: &Transport, data: &[u8]| {
                asked.extend_from_slice(data);
                if asked.ends_with(b"\r\n\r\n") {
                    transport.write([&b"HTTP/1.0 200 OK\r\n\r\n"[..], &[b'x'; 5000]].concat());
                    transport.lose_connection();
                }
            })
        };
        simulation.host("10.0.0.2").listen_tcp("0.0.0.0:80", move |_peer| page()).expect("the port is free");
        let host = simulation.host("10.0.0.3");
        let terminal = host.console();
        stdiodemo::start(&host).expect("it has a console");
        for (line, answer) in [
            ("help", "Valid commands: check help quit\n"),
            ("dance", "Error: no such command.\n"),
            ("check http://10.0.0.2/", "Success: got 5000 bytes.\n"),
            ("check http://10.0.0.1/", "Failure: "),
            ("check", "Error: check needs a URL\n"),
            ("quit", "Goodbye.\n"),
        ] {
            terminal.type_line(line);
            simulation.run_until(|| terminal.shows(answer))?;
        }
        simulation.run_until(|| terminal.has_end())
    });
}

/// A protocol with one callback.
struct AsSaid<F>(F);

impl<F: FnMut(&Transport, &[u8])> Protocol for AsSaid<F> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        (self.0)(transport, data);
        Ok(())
    }
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

const SERVER: &str = "10.0.0.1";
const FORWARDER: &str = "10.0.0.2";
const VISITORS: [&str; 2] = ["10.0.0.3", "10.0.0.4"];
/// The servers the visitors talk to: the chat, the compressed echo, and the chat again through the forwarder.
const VISITED: [&str; 3] = ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:4"];
/// The quickstart's client stops its reactor, so it has a host of its own.
const QUICKSTART: &str = "10.0.0.5";

/// Sends a line now and then, and counts those it receives.
struct Visitor {
    name: String,
    heard: Rc<Cell<u64>>,
}

impl LineProtocol for Visitor {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        chatter(transport.clone(), self.name.clone(), 0);
        Ok(())
    }

    fn line_received(&mut self, _transport: &LineTransport, _line: &[u8]) -> Result {
        self.heard.set(self.heard.get() + 1);
        Ok(())
    }
}

fn chatter(transport: LineTransport, name: String, count: u64) {
    if !transport.is_connected() {
        return;
    }
    if count == 40 {
        return transport.lose_connection();
    }
    transport.send_line(if count == 0 { name.clone() } else { format!("{name} says {count}") });
    let wait = Duration::from_millis(transport.reactor().random() % 5000);
    transport.reactor().clone().call_later(wait, move || chatter(transport, name, count + 1));
}

/// How many lines the visitors have received from each address.
type Heard = [Rc<Cell<u64>>; VISITED.len()];

/// Starts all programs of the town.
fn settle_town(simulation: &Simulation) -> Result<Heard> {
    let server = simulation.host(SERVER);
    chat_server::start(&server, "0.0.0.0:1")?;
    compressed_server::start(&server, "0.0.0.0:2")?;
    quickstart::start_server(&server, "0.0.0.0:3")?;
    simulation.add_name("chat.example", SERVER);
    portforward::start(&simulation.host(FORWARDER), "0.0.0.0:4", "chat.example:1")?;
    quickstart::start_client(&simulation.host(QUICKSTART), "10.0.0.1:3")?;
    let heard = Heard::default();
    for ip in VISITORS {
        for (address, heard) in VISITED.into_iter().zip(&heard) {
            let (name, heard) = (format!("{ip}-{address}"), Rc::clone(heard));
            let visitor = move |_peer: Address| {
                LineReceiver::new(Visitor { name: name.clone(), heard: Rc::clone(&heard) }).delimiter(b"\r\n")
            };
            let factory = ReconnectingClientFactory::new(visitor).max_delay(Duration::from_secs(20));
            simulation.host(ip).connect_tcp(address, factory)?;
        }
    }
    Ok(heard)
}

/// Ten minutes in the town, with partitions, until every host was told to stop and has stopped.
fn live(simulation: &Simulation) -> Result<(), SimulationError> {
    let hosts = [SERVER, FORWARDER, VISITORS[0], VISITORS[1]];
    let pick = |count: usize| usize::try_from(simulation.draw(count as u64)).unwrap_or(0);
    let mut parted = Vec::new();
    for _ in 0..20 {
        simulation.run_for(Duration::from_secs(30))?;
        let (a, b) = (hosts[pick(hosts.len())], hosts[pick(hosts.len())]);
        simulation.partition(a, b);
        parted.push((a, b));
        if parted.len() > 2 {
            let (a, b) = parted.swap_remove(pick(parted.len()));
            simulation.heal(a, b);
        }
    }
    for ip in hosts {
        simulation.host(ip).stop().expect("it is running");
    }
    // A last attempt to reconnect has to fail; the quickstart may still wait for its server.
    simulation.run_until(|| hosts.iter().all(|ip| !simulation.host(ip).is_running()))
}

/// Every connection made is lost exactly once, as its last event.
fn assert_in_order(log: &Log, hosts: &[&str]) {
    let mut open = BTreeMap::new();
    for entry in log.entries().iter().filter(|entry| hosts.contains(&&*entry.host)) {
        let Subject::Connection { id, .. } = entry.event.subject else { continue };
        let key = (entry.host.to_string(), id);
        match &*entry.event.callback {
            "connection_made" => assert!(open.insert(key, true).is_none(), "made twice: {entry:?}"),
            "connection_lost" => assert_eq!(open.insert(key, false), Some(true), "lost without being connected: {entry:?}"),
            _ => assert_eq!(open.get(&key), Some(&true), "called before or after: {entry:?}"),
        }
    }
    assert!(open.len() > 3, "nobody came");
    assert!(!open.values().any(|open| *open), "never lost: {open:?}");
}

fn visit(simulation: &Simulation) -> Result<(), SimulationError> {
    let heard = settle_town(simulation).expect("addresses and free ports");
    live(simulation)?;
    assert!(heard.iter().all(|lines| lines.get() > 10), "{heard:?} lines were heard from {VISITED:?}");
    assert_in_order(&simulation.log(), &[SERVER, FORWARDER, VISITORS[0], VISITORS[1]]);
    assert_eq!(simulation.log().with_reason("Panicked").len(), 0);
    Ok(())
}

#[test]
fn the_examples_live_through_partitions_on_a_lossy_network() {
    simulate_with(&Faults::lossy(), 0..4, visit);
}

#[test]
fn the_examples_live_through_partitions_on_a_hostile_network() {
    simulate_with(&Faults::hostile(), 0..4, visit);
}

/// Prints hashes of some logs, on one line. The tests below run this one again in another process or build.
#[test]
fn different_seeds_give_different_logs_of_the_town() {
    let hashes = (1..=3).map(|seed| {
        let simulation = Simulation::with_faults(seed, Faults::hostile());
        settle_town(&simulation).expect("addresses and free ports");
        live(&simulation).expect("it ends");
        format!("{:016x}", fingerprint(simulation.log().to_string().as_bytes()))
    });
    let hashes: Vec<String> = hashes.collect();
    assert_ne!(hashes[0], hashes[1]);
    println!("LOGS {}", hashes.join(" "));
}

/// What the test above prints when this command runs it.
fn logs_by(command: &mut Command) -> String {
    let output = command
        .args(["--exact", "simulated::different_seeds_give_different_logs_of_the_town", "--nocapture"])
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    // The test's name may come first on the line.
    let logs = text.lines().find_map(|line| line.split_once("LOGS ").map(|(_, logs)| logs.to_owned()));
    logs.unwrap_or_else(|| panic!("no logs in {text}\n{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn two_processes_give_the_same_logs() {
    let test = std::env::current_exe().expect("this test");
    assert_eq!(logs_by(&mut Command::new(&test)), logs_by(&mut Command::new(&test)));
}

#[test]
#[ignore = "builds the workspace in both profiles"]
fn debug_and_release_builds_give_the_same_logs() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let logs =
        |profile: &str| logs_by(Command::new(&cargo).args(["test", "--quiet", "--test", "examples", "--profile", profile, "--"]));
    assert_eq!(logs("dev"), logs("release"));
}
