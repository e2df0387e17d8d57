//! How a TLS connection ends before its handshake, by an abort, by truncation, by a timeout. What it has in common with other
//! connections is in `behaviour`, and in the suites that run over every wire.

use std::cell::{Cell, RefCell};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::{Faults, Simulation};

use crate::keys;
use crate::support::{Event, Events, Probe, address, pattern, run};
use crate::world::{converse, side, silent};

#[test]
fn a_close_before_the_handshake_still_sends_what_was_written() {
    for closing_server in [true, false] {
        let send = || {
            side(|event, transport| {
                if matches!(event, Event::Made) {
                    transport.write("goodbye");
                    transport.lose_connection();
                    transport.write(", really");
                }
                Ok(())
            })
        };
        let (server, client) = if closing_server { (send(), silent()) } else { (silent(), send()) };
        let ends = converse(&keys::server(), &keys::client(), server, client);
        let (closed, other) = if closing_server { (ends.server, ends.client) } else { (ends.client, ends.server) };
        assert_eq!(other.data(), b"goodbye, really");
        assert!(other.reason().is_clean(), "{:?}", other.reason());
        assert!(closed.reason().is_clean(), "{:?}", closed.reason());
        assert_eq!(closed.names(), ["made", "lost"], "the side that closes is told of no handshake");
    }
}

#[test]
fn an_abort_is_not_a_clean_end_for_the_peer() {
    let abort = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.abort_connection();
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), abort, silent());
    assert!(matches!(ends.server.reason(), Reason::ConnectionAborted));
    assert!(matches!(ends.client.reason(), Reason::ConnectionLost(_) | Reason::TlsTruncated), "{:?}", ends.client.reason());
}

