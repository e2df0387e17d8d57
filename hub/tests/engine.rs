//! The hub with an engine that does what the contract of [`Engine`] allows, in an order that the test chooses.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "a test, in functions that clippy takes for others")]

#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "../../tests/support/logged.rs"]
mod logged;
#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "support/notes.rs"]
mod notes;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::spi::{Engine, Interest, InterestId, Page, Part, Upstream};
use torsade::hub::{
    Encoding, EngineError, Gap, Hub, HubConfig, Member, Message, MessageId, Publication, PublishError, Start, SubscribeError,
    Topic,
};
use torsade::prelude::*;
use torsade::simulated::Simulation;

use notes::Notes;

/// An engine that answers when the test does.
#[derive(Clone, Default)]
struct Puppet(Rc<Strings>);

type Announced = Vec<(String, Vec<u8>)>;

#[derive(Default)]
struct Strings {
    upstream: RefCell<Option<Upstream>>,
    subscribed: RefCell<Vec<InterestId>>,
    fetches: RefCell<VecDeque<(Start, Firer<Page>)>>,
    announcements: RefCell<VecDeque<Firer<()>>>,
    withdrawals: RefCell<VecDeque<Firer<()>>>,
    looks: RefCell<VecDeque<Firer<Announced>>>,
    closed: Cell<bool>,
}

impl Puppet {
    fn upstream(&self) -> Upstream {
        self.0.upstream.borrow().clone().expect("it was started")
    }

    /// The subscription that was asked for last.
    fn last(&self) -> InterestId {
        *self.0.subscribed.borrow().last().expect("a subscription")
    }
}

impl Engine for Puppet {
    fn start(&self, _reactor: &Reactor, upstream: Upstream) {
        self.0.upstream.replace(Some(upstream));
    }

    fn lacks(&self, _part: Part) -> Option<&'static str> {
        None
    }

    fn subscribe(&self, id: InterestId, _interest: &Interest) {
        self.0.subscribed.borrow_mut().push(id);
    }

    fn unsubscribe(&self, _id: InterestId) {}

    fn publish(&self, _topic: &Topic, _publication: &Publication) {}

    fn store(&self, _topic: &Topic, _publication: &Publication, _origin: &str, _keep: u64) -> Deferred<MessageId> {
        Deferred::new().0
    }

    fn fetch(&self, _topic: &Topic, from: Start, _most: usize) -> Deferred<Page> {
        let (deferred, firer) = Deferred::new();
        self.0.fetches.borrow_mut().push_back((from, firer));
        deferred
    }

    fn announce(&self, _topic: &Topic, _process: &str, _members: &[u8], _expiry: Duration) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        self.0.announcements.borrow_mut().push_back(firer);
        deferred
    }

    fn withdraw(&self, _topic: &Topic, _process: &str) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        self.0.withdrawals.borrow_mut().push_back(firer);
        deferred
    }

    fn announced(&self, _topic: &Topic) -> Deferred<Announced> {
        let (deferred, firer) = Deferred::new();
        self.0.looks.borrow_mut().push_back(firer);
        deferred
    }

    fn is_congested(&self) -> bool {
        false
    }

    fn close(&self) -> Deferred<()> {
        self.0.closed.set(true);
        // A broker that reads nothing keeps this waiting.
        let (deferred, firer) = Deferred::new();
        self.0.withdrawals.borrow_mut().push_back(firer);
        deferred
    }
}

const fn id(number: u64) -> MessageId {
    MessageId { major: 0, minor: number }
}

/// A message of the topic that keeps them.
fn kept(number: u64, text: &str) -> Message {
    let topic = "log.a".parse().unwrap();
    Message::new(topic, SharedBytes::from(format!("{number}{text}").into_bytes())).with_id(id(number))
}

fn live(text: &str) -> Message {
    Message::new("room".parse().unwrap(), SharedBytes::from(text.as_bytes().to_vec()))
}

/// A connected hub on a puppet.
fn hub() -> (Simulation, Hub, Puppet) {
    let (simulation, puppet) = (Simulation::new(1), Puppet::default());
    let config = HubConfig::new("local:").unwrap().replay("log.>", 1000).unwrap();
    let hub = config.open_with(&simulation.host("10.0.0.1"), Box::new(puppet.clone()));
    puppet.upstream().connected();
    (simulation, hub, puppet)
}

