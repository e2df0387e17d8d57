//! Every buffer has a limit, and producers are paused and resumed.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::support::*;
use torsade::ProducerError;
use torsade::prelude::*;

/// The documented defaults.
const HIGH: usize = 64 << 10;
const READ: usize = 64 << 10;

/// Sets `held` when output that the peer does not read has stopped reading.
fn tell_when_held(transport: &Transport, held: &Arc<AtomicBool>) {
    if !transport.is_reading() {
        held.store(true, Ordering::Relaxed);
    } else if !held.load(Ordering::Relaxed) {
        let (again, held) = (transport.clone(), held.clone());
        transport.reactor().call_later(Duration::from_millis(1), move || tell_when_held(&again, &held));
    }
}

/// Writes until the other end has stopped reading and the sockets between take no more; returns how much that was.
fn stuff_until_held(stream: &Peer, held: &AtomicBool) -> usize {
    let (block, mut stuffed) = (noise(65_536), 0);
    loop {
        match stream.write_within(Duration::from_millis(200), &block) {
            Ok(count) => stuffed += count,
            Err(_) if held.load(Ordering::Relaxed) => return stuffed,
            // Nothing was written for a moment although reading has not stopped: the machine is slow.
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}"),
        }
    }
}

/// Checks the most that was unsent: up to the high watermark, one read, and what layers add or keep back.
fn assert_bounded(wire: Wire, unsent: usize) {
    let layers = if wire.compressed {
        READ
    } else if wire.tls {
        1000
    } else {
        0
    };
    assert!(unsent <= HIGH + READ + layers, "{unsent} bytes unsent");
}

#[test]
fn a_peer_that_never_reads_keeps_the_echo_server_bounded_and_the_others_served() {
    on_every_kind(&[Ability::Several], |wire| {
        let reactor = wire.reactor();
        let most = Rc::new(Cell::new(0));
        let held = Arc::new(AtomicBool::new(false));
        let (seen, tell) = (most.clone(), held.clone());
        let port = wire.listen(&reactor, move |_peer| {
            let (seen, tell) = (seen.clone(), tell.clone());
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => tell_when_held(transport, &tell),
                    Event::Data(data) => {
                        transport.write(data);
                        seen.set(seen.get().max(transport.unsent()));
                    }
                    _ => {}
                }
                Ok(())
            })
        });
        let place = port.place.clone();
        let handle = reactor.handle();
        let peers = std::thread::spawn(move || {
            let mut greedy = place.connect();
            let stuffed = stuff_until_held(&greedy, &held);
            let mut others: Vec<_> = (0..8).map(|_| place.connect()).collect();
            for round in 0..20 {
                for other in &mut others {
                    let message = pattern(round, 1000);
                    other.write_all(&message).unwrap();
                    assert_eq!(read_exactly(other, 1000), message);
                }
            }
            // Once the greedy peer reads, it gets everything.
            greedy.shutdown(Shutdown::Write).unwrap();
            let (got, end) = drain(&mut greedy);
            assert_eq!((got.len(), end), (stuffed, Ok(())));
            handle.call_from_thread(stop).unwrap();
        });
        run(&reactor);
        peers.join().unwrap();
        assert_bounded(wire, most.get());
    });
}

#[test]
fn from_the_high_mark_on_reading_stops_and_at_the_low_one_it_goes_on() {
    on_every_kind(&[], |wire| {
        if wire.tls || wire.compressed {
            // The watermarks count bytes on the wire, which layers change in number.
            return;
        }
        for reached in [0, 1] {
            let (events, ()) = wire.converse(
                move |event, transport| {
                    if matches!(event, Event::Made) {
                        transport.set_write_buffer_limits(1000, 2000);
                        transport.write(noise(1999 + reached));
                        assert_eq!(transport.is_reading(), reached == 0);
                    }
                    Ok(())
                },
                |mut stream| {
                    stream.shutdown(Shutdown::Write).unwrap();
                    drain(&mut stream).1.unwrap();
                },
            );
            assert_eq!(events.count("resumed"), reached, "told once if it was congested: {:?}", events.names());
            assert!(events.reason().is_clean());
        }
    });
}

#[test]
fn a_cap_below_what_is_unsent_already_ends_the_connection_whoever_sets_it() {
    on_extreme_kinds(&[], |wire| {
        for from_outside in [false, true] {
            let (release, wait) = mpsc::channel::<()>();
            let (events, ()) = wire.converse(
                move |event, transport| {
                    match event {
                        Event::Made => {
                            transport.write(noise(15 << 20));
                            let cap = transport.clone();
                            let set = move || cap.set_write_buffer_cap(1000);
                            if from_outside {
                                transport.reactor().call_later(Duration::ZERO, set);
                            } else {
                                set();
                            }
                        }
                        Event::Lost(_) => release.send(())?,
                        _ => {}
                    }
                    Ok(())
                },
                // Reads nothing until then.
                move |_stream| wait.recv().unwrap(),
            );
            assert!(matches!(events.reason(), Reason::LimitExceeded { limit: 1000, .. }), "{:?}", events.reason());
        }
    });
}

