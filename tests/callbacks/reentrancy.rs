//! No public method calls a user's code before it returns.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::rc::Rc;
use std::time::Duration;

use crate::every_method::{Called, every_method, noting};
use crate::support::*;
use torsade::prelude::*;
use torsade::{Phase, ProxyHeader, SystemEvent, TlsConfig};

/// The members of a room, borrowed in every callback: a callback from inside a method would panic.
#[derive(Clone, Default)]
struct Room(Rc<RefCell<BTreeMap<u64, Transport>>>);

struct Member {
    room: Room,
    called: Called,
    act: fn(&Transport),
    panics: Rc<Cell<usize>>,
}

impl Member {
    fn enter(&self, act: impl FnOnce(&mut BTreeMap<u64, Transport>)) {
        match self.room.0.try_borrow_mut() {
            Ok(mut members) => act(&mut members),
            Err(_) => self.panics.set(self.panics.get() + 1),
        }
    }
}

impl Protocol for Member {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.enter(|members| drop(members.insert(transport.id(), noting(transport, &self.called))));
        transport.set_close_timeout(Duration::from_millis(200));
        transport.write("welcome\n");
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        let act = self.act;
        self.enter(|members| members.values().for_each(act));
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.enter(|_| transport.lose_connection());
        Ok(())
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.enter(|_| transport.lose_connection());
        Ok(())
    }

    fn reading_resumed(&mut self, _transport: &Transport) -> Result {
        self.enter(|_| {});
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, _reason: &Reason) -> Result {
        self.enter(|members| {
            members.remove(&transport.id());
            if members.is_empty() {
                transport.reactor().stop().unwrap_or_default();
            }
        });
        Ok(())
    }
}

/// A producer that borrows the room in every call and when dropped.
struct Entering(Room, Rc<Cell<usize>>);

impl Entering {
    fn enter(&self) {
        if self.0.0.try_borrow_mut().is_err() {
            self.1.set(self.1.get() + 1);
        }
    }
}

impl Producer for Entering {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        self.enter();
        consumer.unregister_producer();
        Ok(())
    }

    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.enter();
        Ok(())
    }

    fn stop_producing(&mut self) {
        self.enter();
    }
}

#[cfg(feature = "tls")]
fn tls_config() -> TlsConfig {
    keys::server().into()
}

/// A configuration that is refused.
#[cfg(not(feature = "tls"))]
fn tls_config() -> TlsConfig {
    TlsConfig::new(())
}

struct Idle;

impl Producer for Idle {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        Ok(())
    }
}