/// A connection to a host of the simulation that does something when it is made, with the transports of both ends.
struct Connected {
    here: Transport,
    there: Transport,
    lines: Notes,
}

fn connect(simulation: &Simulation, port: u16) -> Connected {
    let (server, client) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let (here, there): (Slot, Slot) = Default::default();
    let (slot, lines) = (Rc::clone(&here), Notes::default());
    server.listen(format!("10.0.0.1:{port}"), move |_| LineReceiver::new(Line(Rc::clone(&slot), Notes::default()))).unwrap();
    let (slot, notes) = (Rc::clone(&there), lines.clone());
    client
        .connect(format!("10.0.0.1:{port}"), move |_| {
            LineReceiver::new(Line(Rc::clone(&slot), notes.clone())).max_length(1 << 20)
        })
        .unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let taken = |slot: &Slot| slot.borrow().clone().expect("connected");
    Connected { here: taken(&here), there: taken(&there), lines }
}

type Slot = Rc<RefCell<Option<Transport>>>;

/// Writes down lines, of long ones the beginning.
struct Line(Slot, Notes);

impl LineProtocol for Line {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.0.replace(Some((***transport).clone()));
        Ok(())
    }

    fn line_received(&mut self, _: &LineTransport, line: &[u8]) -> Result {
        self.1.0.borrow_mut().push(String::from_utf8_lossy(&line[..line.len().min(20)]).into_owned());
        Ok(())
    }
}

fn lines_and_gaps() -> Encoding {
    Encoding::lines().gaps(|gap| Some(format!("({gap})\r\n").into_bytes()))
}

#[test]
fn a_gap_is_told_in_its_place_where_the_connection_has_no_room() {
    let (simulation, hub, puppet) = hub();
    let connected = connect(&simulation, 1);
    hub.join("room", Member::new(&connected.here, &lines_and_gaps())).unwrap();
    let upstream = puppet.upstream();
    upstream.subscribed(puppet.last(), None);
    connected.there.pause_producing();
    // The transport takes the last one, and is congested by it.
    while !connected.here.is_congested() {
        upstream.message(puppet.last(), &live(&format!("before {}", "x".repeat(70_000))));
        simulation.run_for(Duration::from_millis(100)).unwrap();
    }
    upstream.missed(puppet.last(), &Gap::Reset);
    connected.there.resume_producing();
    simulation.run_for(Duration::from_secs(60)).unwrap();
    upstream.message(puppet.last(), &live("after"));
    simulation.run_for(Duration::from_secs(60)).unwrap();
    let lines = connected.lines.0.borrow();
    let told: Vec<_> = lines.iter().filter(|line| !line.starts_with("before")).map(|line| &line[..5]).collect();
    assert_eq!(told, ["(the ", "after"]);
}

#[test]
fn gaps_for_a_member_that_does_not_read_are_within_its_bound() {
    let (simulation, hub, puppet) = hub();
    let connected = connect(&simulation, 1);
    hub.join("room", Member::new(&connected.here, &lines_and_gaps()).limit(4, 1 << 20)).unwrap();
    let upstream = puppet.upstream();
    upstream.subscribed(puppet.last(), None);
    connected.there.pause_producing();
    while !connected.here.is_congested() {
        upstream.message(puppet.last(), &live(&"x".repeat(70_000)));
        simulation.run_for(Duration::from_millis(100)).unwrap();
    }
    for _ in 0..1000 {
        upstream.missed(puppet.last(), &Gap::Disconnected);
    }
    connected.there.resume_producing();
    simulation.run_for(Duration::from_secs(60)).unwrap();
    let lines = connected.lines.0.borrow();
    let gaps = lines.iter().filter(|line| !line.starts_with('x')).count();
    assert_eq!(gaps, 5, "four, and that there were more");
}

#[test]
fn an_encoding_of_gaps_that_panics_costs_nobody_else_anything() {
    let (simulation, hub, puppet) = hub();
    let (one, other) = (connect(&simulation, 1), connect(&simulation, 2));
    hub.join("room", Member::new(&one.here, &Encoding::lines().gaps(|_| panic!("as told")))).unwrap();
    hub.join("room", Member::new(&other.here, &lines_and_gaps())).unwrap();
    puppet.upstream().subscribed(puppet.last(), None);
    puppet.upstream().missed(puppet.last(), &Gap::Reset);
    puppet.upstream().message(puppet.last(), &live("after"));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*one.lines.0.borrow(), ["after"]);
    assert_eq!(other.lines.0.borrow().len(), 2);
}

