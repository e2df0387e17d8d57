//! How a stop of the reactor closes connections.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;

#[test]
fn stop_ends_every_connection_with_shutting_down() {
    on_every_kind(&[], |wire| {
        for peer_closes in [true, false] {
            let (release, wait) = mpsc::channel();
            let (events, ()) = wire.converse(
                move |event, transport| {
                    match event {
                        Event::Data(_) => stop(transport.reactor()),
                        Event::Lost(_) => release.send(())?,
                        _ => {}
                    }
                    Ok(())
                },
                move |mut stream| {
                    stream.write_all(b"x").unwrap();
                    if peer_closes {
                        drain(&mut stream).1.unwrap();
                    } else {
                        wait.recv().unwrap();
                    }
                },
            );
            assert!(matches!(events.reason(), Reason::ShuttingDown), "peer closes: {peer_closes}: {}", events.reason());
        }
    });
}

#[test]
fn stop_sends_what_is_queued_and_aborts_only_who_does_not_read() {
    on_every_kind(&[Ability::Several], |wire| {
        let reactor = wire.reactor();
        reactor.set_stop_timeout(Duration::from_secs(1));
        let reasons = Rc::new(RefCell::new(BTreeMap::new()));
        let (made, lost) = (Rc::new(Cell::new(0)), reasons.clone());
        let port = wire.listen(&reactor, move |_peer| {
            let (made, lost) = (made.clone(), lost.clone());
            let mut initial = None;
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    // The name may arrive in pieces.
                    Event::Data(data) if initial.is_none() => {
                        initial = data.first().copied();
                        // Only the peer that does not read needs more than fits on the way.
                        transport.write(noise(if initial == Some(b's') { 15 << 20 } else { 300_000 }));
                        made.set(made.get() + 1);
                        if made.get() == 2 {
                            stop(transport.reactor());
                        }
                    }
                    Event::Lost(reason) => drop(lost.borrow_mut().insert(initial, reason.clone())),
                    _ => {}
                }
                Ok(())
            })
        });
        let (release, wait) = mpsc::channel::<()>();
        let stuck = peer(port.place.clone(), move |mut stream| {
            stream.write_all(b"stuck").unwrap();
            wait.recv().unwrap_err();
            drain(&mut stream).1
        });
        let reader = peer(port.place.clone(), |mut stream| {
            stream.write_all(b"reads").unwrap();
            drain(&mut stream)
        });
        run(&reactor);
        drop(release);
        let (got, end) = reader.join().unwrap();
        assert_eq!(end.is_err(), wire.shows_cuts());
        assert!(wire.compressed || got == noise(300_000), "{} bytes", got.len());
        let stuck = stuck.join().unwrap();
        assert!(stuck.is_err() || !wire.kind.can(Ability::Reset), "whoever missed something must see a reset");
        let reasons = reasons.borrow();
        assert_eq!(reasons.len(), 2);
        assert!(reasons.values().all(|reason| matches!(reason, Reason::ShuttingDown)), "{reasons:?}");
    });
}

#[test]
fn stop_tells_producers() {
    on_every_kind(&[], |wire| {
        struct Told(Rc<Cell<usize>>);
        impl Producer for Told {
            fn resume_producing(&mut self, _consumer: &Transport) -> Result {
                Ok(())
            }
            fn stop_producing(&mut self) {
                self.0.set(self.0.get() + 1);
            }
        }
        for streaming in [false, true] {
            let told = Rc::new(Cell::new(0));
            let count = told.clone();
            let (_, ()) = wire.converse(
                move |event, transport| {
                    if matches!(event, Event::Made) {
                        transport.register_producer(Told(count.clone()), streaming)?;
                        stop(transport.reactor());
                    }
                    Ok(())
                },
                |mut stream| drop(drain(&mut stream)),
            );
            assert_eq!(told.get(), 1, "streaming: {streaming}");
        }
    });
}