type Method = (&'static str, fn(&Transport));

const METHODS: [Method; 35] = [
    ("write", |member| member.write("x")),
    ("write_sequence", |member| member.write_sequence(&[b"x", b"y"])),
    ("write_shared", |member| member.write_shared(&SharedBytes::from(b"xy".to_vec()))),
    ("write_shared behind others", |member| {
        member.write("x");
        member.write_shared(&SharedBytes::from(vec![b'y'; 10_000]));
    }),
    ("write_shared, compressed once", |member| member.write_shared(&SharedBytes::new("xy").compressed_once())),
    ("write above the watermark", |member| member.write(vec![b'x'; 200_000])),
    ("write above the cap", |member| {
        member.set_write_buffer_cap(10);
        member.write("more than ten bytes");
    }),
    ("lose_connection", Transport::lose_connection),
    ("lose_write_connection", Transport::lose_write_connection),
    ("abort_connection", Transport::abort_connection),
    ("fail_with", |member| member.connection().fail_with(Reason::Protocol(Rc::new(std::fmt::Error)))),
    ("pause, resume", |member| {
        member.pause_producing();
        member.resume_producing();
    }),
    ("unread", |member| member.unread(b"")),
    // As the connection itself calls it: the addresses do not change, and nothing is read again.
    ("accept_proxy_header", |member| member.connection().accept_proxy_header(ProxyHeader::local(), b"")),
    ("proxy_header", |member| drop(member.proxy_header().cloned())),
    ("can_deliver, work", |member| {
        member.connection().can_deliver();
        member.connection().work();
    }),
    ("set_compression", |member| {
        member.set_compression("deflate").unwrap_or_default();
        member.write("compressed");
    }),
    ("end_compression", |member| {
        member.set_compression("deflate").unwrap_or_default();
        member.end_compression();
    }),
    ("expect_compression", |member| member.expect_compression("gzip", b"no gzip").unwrap_or_default()),
    ("set_detection", |member| member.set_detection(Detect::AtStart)),
    ("set_decompression_limits", |member| member.set_decompression_limits(&Decompression::from(Format::Deflate))),
    ("flush, barrier, write_uncompressed", |member| {
        member.flush_compression();
        member.compression_barrier();
        member.write_uncompressed("stored");
    }),
    ("take_trailing, compression_stats", |member| {
        println!("{:?} {:?}", member.take_trailing(), member.compression_stats());
    }),
    ("set_write_buffer_limits", |member| member.set_write_buffer_limits(0, 0)),
    ("when_writable, when_drained, flush", |member| {
        member.write(vec![b'x'; 200_000]);
        println!("{:?} {} {}", member.write_buffer_limits(), member.is_congested(), member.flush());
        for told in [member.when_writable(), member.when_drained()] {
            told.add_errback(|_lost| Ok(())).detach();
        }
    }),
    ("set_read_while_congested", |member| member.set_read_while_congested(true)),
    ("set_close_timeout", |member| member.set_close_timeout(Duration::from_millis(100))),
    ("register_producer", |member| {
        member.register_producer(Idle, true).unwrap_or_default();
        member.unregister_producer();
    }),
    ("unregister_producer", Transport::unregister_producer),
    ("add_consumer", |member| {
        member.register_producer(member.clone(), true).unwrap_or_default();
        member.unregister_producer();
    }),
    // An error if the wire already has TLS; later errors may come from the failing handshake.
    ("start_tls", |member| member.start_tls(tls_config()).unwrap_or_default()),
    ("is_handshaking, tls_info, set_tls_truncation_allowed", |member| {
        member.set_tls_truncation_allowed(true);
        assert!(!(member.is_handshaking() & member.tls_info().is_some()));
    }),
    ("the socket's options", |member| {
        // TCP only.
        member.set_tcp_nodelay(member.tcp_nodelay().unwrap_or_default()).unwrap_or_default();
        member.set_tcp_keepalive(member.tcp_keepalive().unwrap_or_default()).unwrap_or_default();
        drop(member.connection().copy_descriptor());
    }),
    ("of UNIX sockets", |member| {
        println!("{:?}", member.peer_credentials());
        member.set_descriptor_limit(1).unwrap_or_default();
        let (null, _) = std::io::pipe().expect("a pipe");
        member.send_descriptor(null).unwrap_or_default();
    }),
    ("what it is", |member| {
        let (reactor, own) = (member.reactor(), member.connection());
        let told = (member.peer(), member.host(), member.is_connected(), member.is_closing(), member.is_reading());
        println!("{reactor:?} {} {told:?} {} {:?} {}", member.id(), member.unsent(), member.delivery(), own.tasks().is_some());
    }),
];

#[test]
fn the_room_may_stay_borrowed_across_every_method_on_every_member() {
    on_every_kind(&[Ability::Several], |wire| {
        let called = Called::default();
        for (name, act) in METHODS {
            let reactor = wire.reactor();
            let (room, panics) = (Room::default(), Rc::new(Cell::new(0)));
            let (members, count, calls) = (room.clone(), panics.clone(), called.clone());
            let port = wire.listen(&reactor, move |_peer| {
                let (room, called, panics) = (members.clone(), calls.clone(), count.clone());
                Member { room, called, act, panics }
            });
            let place = port.place.clone();
            let peers = std::thread::spawn(move || {
                let streams: Vec<_> = (0..4).map(|_| place.connect()).collect();
                for stream in &streams {
                    let mut line = String::new();
                    BufReader::new(stream).read_line(&mut line).unwrap();
                    assert_eq!(line, "welcome\n");
                }
                // Everyone is in the room. One member speaks, and the method is called for every member.
                (&streams[0]).write_all(b"!").unwrap();
                for stream in &streams {
                    stream.shutdown(std::net::Shutdown::Write).ok();
                }
                streams.into_iter().for_each(|mut stream| drop(drain(&mut stream)));
            });
            run(&reactor);
            peers.join().unwrap();
            assert_eq!(panics.get(), 0, "{name} called back");
        }
        let missing: Vec<_> = every_method().difference(&called.borrow()).copied().collect();
        assert!(missing.is_empty(), "not called by any of METHODS: {missing:?}");
    });
}

#[test]
fn a_producer_is_called_from_the_loop_only() {
    on_every_kind(&[], |wire| {
        for streaming in [false, true] {
            let (room, panics) = (Room::default(), Rc::new(Cell::new(0)));
            let count = panics.clone();
            let (events, ()) = wire.converse(
                move |event, transport| {
                    if matches!(event, Event::Made) {
                        let guard = room.0.borrow_mut();
                        transport.register_producer(Entering(room.clone(), count.clone()), streaming)?;
                        transport.write(vec![0; 100_000]);
                        transport.unregister_producer();
                        transport.register_producer(Entering(room.clone(), count.clone()), streaming)?;
                        transport.lose_connection();
                        if streaming {
                            transport.unregister_producer();
                        }
                        drop(guard);
                    }
                    Ok(())
                },
                |mut stream| drop(drain(&mut stream)),
            );
            assert!(events.reason().is_clean(), "{}", events.reason());
            assert_eq!(panics.get(), 0, "streaming: {streaming}");
        }
    });
}

/// Uses what it owns when dropped, as a guard in a user's program may.
struct OnDrop(Box<dyn FnMut()>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Producer for OnDrop {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        Ok(())
    }
}

#[test]
fn what_a_producer_does_when_it_is_dropped_may_use_the_transport() {
    on_every_kind(&[], |wire| {
        let (events, ()) = wire.converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    let guard = |transport: &Transport| {
                        let transport = transport.clone();
                        OnDrop(Box::new(move || transport.write("dropped")))
                    };
                    transport.register_producer(guard(transport), true)?;
                    assert!(transport.register_producer(guard(transport), true).is_err());
                    transport.unregister_producer();
                }
                Ok(())
            },
            |mut stream| assert_eq!(read_exactly(&mut stream, 14), b"droppeddropped"),
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
    });
}

