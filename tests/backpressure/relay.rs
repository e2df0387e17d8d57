//! Relays as Twisted programs write them: each transport is the other's producer, and when one side ends the other is closed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::support::{self, Ability, Event, Events, Place, Probe, Wire, on_every_kind, pattern};
use torsade::ProducerError;
use torsade::prelude::*;
use torsade::simulated::Simulation;

/// With the relay's watermarks, enough to pause both producers several times.
const SIZE: usize = 100_000;

/// How one side of the relay ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum How {
    Fin,
    Reset,
    /// The relay closes gracefully, once it has forwarded everything.
    LoseConnection,
    Abort,
}

/// Both sides of the relay, the listening one first.
type Pair = Rc<RefCell<[Option<Transport>; 2]>>;

type Connect = Box<dyn FnOnce(&Reactor, Side)>;

struct Side {
    pair: Pair,
    number: usize,
    connect: Option<Connect>,
    course: Course,
    received: usize,
}

/// What is to happen, and what has happened so far.
#[derive(Clone)]
struct Course {
    how: How,
    /// The side that ends first.
    first: usize,
    /// How many of the four connections are lost, and the reasons of the relay's own two.
    lost: Rc<Cell<usize>>,
    reasons: Rc<RefCell<Vec<Reason>>>,
}

impl Side {
    fn buddy(&self) -> Option<Transport> {
        self.pair.borrow()[1 - self.number].clone()
    }
}

impl Protocol for Side {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.set_write_buffer_limits(1 << 10, 4 << 10);
        // So long that the timeout of a close cannot hide a fault.
        transport.set_close_timeout(Duration::from_secs(100_000));
        self.pair.borrow_mut()[self.number] = Some(transport.clone());
        if let Some(connect) = self.connect.take() {
            transport.pause_producing();
            let (pair, course) = (self.pair.clone(), self.course.clone());
            connect(transport.reactor(), Self { pair, number: 1, connect: None, course, received: 0 });
            return Ok(());
        }
        let buddy = self.buddy().ok_or("the other side has gone")?;
        buddy.register_producer(transport.clone(), true)?;
        transport.register_producer(buddy.clone(), true)?;
        buddy.resume_producing();
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if let Some(buddy) = self.buddy() {
            buddy.write(data);
        }
        self.received += data.len();
        if self.number == self.course.first && self.received > SIZE {
            match self.course.how {
                How::LoseConnection => transport.lose_connection(),
                How::Abort => transport.abort_connection(),
                _ => {}
            }
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.pair.borrow_mut()[self.number] = None;
        if let Some(buddy) = self.buddy() {
            buddy.lose_connection();
        }
        self.course.reasons.borrow_mut().push(reason.clone());
        self.course.note_lost(transport.reactor());
        Ok(())
    }
}

impl Course {
    fn note_lost(&self, reactor: &Reactor) {
        self.lost.set(self.lost.get() + 1);
        if self.lost.get() == 4 {
            support::stop(reactor);
        }
    }

    /// The peer on one side. The two greet each other first, so that all connections are established before one ends.
    fn peer(&self, number: usize, events: &Events) -> Probe {
        let course = self.clone();
        let mut greeted = false;
        Probe::new(events, move |event, transport| {
            match event {
                Event::Made => transport.write("!"),
                Event::Data(_) if course.first == number && !std::mem::replace(&mut greeted, true) => {
                    transport.write(pattern(0, SIZE));
                    match course.how {
                        How::Fin => transport.lose_write_connection(),
                        How::Reset => transport.abort_connection(),
                        How::LoseConnection | How::Abort => {}
                    }
                }
                Event::Lost(_) => course.note_lost(transport.reactor()),
                _ => {}
            }
            Ok(())
        })
    }
}

/// Two peers and a relay between them, on one reactor.
fn set_up(reactor: &Reactor, wire: Wire, course: &Course) -> (Vec<Events>, [Port; 2]) {
    let events: Vec<Events> = (0..2).map(|_| Events::default()).collect();
    let (far, record) = (course.clone(), events[1].clone());
    let target = wire.listen_directly(reactor, move |_peer| far.peer(1, &record));
    let there = Place::of(&target);
    let relayed = course.clone();
    let relay = wire.listen_directly(reactor, move |_peer| {
        let there = there.clone();
        let connect = move |reactor: &Reactor, side: Side| drop(wire.connect_to(reactor, &there, One(Some(side))));
        Side { pair: Pair::default(), number: 0, connect: Some(Box::new(connect)), course: relayed.clone(), received: 0 }
    });
    wire.connect_to(reactor, &Place::of(&relay), One(Some(course.peer(0, &events[0]))));
    (events, [target, relay])
}

/// A factory that returns one protocol, once.
struct One<P>(Option<P>);

impl<P: Protocol + 'static> Factory for One<P> {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(self.0.take()?))
    }
}

impl<P: Protocol + 'static> ClientFactory for One<P> {}

