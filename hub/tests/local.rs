//! What is particular to `local:` hubs: workers that share one, limits, stored topics in memory.

#![cfg(unix)]
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test")]

#[allow(dead_code, unreachable_pub, reason = "a part of it is used")]
#[path = "support/notes.rs"]
mod notes;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use torsade::hub::{Encoding, Hub, HubConfig, Member, Message, Overflow, PresenceChange, PublishError, Start};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::workers;

use notes::{Notes, Seen};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn hub(text: &str) -> (Simulation, Hub) {
    let simulation = Simulation::new(1);
    let hub = Hub::open(&simulation.host("10.0.0.1"), text).unwrap();
    (simulation, hub)
}

#[test]
fn workers_share_the_hub_that_they_opened_by_one_config() {
    const MESSAGES: usize = 500;
    let config = HubConfig::new("local:").unwrap().queue(10_000, 16 << 20).presence_period(seconds(3));
    let (told, heard) = channel();
    let (done, handles) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let (done, handles) = (Arc::new(done), Arc::new(handles));
    workers(3, |worker| {
        let hub = config.open(worker)?;
        handles.lock().unwrap().push(worker.handle());
        let (told, index, publisher) = (told.clone(), worker.index(), hub.clone());
        let (done, handles) = (Arc::clone(&done), Arc::clone(&handles));
        hub.subscribe("all", move |message: &Message| {
            told.send((index, String::from_utf8_lossy(message.payload()).into_owned()))?;
            if done.fetch_add(1, Ordering::Relaxed) + 1 == 3 * 3 * MESSAGES {
                for handle in &*handles.lock().unwrap() {
                    handle.call_from_thread(|reactor| reactor.stop().unwrap_or(()))?;
                }
            }
            Ok(())
        })?;
        // All are there before the first speaks: each has entered.
        let name = hub.enter("all", format!("worker {index}"))?;
        let mut present = 0;
        hub.watch("all", move |change| {
            present += usize::from(matches!(change, PresenceChange::Entered(_)));
            if present == 3 {
                present += 1;
                for number in 0..MESSAGES {
                    publisher.publish("all", format!("{} {number}", name.name())).unwrap();
                }
            }
        })?;
        Ok(())
    })
    .unwrap();
    drop(told);
    let mut heard_by = [const { Vec::new() }; 3];
    heard.iter().for_each(|(index, text)| heard_by[index].push(text));
    for texts in &heard_by {
        assert_eq!(texts.len(), 3 * MESSAGES);
        for worker in 0..3 {
            let of_worker: Vec<_> = texts.iter().filter_map(|text| text.strip_prefix(&format!("worker {worker} "))).collect();
            let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
            assert_eq!(of_worker, expected);
        }
    }
    assert_eq!(heard_by[0], heard_by[1], "all workers see one order");
}

#[test]
fn a_subscriber_is_called_from_the_loop_and_never_inside_publish() {
    let (simulation, hub) = hub("local:");
    let seen = Seen::default();
    hub.subscribe("a", Notes(Rc::clone(&seen))).unwrap();
    simulation.run_for(seconds(1)).unwrap();
    let held = seen.borrow_mut();
    hub.publish("a", "one").unwrap();
    drop(held);
    assert!(seen.borrow().is_empty());
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(*seen.borrow(), ["one"]);
}

#[test]
fn a_subscriber_may_end_itself_and_begin_others() {
    let (simulation, hub) = hub("local:");
    let seen = Seen::default();
    let slot: Rc<RefCell<Option<torsade::hub::Subscription>>> = Rc::default();
    let (own, notes, inner) = (Rc::clone(&slot), Rc::clone(&seen), hub.clone());
    let subscription = hub
        .subscribe("a", move |_: &Message| {
            notes.borrow_mut().push("outer".into());
            inner.subscribe("a", Notes(Rc::clone(&notes)))?;
            own.borrow_mut().take().unwrap().unsubscribe();
            Ok(())
        })
        .unwrap();
    slot.replace(Some(subscription));
    simulation.run_for(seconds(1)).unwrap();
    hub.publish("a", "one").unwrap();
    hub.publish("a", "two").unwrap();
    simulation.run_for(seconds(1)).unwrap();
    let seen = seen.borrow();
    assert_eq!((seen[0].as_str(), seen.last().unwrap().as_str()), ("outer", "two"));
    assert_eq!(seen.iter().filter(|text| *text == "outer").count(), 1);
}