#[test]
fn whoever_comes_to_a_subscription_that_was_refused_is_told_why() {
    let (simulation, hub, puppet) = hub();
    let (first, second) = (Notes::default(), Notes::default());
    hub.subscribe("room", first.clone()).unwrap();
    puppet.upstream().refused(puppet.last(), "not for you");
    hub.subscribe("room", second.clone()).unwrap();
    assert!(second.0.borrow().is_empty(), "from the loop");
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(*first.0.borrow(), ["(the broker refuses the subscription: not for you)"]);
    assert_eq!(*second.0.borrow(), *first.0.borrow());
}

#[test]
fn a_member_that_catches_up_slowly_is_asked_for_no_more_when_others_join() {
    let (simulation, hub, puppet) = hub();
    let connected = connect(&simulation, 1);
    connected.there.pause_producing();
    hub.join("log.a", Member::new(&connected.here, &Encoding::lines()).start(Start::Oldest)).unwrap();
    puppet.upstream().subscribed(puppet.last(), Some(id(1000)));
    // So much that the connection has not taken it yet when others come.
    let messages = (1..=100).map(|number| kept(number, &"x".repeat(10_000))).collect();
    let (_, firer) = puppet.0.fetches.borrow_mut().pop_front().unwrap();
    firer.callback(Page { messages, trimmed: false });
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(connected.here.is_congested());
    for _ in 0..10 {
        hub.subscribe("log.a", Notes::default()).unwrap();
        simulation.run_for(Duration::from_secs(1)).unwrap();
    }
    assert!(puppet.0.fetches.borrow().is_empty());
    connected.there.resume_producing();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(connected.lines.0.borrow().len(), 100);
    assert_eq!(puppet.0.fetches.borrow().len(), 1, "one at a time");
}

#[test]
fn no_more_than_one_look_and_one_announcement_wait_at_a_broker_that_does_not_answer() {
    let (simulation, hub, puppet) = hub();
    let name = hub.enter("room", "Ada").unwrap();
    hub.watch("room", |_| ()).unwrap();
    puppet.upstream().subscribed(puppet.last(), None);
    for _ in 0..100 {
        // Somebody says that the names have changed.
        puppet.upstream().message(puppet.last(), &live(""));
        simulation.run_for(Duration::from_secs(1)).unwrap();
    }
    assert_eq!((puppet.0.looks.borrow().len(), puppet.0.announcements.borrow().len()), (1, 1));
    let look = puppet.0.looks.borrow_mut().pop_front().unwrap();
    look.callback(Vec::new());
    name.leave();
    let announcement = puppet.0.announcements.borrow_mut().pop_front().unwrap();
    announcement.callback(());
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!((puppet.0.looks.borrow().len(), puppet.0.withdrawals.borrow().len()), (1, 1), "each once more");
}

#[test]
fn a_room_that_nobody_watches_any_more_is_not_looked_at_again() {
    let (simulation, hub, puppet) = hub();
    // The room stays, because of a name here.
    let _name = hub.enter("room", "Ada").unwrap();
    let watch = hub.watch("room", |_| ()).unwrap();
    puppet.upstream().subscribed(puppet.last(), None);
    puppet.upstream().disconnected(EngineError::Lost("as told".to_owned()), 0);
    puppet.upstream().connected();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let look = puppet.0.looks.borrow_mut().pop_front().expect("the names may have changed meanwhile");
    watch.stop();
    // It comes late, and those who are missing may still return.
    look.callback(Vec::new());
    simulation.run_for(Duration::from_secs(100)).unwrap();
    assert!(puppet.0.looks.borrow().is_empty());
}

#[test]
fn a_name_whose_withdrawal_was_lost_is_taken_back_when_the_broker_is_there_again() {
    let (simulation, hub, puppet) = hub();
    let name = hub.enter("room", "Ada").unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let announcement = puppet.0.announcements.borrow_mut().pop_front().unwrap();
    announcement.callback(());
    name.leave();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let lost = EngineError::Lost("as told".to_owned());
    puppet.upstream().disconnected(lost.clone(), 0);
    let withdrawal = puppet.0.withdrawals.borrow_mut().pop_front().unwrap();
    withdrawal.errback(lost);
    puppet.upstream().connected();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert_eq!(puppet.0.withdrawals.borrow().len(), 1);
}

