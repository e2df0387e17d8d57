//! The scripts of the vectors for UDP ports, in a world in which nothing takes time.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::{DatagramError, DatagramOptions, MemoryReactor};

use super::events::{Events, shown};
use crate::json::Json;

/// The events of a step, each with its port.
type Noted = Vec<(usize, Vec<Json>)>;

/// What all ports of one vector share.
#[derive(Default)]
struct Ports {
    transports: Vec<DatagramTransport>,
    addresses: Vec<Address>,
    stopped: BTreeSet<usize>,
}

impl Ports {
    fn number_of(&self, address: &Address) -> usize {
        self.addresses.iter().position(|known| known == address).expect("an address of a port")
    }

    fn is_open(&self, number: usize) -> bool {
        number < self.transports.len() && !self.stopped.contains(&number)
    }
}

/// Records its callbacks, and does what the datagram's first byte says.
struct Probe {
    ports: Rc<RefCell<Ports>>,
    events: Rc<RefCell<Noted>>,
    number: usize,
}

impl Probe {
    fn note(&self, event: &str, details: impl IntoIterator<Item = Json>) {
        let event = [self.number.into(), event.into()].into_iter().chain(details).collect();
        self.events.borrow_mut().push((self.number, event));
    }

    /// Answers `to`; a connected port needs no address.
    fn answer(transport: &DatagramTransport, data: &[u8], to: &Address) {
        if transport.peer().is_some() { transport.write(data) } else { transport.write_to(data, to) }
    }
}

impl DatagramProtocol for Probe {
    fn start_protocol(&mut self, _transport: &DatagramTransport) -> Result {
        self.note("start", []);
        Ok(())
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        let number = self.ports.borrow().number_of(from);
        self.note("data", [shown(data), number.into()]);
        match data.first() {
            Some(b'e') => return Err("deliberate".into()),
            Some(b'r') => Self::answer(transport, b"answer", from),
            Some(b'l') => Self::answer(transport, &[b'x'; 65_508], from),
            Some(b's') => {
                self.ports.borrow_mut().stopped.insert(self.number);
                transport.stop_listening();
            }
            _ => {}
        }
        Ok(())
    }

    fn connection_refused(&mut self, _transport: &DatagramTransport) -> Result {
        self.note("refused", []);
        Ok(())
    }

    fn write_dropped(&mut self, _transport: &DatagramTransport, _error: &DatagramError) -> Result {
        self.note("dropped", []);
        Ok(())
    }

    fn stop_protocol(&mut self, _transport: &DatagramTransport) -> Result {
        self.note("stop", []);
        Ok(())
    }
}

struct World {
    reactor: MemoryReactor,
    ports: Rc<RefCell<Ports>>,
    events: Rc<RefCell<Noted>>,
    options: DatagramOptions,
}

impl World {
    fn listen(&self) {
        let (ports, events) = (Rc::clone(&self.ports), Rc::clone(&self.events));
        let number = ports.borrow().transports.len();
        let probe = Probe { ports, events, number };
        let transport = self.reactor.listen_udp_with("127.0.0.1:0", self.options, probe).expect("a free port");
        let mut ports = self.ports.borrow_mut();
        ports.addresses.push(transport.host());
        ports.transports.push(transport);
    }

    fn step(&self, call: &str, args: &[Json]) {
        let number_at = |place: usize| args[place].index();
        if call == "listen" {
            return self.listen();
        }
        let mut ports = self.ports.borrow_mut();
        let number = number_at(0);
        let to = if args.len() > 1 { number_at(1) } else { 0 };
        if !ports.is_open(number) || to >= ports.transports.len() {
            return;
        }
        let (transport, there) = (ports.transports[number].clone(), ports.addresses[to].clone());
        let peer = transport.peer();
        match call {
            "send" => {
                let gone = peer.is_some_and(|peer| !ports.is_open(ports.number_of(&peer)));
                let data = args[2].list();
                for datagram in if gone { &data[..1] } else { data } {
                    Probe::answer(&transport, &datagram.hex(), &there);
                }
            }
            "connect" if ports.is_open(to) => transport.connect(&there).expect("it can be connected"),
            "stop" => {
                ports.stopped.insert(number);
                transport.stop_listening();
            }
            "huge" => Probe::answer(&transport, &[b'x'; 65_508], &there),
            "unaddressed" if peer.is_none() => transport.write("where to?"),
            "connect" | "unaddressed" => {}
            other => panic!("no vector has {other}"),
        }
    }

    /// Adds the events of a step, by ports, since their interleaving means nothing. A refusal or a drop is listed once, after
    /// what was received and before the stop, since how often it is reported depends on the turns of the step.
    fn settle(&self, all: &Events) {
        self.reactor.advance(Duration::ZERO);
        let mut events = self.events.take();
        let rank = |event: &[Json]| ["refused", "dropped", "stop"].iter().position(|last| event[1].text() == *last);
        events.sort_by_key(|(number, event)| (*number, rank(event)));
        events.dedup_by(|(_, later), (_, event)| later == event && rank(event).is_some());
        events.into_iter().for_each(|(_, event)| all.note(event));
    }
}

pub fn play(config: &Json, steps: &[Json]) -> Vec<Json> {
    let max_packet_size = config.get("max").expect("a size").index();
    let options = DatagramOptions { max_packet_size, ..DatagramOptions::default() };
    let world = World { reactor: MemoryReactor::new(), ports: Rc::default(), events: Rc::default(), options };
    let events = Events::default();
    for step in steps {
        world.step(step.get("call").expect("a call").text(), step.get("args").map_or(&[], Json::list));
        world.settle(&events);
    }
    let transports = world.ports.borrow().transports.clone();
    transports.iter().for_each(DatagramTransport::stop_listening);
    world.settle(&events);
    events.finish()
}
