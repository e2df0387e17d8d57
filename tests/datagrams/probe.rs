//! A datagram protocol that follows a test's script, and both worlds to run it in.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{DatagramError, DatagramOptions};

/// A callback, with its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    Started,
    Received(Vec<u8>, Address),
    Truncated(Vec<u8>),
    Refused,
    Dropped(String),
    Stopped,
}

/// The callbacks of one port, in order.
#[derive(Clone, Default)]
pub struct Events(Rc<RefCell<Vec<Event>>>);

impl Events {
    pub fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub fn received(&self) -> Vec<Vec<u8>> {
        let data = |event| if let Event::Received(data, _) = event { Some(data) } else { None };
        self.all().into_iter().filter_map(data).collect()
    }

    pub fn count(&self, wanted: &Event) -> usize {
        self.all().iter().filter(|event| *event == wanted).count()
    }
}

type Script = Box<dyn FnMut(&Event, &DatagramTransport) -> Result>;

/// Records its callbacks, and does in each what the test says.
pub struct Probe {
    events: Events,
    script: Script,
}

impl Probe {
    pub fn new(events: &Events, script: impl FnMut(&Event, &DatagramTransport) -> Result + 'static) -> Self {
        Self { events: events.clone(), script: Box::new(script) }
    }

    pub fn silent(events: &Events) -> Self {
        Self::new(events, |_, _| Ok(()))
    }

    /// Writes to `server` when started, and stops the reactor when it has received this many answers.
    pub fn asking(events: &Events, server: Address, questions: Vec<Vec<u8>>, answers: usize) -> Self {
        let mut left = answers;
        Self::new(events, move |event, transport| {
            match event {
                Event::Started => questions.iter().for_each(|question| transport.write_to(question, &server)),
                Event::Received(..) => {
                    left -= 1;
                    if left == 0 {
                        transport.reactor().stop()?;
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn event(&mut self, event: Event, transport: &DatagramTransport) -> Result {
        self.events.0.borrow_mut().push(event.clone());
        (self.script)(&event, transport)
    }
}

impl DatagramProtocol for Probe {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        self.event(Event::Started, transport)
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        self.event(Event::Received(data.to_vec(), from.clone()), transport)
    }

    fn datagram_truncated(&mut self, transport: &DatagramTransport, data: &[u8], _from: &Address) -> Result {
        self.event(Event::Truncated(data.to_vec()), transport)
    }

    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        self.event(Event::Refused, transport)
    }

    fn write_dropped(&mut self, transport: &DatagramTransport, error: &DatagramError) -> Result {
        self.event(Event::Dropped(error.to_string()), transport)
    }

    fn stop_protocol(&mut self, transport: &DatagramTransport) -> Result {
        self.event(Event::Stopped, transport)
    }
}

/// Runs a test on the system's sockets, and on a simulated host.
pub fn in_both_worlds(test: impl Fn(&Reactor)) {
    let reactor = Reactor::new().expect("a reactor");
    test(&reactor);
    reactor.disconnect_all().expect("it does not run any more");
    let simulation = Simulation::new(1);
    test(simulation.host("10.0.0.1").reactor());
}

pub fn udp(address: &str) -> Address {
    Address::Udp(address.parse().expect("an address"))
}

/// Longer datagrams than a port takes by default.
pub fn long() -> DatagramOptions {
    DatagramOptions { max_packet_size: 65_535, ..DatagramOptions::default() }
}
