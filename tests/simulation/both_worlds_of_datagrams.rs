//! The verified fake for datagrams: the same programs on the real and on the simulated Backend give the same event logs.
//!
//! The ports are on one reactor, over the loopback. Whatever may differ between any two runs is removed before the comparison:
//! times, turns, port numbers, and how the ports interleave.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::rc::Rc;
use std::time::Duration;

use crate::support;
use torsade::event_log::{Event, Subject};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::{Discard, Echo};
use torsade::{DatagramOptions, MulticastInterface};

/// What a port does when started, for each datagram, and when refused.
#[derive(Clone, Copy)]
struct Part {
    start: fn(&DatagramTransport, &Address) -> Result,
    received: fn(&DatagramTransport, &[u8], &Address) -> Result,
    refused: fn(&DatagramTransport) -> Result,
}

struct Role {
    part: Part,
    other: Address,
}

impl DatagramProtocol for Role {
    fn start_protocol(&mut self, transport: &DatagramTransport) -> Result {
        (self.part.start)(transport, &self.other)
    }

    fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], from: &Address) -> Result {
        (self.part.received)(transport, data, from)
    }

    fn connection_refused(&mut self, transport: &DatagramTransport) -> Result {
        (self.part.refused)(transport)
    }
}

fn stop(transport: &DatagramTransport) -> Result {
    Ok(transport.reactor().stop()?)
}

/// Stops when it has received a datagram of this length.
const UNTIL_FOUR: fn(&DatagramTransport, &[u8], &Address) -> Result =
    |transport, data, _| if data.len() == 4 { stop(transport) } else { Ok(()) };
const ASKING: Part = Part {
    start: |transport, other| {
        for size in [0, 1, 100, 8192, 4] {
            transport.write_to(vec![b'x'; size], other);
        }
        Ok(())
    },
    received: UNTIL_FOUR,
    refused: stop,
};
const CONNECTED: Part = Part {
    start: |transport, other| {
        transport.connect(other)?;
        transport.write("last");
        Ok(())
    },
    ..ASKING
};

/// The scenarios: a name, whether the other port is closed at once, and what the first one does.
const SCENARIOS: [(&str, bool, Part); 7] = [
    ("an echo", false, ASKING),
    ("a connected client", false, CONNECTED),
    (
        "nobody there",
        true,
        Part {
            start: |transport, other| {
                let (late, other) = (transport.clone(), other.clone());
                // By then the other port is closed.
                transport.reactor().call_later(Duration::from_millis(1), move || {
                    (CONNECTED.start)(&late, &other).expect("it can be connected");
                });
                Ok(())
            },
            ..ASKING
        },
    ),
    (
        "an error and a panic",
        false,
        Part {
            received: |transport, data, from| match data.len() {
                0 => Err("deliberate".into()),
                1 => panic!("deliberate, in a test"),
                _ => UNTIL_FOUR(transport, data, from),
            },
            ..ASKING
        },
    ),
    (
        "one that is too long",
        false,
        Part {
            start: |transport, other| {
                transport.write_to([0; 8193], other);
                (ASKING.start)(transport, other)
            },
            ..ASKING
        },
    ),
    (
        "what cannot be sent",
        false,
        Part {
            start: |transport, other| {
                transport.write("to nobody");
                transport.write_to(vec![0; 70_000], other);
                (ASKING.start)(transport, other)
            },
            ..ASKING
        },
    ),
    (
        "a group",
        false,
        Part {
            start: |transport, other| {
                let (group, interface) = (Ipv4Addr::new(239, 1, 2, 5), MulticastInterface::Address(Ipv4Addr::LOCALHOST));
                let port = transport.host().port().unwrap_or(0);
                transport.join_group(group.into(), interface)?;
                transport.set_outgoing_interface(interface)?;
                transport.write_to("to the group", &Address::Udp((group, port).into()));
                (ASKING.start)(transport, other)
            },
            ..ASKING
        },
    ),
];

/// The callbacks of each port, in order.
type Normal = Vec<Vec<String>>;

fn normalise(events: &[Event]) -> Normal {
    let mut ports = BTreeMap::<&str, Vec<String>>::new();
    for event in events {
        if let Subject::Port { address } = &event.subject {
            let port = address.rsplit(':').next().unwrap_or_default();
            ports.entry(port).or_default().push(format!("{} {:?} {:?}", event.callback, event.bytes, event.hash));
        }
    }
    let mut normal: Normal = ports.into_values().collect();
    normal.sort();
    normal
}

/// Runs a scenario, and returns its events.
fn play(reactor: &Reactor, closed: bool, part: Part) -> Normal {
    let events = Rc::<RefCell<Vec<Event>>>::default();
    let noted = Rc::clone(&events);
    reactor.set_observer(move |event| noted.borrow_mut().push(event.clone()));
    let other = if closed { reactor.listen_udp("127.0.0.1:0", Discard) } else { reactor.listen_udp("127.0.0.1:0", Echo) };
    let other = other.expect("a free port");
    if closed {
        other.stop_listening();
    }
    let options = DatagramOptions { max_packet_size: 8192, ..DatagramOptions::default() };
    reactor.listen_udp_with("0.0.0.0:0", options, Role { part, other: other.host() }).expect("a free port");
    support::run(reactor);
    normalise(&events.borrow())
}

#[test]
fn every_scenario_of_datagrams_gives_the_same_log_in_both_worlds() {
    for (name, closed, part) in SCENARIOS {
        let real = play(&Reactor::new().expect("a reactor"), closed, part);
        assert_eq!(real.len(), 2, "{name}: {real:#?}");
        for seed in 0..20 {
            let simulation = Simulation::new(seed);
            assert_eq!(play(simulation.host("10.0.0.1").reactor(), closed, part), real, "{name}, seed {seed}");
        }
    }
}
