//! A reset is noticed whatever the connection is doing, and is reported as a reset.

use std::cell::RefCell;
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;

#[test]
fn a_reset_by_the_peer_is_a_lost_connection() {
    on_every_wire(|wire| {
        let (events, ()) = wire.converse(|_, _| Ok(()), reset);
        let Reason::ConnectionLost(error) = events.reason() else { panic!("{:?}", events.reason()) };
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(events.names(), ["made", "lost"]);
    });
}

#[test]
fn an_abort_is_a_reset_for_the_peer_where_the_kind_has_one_and_else_looks_like_an_end() {
    on_every_kind(&[], |wire| {
        let (events, end) = wire.converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    transport.abort_connection();
                }
                Ok(())
            },
            |mut stream| drain(&mut stream).1,
        );
        assert!(matches!(events.reason(), Reason::ConnectionAborted), "{:?}", events.reason());
        assert_eq!(end.is_err(), wire.kind.can(Ability::Reset));
    });
}

#[test]
fn a_reset_is_noticed_while_paused() {
    on_every_wire(|wire| {
        let (paused, wait) = mpsc::channel();
        let (events, ()) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.pause_producing();
                    let paused = paused.clone();
                    // In the next turn it is certainly paused.
                    transport.reactor().call_later(Duration::ZERO, move || paused.send(()).unwrap());
                }
                Ok(())
            },
            move |mut stream| {
                wait.recv().unwrap();
                stream.write_all(b"unread").unwrap();
                reset(stream);
            },
        );
        assert!(matches!(events.reason(), Reason::ConnectionLost(_)), "{:?}", events.reason());
        assert_eq!(events.names(), ["made", "lost"]);
    });
}

#[test]
fn a_reset_is_noticed_by_a_protocol_that_pauses_in_the_very_turn_it_arrives() {
    on_every_wire(|wire| {
        let (gone, wait) = mpsc::channel();
        let wait = RefCell::new(Some(wait));
        let (events, ()) = wire.converse(
            move |event, transport| {
                match event {
                    // The loop is blocked until the reset has arrived, together with the data.
                    Event::Made => wait.take().unwrap().recv_timeout(LIMIT)?,
                    Event::Data(_) => transport.pause_producing(),
                    _ => {}
                }
                Ok(())
            },
            move |mut stream| {
                stream.write_all(&[b'x'; 100_000]).unwrap();
                reset(stream);
                gone.send(()).unwrap();
            },
        );
        assert!(matches!(events.reason(), Reason::ConnectionLost(_)), "{:?}", events.reason());
    });
}

#[test]
fn a_reset_is_noticed_while_own_output_is_stuck() {
    on_every_wire(|wire| {
        let (stuck, wait) = mpsc::channel();
        let (events, ()) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write(noise(8 << 20));
                    let stuck = stuck.clone();
                    transport.reactor().call_later(Duration::ZERO, move || stuck.send(()).unwrap());
                }
                Ok(())
            },
            move |stream| {
                wait.recv().unwrap();
                reset(stream);
            },
        );
        assert!(matches!(events.reason(), Reason::ConnectionLost(_)), "{:?}", events.reason());
    });
}

#[test]
fn a_reset_after_both_streams_have_ended_is_no_loss() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let factory = move |_peer: Address| {
        Probe::new(&record, |event, transport| {
            match event {
                Event::Data(_) => transport.lose_connection(),
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        })
    };
    let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
    // Everything arrives before the loop turns: a byte, the end, and a reset.
    let mut client = TcpStream::connect(address(&port)).unwrap();
    client.write_all(b"1").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    reset(client);
    run(&reactor);
    assert_eq!(events.data(), b"1");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}
