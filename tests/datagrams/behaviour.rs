//! The order of callbacks, on the system's sockets and on simulated ones.

use std::cell::{Cell, RefCell};
use std::net::UdpSocket;
use std::rc::Rc;
use std::time::Duration;

use log::Level;
use torsade::prelude::*;
use torsade::wire::{Discard, Echo};
use torsade::{DatagramOptions, ListenError};

use crate::probe::{Event, Events, Probe, in_both_worlds, long, udp};
use crate::support::logged::logged;
use crate::support::{pattern, run, stop};

#[test]
fn each_datagram_arrives_whole_whatever_its_size_and_is_answered_to_its_sender() {
    in_both_worlds(|reactor| {
        let server = reactor.listen_udp_with("127.0.0.1:0", long(), Echo).unwrap();
        let sizes = [0, 1, 2, 512, 1472, 8192, 8193, 65_507];
        let questions: Vec<Vec<u8>> = sizes.into_iter().map(|size| pattern(size, size)).collect();
        let events = Events::default();
        let client = Probe::asking(&events, server.host(), questions.clone(), sizes.len());
        let client = reactor.listen_udp_with("127.0.0.1:0", long(), client).unwrap();
        run(reactor);
        assert_eq!(events.received(), questions);
        let from = |event: &Event| matches!(event, Event::Received(_, from) if *from == server.host());
        assert_eq!(events.all().iter().filter(|event| from(event)).count(), sizes.len());
        assert_eq!((client.truncated(), server.dropped()), (0, 0));
    });
}

#[test]
fn the_protocol_is_started_by_the_loop_and_stopped_once_with_the_port_or_with_the_reactor() {
    in_both_worlds(|reactor| {
        let (first, second) = (Events::default(), Events::default());
        let stopped_early = reactor.listen_udp("127.0.0.1:0", Probe::silent(&first)).unwrap();
        let other = Probe::new(&second, move |event, transport| {
            if *event == Event::Started {
                stopped_early.stop_listening();
                stopped_early.stop_listening();
                let reactor = transport.reactor().clone();
                transport.reactor().call_later(Duration::ZERO, move || stop(&reactor));
            }
            Ok(())
        });
        let transport = reactor.listen_udp("127.0.0.1:0", other).unwrap();
        assert_eq!((first.all(), second.all()), (vec![], vec![]), "no method calls a callback");
        run(reactor);
        assert_eq!(first.all(), [Event::Started, Event::Stopped]);
        assert_eq!(second.all(), [Event::Started, Event::Stopped]);
        assert_eq!(reactor.source_count(), 0);
        transport.write_to("nobody hears it", &udp("127.0.0.1:9"));
        assert!(transport.connect(&udp("127.0.0.1:9")).is_err());
        assert_eq!((transport.dropped(), second.all().len()), (0, 2));
    });
}

#[test]
fn after_stop_listening_nothing_is_delivered_that_had_come_before() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let receiver = Probe::new(&events, |event, transport| {
            match event {
                Event::Received(..) => transport.stop_listening(),
                Event::Stopped => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        });
        let receiver = reactor.listen_udp("127.0.0.1:0", receiver).unwrap();
        let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
        for number in 0..3 {
            sender.write_to([number], &receiver.host());
        }
        run(reactor);
        assert_eq!(events.received(), [[0]]);
        assert_eq!(events.all().last(), Some(&Event::Stopped));
    });
}

#[test]
fn an_error_or_a_panic_in_a_callback_is_reported_and_the_port_stays() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let server = Probe::new(&events, |event, transport| {
            let Event::Received(data, from) = event else { return Err("at the beginning, or at the end".into()) };
            match data.as_slice() {
                b"error" => Err("deliberate".into()),
                b"panic" => panic!("deliberate, in a test"),
                data => {
                    transport.write_to(data, from);
                    Ok(())
                }
            }
        });
        let server = reactor.listen_udp("127.0.0.1:0", server).unwrap();
        let answers = Events::default();
        let questions = ["error", "panic", "fine"].map(|text| text.as_bytes().to_vec()).to_vec();
        reactor.listen_udp("127.0.0.1:0", Probe::asking(&answers, server.host(), questions, 1)).unwrap();
        let told = logged(Level::Error, || run(reactor));
        assert_eq!(answers.received(), [b"fine"]);
        let told: Vec<String> = told.into_iter().map(|(_, line)| line).collect();
        let host = server.host();
        let expected = [
            format!("datagrams on {host}: start_protocol failed: at the beginning, or at the end"),
            format!("datagrams on {host}: datagram_received failed: deliberate"),
            format!("datagrams on {host}: datagram_received panicked: deliberate, in a test"),
            format!("datagrams on {host}: stop_protocol failed: at the beginning, or at the end"),
        ];
        assert_eq!(told, expected);
    });
}