#[test]
fn a_subscriber_that_fails_or_panics_is_called_again() {
    let (simulation, hub) = hub("local:");
    let seen = Seen::default();
    let notes = Rc::clone(&seen);
    hub.subscribe("a", move |message: &Message| {
        notes.borrow_mut().push(String::from_utf8_lossy(message.payload()).into_owned());
        match &message.payload()[..] {
            b"fail" => Err("as told".into()),
            b"panic" => panic!("as told"),
            _ => Ok(()),
        }
    })
    .unwrap();
    for text in ["fail", "panic", "fine"] {
        hub.publish("a", text).unwrap();
    }
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(*seen.borrow(), ["fail", "panic", "fine"]);
}

#[test]
fn a_publisher_is_refused_beyond_the_bound_and_nothing_accepted_is_lost() {
    let simulation = Simulation::new(1);
    let hub = HubConfig::new("local:").unwrap().queue(100, 1 << 20).open(&simulation.host("10.0.0.1")).unwrap();
    let seen = Seen::default();
    hub.subscribe("a", Notes(Rc::clone(&seen))).unwrap();
    simulation.run_for(seconds(1)).unwrap();
    let accepted = (0..1000).take_while(|number| hub.publish("a", number.to_string()).is_ok()).count();
    assert!((100..200).contains(&accepted), "{accepted}");
    assert!(matches!(hub.publish("a", "more"), Err(PublishError::Full)));
    simulation.run_for(seconds(1)).unwrap();
    let expected: Vec<_> = (0..accepted).map(|number| number.to_string()).collect();
    assert_eq!(*seen.borrow(), expected);
    hub.publish("a", "again").unwrap();
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(seen.borrow().last().unwrap(), "again");
}

#[test]
fn each_message_for_a_group_goes_to_one_of_it() {
    let simulation = Simulation::new(1);
    let config = HubConfig::new("local:").unwrap();
    let (one, other) = (config.open(&simulation.host("10.0.0.1")).unwrap(), config.open(&simulation.host("10.0.0.2")).unwrap());
    let (seen, all) = (Seen::default(), Seen::default());
    for hub in [&one, &one, &other] {
        hub.subscribe_in_group("jobs.*", "workers", Notes(Rc::clone(&seen))).unwrap();
    }
    other.subscribe("jobs.*", Notes(Rc::clone(&all))).unwrap();
    simulation.run_for(seconds(1)).unwrap();
    for number in 0..30 {
        one.publish("jobs.a", number.to_string()).unwrap();
    }
    simulation.run_for(seconds(1)).unwrap();
    let mut seen: Vec<u32> = seen.borrow().iter().map(|text| text.parse().unwrap()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
    assert_eq!(all.borrow().len(), 30);
}

#[test]
fn who_begins_with_what_is_kept_misses_nothing_while_more_is_published() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let hub = HubConfig::new("local:").unwrap().replay("log.>", 10_000).unwrap().open(&host).unwrap();
    let publisher = hub.clone();
    publish_each_turn(&host, publisher, 0, 1000);
    simulation.run_for(Duration::from_millis(300)).unwrap();
    let all = Seen::default();
    hub.subscribe_from("log.a", Start::Oldest, Notes(Rc::clone(&all))).unwrap();
    simulation.run_for(seconds(30)).unwrap();
    let expected: Vec<_> = (0..1000).map(|number| number.to_string()).collect();
    assert_eq!(*all.borrow(), expected);
}