/// A client whose connection to a talkative server is closed in between, below TLS.
fn cut(allowed: bool) -> Events {
    let reactor = Reactor::new().unwrap();
    let talk = |_peer| {
        Probe::new(&Events::default(), |event, transport| {
            if matches!(event, Event::Made) {
                transport.write("the beginning of a long story");
            }
            Ok(())
        })
    };
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), talk).unwrap();
    let there = address(&port);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = listener.local_addr().unwrap();
    let (told, heard) = std::sync::mpsc::channel::<()>();
    thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = TcpStream::connect(there).expect("the server listens");
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone().expect("a handle"), to.try_clone().expect("a handle"));
            thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
        }
        // The client reports that it has the story, so that none of it is in transit.
        heard.recv().ok();
        client.shutdown(Shutdown::Write).expect("a connection");
    });
    let events = Events::default();
    let record = events.clone();
    let told = Rc::new(Cell::new(Some(told)));
    let factory = move |_peer| {
        let told = told.clone();
        Probe::new(&record, move |event, transport| {
            match event {
                Event::Made => transport.set_tls_truncation_allowed(allowed),
                Event::Data(_) => drop(told.take()),
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    reactor.connect_tls(here, &keys::client(), factory).unwrap();
    run(&reactor);
    events
}

#[test]
fn an_end_without_close_notify_is_a_truncation_unless_allowed() {
    let events = cut(false);
    assert_eq!(events.data(), b"the beginning of a long story");
    assert!(matches!(events.reason(), Reason::TlsTruncated), "{:?}", events.reason());
    assert_eq!(events.count("read lost"), 0, "it is not the end of the peer's stream");

    let events = cut(true);
    assert_eq!(events.data(), b"the beginning of a long story");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
    assert_eq!(events.count("read lost"), 1);
}

#[test]
fn a_peer_that_never_answers_the_close_does_not_hold_it_up() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let probe = move |_peer| {
        Probe::new(&record, |event, transport| {
            match event {
                Event::Data(_) => transport.lose_connection(),
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), probe).unwrap();
    // The client never reads after its ClientHello, so it does not see the close.
    let client = |_peer| {
        Probe::new(&Events::default(), |event, transport| {
            if matches!(event, Event::Handshake) {
                transport.write("hello");
                transport.pause_producing();
            }
            Ok(())
        })
    };
    reactor.connect_tls(port.address(), &keys::client(), client).unwrap();
    run(&reactor);
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

/// A relay between a TLS client and its server, below TLS. It forwards the client's bytes, then sends bytes of its own instead of
/// the end, and it delays the server's bytes. Returns the events of its connection to the server.
fn relay_with_a_last_word(simulation: &Simulation) -> Events {
    let events = Events::default();
    let seen = events.clone();
    let relay = simulation.host("10.0.0.1");
    let reactor = (*relay).clone();
    let factory = move |_peer: Address| {
        let client_side: Rc<RefCell<Option<Transport>>> = Rc::default();
        let server_side: Rc<RefCell<Option<Transport>>> = Rc::default();
        let (to_client, to_server) = (client_side.clone(), server_side.clone());
        let seen = seen.clone();
        let from_server = move |_peer: Address| {
            let (to_client, server_side) = (to_client.clone(), server_side.clone());
            Probe::new(&seen, move |event, transport| {
                let client = to_client.borrow().clone().expect("it arrived first");
                match event {
                    Event::Made => {
                        server_side.replace(Some(transport.clone()));
                        client.resume_producing();
                    }
                    Event::Data(data) => client.write(data),
                    Event::Lost(_) => client.lose_connection(),
                    _ => {}
                }
                Ok(())
            })
        };
        reactor.connect_tcp("10.0.0.2:443", from_server).expect("an address");
        let from_client = move |event: &Event, transport: &Transport| {
            let server = to_server.borrow().clone();
            match event {
                Event::Made => {
                    client_side.replace(Some(transport.clone()));
                    transport.pause_producing();
                }
                Event::Data(data) => server.expect("until then it pauses").write(data),
                Event::ReadLost => {
                    let server = server.expect("until then it pauses");
                    server.write("a last word");
                    server.pause_producing();
                    transport.reactor().call_later(Duration::from_secs(5), move || server.resume_producing());
                }
                _ => {}
            }
            Ok(())
        };
        Probe::new(&Events::default(), from_client).half_closeable()
    };
    relay.listen_tcp("0.0.0.0:443", factory).expect("a port");
    events
}

#[test]
fn bytes_after_the_peers_close_notify_cost_it_nothing_of_what_it_was_promised() {
    const SIZE: usize = 200_000;
    let simulation = Simulation::new(1);
    let below = relay_with_a_last_word(&simulation);
    let server = Events::default();
    let record = server.clone();
    let answer = move |_peer: Address| {
        Probe::new(&record, |event, transport| {
            if matches!(event, Event::ReadLost) {
                transport.write(pattern(0, SIZE));
            }
            Ok(())
        })
    };
    simulation.host("10.0.0.2").listen_tls("0.0.0.0:443", &keys::server(), answer).unwrap();
    let client = Events::default();
    let record = client.clone();
    let ask = move |_peer: Address| {
        let ask = |event: &Event, transport: &Transport| {
            if matches!(event, Event::Handshake) {
                transport.write("question");
                transport.lose_write_connection();
            }
            Ok(())
        };
        Probe::new(&record, ask).half_closeable()
    };
    simulation.host("10.0.0.3").connect_tls("10.0.0.1:443", &keys::client(), ask).unwrap();
    simulation.run_until(|| client.lost() && server.lost() && below.lost()).unwrap();
    assert!(simulation.now() < Duration::from_secs(10), "the server's FIN waits for nobody: {:?}", simulation.now());
    assert!(client.data() == pattern(0, SIZE), "{} of {SIZE} bytes", client.data().len());
    assert!(client.reason().is_clean(), "{:?}", client.reason());
    assert!(server.reason().is_clean(), "{:?}", server.reason());
}

struct Told(Rc<RefCell<Vec<&'static str>>>);

impl Producer for Told {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.borrow_mut().push("resume");
        Ok(())
    }

    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.borrow_mut().push("pause");
        Ok(())
    }

    fn stop_producing(&mut self) {
        self.0.borrow_mut().push("stop");
    }
}

#[test]
fn a_producer_that_was_paused_for_a_handshake_is_resumed_when_a_close_gives_that_up() {
    let small = Faults { send_buffer: 100..=100, receive_buffer: 1..=1, ..Faults::calm() };
    let simulation = Simulation::with_faults(1, small);
    let told = Rc::<RefCell<Vec<_>>>::default();
    let notes = told.clone();
    // It reads nothing, so most of the ClientHello stays unsent.
    let server = |_peer| {
        Probe::new(&Events::default(), |_, transport| {
            transport.pause_producing();
            Ok(())
        })
    };
    simulation.host("10.0.0.1").listen_tcp("10.0.0.1:7000", server).unwrap();
    let client = move |_peer| {
        let notes = notes.clone();
        Probe::new(&Events::default(), move |event, transport| {
            if matches!(event, Event::Made) {
                transport.register_producer(Told(notes.clone()), true)?;
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_secs(1), move || {
                    let hello = late.unsent();
                    assert!(hello > 0);
                    late.set_write_buffer_limits(hello, hello + 1);
                    // Its close_notify has to wait for the handshake, and exceeds the limit.
                    late.lose_write_connection();
                });
                let late = transport.clone();
                transport.reactor().call_later(Duration::from_secs(2), move || late.lose_connection());
            }
            Ok(())
        })
    };
    simulation.host("10.0.0.2").connect_tls("10.0.0.1:7000", &keys::client(), client).unwrap();
    simulation.run_for(Duration::from_millis(1500)).unwrap();
    assert_eq!(*told.borrow(), ["pause"]);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*told.borrow(), ["pause", "resume"]);
}

/// With nothing for TLS to send, the handshake used to be given up before the compressor had handed over what it held.
#[test]
fn a_close_before_the_handshake_is_over_sends_what_only_the_compressor_has() {
    let server = side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.expect_compression("deflate-raw", b"")?;
        }
        Ok(())
    });
    let client = side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.set_compression(Compression::deflate_raw().announce(false).flush(Flush::Manual))?;
            transport.write("hello");
            transport.lose_connection();
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), server, client);
    assert_eq!(ends.server.data().escape_ascii().to_string(), "hello");
}