#[test]
fn read_while_congested_reads_on() {
    on_extreme_kinds(&[], |wire| {
        for opted in [false, true] {
            let (release, wait) = mpsc::channel::<()>();
            let release = RefCell::new(Some(release));
            let answered = Rc::new(Cell::new(false));
            let answer = answered.clone();
            let (events, ()) = wire.converse(
                move |event, transport| {
                    match event {
                        Event::Made => {
                            transport.set_read_while_congested(opted);
                            transport.write(noise(15 << 20));
                            if !opted {
                                // Long enough for a loop that reads to read something.
                                let release = release.take();
                                transport.reactor().call_later(Duration::from_millis(100), move || drop(release));
                            }
                        }
                        Event::Data(_) => {
                            answer.set(transport.unsent() > HIGH);
                            release.take();
                        }
                        _ => {}
                    }
                    Ok(())
                },
                move |mut stream| {
                    stream.write_all(b"!").unwrap();
                    wait.recv_timeout(LIMIT).ok();
                    stream.shutdown(Shutdown::Write).unwrap();
                    drain(&mut stream).1.unwrap();
                },
            );
            assert_eq!(answered.get(), opted, "read while congested");
            assert_eq!(events.data(), b"!");
        }
    });
}

/// Records its calls in order.
#[derive(Clone, Default)]
struct Told(Rc<RefCell<Vec<&'static str>>>);

impl Told {
    fn note(&self, what: &'static str) {
        self.0.borrow_mut().push(what);
    }
}

struct Push(Told);

impl Producer for Push {
    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.note("resume");
        Ok(())
    }
    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.note("pause");
        Ok(())
    }
    fn stop_producing(&mut self) {
        self.0.note("stop");
    }
}

#[test]
fn a_push_producer_is_paused_and_resumed_and_stopped() {
    on_every_kind(&[], |wire| {
        let told = Told::default();
        let push = told.clone();
        let (events, ()) = wire.converse(
            move |event, transport| {
                match event {
                    Event::Made => {
                        transport.register_producer(Push(push.clone()), true)?;
                        let second = transport.register_producer(Push(Told::default()), true);
                        assert!(matches!(second, Err(ProducerError::AlreadyRegistered)));
                        transport.write(noise(8 << 20));
                        assert_eq!(*push.0.borrow(), [""; 0], "not from inside write");
                    }
                    Event::Data(_) => {
                        // The answer may arrive in the turn in which the last byte left; the producer is resumed in the next.
                        let (later, push) = (transport.clone(), push.clone());
                        let resumed = move || push.0.borrow().contains(&"resume");
                        once(transport.reactor(), resumed, move || later.abort_connection());
                    }
                    _ => {}
                }
                Ok(())
            },
            move |mut stream| {
                read_exactly(&mut stream, 8 << 20);
                stream.write_all(b"!").unwrap();
                assert!(drain(&mut stream).1.is_err() || !wire.kind.can(Ability::Reset));
            },
        );
        assert!(matches!(events.reason(), Reason::ConnectionAborted));
        assert_eq!(*told.0.borrow(), ["pause", "resume", "stop"]);
    });
}

#[test]
fn a_push_producer_is_resumed_also_on_a_transport_that_is_paused() {
    on_extreme_kinds(&[], |wire| {
        /// Writes a burst in each turn until it is paused: the system may take one at once, and then there is no resume.
        #[derive(Clone)]
        struct Bursts(Rc<Cell<usize>>, Rc<Cell<bool>>);
        impl Bursts {
            fn produce(self, consumer: &Transport) {
                if !self.1.get() || self.0.get() == 0 {
                    return;
                }
                self.0.set(self.0.get() - 1);
                consumer.write(noise(5 << 20));
                if self.0.get() == 0 {
                    consumer.unregister_producer();
                    consumer.lose_connection();
                } else {
                    let consumer = consumer.clone();
                    consumer.reactor().clone().call_later(Duration::ZERO, move || self.produce(&consumer));
                }
            }
        }
        impl Producer for Bursts {
            fn resume_producing(&mut self, consumer: &Transport) -> Result {
                self.1.set(true);
                self.clone().produce(consumer);
                Ok(())
            }
            fn pause_producing(&mut self, _consumer: &Transport) -> Result {
                self.1.set(false);
                Ok(())
            }
        }
        let (events, (got, end)) = wire.converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    transport.register_producer(Bursts(Rc::new(Cell::new(3)), Rc::default()), true)?;
                    transport.write(noise(5 << 20));
                    transport.pause_producing();
                }
                Ok(())
            },
            |mut stream| drain(&mut stream),
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert_eq!((got.len(), end), (20 << 20, Ok(())));
    });
}