fn publish_each_turn(reactor: &Reactor, hub: Hub, number: u32, end: u32) {
    if number < end {
        hub.publish("log.a", number.to_string()).unwrap();
        let again = reactor.clone();
        reactor.call_later(Duration::from_millis(1), move || publish_each_turn(&again, hub, number + 1, end));
    }
}

#[test]
fn a_name_is_present_on_all_reactors_until_it_is_dropped() {
    let simulation = Simulation::new(1);
    let config = HubConfig::new("local:").unwrap();
    let (one, other) = (config.open(&simulation.host("10.0.0.1")).unwrap(), config.open(&simulation.host("10.0.0.2")).unwrap());
    let changes = Seen::default();
    let notes = Rc::clone(&changes);
    other.watch("room", move |change| notes.borrow_mut().push(format!("{change:?}"))).unwrap();
    let (ada, bob, twice) =
        (one.enter("room", "Ada").unwrap(), other.enter("room", "Bob").unwrap(), one.enter("room", "Ada").unwrap());
    simulation.run_for(seconds(1)).unwrap();
    let present = one.present("room").into_result().unwrap().unwrap();
    assert_eq!(present, ["Ada", "Bob"]);
    drop(ada);
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(one.present("room").into_result().unwrap().unwrap(), ["Ada", "Bob"], "there is one more Ada");
    twice.leave();
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(*changes.borrow(), ["Entered(\"Ada\")", "Entered(\"Bob\")", "Left(\"Ada\")"]);
    drop(bob);
}

/// Keeps its connection where the test finds it.
struct Joining {
    hub: Hub,
    lines: Encoding,
    overflow: Overflow,
    ends: Seen,
}

impl LineProtocol for Joining {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let member = Member::new(transport, &self.lines).limit(10, 1 << 20).overflow(self.overflow);
        self.hub.join("room", member)?;
        Ok(())
    }

    fn line_received(&mut self, _: &LineTransport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, _: &LineTransport, reason: &Reason) -> Result {
        self.ends.borrow_mut().push(reason.to_string());
        Ok(())
    }
}

/// Writes down lines, once it reads.
struct Reading(Seen, Rc<RefCell<Option<Transport>>>);

impl LineProtocol for Reading {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.1.replace(Some((***transport).clone()));
        transport.pause_producing();
        Ok(())
    }

    fn line_received(&mut self, _: &LineTransport, line: &[u8]) -> Result {
        self.0.borrow_mut().push(String::from_utf8_lossy(&line[..line.len().min(12)]).into_owned());
        Ok(())
    }
}

/// Has a member not read 400 messages of 16 KiB, and then read; gives what it saw, and why its connection had ended before it
/// read.
fn slow_member(overflow: Overflow) -> (Vec<String>, Hub, Vec<String>) {
    let simulation = Simulation::new(1);
    let server = simulation.host("10.0.0.1");
    let hub = Hub::open(&server, "local:").unwrap();
    let lines = Encoding::lines().gaps(|gap| Some(format!("{gap}\r\n").into_bytes()));
    let (shared, ends) = (hub.clone(), Seen::default());
    let told = Rc::clone(&ends);
    server
        .listen("10.0.0.1:1", move |_| {
            LineReceiver::new(Joining { hub: shared.clone(), lines: lines.clone(), overflow, ends: Rc::clone(&told) })
        })
        .unwrap();
    let (seen, transport) = (Seen::default(), Rc::default());
    let (notes, slot) = (Rc::clone(&seen), Rc::clone(&transport));
    let client = simulation.host("10.0.0.2");
    client
        .connect("10.0.0.1:1", move |_| {
            let receiver = LineReceiver::new(Reading(Rc::clone(&notes), Rc::clone(&slot)));
            receiver.max_length(100_000)
        })
        .unwrap();
    simulation.run_for(seconds(1)).unwrap();
    for number in 0..400 {
        hub.publish("room", format!("{number:04} {}", "x".repeat(16 << 10))).unwrap();
        simulation.run_for(Duration::from_millis(10)).unwrap();
    }
    let ends = ends.borrow().clone();
    transport.borrow().as_ref().unwrap().resume_producing();
    simulation.run_for(seconds(60)).unwrap();
    let seen = seen.borrow().clone();
    (seen, hub, ends)
}

