//! Closing never loses data and never hangs.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use torsade::Deadline;
use torsade::prelude::*;

#[test]
fn big_output_arrives_whole_although_the_peer_reads_slowly() {
    const SIZE: usize = 4 << 20;
    on_every_kind(&[], |wire| {
        let (events, (got, end)) = wire.converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write(pattern(0, SIZE));
                    transport.lose_connection();
                }
                Ok(())
            },
            |mut stream| {
                let mut got = Vec::new();
                let mut piece = [0; 1500];
                // Small reads at first, for many turns of the server.
                while got.len() < 1 << 20 {
                    match stream.read(&mut piece).unwrap() {
                        0 => return (got, Ok(())),
                        count => got.extend_from_slice(&piece[..count]),
                    }
                }
                let (rest, end) = drain(&mut stream);
                got.extend(rest);
                (got, end)
            },
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert_eq!(end, Ok(()));
        assert!(got == pattern(0, SIZE), "{} of {SIZE} bytes", got.len());
    });
}

#[test]
fn what_is_written_after_lose_connection_in_the_same_turn_is_sent() {
    on_every_kind(&[], |wire| {
        let (events, got) = wire.converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    transport.write("one ");
                    transport.lose_connection();
                    transport.write("two");
                    let later = transport.clone();
                    transport.reactor().call_later(Duration::ZERO, move || later.write("dropped"));
                }
                Ok(())
            },
            |mut stream| drain(&mut stream),
        );
        assert!(events.reason().is_clean());
        assert_eq!(got, (b"one two".to_vec(), Ok(())));
    });
}

#[test]
fn nothing_is_delivered_after_lose_connection_and_input_on_its_way_causes_no_reset() {
    on_every_kind(&[Ability::Linger], |wire| {
        let (closing, wait) = mpsc::channel();
        let (events, (got, end)) = wire.converse(
            move |event, transport| {
                if matches!(event, Event::Data(_)) {
                    transport.write(pattern(0, 300_000));
                    transport.lose_connection();
                    closing.send(())?;
                }
                Ok(())
            },
            move |mut stream| {
                stream.write_all(b"!").unwrap();
                wait.recv().unwrap();
                // Unread bytes in the server's socket would turn its close into a reset, which may destroy what we have not read.
                stream.write_all(&[b'x'; 200_000]).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
                drain(&mut stream)
            },
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert_eq!(events.data(), b"!");
        assert!(got == pattern(0, 300_000), "{} bytes", got.len());
        assert_eq!(end, Ok(()));
    });
}

#[test]
fn a_peer_that_shuts_its_side_gets_everything_that_was_queued() {
    on_every_kind(&[], |wire| {
        const SIZE: usize = 3 << 20;
        let reactor = wire.reactor();
        let port = wire.listen(&reactor, |_peer| Echo);
        let handle = reactor.handle();
        let peer = peer(port.place.clone(), move |mut stream| {
            let mut sender = stream.try_clone().unwrap();
            let sending = std::thread::spawn(move || {
                sender.write_all(&pattern(0, SIZE)).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            let got = drain(&mut stream);
            sending.join().unwrap();
            handle.call_from_thread(stop).unwrap();
            got
        });
        run(&reactor);
        let (got, end) = peer.join().unwrap();
        assert_eq!(end, Ok(()));
        assert!(got == pattern(0, SIZE), "{} of {SIZE} bytes", got.len());
    });
}

#[test]
fn close_waits_for_the_producer_and_then_sends_all_it_wrote() {
    on_every_kind(&[], |wire| {
        struct Counter(usize);
        impl Producer for Counter {
            fn resume_producing(&mut self, consumer: &Transport) -> Result {
                if self.0 == 0 {
                    consumer.unregister_producer();
                } else {
                    self.0 -= 1;
                    consumer.write([b'p'; 10_000]);
                }
                Ok(())
            }
        }
        for close in [Transport::lose_connection, Transport::lose_write_connection] {
            let (events, (got, end)) = wire.converse(
                move |event, transport| {
                    if matches!(event, Event::Made) {
                        transport.register_producer(Counter(50), false)?;
                        close(transport);
                    }
                    Ok(())
                },
                |mut stream| drain(&mut stream),
            );
            assert!(events.reason().is_clean(), "{}", events.reason());
            assert_eq!((got.len(), end), (500_000, Ok(())));
        }
    });
}

#[test]
fn a_producer_that_never_ends_is_given_up_by_a_reset() {
    struct Idle;
    impl Producer for Idle {
        fn resume_producing(&mut self, _: &Transport) -> Result {
            Ok(())
        }
    }
    let (events, got) = converse(
        |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_close_timeout(Duration::from_millis(50));
                transport.register_producer(Idle, true)?;
                transport.write("half");
                transport.lose_connection();
            }
            Ok(())
        },
        |mut stream| drain(&mut stream),
    );
    assert!(matches!(events.reason(), Reason::TimedOut(Deadline::Flush)), "{}", events.reason());
    // A part must not look like the whole.
    assert_eq!(got, (b"half".to_vec(), Err(ErrorKind::ConnectionReset)));
}

#[test]
fn a_failed_connection_does_not_wait_for_its_producer() {
    on_every_kind(&[], |wire| {
        struct Endless(Rc<Cell<usize>>, bool);
        impl Producer for Endless {
            fn resume_producing(&mut self, consumer: &Transport) -> Result {
                if self.1 {
                    consumer.write("p");
                    return Err("the producer fails".into());
                }
                consumer.write([b'p'; 1000]);
                Ok(())
            }
            fn stop_producing(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        for producer_fails in [false, true] {
            let stopped = Rc::new(Cell::new(0));
            let count = stopped.clone();
            let (events, ()) = wire.converse(
                move |event, transport| match event {
                    Event::Made => Ok(transport.register_producer(Endless(count.clone(), producer_fails), false)?),
                    Event::Data(_) if !producer_fails => Err("the protocol fails".into()),
                    _ => Ok(()),
                },
                move |mut stream| {
                    // A server whose producer fails waits for nothing, and may already be gone.
                    if !producer_fails {
                        stream.write_all(b"!").unwrap();
                    }
                    assert_eq!(drain(&mut stream).1.is_err(), wire.shows_cuts());
                },
            );
            assert!(matches!(events.reason(), Reason::Protocol(_)), "{}", events.reason());
            assert_eq!(stopped.get(), 1, "the producer is told once; fails: {producer_fails}");
        }
    });
}

/// What a server promised to its clients, and what it saw of them.
#[derive(Default)]
struct Ledger {
    /// By client: the bytes written before the server's `lose_connection`.
    promised: BTreeMap<u32, usize>,
    lost: usize,
    unclean: Vec<String>,
}

#[test]
fn a_thousand_clients_closing_at_random_lose_no_promised_byte() {
    on_every_kind(&[Ability::Several], |wire| {
        // A tenth as many over each other wire.
        let count: u32 = if wire == Wire::PLAIN { 1000 } else { 100 };
        let reactor = wire.reactor();
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let server = ledger.clone();
        let port = wire.listen(&reactor, move |_peer| {
            let (server, mut id) = (server.clone(), Vec::new());
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    // Four bytes of name and one that says what to do; then the server promises this many bytes and closes.
                    Event::Data(data) => {
                        let known = id.len();
                        id.extend_from_slice(data);
                        if known < 5 && id.len() >= 5 {
                            let name = u32::from_be_bytes([id[0], id[1], id[2], id[3]]);
                            let size = (name as usize * 7919) % 60_000;
                            transport.write(pattern(name as usize, size));
                            server.borrow_mut().promised.insert(name, size);
                            match id[4] {
                                0 => transport.lose_connection(),
                                1 => transport.lose_write_connection(),
                                // The client closes first.
                                _ => {}
                            }
                        }
                    }
                    Event::Lost(reason) => {
                        let ledger = &mut *server.borrow_mut();
                        ledger.lost += 1;
                        // A client that resets may lose bytes.
                        if id.get(4) != Some(&3) && !reason.is_clean() {
                            ledger.unclean.push(format!("{:?}: {reason}", id.get(..5)));
                        }
                        if ledger.lost == count as usize {
                            stop(transport.reactor());
                        }
                    }
                    _ => {}
                }
                Ok(())
            })
        });
        let worker = |worker| {
            let (place, resets) = (port.place.clone(), wire.kind.can(Ability::Reset));
            std::thread::spawn(move || clients(&place, worker, count, resets))
        };
        let workers: Vec<_> = (0..4).map(worker).collect();
        run(&reactor);
        let seen: BTreeMap<u32, usize> = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        let ledger = ledger.borrow();
        assert_eq!(ledger.unclean, Vec::<String>::new());
        assert_eq!(ledger.promised.len(), count as usize);
        for (name, size) in seen {
            assert_eq!(ledger.promised[&name], size, "client {name}");
        }
    });
}

