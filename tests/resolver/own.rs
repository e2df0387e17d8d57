//! Tables, and your own resolvers.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::spi::{Resolved, copy_error};
use torsade::{FixedResolver, MemoryReactor, Resolver, SystemResolver};

/// Does with each look-up what the test says.
struct Own<F>(F);

impl<F: Fn(&str, Resolved)> Resolver for Own<F> {
    fn resolve(&self, _: &Reactor, name: &str, resolved: Resolved) {
        (self.0)(name, resolved);
    }
}

/// The result of a look-up after a turn.
fn look_up(reactor: &MemoryReactor, name: &str) -> Option<Result<Vec<SocketAddr>, io::Error>> {
    let addresses = reactor.resolve(name);
    for _ in 0..3 {
        reactor.turn();
    }
    let found = addresses.into_result().ok()?;
    Some(found.map_err(|failure| copy_error(failure.downcast_ref().unwrap())))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_table_answers_for_its_names_and_another_resolver_for_the_rest() {
    let reactor = MemoryReactor::new();
    reactor.add_host("rest.test", [ip("10.0.0.9")]);
    reactor.set_resolver(FixedResolver::new().with("db.test", [ip("10.0.0.7"), ip("fd00::7")]));
    assert_eq!(look_up(&reactor, "DB.test.").unwrap().unwrap(), ["10.0.0.7:0".parse().unwrap(), "[fd00::7]:0".parse().unwrap()]);
    assert_eq!(look_up(&reactor, "rest.test").unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
    let table = FixedResolver::new().with("none.test", []).or(SystemResolver);
    reactor.set_resolver(table);
    assert_eq!(look_up(&reactor, "rest.test").unwrap().unwrap(), ["10.0.0.9:0".parse().unwrap()]);
    assert_eq!(look_up(&reactor, "none.test").unwrap().unwrap_err().kind(), io::ErrorKind::NotFound, "it is in the table");
}

#[test]
fn what_is_an_address_already_is_not_asked_of_a_resolver() {
    let reactor = MemoryReactor::new();
    reactor.set_resolver(Own(|name: &str, _| panic!("{name} is an address")));
    assert_eq!(look_up(&reactor, "10.0.0.1").unwrap().unwrap(), ["10.0.0.1:0".parse().unwrap()]);
    assert_eq!(look_up(&reactor, "fe80::1%7").unwrap().unwrap(), ["[fe80::1%7]:0".parse().unwrap()]);
}

#[test]
fn a_connection_goes_to_the_link_that_the_resolver_names() {
    let reactor = MemoryReactor::new();
    let near: SocketAddr = "[fe80::1%3]:0".parse().unwrap();
    reactor.set_resolver(Own(move |_: &str, resolved: Resolved| resolved(Ok(vec![near]))));
    let connector = reactor.connect_tcp("near.test:80", |_peer| torsade::wire::Discard).unwrap();
    for _ in 0..4 {
        reactor.turn();
    }
    assert_eq!(reactor.connected_to(), [Address::Tcp("[fe80::1%3]:80".parse().unwrap())]);
    connector.stop_connecting().unwrap();
}

#[test]
fn a_resolver_that_panics_or_drops_the_question_costs_that_look_up_alone() {
    let reactor = MemoryReactor::new();
    reactor.set_resolver(Own(|name: &str, resolved: Resolved| match name {
        "panic.test" => panic!("on purpose"),
        "drop.test" => drop(resolved),
        _ => resolved(Ok(vec!["10.0.0.1:0".parse().unwrap()])),
    }));
    for _ in 0..100 {
        // More look-ups than may run at a time.
        for name in ["panic.test", "drop.test"] {
            assert!(look_up(&reactor, name).unwrap().unwrap_err().to_string().contains("gave no answer"));
        }
    }
    assert!(look_up(&reactor, "fine.test").unwrap().is_ok());
    reactor.assert_clean();
}

#[test]
fn a_resolver_has_32_names_at_a_time_and_each_once() {
    let reactor = MemoryReactor::new();
    let open: Rc<RefCell<Vec<Resolved>>> = Rc::default();
    let there = open.clone();
    reactor.set_resolver(Own(move |_: &str, resolved| there.borrow_mut().push(resolved)));
    let asked: Vec<_> = (0..200).map(|number| reactor.resolve(&format!("host{}.test", number / 2))).collect();
    let mut served = 0;
    while !asked.iter().all(Deferred::is_called) {
        let batch = open.take();
        assert!(batch.len() <= 32 && !batch.is_empty());
        served += batch.len();
        batch.into_iter().for_each(|resolved| resolved(Ok(Vec::new())));
        reactor.turn();
    }
    assert_eq!(served, asked.len() / 2);
}

#[test]
fn the_resolver_is_dropped_when_the_reactor_has_stopped() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let kept = Rc::new(());
    let there = kept.clone();
    host.set_resolver(Own(move |_: &str, _| drop(there.clone())));
    simulation.run_for(std::time::Duration::from_secs(1)).unwrap();
    host.stop().unwrap();
    simulation.run_until_idle().unwrap();
    assert_eq!(Rc::strong_count(&kept), 1);
}