#[test]
fn a_datagram_that_is_too_long_is_cut_and_that_is_counted_and_reported_once() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let receiver = Probe::new(&events, |event, transport| {
            if matches!(event, Event::Received(..)) {
                transport.reactor().stop()?;
            }
            Ok(())
        });
        let options = DatagramOptions { max_packet_size: 100, ..DatagramOptions::default() };
        let receiver = reactor.listen_udp_with("127.0.0.1:0", options, receiver).unwrap();
        let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
        for size in [101, 5000, 100] {
            sender.write_to(pattern(0, size), &receiver.host());
        }
        let told = logged(Level::Error, || run(reactor));
        let from = sender.host();
        let cut = Event::Truncated(pattern(0, 100));
        let whole = Event::Received(pattern(0, 100), from.clone());
        assert_eq!(events.all(), [Event::Started, cut.clone(), cut, whole, Event::Stopped]);
        assert_eq!(receiver.truncated(), 2);
        let [(_, told)] = told.as_slice() else { panic!("{told:?}") };
        let text = format!("datagrams on {}: a datagram from {from} is longer than 100 bytes, and was cut", receiver.host());
        assert!(told.starts_with(&text) && told.contains("max_packet_size"), "{told}");
    });
}

#[test]
fn the_beginning_of_a_cut_datagram_is_delivered_unless_the_protocol_takes_it_elsewhere() {
    struct Ordinary(Rc<RefCell<Vec<usize>>>);

    impl DatagramProtocol for Ordinary {
        fn datagram_received(&mut self, transport: &DatagramTransport, data: &[u8], _from: &Address) -> Result {
            self.0.borrow_mut().push(data.len());
            Ok(transport.reactor().stop()?)
        }
    }

    in_both_worlds(|reactor| {
        let lengths = Rc::<RefCell<Vec<usize>>>::default();
        let receiver = reactor.listen_udp("127.0.0.1:0", Ordinary(lengths.clone())).unwrap();
        let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
        sender.write_to(pattern(0, 9000), &receiver.host());
        run(reactor);
        assert_eq!(*lengths.borrow(), [8192]);
    });
}

/// An address where nobody receives any more once the reactor has turned.
fn nobody(reactor: &Reactor) -> Address {
    let gone = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
    gone.stop_listening();
    gone.host()
}

#[test]
fn a_connected_port_learns_that_nobody_is_there_and_is_heard_as_soon_as_somebody_is() {
    in_both_worlds(|reactor| {
        let (events, address) = (Events::default(), nobody(reactor));
        let there = address.clone();
        let client = Probe::new(&events, move |event, transport| {
            match event {
                Event::Started => {
                    let (transport, there) = (transport.clone(), there.clone());
                    transport.reactor().clone().call_later(Duration::ZERO, move || {
                        transport.connect(&there).unwrap();
                        transport.write("lost");
                    });
                }
                Event::Refused => {
                    transport.reactor().listen_udp(there.clone(), Echo)?;
                    transport.write("heard");
                }
                Event::Received(..) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        });
        let client = reactor.listen_udp("127.0.0.1:0", client).unwrap();
        run(reactor);
        let heard = Event::Received(b"heard".to_vec(), address.clone());
        assert_eq!(events.all(), [Event::Started, Event::Refused, heard, Event::Stopped]);
        assert_eq!((client.peer(), client.dropped()), (Some(address), 0));
    });
}

#[test]
fn a_datagram_is_not_lost_to_the_refusal_of_the_one_before() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = Address::Udp(silent.local_addr().unwrap());
    drop(silent);
    let there = address.clone();
    let client = Probe::new(&events, move |event, transport| {
        match event {
            Event::Started => {
                transport.connect(&there)?;
                // On the loopback this one is refused before the call returns, and the next write finds the error.
                transport.write("lost");
                transport.reactor().listen_udp(there.clone(), Echo)?;
                transport.write("heard");
            }
            Event::Received(..) => transport.reactor().stop()?,
            _ => {}
        }
        Ok(())
    });
    let client = reactor.listen_udp("127.0.0.1:0", client).unwrap();
    run(&reactor);
    assert_eq!(events.received(), [b"heard"]);
    assert_eq!((events.count(&Event::Refused), client.dropped()), (1, 0));
}

#[test]
fn a_port_that_is_not_connected_gets_no_refusals() {
    in_both_worlds(|reactor| {
        let (events, address) = (Events::default(), nobody(reactor));
        let client = Probe::new(&events, move |event, transport| {
            if *event == Event::Started {
                let (transport, address) = (transport.clone(), address.clone());
                transport.reactor().clone().call_later(Duration::ZERO, move || {
                    transport.write_to("lost", &address);
                    transport.write_to("found", &transport.host());
                });
            }
            if let Event::Received(..) = event {
                transport.reactor().stop()?;
            }
            Ok(())
        });
        reactor.listen_udp("127.0.0.1:0", client).unwrap();
        run(reactor);
        assert_eq!((events.received(), events.count(&Event::Refused)), (vec![b"found".to_vec()], 0));
    });
}