#[test]
fn a_member_that_does_not_read_loses_the_oldest_and_is_told_in_their_place() {
    let (seen, hub, ends) = slow_member(Overflow::DropOldest);
    let told = seen.iter().position(|line| line.contains("messages")).unwrap();
    assert_eq!(seen.len() - told - 1, 10, "ten waited");
    assert!(ends.is_empty());
    assert!(seen.last().unwrap().starts_with("0399"));
    assert_eq!(u64::try_from(seen.len() - 1).unwrap() + hub.stats().dropped_slow, 400);
}

#[test]
fn a_member_that_does_not_read_loses_the_newest_if_that_is_asked_for() {
    let (seen, hub, ends) = slow_member(Overflow::DropNewest);
    assert!(seen.last().unwrap().contains("messages") && ends.is_empty(), "{seen:?}");
    let numbers: Vec<_> = seen[..seen.len() - 1].iter().map(|line| line[..4].parse::<usize>().unwrap()).collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
    assert_eq!(u64::try_from(numbers.len()).unwrap() + hub.stats().dropped_slow, 400);
}

#[test]
fn a_member_that_does_not_read_is_disconnected_if_that_is_asked_for() {
    let (_, hub, ends) = slow_member(Overflow::Disconnect);
    assert_eq!(hub.stats().disconnected_slow, 1);
    assert_eq!(ends.len(), 1, "it is ended at once");
    assert!(ends[0].contains("queue of hub messages"), "{ends:?}");
}

#[test]
fn closing_publishes_what_waits_and_ends_all_subscriptions() {
    let (simulation, hub) = hub("local:");
    let seen = Seen::default();
    hub.subscribe("a", Notes(Rc::clone(&seen))).unwrap();
    let told = Rc::downgrade(&seen);
    hub.close().detach();
    drop(seen);
    assert!(matches!(hub.publish("a", "late"), Err(PublishError::Closed)));
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(told.strong_count(), 0, "the subscriber is dropped");
}

#[test]
fn as_many_of_the_last_messages_as_are_asked_for_come_whatever_a_member_takes_at_a_time() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let config = HubConfig::new("local:").unwrap().queue(10_000, 1 << 24).replay("log.>", 10_000).unwrap();
    let hub = config.open(&host).unwrap();
    for number in 0..1500 {
        hub.publish("log.a", number.to_string()).unwrap();
        simulation.run_for(Duration::from_millis(1)).unwrap();
    }
    let (all, lines) = (Seen::default(), Seen::default());
    hub.subscribe_from("log.a", Start::Last(1000), Notes(Rc::clone(&all))).unwrap();
    let (shared, encoding) = (hub, Encoding::lines());
    let joining =
        move |transport: &Transport| shared.join("log.a", Member::new(transport, &encoding).start(Start::Last(1000))).map(drop);
    host.listen("10.0.0.1:1", move |_| Greeting(joining.clone())).unwrap();
    let notes = Rc::clone(&lines);
    let reader = move |_| LineReceiver::new(Reader(Rc::clone(&notes)));
    simulation.host("10.0.0.2").connect("10.0.0.1:1", reader).unwrap();
    simulation.run_for(seconds(30)).unwrap();
    let expected: Vec<_> = (500..1500).map(|number| number.to_string()).collect();
    assert_eq!(*all.borrow(), expected);
    assert_eq!(*lines.borrow(), expected);
}

/// Does something with its connection.
struct Greeting<F>(F);

impl<F: Fn(&Transport) -> Result<(), torsade::hub::SubscribeError> + 'static> Protocol for Greeting<F> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok((self.0)(transport)?)
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }
}

