//! What simulated networks do to datagrams, reproducibly for each seed.

use std::collections::BTreeSet;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};
use torsade::wire::{Discard, Echo};
use torsade::{DatagramOptions, MemoryReactor};

use crate::probe::{Event, Events, Probe, udp};
use crate::support::pattern;

/// Sends `count` numbered datagrams; returns those received, in order of arrival.
fn sent(faults: Faults, seed: u64, count: u8) -> Vec<u8> {
    let simulation = Simulation::with_faults(seed, faults);
    let (here, there) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let events = Events::default();
    there.listen_udp("0.0.0.0:9", Probe::silent(&events)).unwrap();
    let sender = here.listen_udp("0.0.0.0:0", Discard).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    (0..count).for_each(|number| sender.write_to([number], &udp("10.0.0.2:9")));
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(sender.dropped(), 0);
    events.received().concat()
}

#[test]
fn on_a_calm_network_all_come_once_in_their_order() {
    for seed in 0..20 {
        assert_eq!(sent(Faults::calm(), seed, 200), (0..200).collect::<Vec<u8>>(), "seed {seed}");
    }
}

#[test]
fn some_are_lost_some_come_twice_and_some_late_as_the_faults_say() {
    let all: Vec<u8> = (0..200).collect();
    let lossy = sent(Faults { loss: 0.3, ..Faults::calm() }, 1, 200);
    assert!(lossy.len() > 100 && lossy.len() < 180 && lossy.is_sorted(), "{lossy:?}");
    let doubled = sent(Faults { duplication: 0.3, ..Faults::calm() }, 1, 200);
    assert!(doubled.len() > 220 && doubled.len() < 300 && doubled.is_sorted(), "{doubled:?}");
    assert_eq!(doubled.iter().copied().collect::<BTreeSet<_>>().len(), 200);
    let reordered = sent(Faults { reordering: 0.3, ..Faults::calm() }, 1, 200);
    assert!(!reordered.is_sorted());
    let mut sorted = reordered;
    sorted.sort_unstable();
    assert_eq!(sorted, all);
    assert!(sent(Faults { loss: 1.0, ..Faults::calm() }, 1, 200).is_empty());
}

#[test]
fn the_same_seed_gives_the_same_log_and_another_seed_another() {
    let log = |seed| {
        let simulation = Simulation::with_faults(seed, Faults::hostile());
        let server = simulation.host("10.0.0.1");
        server.listen_udp("0.0.0.0:7", Echo).unwrap();
        for number in 2..6 {
            let events = Events::default();
            let questions = (0..20).map(|size| pattern(size, 100 * size)).collect();
            let client = Probe::asking(&events, udp("10.0.0.1:7"), questions, usize::MAX);
            simulation.host(&format!("10.0.0.{number}")).listen_udp("0.0.0.0:0", client).unwrap();
        }
        simulation.run_for(Duration::from_secs(60)).unwrap();
        simulation.log()
    };
    for seed in 0..10 {
        let first = log(seed);
        assert!(first.named("datagram_received").len() > 10, "{first}");
        first.assert_same(&log(seed));
        let text = first.to_string();
        assert_eq!(text.parse::<torsade::event_log::Log>().unwrap(), first);
    }
    assert!(log(1).first_difference(&log(2)).is_some());
}

#[test]
fn a_partition_loses_what_arrives_in_it_for_good() {
    let simulation = Simulation::new(1);
    let (here, there) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let events = Events::default();
    there.listen_udp("0.0.0.0:9", Probe::silent(&events)).unwrap();
    let sender = here.listen_udp("0.0.0.0:0", Discard).unwrap();
    let send = |text: &str| {
        sender.write_to(text, &udp("10.0.0.2:9"));
        simulation.run_for(Duration::from_secs(1)).unwrap();
    };
    send("before");
    simulation.partition(&here, &there);
    send("during");
    simulation.heal(&here, &there);
    send("after");
    assert_eq!(events.received(), [&b"before"[..], b"after"]);
}

#[test]
fn a_receiver_loses_what_its_buffer_does_not_hold_until_it_is_served() {
    let reactor = MemoryReactor::new();
    let events = Events::default();
    let receiver = reactor.listen_udp("127.0.0.1:0", Probe::silent(&events)).unwrap();
    let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
    reactor.turn();
    (0..100).for_each(|_| sender.write_to([0; 1488], &receiver.host()));
    reactor.advance(Duration::ZERO);
    assert_eq!(events.received().len(), 100, "its buffers have no limits");

    let simulation = Simulation::with_faults(1, Faults { receive_buffer: 10_000..=10_000, ..Faults::calm() });
    let host = simulation.host("10.0.0.1");
    let backend = host.backend();
    let (receiver, sender) = (udp("127.0.0.1:9"), udp("127.0.0.1:10"));
    let receiver = backend.bind_datagram(&receiver, DatagramOptions::default()).unwrap();
    let sender = backend.bind_datagram(&sender, DatagramOptions::default()).unwrap();
    (0..50).for_each(|_| sender.send_to(&[0; 1488], &udp("127.0.0.1:9")).unwrap());
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let mut buffer = [0; 2000];
    let received = std::iter::from_fn(|| receiver.receive(&mut buffer).ok()).count();
    assert_eq!(received, 5, "of 2,000 bytes each, with what the system needs itself");
}

#[test]
fn nobody_hears_of_a_host_that_is_not_there_but_of_a_port_that_nobody_has() {
    let simulation = Simulation::new(1);
    let here = simulation.host("10.0.0.1");
    let there = simulation.host("10.0.0.2");
    let told = |to: &'static str| {
        let events = Events::default();
        let client = Probe::new(&events, move |event, transport| {
            if *event == Event::Started {
                transport.connect(&udp(to))?;
                transport.write("hello");
            }
            Ok(())
        });
        here.listen_udp("0.0.0.0:0", client).unwrap();
        simulation.run_for(Duration::from_secs(60)).unwrap();
        events.count(&Event::Refused)
    };
    assert_eq!(told("10.0.0.3:9"), 0);
    assert_eq!(told("10.0.0.2:9"), 1);
    there.listen_udp("0.0.0.0:9", Discard).unwrap();
    assert_eq!(told("10.0.0.2:9"), 0);
    there.kill();
    assert_eq!(told("10.0.0.2:9"), 1, "its system answers for it");
    there.crash();
    assert_eq!(told("10.0.0.2:9"), 0);
}

#[test]
fn where_it_comes_from_is_an_address_that_can_be_answered() {
    let simulation = Simulation::new(1);
    let here = simulation.host("10.0.0.1");
    let there = simulation.host("10.0.0.2");
    there.listen_udp("0.0.0.0:7", Echo).unwrap();
    // IPv4 clients of a port that serves both versions.
    there.listen_udp("[::]:8", Echo).unwrap();
    for (server, from) in [("10.0.0.2:7", "10.0.0.2:7"), ("10.0.0.2:8", "10.0.0.2:8")] {
        let events = Events::default();
        let client = Probe::asking(&events, udp(server), vec![b"hello".to_vec()], usize::MAX);
        here.listen_udp("0.0.0.0:0", client).unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
        assert_eq!(events.all(), [Event::Started, Event::Received(b"hello".to_vec(), udp(from))]);
    }
}
