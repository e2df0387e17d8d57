//! Replay while new messages arrive, with an engine that answers when the test says so.

#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::spi::{Engine, Interest, InterestId, Page, Part, Upstream};
use torsade::hub::{Hub, HubConfig, Message, MessageId, Publication, Start, Topic};
use torsade::prelude::*;
use torsade::{Deferred, Firer, defer, simulated::Simulation};

/// What the engine was asked for and has not answered.
#[derive(Default)]
struct Asked {
    upstream: Option<Upstream>,
    subscriptions: Vec<InterestId>,
    pages: Vec<(Start, Firer<Page>)>,
}

struct Patient(Rc<RefCell<Asked>>);

impl Engine for Patient {
    fn start(&self, reactor: &Reactor, upstream: Upstream) {
        self.0.borrow_mut().upstream = Some(upstream.clone());
        reactor.call_later(Duration::ZERO, move || upstream.connected());
    }

    fn lacks(&self, _: Part) -> Option<&'static str> {
        None
    }

    fn subscribe(&self, id: InterestId, _: &Interest) {
        self.0.borrow_mut().subscriptions.push(id);
    }

    fn unsubscribe(&self, _: InterestId) {}

    fn publish(&self, _: &Topic, _: &Publication) {}

    fn store(&self, _: &Topic, _: &Publication, _: &str, _: u64) -> Deferred<MessageId> {
        defer::succeed(id(0))
    }

    fn fetch(&self, _: &Topic, from: Start, _: usize) -> Deferred<Page> {
        let (deferred, firer) = Deferred::new();
        self.0.borrow_mut().pages.push((from, firer));
        deferred
    }

    fn announce(&self, _: &Topic, _: &str, _: &[u8], _: Duration) -> Deferred<()> {
        defer::succeed(())
    }

    fn withdraw(&self, _: &Topic, _: &str) -> Deferred<()> {
        defer::succeed(())
    }

    fn announced(&self, _: &Topic) -> Deferred<Vec<(String, Vec<u8>)>> {
        defer::succeed(Vec::new())
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn close(&self) -> Deferred<()> {
        defer::succeed(())
    }
}

const fn id(number: u64) -> MessageId {
    MessageId { major: 0, minor: number }
}

fn message(number: u64) -> Message {
    Message::new("log.a".parse().unwrap(), number.to_string().into_bytes().into()).with_id(id(number))
}

/// A hub with one subscriber, which has asked for its first page; and what it has got.
struct Played {
    simulation: Simulation,
    asked: Rc<RefCell<Asked>>,
    got: Rc<RefCell<Vec<String>>>,
    _hub: Hub,
}

impl Played {
    /// The topic has kept messages up to `last`.
    fn new(start: Start, last: u64) -> Self {
        let (simulation, asked) = (Simulation::new(1), Rc::<RefCell<Asked>>::default());
        let config = HubConfig::new("local:").unwrap().replay("log.>", 1000).unwrap();
        let hub = config.open_with(&simulation.host("10.0.0.1"), Box::new(Patient(Rc::clone(&asked))));
        let got = Rc::<RefCell<Vec<String>>>::default();
        let notes = Rc::clone(&got);
        let subscriber = move |message: &Message| {
            notes.borrow_mut().push(String::from_utf8_lossy(message.payload()).into_owned());
            Ok(())
        };
        hub.subscribe_from("log.a", start, subscriber).unwrap();
        let played = Self { simulation, asked, got, _hub: hub };
        played.go_on();
        let upstream = played.upstream();
        upstream.subscribed(played.id(), Some(id(last)));
        played.go_on();
        played
    }

    fn go_on(&self) {
        self.simulation.run_for(Duration::from_secs(1)).unwrap();
    }

    fn upstream(&self) -> Upstream {
        self.asked.borrow().upstream.clone().unwrap()
    }

    fn id(&self) -> InterestId {
        self.asked.borrow().subscriptions[0]
    }

    /// A message is published, and comes by the subscription.
    fn comes(&self, number: u64) {
        let (upstream, id) = (self.upstream(), self.id());
        upstream.message(id, &message(number));
    }

    /// The oldest question is answered with these; gives where it was to begin.
    fn answer(&self, numbers: &[u64]) -> Start {
        let (start, firer) = self.asked.borrow_mut().pages.remove(0);
        firer.callback(Page { messages: numbers.iter().copied().map(message).collect(), trimmed: false });
        self.go_on();
        start
    }

    fn got(&self) -> Vec<String> {
        self.got.borrow().clone()
    }
}

#[test]
fn what_comes_before_an_empty_page_is_asked_for_again() {
    let played = Played::new(Start::Last(20), 0);
    played.comes(1);
    played.answer(&[]);
    assert_eq!(played.answer(&[1]), Start::Last(20));
    played.comes(2);
    assert_eq!(played.got(), ["1", "2"]);
}

#[test]
fn what_comes_before_the_page_that_does_not_have_it_is_asked_for_again() {
    let played = Played::new(Start::Oldest, 2);
    played.comes(3);
    played.answer(&[1, 2]);
    assert_eq!(played.answer(&[3]), Start::After(id(2)));
    played.comes(4);
    assert_eq!(played.got(), ["1", "2", "3", "4"]);
}

#[test]
fn what_the_page_has_already_comes_once() {
    let played = Played::new(Start::Oldest, 1);
    played.answer(&[1, 2, 3]);
    (2..=4).for_each(|number| played.comes(number));
    assert_eq!(played.got(), ["1", "2", "3", "4"]);
    assert!(played.asked.borrow().pages.is_empty());
}

#[test]
fn nothing_is_asked_for_again_where_nothing_has_come() {
    let played = Played::new(Start::Oldest, 0);
    played.answer(&[]);
    assert!(played.asked.borrow().pages.is_empty());
    played.comes(1);
    assert_eq!(played.got(), ["1"]);
}
