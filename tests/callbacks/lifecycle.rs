//! `connection_made` comes first, `connection_lost` last and exactly once, always with the reason.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;
use torsade::{Phase, SystemEvent};

const CALLBACKS: [&str; 5] = ["made", "data", "read lost", "write lost", "resumed"];

#[test]
fn the_end_of_the_peers_stream_closes_cleanly() {
    on_every_kind(&[], |wire| {
        let (events, ()) = wire.converse(|_, _| Ok(()), |mut stream| stream.write_all(b"hello").unwrap());
        assert!(events.reason().is_clean(), "{:?}", events.reason());
        assert_eq!(events.course(), ["made", "data", "read lost", "lost"]);
        assert_eq!(events.data(), b"hello");
    });
}

#[test]
fn abort_in_any_callback_ends_with_that_reason_and_a_reset() {
    on_every_kind(&[], |wire| {
        for callback in CALLBACKS {
            let abort = in_callback(callback, |transport| {
                transport.write(b"dropped");
                transport.abort_connection();
                transport.lose_connection();
                Ok(())
            });
            let (events, (got, reset)) = wire.converse_half_closeable(abort, |mut stream| {
                let sent = stream.write_all(b"x").and_then(|()| stream.shutdown(Shutdown::Write));
                let (got, end) = drain(&mut stream);
                (got, sent.is_err() || end.is_err())
            });
            assert!(matches!(events.reason(), Reason::ConnectionAborted), "{callback}: {:?}", events.reason());
            assert_eq!(events.names().iter().rev().nth(1), Some(&callback), "nothing between: {:?}", events.names());
            assert_eq!(got, b"", "{callback}");
            // Once both streams have ended there is no connection left to reset.
            if wire.kind.can(Ability::Reset) && !matches!(callback, "read lost" | "write lost") {
                assert!(reset, "{callback}");
            }
        }
    });
}

#[test]
fn an_error_in_any_callback_closes_with_that_reason_after_sending_what_was_written() {
    on_every_kind(&[], |wire| {
        for callback in CALLBACKS {
            let fail = in_callback(callback, |transport| {
                transport.write(b"sent");
                Err("it went wrong".into())
            });
            let (events, (got, end)) = wire.converse_half_closeable(fail, |mut stream| {
                // The system reports a reset once, to the first call after it, which may be a write.
                let written = stream.write_all(b"x").and_then(|()| stream.shutdown(Shutdown::Write));
                let (got, end) = drain(&mut stream);
                (got, end.and(written.map_err(|error| error.kind())))
            });
            let Reason::Protocol(error) = events.reason() else { panic!("{callback}: {:?}", events.reason()) };
            assert_eq!(error.to_string(), "it went wrong");
            let ended_before = callback == "write lost";
            assert_eq!(end.is_err(), wire.shows_cuts() && !ended_before, "{callback}");
            assert!(ended_before || wire.compressed || got == b"sent", "{callback}");
        }
    });
}

#[test]
fn a_panic_in_any_callback_closes_that_connection_only() {
    on_every_kind(&[], |wire| {
        for callback in CALLBACKS {
            let (events, ()) =
                wire.converse_half_closeable(in_callback(callback, |_| panic!("deliberate, in a test")), |mut stream| {
                    stream.write_all(b"x").ok();
                    stream.shutdown(Shutdown::Write).ok();
                    drain(&mut stream).1.ok();
                });
            let Reason::Panicked(panic) = events.reason() else { panic!("{callback}: {:?}", events.reason()) };
            assert!(panic.to_string().contains("deliberate"), "{panic}");
        }
    });
}