/// Writes down lines as they come.
struct Reader(Seen);

impl LineProtocol for Reader {
    fn line_received(&mut self, _: &LineTransport, line: &[u8]) -> Result {
        self.0.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        Ok(())
    }
}

#[test]
fn what_a_subscriber_publishes_beyond_half_the_bound_goes_on_by_itself() {
    let simulation = Simulation::new(1);
    let hub = HubConfig::new("local:").unwrap().queue(16, 1 << 20).open(&simulation.host("10.0.0.1")).unwrap();
    let (seen, publisher) = (Seen::default(), hub.clone());
    let notes = Rc::clone(&seen);
    hub.subscribe("a", move |message: &Message| {
        let text = String::from_utf8_lossy(message.payload()).into_owned();
        if text == "begin" {
            (0..12).try_for_each(|number| publisher.publish("a", number.to_string()))?;
        }
        notes.borrow_mut().push(text);
        Ok(())
    })
    .unwrap();
    simulation.run_for(seconds(1)).unwrap();
    hub.publish("a", "begin").unwrap();
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(seen.borrow().len(), 13);
}

#[test]
fn a_member_that_reads_is_brought_all_that_is_kept_whatever_its_bound() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let config = HubConfig::new("local:").unwrap().queue(10_000, 1 << 24).replay("log.>", 1000).unwrap();
    let hub = config.open(&host).unwrap();
    for number in 0..100 {
        hub.publish("log.a", format!("{number} {}", "x".repeat(10_000))).unwrap();
    }
    simulation.run_for(seconds(1)).unwrap();
    let (lines, shared, encoding) = (Seen::default(), hub.clone(), Encoding::lines());
    let joining = move |transport: &Transport| {
        let member = Member::new(transport, &encoding).limit(4, 1 << 20).start(Start::Oldest);
        shared.join("log.a", member).map(drop)
    };
    host.listen("10.0.0.1:1", move |_| Greeting(joining.clone())).unwrap();
    let notes = Rc::clone(&lines);
    let reader = move |_| LineReceiver::new(Reader(Rc::clone(&notes))).max_length(100_000);
    simulation.host("10.0.0.2").connect("10.0.0.1:1", reader).unwrap();
    simulation.run_for(seconds(30)).unwrap();
    assert_eq!((lines.borrow().len(), hub.stats().dropped_slow), (100, 0));
}

#[test]
fn an_id_of_a_process_that_has_ended_begins_with_what_is_kept_and_is_told() {
    let simulation = Simulation::new(1);
    let hub = HubConfig::new("local:").unwrap().replay("log.>", 10).unwrap().open(&simulation.host("10.0.0.1")).unwrap();
    hub.publish("log.a", "one").unwrap();
    simulation.run_for(seconds(1)).unwrap();
    let seen = Seen::default();
    hub.subscribe_from("log.a", Start::After("0-500".parse().unwrap()), Notes(Rc::clone(&seen))).unwrap();
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(*seen.borrow(), ["(messages after 0-500 are no longer stored)", "one"]);
}

#[test]
fn an_address_that_names_no_hub_is_told_without_its_password() {
    let error = Hub::open(&Simulation::new(1).host("10.0.0.1"), "redsi://ada:secret@host").unwrap_err().to_string();
    assert!(error.contains("redsi:") && !error.contains("secret"), "{error}");
}

#[test]
fn a_presence_period_of_any_length_may_be_asked_for() {
    let simulation = Simulation::new(1);
    let config = HubConfig::new("local:").unwrap().presence_period(Duration::MAX);
    let (hub, other) = (config.open(&simulation.host("10.0.0.1")).unwrap(), config.open(&simulation.host("10.0.0.2")).unwrap());
    simulation.run_for(seconds(1)).unwrap();
    let name = hub.enter("room", "Ada").unwrap();
    simulation.run_for(seconds(1)).unwrap();
    assert_eq!(other.present("room").into_result().unwrap().unwrap(), ["Ada"]);
    drop(name);
}