fn check(wire: Wire, course: &Course, events: &[Events]) {
    let case = format!("{:?} by side {} over {wire:?}", course.how, course.first);
    let other = &events[1 - course.first];
    assert!(other.reason().is_clean(), "{case}: {}", other.reason());
    let sent = [b"!".to_vec(), pattern(0, SIZE)].concat();
    if matches!(course.how, How::Reset | How::Abort) {
        // How much of it was forwarded depends on timing.
        assert!(sent.starts_with(&other.data()), "{case}");
    } else {
        assert!(other.data() == sent, "{case}: {} bytes", other.data().len());
    }
    // The relay closes its other side gracefully.
    let reasons = course.reasons.borrow();
    assert_eq!(reasons.len(), 2, "{case}");
    assert!(reasons[1].is_clean(), "{case}: {reasons:?}");
}

fn courses() -> impl Iterator<Item = Course> {
    let ways = [How::Fin, How::Reset, How::LoseConnection, How::Abort];
    ways.into_iter().flat_map(|how| [0, 1].map(|first| Course { how, first, lost: Rc::default(), reasons: Rc::default() }))
}

#[test]
fn when_one_side_of_a_relay_ends_the_other_is_closed_at_once_and_gets_all_that_was_sent() {
    on_every_kind(&[Ability::Listen], |wire| {
        for course in courses() {
            let reactor = wire.reactor();
            let (events, _ports) = set_up(&reactor, wire, &course);
            support::run(&reactor);
            check(wire, &course, &events);
        }
    });
}

#[test]
fn a_relay_ends_at_once_in_a_simulated_network_too() {
    for (tls, compressed) in [(false, false), (false, true), (cfg!(feature = "tls"), false), (cfg!(feature = "tls"), true)] {
        for course in courses() {
            let wire = Wire { tls, compressed, ..Wire::PLAIN };
            let simulation = Simulation::new(1);
            let host = simulation.host("10.0.0.1");
            let (events, _ports) = set_up(host.reactor(), wire, &course);
            let lost = course.lost.clone();
            simulation.run_until(|| lost.get() == 4).unwrap();
            check(wire, &course, &events);
            assert!(simulation.now() < Duration::from_secs(1), "{:?} took {:?}", course.how, simulation.now());
        }
    }
}

/// Ends of several connections, in order of connecting.
type Ends = Vec<(Transport, Events)>;

/// Two connections on one simulated host; returns the accepted ends and their peers.
fn two_connections(simulation: &Simulation) -> (Ends, Ends) {
    let host = simulation.host("10.0.0.1");
    let ends: [Rc<RefCell<Ends>>; 2] = Default::default();
    let keep = |end: usize| {
        let ends = ends[end].clone();
        move || {
            let (ends, events) = (ends.clone(), Events::default());
            let record = events.clone();
            Probe::new(&record, move |event, transport| {
                if matches!(event, Event::Made) {
                    ends.borrow_mut().push((transport.clone(), events.clone()));
                }
                Ok(())
            })
        }
    };
    let accepted = keep(0);
    let _port = host.listen_tcp("10.0.0.1:7000", move |_| accepted()).unwrap();
    for count in 1..=2 {
        host.connect_tcp("10.0.0.1:7000", One(Some(keep(1)()))).unwrap();
        simulation.run_until(|| ends.iter().all(|end| end.borrow().len() == count)).unwrap();
    }
    (ends[0].take(), ends[1].take())
}

#[test]
fn a_close_waits_for_a_transport_that_produces_until_that_one_has_no_more() {
    for reset in [false, true] {
        let simulation = Simulation::new(1);
        let (accepted, peers) = two_connections(&simulation);
        let (consumer, source) = (&accepted[0].0, &accepted[1].0);
        consumer.register_producer(source.clone(), true).unwrap();
        consumer.lose_connection();
        simulation.run_for(Duration::from_secs(20)).unwrap();
        assert!(consumer.is_connected());
        consumer.write("more");
        let end = if reset { Transport::abort_connection } else { Transport::lose_connection };
        end(&peers[1].0);
        simulation.run_for(Duration::from_secs(1)).unwrap();
        assert!(!consumer.is_connected() && !source.is_connected());
        assert!(accepted[0].1.reason().is_clean() && peers[0].1.reason().is_clean());
        assert_eq!(peers[0].1.data(), b"more");
    }
}

#[test]
fn a_transport_that_is_closing_or_lost_makes_way_for_another_producer() {
    for close in [Transport::lose_connection, Transport::abort_connection] {
        let simulation = Simulation::new(1);
        let (accepted, peers) = two_connections(&simulation);
        let (consumer, source) = (&accepted[0].0, &accepted[1].0);
        let register = |source: &Transport| consumer.register_producer(source.clone(), true);
        register(source).unwrap();
        assert_eq!(register(&peers[1].0), Err(ProducerError::AlreadyRegistered));
        close(source);
        simulation.run_for(Duration::from_secs(1)).unwrap();
        // A closed transport does not stay registered.
        register(source).unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
        register(&peers[0].0).unwrap();
    }
}