#[test]
fn others_go_on_after_a_panic_and_after_a_failing_connection_lost() {
    on_every_kind(&[Ability::Several], |wire| {
        for failure in ["panic", "error", "panic in lost", "error in lost"] {
            let reactor = wire.reactor();
            let lost = Rc::new(Cell::new(0));
            let counter = lost.clone();
            let bad = wire.listen(&reactor, move |_peer| {
                let counter = counter.clone();
                Probe::new(&Events::default(), move |event, _| match (event, failure) {
                    (Event::Data(_), "panic") => panic!("deliberate, in a test"),
                    (Event::Data(_), "error") => Err("deliberate".into()),
                    (Event::Lost(_), failure) => {
                        counter.set(counter.get() + 1);
                        match failure {
                            "panic in lost" => panic!("deliberate, in a test"),
                            "error in lost" => Err("deliberate".into()),
                            _ => Ok(()),
                        }
                    }
                    _ => Ok(()),
                })
            });
            let good = wire.listen(&reactor, |_peer| Echo);
            let (bad, good, handle) = (bad.place.clone(), good.place.clone(), reactor.handle());
            let peers = std::thread::spawn(move || {
                let mut early = good.connect();
                for _ in 0..3 {
                    let mut stream = bad.connect();
                    stream.write_all(b"x").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    drain(&mut stream).1.ok();
                }
                early.write_all(b"still here").unwrap();
                let got = read_exactly(&mut early, 10);
                handle.call_from_thread(stop).unwrap();
                got
            });
            run(&reactor);
            assert_eq!(peers.join().unwrap(), b"still here", "{failure}");
            assert_eq!(lost.get(), 3, "{failure}");
        }
    });
}

#[test]
fn the_first_failure_is_the_reason_even_if_the_peer_does_not_close_or_resets() {
    on_every_kind(&[], |wire| {
        for resets in [false, true].into_iter().filter(|resets| !resets || wire.kind.can(Ability::Reset)) {
            let (done, wait) = mpsc::channel();
            let (events, ()) = wire.converse(
                move |event, _| match event {
                    Event::Made => Err("the cause".into()),
                    Event::Lost(_) => Ok(done.send(())?),
                    _ => Ok(()),
                },
                move |stream| {
                    if resets {
                        let mut stream = stream;
                        drain(&mut stream).1.ok();
                        reset(stream);
                        return;
                    }
                    wait.recv().unwrap();
                },
            );
            assert!(matches!(events.reason(), Reason::Protocol(_)), "resets: {resets}: {}", events.reason());
        }
    });
}

#[test]
fn too_much_unsent_output_ends_with_limit_exceeded() {
    on_every_kind(&[], |wire| {
        let (release, wait) = mpsc::channel();
        let (events, end) = wire.converse(
            move |event, transport| {
                match event {
                    Event::Made => {
                        transport.set_write_buffer_cap(100_000);
                        transport.write(noise(100_001));
                    }
                    Event::Lost(_) => release.send(())?,
                    _ => {}
                }
                Ok(())
            },
            move |mut stream| {
                wait.recv().unwrap();
                drain(&mut stream).1
            },
        );
        assert!(matches!(events.reason(), Reason::LimitExceeded { limit: 100_000, .. }), "{:?}", events.reason());
        if wire.kind.can(Ability::Reset) {
            assert_eq!(end, Err(ErrorKind::ConnectionReset), "the peer must not take this for the end");
        }
    });
}

#[test]
fn small_writes_leave_at_once_unless_that_is_turned_off() {
    on_every_wire(|wire| {
        let script = |event: &Event, transport: &Transport| {
            if matches!(event, Event::Made) {
                assert!(transport.tcp_nodelay()?, "connected or accepted");
                transport.set_tcp_nodelay(false)?;
                assert!(!transport.tcp_nodelay()?);
                transport.lose_connection();
            }
            Ok(())
        };
        let reactor = wire.reactor();
        let (accepted, connected) = (Events::default(), Events::default());
        let (server, client, both) = (accepted.clone(), connected.clone(), Rc::new(Cell::new(2)));
        let closing = move |event: &Event, transport: &Transport| {
            if matches!(event, Event::Lost(_)) {
                both.set(both.get() - 1);
                if both.get() == 0 {
                    stop(transport.reactor());
                }
            }
            script(event, transport)
        };
        let there = closing.clone();
        let port = wire.listen_directly(&reactor, move |_peer| Probe::new(&server, there.clone()));
        wire.connect(&reactor, address(&port), move |_peer| Probe::new(&client, closing.clone()));
        run(&reactor);
        assert!(accepted.reason().is_clean() && connected.reason().is_clean(), "{:?}, {:?}", accepted.all(), connected.all());
    });
}

