//! Broadcast and multicast: who gets what is sent to many.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::wire::Discard;
use torsade::{DatagramOptions, MulticastInterface};

use crate::probe::{Event, Events, Probe, in_both_worlds, udp};
use crate::support::{child_in_own_network, is_child, run, stop};

const SHARED: DatagramOptions = DatagramOptions { max_packet_size: 8192, listen_multiple: true, lock: true, mode: 0o666 };
const LOOPBACK: MulticastInterface = MulticastInterface::Address(Ipv4Addr::LOCALHOST);

fn group(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn members_of_a_group_get_what_is_sent_to_it_until_they_leave() {
    in_both_worlds(|reactor| {
        let (members, others, events) = (Events::default(), Events::default(), Events::default());
        let first = reactor.listen_udp_with("0.0.0.0:0", SHARED, Probe::silent(&members)).unwrap();
        first.join_group(group("239.1.2.3"), LOOPBACK).unwrap();
        if cfg!(unix) {
            // On the same port, but in another group.
            let other =
                reactor.listen_udp_with(("0.0.0.0", first.host().port().unwrap()), SHARED, Probe::silent(&others)).unwrap();
            other.join_group(group("239.1.2.4"), LOOPBACK).unwrap();
        }
        let to = Address::Udp((Ipv4Addr::new(239, 1, 2, 3), first.host().port().unwrap()).into());
        let member = first.clone();
        let sender = Probe::new(&events, move |event, transport| {
            match event {
                Event::Started => {
                    transport.set_outgoing_interface(LOOPBACK)?;
                    assert_eq!(transport.outgoing_interface()?, LOOPBACK);
                    transport.write_to("to all", &to);
                    let (transport, member, to) = (transport.clone(), member.clone(), to.clone());
                    // By then the datagram has been received, in a simulation too.
                    transport.reactor().clone().call_later(Duration::from_millis(50), move || {
                        member.leave_group(group("239.1.2.3"), LOOPBACK).unwrap();
                        transport.write_to("to nobody", &to);
                        transport.write_to("to itself", &transport.host());
                    });
                }
                Event::Received(..) => stop(transport.reactor()),
                _ => {}
            }
            Ok(())
        });
        let sender = reactor.listen_udp("127.0.0.1:0", sender).unwrap();
        run(reactor);
        assert_eq!(members.all(), [Event::Started, Event::Received(b"to all".to_vec(), sender.host()), Event::Stopped]);
        assert_eq!(others.received(), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn without_loopback_members_on_the_same_host_get_nothing() {
    // On a system's loopback interface everyone receives everything.
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let events = Events::default();
    let member = host.listen_udp("0.0.0.0:9", Probe::silent(&events)).unwrap();
    member.join_group(group("239.1.2.3"), MulticastInterface::Any).unwrap();
    member.set_loopback_mode(false).unwrap();
    member.write_to("not heard", &udp("239.1.2.3:9"));
    member.set_loopback_mode(true).unwrap();
    member.write_to("heard", &udp("239.1.2.3:9"));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(events.received(), [b"heard"]);
}

#[test]
fn options_are_kept_for_either_ip_version() {
    in_both_worlds(|reactor| {
        for (address, interface) in [("0.0.0.0:0", LOOPBACK), ("[::]:0", MulticastInterface::Index(1))] {
            let Ok(transport) = reactor.listen_udp(address, Discard) else {
                println!("skipped: {address} is not there");
                continue;
            };
            assert_eq!(transport.outgoing_interface().unwrap(), MulticastInterface::Any);
            transport.set_outgoing_interface(interface).unwrap();
            assert_eq!(transport.outgoing_interface().unwrap(), interface);
            assert_eq!((transport.ttl().unwrap(), transport.loopback_mode().unwrap()), (1, true));
            transport.set_ttl(4).unwrap();
            transport.set_loopback_mode(false).unwrap();
            assert_eq!((transport.ttl().unwrap(), transport.loopback_mode().unwrap()), (4, false));
        }
    });
}

/// What a member of an IPv6 group receives of what it sends to the group.
fn talk_to_own_group(reactor: &Reactor, interface: MulticastInterface) {
    let events = Events::default();
    let member = reactor.listen_udp("[::]:0", stopping(&events)).unwrap();
    member.join_group(group("ff02::1:2:3"), interface).unwrap();
    member.set_outgoing_interface(interface).unwrap();
    member.write_to("hello", &udp(&format!("[ff02::1:2:3]:{}", member.host().port().unwrap())));
    assert_eq!(member.dropped(), 0);
    run(reactor);
    assert_eq!(events.received(), [b"hello"]);
}

fn stopping(events: &Events) -> Probe {
    Probe::new(events, |event, transport| {
        if let Event::Received(..) = event {
            stop(transport.reactor());
        }
        Ok(())
    })
}

#[test]
fn groups_of_ipv6_work_the_same_way() {
    talk_to_own_group(Simulation::new(1).host("10.0.0.1").reactor(), MulticastInterface::Any);
}

/// What the loopback interface cannot show, in a network of its own.
#[test]
fn on_an_interface_of_the_system_it_is_as_in_a_simulation() {
    const NAME: &str = "groups::on_an_interface_of_the_system_it_is_as_in_a_simulation";
    if is_child(NAME) {
        talk_to_own_group(&Reactor::new().unwrap(), MulticastInterface::Index(2));
        hear_only_with_loopback(&Reactor::new().unwrap());
        return hear_a_broadcast(&Reactor::new().unwrap());
    }
    let interface = "ip link add one type veth peer name two && ip link set one up && ip link set two up \
        && ip address add 10.9.8.7/24 broadcast 10.9.8.255 dev two && ip address add fd00::1/64 dev two nodad \
        && ip route add default dev two && echo ready";
    let Ok(output) = child_in_own_network(NAME, interface, &["fd00::1"]).output() else {
        return println!("skipped: there is no unshare");
    };
    if !String::from_utf8_lossy(&output.stdout).contains("ready") {
        return println!("skipped: no network of one's own: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn hear_only_with_loopback(reactor: &Reactor) {
    let events = Events::default();
    let member = reactor.listen_udp("0.0.0.0:0", stopping(&events)).unwrap();
    let to = udp(&format!("239.1.2.3:{}", member.host().port().unwrap()));
    let interface = MulticastInterface::Address(Ipv4Addr::new(10, 9, 8, 7));
    member.join_group(group("239.1.2.3"), interface).unwrap();
    member.set_outgoing_interface(interface).unwrap();
    member.set_loopback_mode(false).unwrap();
    member.write_to("not heard", &to);
    member.set_loopback_mode(true).unwrap();
    member.write_to("heard", &to);
    run(reactor);
    assert_eq!(events.received(), [b"heard"]);
}

fn hear_a_broadcast(reactor: &Reactor) {
    let events = Events::default();
    let receiver = reactor.listen_udp("0.0.0.0:0", stopping(&events)).unwrap();
    receiver.set_broadcast_allowed(true).unwrap();
    receiver.write_to("to all", &udp(&format!("255.255.255.255:{}", receiver.host().port().unwrap())));
    run(reactor);
    assert_eq!((events.received(), receiver.dropped()), (vec![b"to all".to_vec()], 0));
}

#[test]
fn what_is_not_a_group_cannot_be_joined_nor_what_was_not_joined_be_left() {
    in_both_worlds(|reactor| {
        let transport = reactor.listen_udp("0.0.0.0:0", Discard).unwrap();
        let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
        assert_eq!(kind(transport.join_group(group("127.0.0.1"), LOOPBACK)), ErrorKind::InvalidInput);
        assert_eq!(kind(transport.join_group(group("ff02::1"), LOOPBACK)), ErrorKind::InvalidInput);
        assert_eq!(kind(transport.leave_group(group("239.1.2.3"), LOOPBACK)), ErrorKind::AddrNotAvailable);
        assert_eq!(kind(transport.set_ttl(256)), ErrorKind::InvalidInput);
        assert_eq!(transport.ttl().unwrap(), 1);
        transport.set_ttl(255).unwrap();
        assert_eq!(transport.ttl().unwrap(), 255);
    });
}

#[test]
fn a_broadcast_reaches_every_host_on_that_port_and_no_other_port() {
    let simulation = Simulation::new(1);
    let heard: Vec<Events> = (0..4).map(|_| Events::default()).collect();
    for (number, events) in heard.iter().enumerate() {
        let host = simulation.host(&format!("10.0.0.{}", number + 1));
        host.listen_udp(if number == 3 { "0.0.0.0:10" } else { "0.0.0.0:9" }, Probe::silent(events)).unwrap();
    }
    let sender = simulation.host("10.0.0.1").listen_udp("0.0.0.0:0", Discard).unwrap();
    sender.set_broadcast_allowed(true).unwrap();
    assert!(sender.broadcast_allowed().unwrap());
    simulation.partition("10.0.0.1", "10.0.0.3");
    sender.write_to("who is there?", &udp("255.255.255.255:9"));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let counts: Vec<usize> = heard.iter().map(|events| events.received().len()).collect();
    assert_eq!(counts, [1, 1, 0, 0], "the sender's own host is one of them; the third is parted, the fourth on another port");
}

#[test]
fn a_group_spans_the_hosts_of_a_simulation_as_far_as_the_ttl_goes() {
    let simulation = Simulation::new(1);
    let heard: Vec<Events> = (0..3).map(|_| Events::default()).collect();
    for (number, events) in heard.iter().enumerate() {
        let host = simulation.host(&format!("10.0.0.{}", number + 1));
        let member = host.listen_udp_with("0.0.0.0:9", SHARED, Probe::silent(events)).unwrap();
        if number < 2 {
            member.join_group(group("239.1.2.3"), MulticastInterface::Any).unwrap();
        }
    }
    let sender = simulation.host("10.0.0.1").listen_udp("0.0.0.0:0", Discard).unwrap();
    let count = |text: &str| {
        sender.write_to(text, &udp("239.1.2.3:9"));
        simulation.run_for(Duration::from_secs(1)).unwrap();
        heard.iter().map(|events| events.received().len()).collect::<Vec<_>>()
    };
    assert_eq!(count("to the local network"), [1, 1, 0]);
    sender.set_ttl(0).unwrap();
    assert_eq!(count("to this host"), [2, 1, 0]);
}
