//! Everything in any order: random calls in random callbacks, at both ends of many connections.
//!
//! What holds whatever is called: `connection_made` first, `connection_lost` last and once, data in order without gaps, nothing
//! delivered after a close or while paused, and an end within the close timeout.

#[path = "support/support.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use support::*;
use torsade::prelude::*;

/// One end of a connection: what it has written, and what it may receive.
#[derive(Default)]
struct End {
    /// The next byte of the pattern to write.
    written: Cell<usize>,
    received: RefCell<Vec<u8>>,
    paused: Cell<bool>,
    /// It has closed: nothing more may be delivered.
    closed: Cell<bool>,
    aborted: Cell<bool>,
    /// How many bytes were put back, and so come twice.
    unread: Cell<usize>,
    events: Events,
}

struct Burst(Rc<End>, usize);

impl Producer for Burst {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        if self.1 == 0 {
            consumer.unregister_producer();
            return Ok(());
        }
        self.1 -= 1;
        write(&self.0, consumer, 30_000);
        Ok(())
    }
}

fn write(end: &End, transport: &Transport, count: usize) {
    let from = end.written.get();
    transport.write(pattern(from, count));
    end.written.set(from + count);
}

fn surprise(end: &Rc<End>, transport: &Transport, chance: &mut Chance, inside: bool) -> Result {
    match chance.below(40) {
        0 => {
            transport.lose_connection();
            end.closed.set(true);
        }
        1 => {
            transport.abort_connection();
            end.closed.set(true);
            end.aborted.set(true);
        }
        2 => transport.lose_write_connection(),
        3 | 4 => {
            transport.pause_producing();
            end.paused.set(true);
            let (later, end) = (transport.clone(), end.clone());
            transport.reactor().call_later(Duration::from_millis(chance.below(4) as u64), move || {
                end.paused.set(false);
                later.resume_producing();
            });
        }
        5 => {
            end.paused.set(false);
            transport.resume_producing();
        }
        6..=9 | 20..=39 => write(end, transport, 1 + chance.below(2000)),
        17 => write(end, transport, 150_000),
        // Another producer may be registered, or our stream may have ended.
        10 => drop(transport.register_producer(Burst(end.clone(), 5), false)),
        11 => drop(transport.register_producer(Burst(end.clone(), 5), true)),
        12 => transport.unregister_producer(),
        13 => transport.set_write_buffer_limits(chance.below(1000), chance.below(100_000)),
        14 => transport.set_read_while_congested(chance.below(2) == 0),
        15 if inside && chance.below(8) == 0 => {
            end.closed.set(true);
            return Err("deliberate".into());
        }
        16 if inside && chance.below(8) == 0 => {
            end.closed.set(true);
            panic!("deliberate, in a test");
        }
        _ => {}
    }
    Ok(())
}

fn script(end: Rc<End>, seed: u64, all: Rc<RefCell<Vec<Transport>>>) -> impl FnMut(&Event, &Transport) -> Result {
    let mut chance = Chance(seed | 1);
    move |event, transport| {
        assert!(matches!(event, Event::Lost(_) | Event::WriteLost) || !end.closed.get(), "{} after the close", event.name());
        match event {
            Event::Made => {
                // Gives up soon on a peer that does not read.
                transport.set_close_timeout(Duration::from_millis(300));
                all.borrow_mut().push(transport.clone());
                write(&end, transport, 100);
            }
            Event::Data(data) => {
                assert!(!end.paused.get(), "data while paused");
                end.received.borrow_mut().extend_from_slice(data);
                if chance.below(20) == 0 {
                    // Put back, and so not received.
                    let mut received = end.received.borrow_mut();
                    let left = received.len() - data.len();
                    received.truncate(left);
                    transport.unread(data);
                    end.unread.set(end.unread.get() + 1);
                }
            }
            Event::ReadLost => assert!(!end.paused.get(), "the end of the stream while paused"),
            Event::Resumed => assert!(!end.paused.get(), "resumed while paused"),
            Event::Handshake | Event::WriteLost => {}
            Event::Lost(_) => {
                end.closed.set(true);
                // None of this has an effect any more.
                for _ in 0..4 {
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        drop(surprise(&end, transport, &mut chance, true))
                    }));
                }
                return Ok(());
            }
        }
        if transport.reactor().now() < Duration::from_secs(30) && chance.below(3) == 0 {
            // Or outside this connection's callbacks.
            let (end, transport, mut chance) = (end.clone(), transport.clone(), Chance(chance.draw() | 1));
            let reactor = transport.reactor().clone();
            reactor.call_later(Duration::from_micros(chance.below(3000) as u64), move || {
                // Out here a failure would not be the connection's.
                drop(surprise(&end, &transport, &mut chance, false));
            });
        }
        let least = if matches!(event, Event::Made) { 0 } else { 1 };
        for _ in 0..chance.below(2) + least {
            surprise(&end, transport, &mut chance, true)?;
        }
        Ok(())
    }
}

