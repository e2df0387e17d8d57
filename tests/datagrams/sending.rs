//! What happens to a datagram that cannot be sent: it is dropped, counted, and reported.

use std::rc::Rc;
use std::time::Duration;

use log::Level;
use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::wire::Discard;

use crate::probe::{Event, Events, Probe, in_both_worlds, udp};
use crate::support::logged::logged;
use crate::support::{run, stop};

/// Has a port write; returns its callbacks, and how many datagrams it has dropped.
fn write(reactor: &Reactor, write: impl Fn(&DatagramTransport) + 'static) -> (Vec<Event>, u64) {
    let events = Events::default();
    let probe = Probe::new(&events, move |event, transport| {
        if *event == Event::Started {
            write(transport);
            let reactor = transport.reactor().clone();
            transport.reactor().call_later(Duration::ZERO, move || stop(&reactor));
        }
        Ok(())
    });
    let transport = reactor.listen_udp("0.0.0.0:0", probe).unwrap();
    run(reactor);
    (events.all(), transport.dropped())
}

fn dropped(text: &str) -> Vec<Event> {
    vec![Event::Started, Event::Dropped(text.to_owned()), Event::Stopped]
}

#[test]
fn one_that_is_longer_than_a_datagram_can_be() {
    in_both_worlds(|reactor| {
        let (events, count) = write(reactor, |transport| transport.write_to(vec![0; 65_508], &udp("127.0.0.1:9")));
        assert_eq!((events, count), (dropped("a datagram cannot be 65508 bytes long"), 1));
    });
}

#[test]
fn one_to_an_address_of_another_kind() {
    in_both_worlds(|reactor| {
        let (events, count) = write(reactor, |transport| {
            transport.write_to("", &udp("[::1]:9"));
            transport.write_to("", &Address::Tcp("127.0.0.1:9".parse().unwrap()));
            transport.write_to("", &Address::Unnamed);
        });
        let [Event::Started, Event::Dropped(text), Event::Stopped] = events.as_slice() else { panic!("{events:?}") };
        assert!(text.starts_with("a transport on 0.0.0.0:") && text.contains(" cannot send to [::1]:9: "), "{text}");
        assert_eq!(count, 3, "all are reported once");
    });
}

#[test]
fn one_without_an_address_of_a_port_that_is_not_connected() {
    in_both_worlds(|reactor| {
        let (events, count) = write(reactor, |transport| transport.write("where to?"));
        let text = "the datagram has no address, and the transport is not connected: use write_to, or connect it first";
        assert_eq!((events, count), (dropped(text), 1));
    });
}

#[test]
fn one_to_everybody_that_was_not_allowed() {
    in_both_worlds(|reactor| {
        let (events, count) = write(reactor, |transport| {
            assert!(!transport.broadcast_allowed().unwrap());
            transport.write_to("to all", &udp("255.255.255.255:9"));
        });
        let [Event::Started, Event::Dropped(text), Event::Stopped] = events.as_slice() else { panic!("{events:?}") };
        assert!(text.contains("set_broadcast_allowed(true)"), "{text}");
        assert_eq!(count, 1);
    });
}

#[test]
fn those_for_which_there_is_no_room_are_notified_once_a_turn_and_reported_once() {
    let simulation = Simulation::with_faults(1, Faults { short_write: 1.0, ..Faults::calm() });
    let host = simulation.host("10.0.0.1");
    let events = Events::default();
    let probe = Probe::new(&events, |event, transport| {
        let reactor = transport.reactor().clone();
        if *event == Event::Started {
            (0..3).for_each(|_| transport.write_to("", &udp("10.0.0.2:9")));
            let transport = transport.clone();
            reactor.clone().call_later(Duration::from_secs(1), move || {
                transport.write_to("", &udp("10.0.0.2:9"));
                reactor.clone().call_later(Duration::from_secs(1), move || stop(&reactor));
            });
        }
        Ok(())
    });
    let transport = host.listen_udp("0.0.0.0:0", probe).unwrap();
    let told = logged(Level::Error, || run(host.reactor()));
    let full = Event::Dropped("the send buffer is full: send less at a time".to_owned());
    assert_eq!(events.all(), [Event::Started, full.clone(), full, Event::Stopped]);
    assert_eq!(transport.dropped(), 4);
    let [(_, told)] = told.as_slice() else { panic!("{told:?}") };
    assert!(
        told.ends_with("a datagram was not sent: the send buffer is full: send less at a time (later ones are only counted)"),
        "{told}"
    );
}

#[test]
fn one_that_the_buffer_has_no_room_for_and_others_are_sent_once_it_has() {
    // A tenth of a second for each kilobyte.
    let slow = Faults { bandwidth: Some(10_000), send_buffer: 2000..=2000, ..Faults::calm() };
    let simulation = Simulation::with_faults(1, slow);
    let (here, there) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let events = Events::default();
    there.listen_udp("0.0.0.0:9", Probe::silent(&events)).unwrap();
    let sender = here.listen_udp("0.0.0.0:0", Discard).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    for _ in 0..10 {
        sender.write_to([0; 972], &udp("10.0.0.2:9"));
    }
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((events.received().len(), sender.dropped()), (3, 7), "one is leaving, and two wait");
    sender.write_to("later", &udp("10.0.0.2:9"));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((events.received().len(), sender.dropped()), (4, 7));
}

#[test]
fn the_hook_may_write_again_and_holds_nobody_up() {
    let simulation = Simulation::with_faults(1, Faults { short_write: 1.0, ..Faults::calm() });
    let host = simulation.host("10.0.0.1");
    let events = Events::default();
    let turns = Rc::new(std::cell::Cell::new(0));
    let counted = turns.clone();
    let stubborn = Probe::new(&events, |event, transport| {
        if let Event::Started | Event::Dropped(_) = event {
            transport.write_to("again", &udp("10.0.0.2:9"));
        }
        Ok(())
    });
    host.listen_udp("0.0.0.0:0", stubborn).unwrap();
    fn count(reactor: &Reactor, turns: Rc<std::cell::Cell<u32>>) {
        turns.set(turns.get() + 1);
        if turns.get() == 100 {
            return stop(reactor);
        }
        let again = reactor.clone();
        reactor.call_later(Duration::ZERO, move || count(&again, turns));
    }
    count(host.reactor(), counted);
    run(host.reactor());
    assert_eq!(turns.get(), 100);
    assert!(events.all().len() >= 100 && events.all().len() < 110, "once a turn: {}", events.all().len());
}
