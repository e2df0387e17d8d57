//! A flood of datagrams starves nobody.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::MemoryReactor;
use torsade::prelude::*;
use torsade::wire::Discard;

use crate::probe::{Event, Events, Probe};
use crate::support::{run, stop};

/// The numbers of the turns in which datagrams came.
fn turns_of(reactor: &Reactor) -> (Rc<RefCell<Vec<u64>>>, DatagramTransport) {
    let turns = Rc::<RefCell<Vec<u64>>>::default();
    let seen = turns.clone();
    let receiver = Probe::new(&Events::default(), move |event, transport| {
        if let Event::Received(..) = event {
            seen.borrow_mut().push(transport.reactor().turn_number());
        }
        Ok(())
    });
    (turns, reactor.listen_udp("127.0.0.1:0", receiver).unwrap())
}

#[test]
fn a_thousand_datagrams_that_wait_are_taken_over_several_turns() {
    // Here they all arrive at once, and no buffer is too small.
    let reactor = MemoryReactor::new();
    let (turns, receiver) = turns_of(&reactor);
    let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
    reactor.turn();
    (0..1000).for_each(|_| sender.write_to("flood", &receiver.host()));
    reactor.advance(Duration::ZERO);
    let turns = turns.borrow();
    let a_turn: Vec<usize> = turns.chunk_by(|a, b| a == b).map(<[u64]>::len).collect();
    assert_eq!(a_turn.iter().sum::<usize>(), 1000);
    assert!(a_turn.iter().all(|count| *count <= 170), "{a_turn:?}");
    assert!(a_turn.len() <= 8, "not one by one: {a_turn:?}");
}

#[test]
fn whoever_else_is_ready_has_a_share_of_the_turn() {
    let reactor = MemoryReactor::new();
    let (turns, receiver) = turns_of(&reactor);
    let (late, others): (Vec<_>, Vec<_>) = (0..20).map(|_| turns_of(&reactor)).unzip();
    let sender = reactor.listen_udp("127.0.0.1:0", Discard).unwrap();
    reactor.turn();
    (0..1000).for_each(|_| sender.write_to("flood", &receiver.host()));
    others.iter().for_each(|other| sender.write_to("!", &other.host()));
    reactor.turn();
    let first = turns.borrow().len();
    assert!(first > 0 && first <= 20, "{first} of the flood in a turn of twenty-one");
    assert!(late.iter().all(|turns| turns.borrow().len() == 1), "nobody waits for the flood to end");
}

#[test]
fn a_connection_is_served_in_every_turn_of_a_flood_that_never_ends() {
    struct Counter {
        answers: Rc<Cell<u32>>,
    }

    impl Protocol for Counter {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.write("x");
            Ok(())
        }

        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            self.answers.set(self.answers.get() + 1);
            if self.answers.get() == 50 {
                stop(transport.reactor());
            }
            transport.write(data);
            Ok(())
        }
    }

    {
        let reactor = &Reactor::new().unwrap();
        const ENOUGH: u32 = 100_000;
        // While there is room, each datagram is answered by two to the port itself, so there are always some.
        let flooded = Rc::new(Cell::new(0));
        let count = flooded.clone();
        let flood = Probe::new(&Events::default(), move |event, transport| {
            match event {
                Event::Started => (0..200).for_each(|_| transport.write_to("flood", &transport.host())),
                Event::Received(..) => {
                    count.set(count.get() + 1);
                    if count.get() < ENOUGH {
                        (0..2).for_each(|_| transport.write_to("flood", &transport.host()));
                    } else {
                        transport.reactor().stop().ok();
                    }
                }
                _ => {}
            }
            Ok(())
        });
        reactor.listen_udp("127.0.0.1:0", flood).unwrap();
        let answers = Rc::new(Cell::new(0));
        let port = reactor.listen_tcp("127.0.0.1:0", |_peer| torsade::wire::Echo).unwrap();
        let counted = answers.clone();
        reactor.connect_tcp(port.address(), move |_peer| Counter { answers: counted.clone() }).unwrap();
        reactor.set_stop_timeout(Duration::ZERO);
        run(reactor);
        assert_eq!(answers.get(), 50, "answers on the connection after {} datagrams", flooded.get());
    }
}