/// Closes all that are connected, and stops once all have been made and lost.
fn close_all(reactor: &Reactor, all: &Rc<RefCell<Vec<Transport>>>, made: usize) {
    let standing: Vec<_> = all.borrow().iter().filter(|transport| transport.is_connected()).cloned().collect();
    let now_made = all.borrow().len();
    // A client that the server resets at once never connects, so the number is not known in advance.
    if standing.is_empty() && now_made == made {
        return stop(reactor);
    }
    for transport in standing {
        transport.resume_producing();
        transport.unregister_producer();
        transport.lose_connection();
    }
    let (again, all) = (reactor.clone(), all.clone());
    reactor.call_later(Duration::from_millis(100), move || close_all(&again, &all, now_made));
}

/// Returns whether this reason is allowed for peers that close, abort and fail, but send nothing invalid.
fn is_due(reason: &Reason) -> bool {
    match reason {
        Reason::CompressFailed(_) => false,
        Reason::Decompress(error) => error.kind == torsade::DecompressErrorKind::Truncated,
        #[cfg(feature = "tls")]
        Reason::Tls(error) => matches!(error, torsade::TlsError::ClosedInHandshake),
        _ => true,
    }
}

/// This many connections with random calls; both ends are ours. The probes switch compression on, so each has to detect the
/// other's.
fn torture(seed: u64, pairs: usize, wire: Wire) {
    let reactor = Reactor::new().unwrap();
    let all: Rc<RefCell<Vec<Transport>>> = Rc::default();
    let (mut servers, clients) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let probe = move |ends: &Rc<RefCell<Vec<Rc<End>>>>, seed: u64, all: &Rc<RefCell<Vec<Transport>>>, half: bool| {
        let end = Rc::new(End::default());
        ends.borrow_mut().push(end.clone());
        let mut script = script(end.clone(), seed, all.clone());
        let probe = Probe::new(&end.events.clone(), move |event, transport| {
            if wire.compressed && matches!(event, Event::Made) {
                transport.set_compression("deflate")?;
            }
            script(event, transport)
        });
        if half { probe.half_closeable() } else { probe }
    };
    let (list, room) = (servers.clone(), all.clone());
    let below = Wire { compressed: false, ..wire };
    let port = below.listen_directly(&reactor, move |_peer| {
        let number = list.borrow().len() as u64;
        probe(&list, seed.wrapping_mul(0x9e37_79b9).wrapping_add(number * 7919), &room, number.is_multiple_of(3))
    });
    let address = address(&port);
    for number in 0..pairs as u64 {
        let (list, room) = (clients.clone(), all.clone());
        let seed = seed.wrapping_add(number * 104_729 + 1);
        below.connect(&reactor, address, move |_peer| probe(&list, seed, &room, number.is_multiple_of(2)));
    }
    let (room, closer) = (all.clone(), reactor.clone());
    let (near, far) = (servers.clone(), clients.clone());
    let has_received = |end: &Rc<End>| !end.received.borrow().is_empty();
    let received = move || near.borrow().iter().any(has_received) || far.borrow().iter().any(has_received);
    // They act at random for some time, and until some have received something.
    reactor.call_later(Duration::from_millis(500), move || {
        let again = closer.clone();
        once(&closer, received, move || close_all(&again, &room, usize::MAX));
    });
    run(&reactor);
    let mut silent = 0;
    for (end, role) in servers.take().iter().map(|end| (end, "server")).chain(clients.take().iter().map(|end| (end, "client"))) {
        let reason = end.events.reason();
        if let Reason::Panicked(panic) = &reason {
            assert!(panic.to_string().contains("deliberate"), "seed {seed}: {role}: {panic}");
        }
        assert!(is_due(&reason), "seed {seed}: a {role}: {reason}: {:?}", end.events.names());
        let received = end.received.borrow();
        assert!(*received == pattern(0, received.len()), "seed {seed}: a {role} got something else: {:?}", end.events.names());
        silent += usize::from(received.is_empty());
    }
    println!("seed {seed}: {silent} of {} ends received nothing", 2 * pairs);
    assert!(silent < 2 * pairs, "nobody received anything: the test proves nothing");
    drop(std::mem::take(&mut servers));
    assert_eq!(reactor.source_count(), 0);
}

#[test]
fn random_calls_in_random_callbacks_break_no_rule() {
    for seed in 1..=3 {
        torture(seed, 150, Wire::PLAIN);
    }
}

#[test]
fn random_calls_break_no_rule_with_compression_on() {
    for seed in 11..=13 {
        torture(seed, 50, Wire { compressed: true, ..Wire::PLAIN });
    }
}

#[cfg(feature = "tls")]
#[test]
fn random_calls_break_no_rule_over_tls() {
    for seed in 21..=23 {
        torture(seed, 50, Wire { tls: true, ..Wire::PLAIN });
    }
}

#[cfg(feature = "tls")]
#[test]
fn random_calls_break_no_rule_with_compression_over_tls() {
    for seed in 31..=33 {
        torture(seed, 30, Wire { tls: true, compressed: true, ..Wire::PLAIN });
    }
}

#[cfg(feature = "tls")]
#[test]
fn random_calls_break_no_rule_with_compression_over_tls_over_a_transport() {
    for seed in 41..=43 {
        torture(seed, 30, Wire { tls: true, over: true, compressed: true, ..Wire::PLAIN });
    }
}