#[test]
fn small_writes_leave_at_once_also_where_the_peer_waited_before_the_socket_was_adopted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let early = [connect(address), connect(address)];
    let reactor = Reactor::new().unwrap();
    let found: Rc<RefCell<Vec<bool>>> = Rc::default();
    let late: Rc<Cell<Option<TcpStream>>> = Rc::default();
    let (there, keep) = (found.clone(), late.clone());
    let script = move |event: &Event, transport: &Transport| {
        if matches!(event, Event::Made) {
            there.borrow_mut().push(transport.tcp_nodelay()?);
            match there.borrow().len() {
                2 => keep.set(Some(connect(address))),
                3 => stop(transport.reactor()),
                _ => {}
            }
        }
        Ok(())
    };
    reactor.adopt_stream_port(listener, move |_peer| Probe::new(&Events::default(), script.clone())).unwrap();
    reactor.before_shutdown(move || drop((early, late.take())));
    run(&reactor);
    assert_eq!(*found.borrow(), [true; 3]);
}

#[test]
fn nothing_works_and_nothing_breaks_after_the_loss() {
    on_every_kind(&[], |wire| {
        let peer = Rc::new(RefCell::new(Address::Unnamed));
        let (events, ()) = wire.converse(
            move |event, transport| {
                if !matches!(event, Event::Lost(_)) {
                    peer.replace(transport.peer());
                    return Ok(());
                }
                assert!(!transport.is_connected());
                transport.write("nothing");
                transport.lose_connection();
                transport.lose_write_connection();
                transport.abort_connection();
                transport.pause_producing();
                transport.resume_producing();
                transport.unread(b"nothing");
                transport.set_write_buffer_limits(1, 2);
                transport.set_write_buffer_cap(1);
                transport.set_read_while_congested(true);
                transport.set_close_timeout(Duration::ZERO);
                transport.set_detection(Detect::Anywhere);
                transport.flush_compression();
                transport.compression_barrier();
                transport.unregister_producer();
                assert!(transport.set_compression("deflate").is_err());
                assert!(transport.expect_compression("deflate", b"rest").is_err());
                assert!(transport.set_tcp_nodelay(true).is_err());
                assert!(transport.tcp_keepalive().is_err());
                assert!(transport.register_producer(transport.clone(), true).is_err());
                assert_eq!((transport.unsent(), transport.host()), (0, Address::Unnamed));
                assert!(!transport.is_reading());
                assert_eq!(transport.peer(), *peer.borrow());
                let again = transport.clone();
                transport
                    .reactor()
                    .add_system_event_trigger(Phase::During, SystemEvent::Shutdown, move || again.write("nothing"));
                Ok(())
            },
            drop,
        );
        assert!(events.reason().is_clean());
    });
}

#[test]
fn a_refused_connection_has_no_callbacks_and_the_peer_sees_the_end() {
    on_every_kind(&[Ability::Listen], |wire| {
        for panics in [false, true] {
            let reactor = wire.reactor();
            let port = wire.listen(&reactor, move |_peer| {
                assert!(!panics, "deliberate, in a test");
                None::<Echo>
            });
            let handle = reactor.handle();
            let peer = peer(port.place.clone(), move |mut stream| {
                let got = drain(&mut stream);
                handle.call_from_thread(stop).unwrap();
                got
            });
            run(&reactor);
            let (got, end) = peer.join().unwrap();
            // To a TLS peer, an end without a handshake is an error.
            let is_error = wire.tls && wire.kind.can(Ability::Reset);
            assert_eq!((got, end.is_err()), (Vec::new(), is_error), "panics: {panics}");
        }
    });
}