#[test]
fn a_connected_port_receives_from_its_peer_only_and_can_be_connected_to_another() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let (first, second) =
            (reactor.listen_udp("127.0.0.1:0", Discard).unwrap(), reactor.listen_udp("127.0.0.1:0", Discard).unwrap());
        let (one, other) = (first.clone(), second.clone());
        let client = Probe::new(&events, move |event, transport| {
            match event {
                Event::Started => {
                    transport.connect(&one.host())?;
                    other.write_to("not for it", &transport.host());
                    one.write_to("first", &transport.host());
                }
                Event::Received(_, from) if *from == one.host() => {
                    transport.connect(&other.host())?;
                    one.write_to("not any more", &transport.host());
                    other.write_to("second", &transport.host());
                }
                Event::Received(..) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        });
        let client = reactor.listen_udp("127.0.0.1:0", client).unwrap();
        run(reactor);
        assert_eq!(events.received(), [&b"first"[..], b"second"]);
        assert_eq!(client.peer(), Some(second.host()));
    });
}

#[test]
fn everything_may_be_called_while_the_protocol_is_borrowed() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let until_stopped = |event: &Event, transport: &DatagramTransport| {
            if matches!(event, Event::Stopped) {
                transport.reactor().stop()?;
            }
            Ok(())
        };
        let protocol = Rc::new(RefCell::new(Probe::new(&events, until_stopped)));
        let transport = reactor.listen_udp("127.0.0.1:0", protocol.clone()).unwrap();
        let held = protocol.borrow_mut();
        transport.write("to nobody");
        transport.write_to("to itself", &transport.host());
        transport.connect(&transport.host()).unwrap();
        transport.write_to("of the wrong kind", &Address::Tcp("127.0.0.1:9".parse().unwrap()));
        transport.set_ttl(0).unwrap();
        transport.stop_listening();
        drop(held);
        run(reactor);
        assert_eq!(transport.dropped(), 2);
        assert_eq!(events.all().last(), Some(&Event::Stopped));
    });
}

#[test]
fn a_port_that_is_taken_is_refused_unless_all_say_that_they_share_it() {
    in_both_worlds(|reactor| {
        let first = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
        let taken = reactor.listen_udp(first.host(), Discard).unwrap_err();
        let ListenError::Io { address, cause } = &taken else { panic!("{taken}") };
        assert_eq!((address, cause.kind()), (&first.host(), std::io::ErrorKind::AddrInUse));
        let shared = DatagramOptions { listen_multiple: true, ..DatagramOptions::default() };
        assert!(reactor.listen_udp_with(first.host(), shared, Discard).is_err(), "the first does not share it");
        if cfg!(unix) {
            let first = reactor.listen_udp_with("127.0.0.1:0", shared, Discard).unwrap();
            let second = reactor.listen_udp_with(first.host(), shared, Discard).unwrap();
            assert_eq!(first.host(), second.host());
        }
        assert!(matches!(reactor.listen_udp("localhost:0", Discard), Err(ListenError::Name(_))));
        assert!(matches!(reactor.listen_udp("127.0.0.1", Discard), Err(ListenError::Address(_))));
    });
}

#[test]
fn a_tcp_port_and_a_udp_port_of_one_number_do_not_meet() {
    in_both_worlds(|reactor| {
        // Another program may have the TCP port of that number, but not of every number.
        let meets = |_| {
            let udp = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
            let tcp = reactor.listen_tcp(udp.host(), |_peer| Discard).ok()?;
            Some((tcp.address().port(), udp.host().port()))
        };
        let (tcp, udp) = (0..50).find_map(meets).expect("the same port number for both");
        assert_eq!(tcp, udp);
    });
}

#[test]
fn a_socket_that_was_opened_elsewhere_is_adopted_connected_or_not() {
    let reactor = Reactor::new().unwrap();
    let (one, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    one.connect(other.local_addr().unwrap()).unwrap();
    let server = reactor.adopt_datagram_port(other, DatagramOptions::default(), Echo).unwrap();
    let events = Events::default();
    let client = Probe::new(&events, |event, transport| {
        match event {
            Event::Started => transport.write("over a socket of another's"),
            Event::Received(..) => transport.reactor().stop()?,
            _ => {}
        }
        Ok(())
    });
    let client = reactor.adopt_datagram_port(one, DatagramOptions::default(), client).unwrap();
    run(&reactor);
    assert_eq!((client.peer(), server.peer()), (Some(server.host()), None));
    assert_eq!(events.received(), [b"over a socket of another's"]);
}

#[test]
fn what_waits_in_the_socket_when_the_reactor_starts_is_received() {
    in_both_worlds(|reactor| {
        let events = Events::default();
        let count = Rc::new(Cell::new(0));
        let seen = count.clone();
        let receiver = Probe::new(&events, move |event, transport| {
            if let Event::Received(..) = event {
                seen.set(seen.get() + 1);
                if seen.get() == 100 {
                    transport.reactor().stop()?;
                }
            }
            Ok(())
        });
        let receiver = reactor.listen_udp("127.0.0.1:0", receiver).unwrap();
        let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
        for number in 0..100 {
            sender.write_to([number], &receiver.host());
        }
        run(reactor);
        assert_eq!(events.received(), (0..100).map(|number| vec![number]).collect::<Vec<_>>());
    });
}