#[test]
fn what_a_delayed_call_or_trigger_does_when_it_is_dropped_may_use_the_reactor() {
    let reactor = Reactor::new().unwrap();
    let dropped = Rc::new(Cell::new(0));
    let guard = || {
        let (reactor, dropped) = (reactor.clone(), dropped.clone());
        OnDrop(Box::new(move || {
            reactor.call_later(Duration::ZERO, || {});
            let id = reactor.add_system_event_trigger(Phase::During, SystemEvent::Startup, || {});
            reactor.remove_system_event_trigger(id);
            dropped.set(dropped.get() + 1);
        }))
    };
    let held = guard();
    reactor.call_later(Duration::from_secs(60), move || drop(held)).cancel().unwrap();
    let held = guard();
    let id = reactor.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, move || drop(held));
    assert!(reactor.remove_system_event_trigger(id));
    assert_eq!(dropped.get(), 2);
}

#[test]
fn listen_connect_and_stop_call_nothing_before_the_loop_turns() {
    struct Counting(Rc<Cell<usize>>);
    impl Counting {
        fn count(&self) {
            self.0.set(self.0.get() + 1);
        }
    }
    impl Factory for Counting {
        fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
            self.count();
            None
        }
        fn start_factory(&mut self) {
            self.count();
        }
        fn stop_factory(&mut self) {
            self.count();
        }
    }
    impl ClientFactory for Counting {
        fn started_connecting(&mut self, connector: &Connector) -> Result {
            self.count();
            let before = self.0.get();
            connector.stop_connecting()?;
            connector.disconnect();
            assert_eq!(self.0.get(), before);
            Ok(())
        }
        fn client_connection_failed(&mut self, connector: &Connector, _reason: &ConnectError) -> Result {
            self.count();
            connector.reactor().stop()?;
            Ok(())
        }
    }
    let reactor = Reactor::new().unwrap();
    let calls = Rc::new(Cell::new(0));
    let port = reactor.listen_tcp("127.0.0.1:0", Counting(calls.clone())).unwrap();
    reactor.connect_tcp(address(&port), Counting(calls.clone())).unwrap();
    let count = calls.clone();
    reactor.call_when_running(move || count.set(count.get() + 1));
    reactor.call_later(Duration::ZERO, || {});
    assert_eq!(calls.get(), 0);
    port.stop_listening();
    assert_eq!(calls.get(), 0);
    run(&reactor);
    assert_eq!(calls.get(), 7, "start and stop of the port, start, begin, failure and stop of the client, one call");
}