#[test]
fn an_unregistered_producer_is_told_nothing_more() {
    on_every_kind(&[], |wire| {
        let told = Told::default();
        let push = told.clone();
        let (_, ()) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.register_producer(Push(push.clone()), true)?;
                    transport.write(noise(1 << 20));
                    transport.unregister_producer();
                    transport.unregister_producer();
                    transport.lose_connection();
                }
                Ok(())
            },
            |mut stream| drop(drain(&mut stream)),
        );
        assert_eq!(*told.0.borrow(), [""; 0]);
    });
}

/// Writes this many pieces, then registers the next producer.
struct Pull {
    pieces: usize,
    size: usize,
    most_unsent: Rc<Cell<usize>>,
    next: Option<Box<Pull>>,
}

impl Producer for Pull {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        self.most_unsent.set(self.most_unsent.get().max(consumer.unsent()));
        if self.pieces > 0 {
            self.pieces -= 1;
            consumer.write(noise(self.size));
            return Ok(());
        }
        consumer.unregister_producer();
        match self.next.take() {
            Some(next) => consumer.register_producer(*next, false)?,
            None => consumer.lose_connection(),
        }
        Ok(())
    }
}

#[test]
fn pull_producers_are_asked_when_output_is_empty_and_may_be_replaced_in_the_call() {
    on_every_kind(&[], |wire| {
        let unsent = Rc::new(Cell::new(0));
        let most = unsent.clone();
        let (events, got) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    let third = Pull { pieces: 3, size: 1000, most_unsent: most.clone(), next: None };
                    let second = Pull { pieces: 0, size: 0, most_unsent: most.clone(), next: Some(Box::new(third)) };
                    let first = Pull { pieces: 5, size: 5 << 20, most_unsent: most.clone(), next: Some(Box::new(second)) };
                    transport.register_producer(first, false)?;
                }
                Ok(())
            },
            |mut stream| drain(&mut stream),
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert_eq!((got.0.len(), got.1), ((25 << 20) + 3 * 1000, Ok(())));
        assert_eq!(unsent.get(), 0, "asked although there was output");
    });
}

#[test]
fn a_pull_producer_with_nothing_to_give_costs_no_turns_and_goes_on_after_a_write() {
    on_every_kind(&[], |wire| {
        struct Slow(Rc<Cell<usize>>);
        impl Producer for Slow {
            fn resume_producing(&mut self, consumer: &Transport) -> Result {
                self.0.set(self.0.get() + 1);
                if self.0.get() == 3 {
                    consumer.unregister_producer();
                    consumer.lose_connection();
                }
                Ok(())
            }
        }
        let asked = Rc::new(Cell::new(0));
        let count = asked.clone();
        let turns = Rc::new(Cell::new(0));
        let used = turns.clone();
        let (events, ()) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Made) {
                    transport.register_producer(Slow(count.clone()), false)?;
                    let (transport, count, used) = (transport.clone(), count.clone(), used.clone());
                    let before = transport.reactor().turn_number();
                    transport.reactor().clone().call_later(Duration::from_millis(100), move || {
                        used.set(transport.reactor().turn_number() - before);
                        assert_eq!(count.get(), 1, "asked again without anything written");
                        transport.write("x");
                        let again = transport.clone();
                        once(transport.reactor(), move || count.get() == 2, move || again.write("y"));
                    });
                }
                Ok(())
            },
            |mut stream| assert_eq!(drain(&mut stream).0, b"xy"),
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        // A handshake in pieces of a few bytes takes many turns.
        let most = if wire.tls && wire.cut { 1000 } else { 20 };
        assert!(turns.get() < most, "{} turns in 100 ms of nothing", turns.get());
    });
}