#[test]
fn closing_does_not_wait_long_for_a_broker_that_is_silent() {
    let (simulation, hub, puppet) = hub();
    let name = hub.enter("room", "Ada").unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let closed = hub.close();
    simulation.run_for(Duration::from_secs(4)).unwrap();
    assert!(!puppet.0.closed.get(), "it may take the name back yet");
    simulation.run_for(Duration::from_secs(2)).unwrap();
    assert!(puppet.0.closed.get());
    simulation.run_for(Duration::from_secs(5)).unwrap();
    closed.into_result().expect("it has fired").unwrap();
    drop(name);
}

#[test]
fn what_was_fetched_of_messages_that_the_broker_has_lost_meanwhile_hides_no_new_ones() {
    let (simulation, hub, puppet) = hub();
    let notes = Notes::default();
    hub.subscribe_from("log.a", Start::Oldest, notes.clone()).unwrap();
    let upstream = puppet.upstream();
    upstream.subscribed(puppet.last(), Some(id(9)));
    upstream.missed(puppet.last(), &Gap::Reset);
    let answer = |numbers: &[u64]| {
        let (_, firer) = puppet.0.fetches.borrow_mut().pop_front().expect("a fetch");
        firer.callback(Page { messages: numbers.iter().map(|number| kept(*number, "")).collect(), trimmed: false });
        simulation.run_for(Duration::from_secs(1)).unwrap();
    };
    answer(&[8, 9]);
    upstream.message(puppet.last(), &kept(1, ""));
    if !puppet.0.fetches.borrow().is_empty() {
        answer(&[1]);
    }
    upstream.message(puppet.last(), &kept(2, ""));
    assert!(notes.0.borrow().ends_with(&["1".to_owned(), "2".to_owned()]), "{:?}", notes.0.borrow());
}

#[test]
fn a_refused_publication_is_counted_and_logged_once_for_each_of_a_bounded_number_of_topics() {
    let (_simulation, hub, puppet) = hub();
    let refuse = || {
        for number in 0..1000 {
            puppet.upstream().publication_refused(&format!("topic.{}", number % 200), "no right");
        }
    };
    let warnings = logged::logged(log::Level::Warn, refuse);
    assert_eq!((hub.stats().refused, warnings.len()), (1000, 100));
    assert!(warnings[0].1.contains("topic.0: no right") && warnings[0].1.contains("If a permission is missing"), "{warnings:?}");
    puppet.upstream().disconnected(EngineError::Lost("as told".to_owned()), 0);
    puppet.upstream().connected();
    assert_eq!(logged::logged(log::Level::Warn, refuse).len(), 100, "the permissions may have changed by the next login");
}

#[test]
fn a_notice_of_the_hubs_own_that_is_refused_is_no_publication_of_the_programs() {
    let (_simulation, hub, puppet) = hub();
    let warnings = logged::logged(log::Level::Warn, || puppet.upstream().publication_refused("_presence.room", "no right"));
    assert_eq!((hub.stats().refused, warnings.len()), (0, 1));
}

#[test]
fn nobody_enters_a_hub_that_is_being_closed_and_all_who_close_it_wait_for_the_end() {
    let (simulation, hub, puppet) = hub();
    let name = hub.enter("room", "Ada").unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let (first, second) = (hub.close(), hub.close());
    assert!(matches!(hub.enter("room", "Grace"), Err(PublishError::Closed)));
    assert!(matches!(hub.watch("room", |_| ()), Err(SubscribeError::Closed)));
    simulation.run_for(Duration::from_secs(1)).unwrap();
    assert!(!first.is_called() && !second.is_called(), "the name is being taken back");
    let withdrawal = puppet.0.withdrawals.borrow_mut().pop_front().unwrap();
    withdrawal.callback(());
    let closed = puppet.0.withdrawals.borrow_mut().pop_front().expect("the engine is being closed");
    assert!(!second.is_called());
    closed.callback(());
    assert!(first.is_called() && second.is_called());
    assert!(puppet.0.announcements.borrow().len() == 1, "nothing more was announced");
    drop(name);
}
