//! How a TLS connection ends: in order, cut off, by half, by a deadline.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use torsade::Deadline;
use torsade::prelude::*;

use crate::keys;
use crate::support::{Echo, Event, Events, Probe, address, pattern, reset, run};
use crate::world::{converse, echo, side, silent};

#[test]
fn a_close_sends_everything_first_and_both_ends_are_clean() {
    let send = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write(pattern(0, 3_000_000));
            transport.lose_connection();
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), send, silent());
    assert!(ends.client.data() == pattern(0, 3_000_000));
    assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
    assert!(ends.server.reason().is_clean(), "{:?}", ends.server.reason());
}

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
        assert_eq!(closed.names(), ["made", "lost"], "who closes is told of no handshake");
    }
}

#[test]
fn an_error_in_a_callback_and_the_reactors_stop_close_in_order() {
    let fail = side(|event, transport| match event {
        Event::Data(_) => {
            transport.write("last words");
            Err("enough".into())
        }
        _ => Ok(()),
    });
    let hello = side(|event, transport| {
        if matches!(event, Event::Made) {
            transport.write("hello");
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), fail, hello);
    assert!(matches!(ends.server.reason(), Reason::Protocol(_)));
    assert_eq!(ends.client.data(), b"last words");
    assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());

    let stop = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write("closing time");
            transport.reactor().stop()?;
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), stop, silent());
    assert!(matches!(ends.server.reason(), Reason::ShuttingDown));
    assert!(!matches!(ends.client.reason(), Reason::TlsTruncated), "{:?}", ends.client.reason());
}

#[test]
fn an_abort_is_no_clean_end_for_the_peer() {
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

#[test]
fn half_a_close_leaves_the_other_direction_open() {
    let ask = side(|event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write("the whole question");
            transport.lose_write_connection();
        }
        Ok(())
    });
    let answer = side(|event, transport| {
        if matches!(event, Event::ReadLost) {
            transport.write(pattern(0, 300_000));
            transport.lose_connection();
        }
        Ok(())
    })
    .half_closeable();
    let ends = converse(&keys::server(), &keys::client(), answer, ask);
    assert_eq!(ends.server.data(), b"the whole question");
    assert!(ends.client.data() == pattern(0, 300_000));
    assert_eq!(ends.client.count("write lost"), 1);
    assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
    assert!(ends.server.reason().is_clean(), "{:?}", ends.server.reason());
}

/// Accepts one connection and carries bytes to and from `there`, until `end` has been called on what is left of the
/// client's socket. `end` gets both sockets once the server's side has said `count` bytes.
fn relay(there: SocketAddr, count: usize, end: impl FnOnce(TcpStream, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = TcpStream::connect(there).expect("the server listens");
        let (mut from_client, mut to_server) = (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
        thread::spawn(move || std::io::copy(&mut from_client, &mut to_server).ok());
        let (mut from_server, mut to_client) = (&server, &client);
        let (mut carried, mut buffer) = (0, [0; 4096]);
        while carried < count {
            match from_server.read(&mut buffer) {
                Ok(got) if got > 0 => {
                    carried += got;
                    to_client.write_all(&buffer[..got]).expect("the client reads");
                }
                _ => break,
            }
        }
        end(client, server);
    });
    here
}

/// A client whose connection with a talkative server is ended by somebody between.
fn cut(allowed: bool, end: impl FnOnce(TcpStream, TcpStream) + Send + 'static) -> Events {
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
    // More than the handshake and the story: the relay waits for ever, unless the client says that it has got it.
    let (told, heard) = std::sync::mpsc::channel::<()>();
    let here = relay(address(&port), 500, move |client, server| {
        // The rest of what the server has sent is on its way still; the client says when it has all.
        let (mut from, mut to) = (server.try_clone().expect("a handle"), client.try_clone().expect("a handle"));
        thread::spawn(move || std::io::copy(&mut from, &mut to).ok());
        heard.recv().ok();
        end(client, server);
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
    let half = |client: TcpStream, _server| client.shutdown(Shutdown::Write).expect("a connection");
    let events = cut(false, half);
    assert_eq!(events.data(), b"the beginning of a long story");
    assert!(matches!(events.reason(), Reason::TlsTruncated), "{:?}", events.reason());
    assert_eq!(events.count("read lost"), 0, "it is no end of the peer's stream");

    let events = cut(true, half);
    assert_eq!(events.data(), b"the beginning of a long story");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
    assert_eq!(events.count("read lost"), 1);
}

#[test]
fn a_reset_is_a_lost_connection() {
    let events = cut(true, |client, server| {
        // Ends the threads that hold these sockets too: a reset comes with the last of them.
        server.shutdown(Shutdown::Both).ok();
        client.shutdown(Shutdown::Read).ok();
        reset(client);
    });
    assert!(matches!(events.reason(), Reason::ConnectionLost(_) | Reason::ConnectionDone), "{:?}", events.reason());
}

#[test]
fn a_peer_that_never_answers_the_close_is_left_by_a_deadline() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let probe = move |_peer| {
        Probe::new(&record, |event, transport| {
            match event {
                Event::Data(_) => {
                    transport.set_close_timeout(Duration::from_millis(100));
                    transport.lose_connection();
                }
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), probe).unwrap();
    // The client never reads after its hello, so it does not see the close.
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
    assert!(matches!(events.reason(), Reason::TimedOut(Deadline::Linger)), "{:?}", events.reason());
}

#[test]
fn an_echo_gets_everything_back_after_its_half_close() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), |_peer| Echo).unwrap();
    let events = Events::default();
    let record = events.clone();
    let factory = move |_peer| {
        Probe::new(&record, |event, transport| {
            match event {
                Event::Made => {
                    transport.set_read_while_congested(true);
                    transport.write(pattern(0, 2_000_000));
                    transport.lose_write_connection();
                }
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    reactor.connect_tls(port.address(), &keys::client(), factory).unwrap();
    run(&reactor);
    assert!(events.data() == pattern(0, 2_000_000), "{} bytes", events.data().len());
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

#[test]
fn two_echoes_and_a_close_leave_nothing_behind() {
    let close = side(|event, transport| {
        match event {
            Event::Made => transport.write("ping"),
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), echo(), close);
    assert!(ends.server.reason().is_clean() && ends.client.reason().is_clean());
}