/// A quarter of the clients, fifty at a time; returns what each one that wanted everything got. Some reset, where that can be
/// done.
fn clients(place: &Place, worker: u32, count: u32, resets: bool) -> Vec<(u32, usize)> {
    let mut chance = Chance(u64::from(worker) + 1);
    let mut seen = Vec::new();
    let names: Vec<u32> = (0..count).filter(|name| name % 4 == worker).collect();
    for group in names.chunks(50) {
        let mut open: Vec<_> = group
            .iter()
            .map(|name| {
                let mut stream = place.connect();
                let kind = chance.below(if resets { 4 } else { 3 }) as u8;
                stream.write_all(&[&name.to_be_bytes()[..], &[kind]].concat()).unwrap();
                if kind == 2 {
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                (*name, kind, stream)
            })
            .collect();
        while !open.is_empty() {
            let (name, kind, mut stream) = open.swap_remove(chance.below(open.len()));
            if kind == 3 {
                // Before the server has promised something, a reset could overtake the name.
                let size = (name as usize * 7919) % 60_000;
                if size > 0 {
                    read_exactly(&mut stream, 1);
                }
                reset_after_name(stream, size);
                continue;
            }
            let (got, end) = drain(&mut stream);
            assert_eq!(end, Ok(()), "client {name}, kind {kind}");
            assert!(got == pattern(name as usize, got.len()), "client {name}");
            seen.push((name, got.len()));
        }
    }
    seen
}

fn reset_after_name(mut stream: Peer, size: usize) {
    if size == 0 {
        // Only the end of the connection shows that the name was read.
        stream.shutdown(Shutdown::Write).unwrap();
        drain(&mut stream).1.ok();
    }
    reset(stream);
}

#[test]
fn a_peer_that_does_not_close_its_side_does_not_hold_up_the_close() {
    on_every_kind(&[], |wire| {
        let (release, wait) = mpsc::channel();
        let (events, got) = wire.converse(
            move |event, transport| {
                match event {
                    Event::Data(_) => {
                        transport.write(b"everything");
                        transport.lose_connection();
                    }
                    Event::Lost(_) => release.send(())?,
                    _ => {}
                }
                Ok(())
            },
            move |mut stream| {
                stream.write_all(b"!").unwrap();
                let got = drain(&mut stream);
                wait.recv().unwrap();
                got
            },
        );
        assert!(events.reason().is_clean(), "{:?}", events.reason());
        assert_eq!(got, (b"everything".to_vec(), Ok(())));
    });
}
