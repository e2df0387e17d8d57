//! One of the two streams ends, and the other goes on.

use std::io::Write;
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;

#[test]
fn half_close_from_both_sides_ends_cleanly_in_either_order() {
    on_every_kind(&[], |wire| {
        // Our stream ends first.
        let (events, got) = wire.converse_half_closeable(
            |event, transport| {
                match event {
                    Event::Made => {
                        transport.write("ours");
                        transport.lose_write_connection();
                        transport.lose_write_connection();
                    }
                    Event::Lost(_) => {}
                    _ => transport.write("dropped"),
                }
                Ok(())
            },
            |mut stream| {
                let (got, end) = drain(&mut stream);
                assert_eq!(end, Ok(()));
                stream.write_all(b"theirs").unwrap();
                got
            },
        );
        assert!(events.reason().is_clean());
        assert_eq!(got, b"ours");
        assert_eq!(events.data(), b"theirs");
        assert_eq!(events.course(), ["made", "write lost", "data", "read lost", "lost"]);

        // The peer's stream ends first.
        let (events, got) = wire.converse_half_closeable(
            |event, transport| {
                if matches!(event, Event::ReadLost) {
                    transport.write("after your end");
                    let later = transport.clone();
                    transport.reactor().call_later(Duration::from_millis(5), move || {
                        later.write(", and later");
                        later.lose_write_connection();
                    });
                }
                Ok(())
            },
            |mut stream| {
                stream.shutdown(Shutdown::Write).unwrap();
                drain(&mut stream)
            },
        );
        assert!(events.reason().is_clean());
        assert_eq!(got, (b"after your end, and later".to_vec(), Ok(())));
        assert_eq!(events.names(), ["made", "read lost", "write lost", "lost"]);
    });
}

#[test]
fn lose_connection_after_half_close_ends_cleanly() {
    on_every_kind(&[], |wire| {
        let (events, end) = wire.converse_half_closeable(
            |event, transport| {
                match event {
                    Event::Made => transport.lose_write_connection(),
                    Event::WriteLost => transport.lose_connection(),
                    _ => {}
                }
                Ok(())
            },
            |mut stream| drain(&mut stream).1,
        );
        assert!(events.reason().is_clean(), "{:?}", events.reason());
        assert_eq!((events.names(), end), (vec!["made", "write lost", "lost"], Ok(())));
    });
}

#[test]
fn a_producer_cannot_be_registered_once_our_stream_has_ended() {
    on_every_kind(&[], |wire| {
        let (read_on, wait) = mpsc::channel();
        let (events, got) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write(noise(8 << 20));
                    transport.lose_connection();
                    let (late, read_on) = (transport.clone(), read_on.clone());
                    transport.reactor().call_later(Duration::ZERO, move || {
                        assert!(late.register_producer(late.clone(), true).is_err());
                        read_on.send(()).unwrap();
                    });
                }
                Ok(())
            },
            move |mut stream| {
                wait.recv().unwrap();
                drain(&mut stream).0.len()
            },
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert_eq!(got, 8 << 20);
    });
}

/// It used to come although the system had taken none of what was written.
#[test]
fn write_connection_lost_does_not_come_when_writing_has_failed() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            let probe = Probe::new(&record, |event, transport| {
                match event {
                    Event::Data(_) => {
                        transport.write("what nobody will read");
                        transport.lose_write_connection();
                    }
                    Event::Lost(_) => stop(transport.reactor()),
                    _ => {}
                }
                Ok(())
            });
            probe.half_closeable()
        })
        .unwrap();
    let mut peer = connect(address(&port));
    reactor.start_running().unwrap();
    while events.count("made") == 0 {
        reactor.iterate(Some(Duration::from_millis(1))).unwrap();
    }
    // The byte and the reset arrive before the next turn.
    peer.write_all(b"x").unwrap();
    reset(peer);
    while !events.lost() {
        reactor.iterate(Some(Duration::from_millis(1))).unwrap();
    }
    assert_eq!(events.names(), ["made", "data", "lost"]);
    assert!(matches!(events.reason(), Reason::ConnectionLost(_)), "{}", events.reason());
}