#[test]
fn two_transports_as_each_others_producers_forward_without_growing() {
    on_every_kind(&[Ability::Several], |wire| {
        // As the portforward example does: the source is read no faster than the sink takes.
        let reactor = wire.reactor();
        let most = Rc::new(Cell::new(0));
        let held = Arc::new(AtomicBool::new(false));
        let ends: Rc<RefCell<Vec<Transport>>> = Rc::default();
        let (room, seen, tell) = (ends.clone(), most.clone(), held.clone());
        let port = wire.listen(&reactor, move |_peer| {
            let (room, seen, tell) = (room.clone(), seen.clone(), tell.clone());
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => {
                        transport.pause_producing();
                        room.borrow_mut().push(transport.clone());
                        if let [one, two] = &room.borrow()[..] {
                            one.register_producer(two.clone(), true)?;
                            two.register_producer(one.clone(), true)?;
                            one.resume_producing();
                            two.resume_producing();
                            tell_when_held(one, &tell);
                            tell_when_held(two, &tell);
                        }
                    }
                    Event::Data(data) => {
                        let room = room.borrow();
                        let other = room.iter().find(|end| end.id() != transport.id()).ok_or("two ends")?;
                        other.write(data);
                        seen.set(seen.get().max(other.unsent()));
                    }
                    Event::ReadLost => {
                        for other in room.borrow().iter().filter(|end| end.id() != transport.id()) {
                            other.unregister_producer();
                            other.lose_connection();
                        }
                        transport.unregister_producer();
                    }
                    _ => {}
                }
                Ok(())
            })
        });
        let (place, handle) = (port.place.clone(), reactor.handle());
        let peers = std::thread::spawn(move || {
            let (source, mut sink) = (place.connect(), place.connect());
            let stuffed = stuff_until_held(&source, &held);
            source.shutdown(Shutdown::Write).unwrap();
            let (got, end) = drain(&mut sink);
            assert_eq!((got.len(), end), (stuffed, Ok(())));
            handle.call_from_thread(stop).unwrap();
        });
        run(&reactor);
        peers.join().unwrap();
        assert_bounded(wire, most.get());
    });
}

#[test]
fn paused_nothing_is_read_and_resumed_everything_comes_with_the_end() {
    on_every_kind(&[], |wire| {
        let sent = Rc::new(Cell::new(0));
        let (count, wait) = mpsc::channel();
        let got = sent.clone();
        let wait = RefCell::new(Some(wait));
        let (events, total) = wire.converse(
            move |event, transport| {
                match event {
                    Event::Made => transport.pause_producing(),
                    Event::Data(data) => {
                        got.set(got.get() + data.len());
                        // Paused and resumed after every piece.
                        transport.pause_producing();
                        let later = transport.clone();
                        transport.reactor().call_later(Duration::ZERO, move || later.resume_producing());
                    }
                    _ => {}
                }
                if let (Event::Made, Some(wait)) = (event, wait.take()) {
                    let (later, got) = (transport.clone(), got.clone());
                    transport.reactor().call_in_thread(
                        move || wait.recv_timeout(LIMIT),
                        move |_| {
                            assert_eq!(got.get(), 0, "read while paused");
                            later.resume_producing();
                        },
                    );
                }
                Ok(())
            },
            move |mut stream| {
                // No more than fits between the ends of any kind of connection.
                stream.write_all(&pattern(0, 30_000)).unwrap();
                count.send(()).unwrap();
                stream.write_all(&pattern(30_000, 970_000)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                1_000_000
            },
        );
        assert!(events.reason().is_clean());
        assert_eq!(sent.get(), total);
        assert!(events.data() == pattern(0, total));
    });
}

/// Answers each line with more than fits, so that the next lines wait in the receiver.
struct Verbose {
    lines: usize,
    opts: bool,
    second: mpsc::Sender<()>,
}

impl LineProtocol for Verbose {
    fn line_received(&mut self, transport: &LineTransport, _line: &[u8]) -> Result {
        self.lines += 1;
        transport.write(noise(7 << 20));
        if self.opts && self.lines == 1 {
            let later = transport.clone();
            transport.reactor().call_later(Duration::from_millis(20), move || later.set_read_while_congested(true));
        }
        if self.lines == 2 {
            self.second.send(()).ok();
            if self.opts {
                transport.lose_connection();
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        transport.reactor().stop()?;
        assert!(reason.is_clean(), "{reason}");
        Ok(())
    }
}

#[test]
fn lines_that_wait_while_output_is_stuck_all_come_before_the_end_of_the_stream() {
    on_extreme_kinds(&[], |wire| {
        for opts in [false, true] {
            let reactor = wire.reactor();
            let (second, wait) = mpsc::channel();
            let port = wire.listen(&reactor, move |_peer| LineReceiver::new(Verbose { lines: 0, opts, second: second.clone() }));
            let peer = peer(port.place.clone(), move |mut stream| {
                stream.write_all(&b"line\r\n".repeat(5)).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                if opts {
                    // The second answer begins although the peer has not read the first.
                    wait.recv_timeout(LIMIT).unwrap();
                }
                drain(&mut stream)
            });
            run(&reactor);
            let (got, end) = peer.join().unwrap();
            let answers = if opts { 2 } else { 5 };
            assert_eq!((got.len(), end), (answers * (7 << 20), Ok(())), "opts: {opts}");
        }
    });
}
