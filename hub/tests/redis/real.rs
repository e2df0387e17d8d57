//! The real `redis-server`, on free ports of the loopback: what a simulated network cannot show.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Gap, Hub, HubConfig, Message, Start};
use torsade::prelude::*;

use crate::broker::{Broker, Program};
use crate::client::Client;
use crate::heard;
use crate::notes::{Notes, notes};
use crate::scripted_redis::Value;

/// Runs the loop until it is so. What never comes fails the test after two minutes, which no machine needs.
pub fn run_until(reactor: &Reactor, what: &str, mut is_so: impl FnMut() -> bool) {
    let end = reactor.now() + Duration::from_secs(120);
    while !is_so() {
        assert!(reactor.now() < end, "{what}: not within two minutes");
        reactor.iterate(Some(Duration::from_millis(20))).unwrap();
    }
}

#[test]
fn messages_go_through_the_real_one_live_and_stored() {
    let Some(redis) = Broker::redis() else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let config = HubConfig::new(&redis.url()).unwrap().replay("log.>", 1000).unwrap();
    let (one, two) = (config.open(&reactor).unwrap(), config.open(&reactor).unwrap());
    let live = heard(&two, "room.*");
    let (stored, subscriber) = notes();
    two.subscribe_from("log.all", Start::Oldest, subscriber).unwrap();
    run_until(&reactor, "connected", || one.is_connected() && two.is_connected());
    let mut client = Client::connect(redis.port());
    run_until(&reactor, "subscribed", || client.ask(&["PUBSUB", "NUMPAT"]) == Value::Number(1));
    for number in 0..2000 {
        one.publish("room.a", format!("{number}")).unwrap();
        if number % 4 == 0 {
            one.publish("log.all", format!("{number}")).unwrap();
        }
        if number % 100 == 0 {
            reactor.iterate(Some(Duration::ZERO)).unwrap();
        }
    }
    run_until(&reactor, "all of them", || {
        live.borrow().last().is_some_and(|last| last == "1999") && stored.borrow().last().is_some_and(|last| last == "1996")
    });
    let expected: Vec<_> = (0..2000).map(|number| number.to_string()).collect();
    assert_eq!(*live.borrow(), expected);
    assert_eq!(*stored.borrow(), expected.iter().step_by(4).cloned().collect::<Vec<_>>());
    let (last, subscriber) = notes();
    one.subscribe_from("log.all", Start::Last(60), subscriber).unwrap();
    run_until(&reactor, "the last 60", || last.borrow().len() == 60);
    assert_eq!(*last.borrow(), stored.borrow()[440..]);
    let closed = (one.close(), two.close());
    run_until(&reactor, "closed", || closed.0.is_called() && closed.1.is_called());
}

#[test]
fn a_login_is_wanted_by_the_real_one() {
    let Some(redis) = Broker::with_settings(Program::Redis, "requirepass secret\nuser ada on >pass ~* &* +@all") else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let at = redis.url().replace("redis://", "");
    let open = |login: &str| Hub::open(&reactor, &format!("redis://{login}{at}")).unwrap();
    let (default, ada, wrong, none) = (open(":secret@"), open("ada:pass@"), open("ada:secret@"), open(""));
    run_until(&reactor, "let in", || default.is_connected() && ada.is_connected());
    run_until(&reactor, "refused", || wrong.stats().connections_lost > 2 && none.stats().connections_lost > 2);
    assert!(!wrong.is_connected() && !none.is_connected());
}

#[test]
fn a_right_that_is_missing_is_told_for_that_topic() {
    let Some(redis) = Broker::with_settings(Program::Redis, "user ada on >pass ~* &room.* +@all") else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = Hub::open(&reactor, &redis.url().replace("redis://", "redis://ada:pass@")).unwrap();
    let seen = heard(&hub, "room.a");
    let refused = heard(&hub, "secret");
    run_until(&reactor, "refused", || !refused.borrow().is_empty());
    assert!(refused.borrow()[0].contains("NOPERM"), "{refused:?}");
    hub.publish("room.a", "hello").unwrap();
    run_until(&reactor, "heard", || !seen.borrow().is_empty());
}

#[test]
fn whoever_waits_for_a_stream_is_woken_for_another() {
    let Some(redis) = Broker::redis() else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    let mut client = Client::connect(redis.port());
    for round in 0..20 {
        let (topic, (seen, subscriber)) = (format!("log.{round}"), notes());
        client.ask(&["XADD", &topic, "*", "payload", "before"]);
        hub.subscribe_from(&topic, Start::Oldest, subscriber).unwrap();
        run_until(&reactor, "what was there", || seen.borrow().len() == 1);
        client.ask(&["XADD", &topic, "*", "payload", "after"]);
        run_until(&reactor, "what came", || seen.borrow().len() == 2);
        assert_eq!(*seen.borrow(), ["before", "after"]);
    }
    assert_eq!(client.ask(&["PING"]), Value::text("PONG"));
}

#[test]
fn a_burst_that_is_not_kept_is_told_by_the_real_one() {
    let Some(redis) = Broker::redis() else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    let (seen, subscriber) = notes();
    hub.subscribe_from("log.all", Start::Oldest, subscriber).unwrap();
    let mut client = Client::connect(redis.port());
    client.ask(&["XADD", "log.all", "*", "payload", "first"]);
    run_until(&reactor, "the first", || !seen.borrow().is_empty());
    // In one transaction, so that nobody reads between them.
    client.ask(&["MULTI"]);
    for number in 0..1000 {
        client.ask(&["XADD", "log.all", "MAXLEN", "~", "100", "*", "payload", &number.to_string()]);
    }
    client.ask(&["EXEC"]);
    run_until(&reactor, "the last", || seen.borrow().last().is_some_and(|last| last == "999"));
    let seen = seen.borrow();
    let gaps: Vec<_> = seen.iter().filter(|text| text.starts_with('(')).collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(seen[1], *gaps[0]);
}

/// What `INFO` says under this name.
pub fn info(client: &mut Client, name: &str) -> usize {
    let Value::Text(info) = client.ask(&["INFO", "everything"]) else { panic!("it is text") };
    let info = String::from_utf8(info).unwrap();
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap().trim().parse().unwrap()
}

#[test]
fn what_a_message_costs_does_not_depend_on_the_number_of_topics() {
    let Some(redis) = Broker::with_settings(Program::Redis, "appendfsync no") else { return };
    let mut client = Client::connect(redis.port());
    let mut cost = |topics: usize| {
        let reactor = Reactor::new().unwrap();
        reactor.start_running().unwrap();
        let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
        let (seen, _) = notes();
        for number in 0..topics {
            hub.subscribe_from(&format!("log.{topics}.{number}"), Start::Oldest, Notes(Rc::clone(&seen))).unwrap();
        }
        (0..topics).for_each(|number| hub.publish(&format!("log.{topics}.{number}"), "begin").unwrap());
        run_until(&reactor, "begun", || seen.borrow().len() == topics);
        let before = info(&mut client, "total_net_input_bytes");
        for number in 0..50 {
            hub.publish(&format!("log.{topics}.{}", number % topics), "x").unwrap();
            run_until(&reactor, "heard", || seen.borrow().len() == topics + number + 1);
        }
        assert_eq!(hub.stats().connections_lost, 0);
        info(&mut client, "total_net_input_bytes") - before
    };
    let (one, many) = (cost(1), cost(500));
    assert!(many < 2 * one, "50 messages on one of 500 topics are {many} bytes of commands, and {one} on a single one");
}

#[test]
fn topics_with_long_messages_do_not_overrun_the_brokers_buffer() {
    // Redis ends a connection with subscriptions for which it has more than 32 MB.
    let Some(redis) = Broker::with_settings(Program::Redis, "appendfsync no") else { return };
    let mut client = Client::connect(redis.port());
    let long = "x".repeat(300_000);
    for topic in 0..100 {
        client.ask(&["XADD", &format!("log.{topic}"), "*", "payload", &long]);
        client.ask(&["XADD", &format!("log.{topic}"), "*", "payload", &long]);
    }
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    hub.subscribe("room", |_: &Message| Ok(())).unwrap();
    let count = Rc::new(Cell::new(0));
    for topic in 0..100 {
        let count = Rc::clone(&count);
        let hear = move |_: &Message| {
            count.set(count.get() + 1);
            Ok(())
        };
        hub.subscribe_from(&format!("log.{topic}"), Start::Oldest, hear).unwrap();
    }
    run_until(&reactor, "all of them", || count.get() == 200);
    assert_eq!(hub.stats().connections_lost, 0);
}

#[test]
fn processes_with_as_many_names_as_they_may_have_are_all_present() {
    let Some(redis) = Broker::with_settings(Program::Redis, "appendfsync no") else { return };
    let mut client = Client::connect(redis.port());
    // 256 KiB of names each, as a hub announces them.
    for process in 0..70 {
        let names = format!("[\"{process}-{}\"]", "x".repeat(262_000));
        client.ask(&["SET", &format!("{{torsade-presence:room}}{process:016x}"), &names]);
        client.ask(&["ZADD", "{torsade-presence:room}", "9999999999999", &format!("{process:016x}")]);
    }
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = Hub::open(&reactor, &redis.url()).unwrap();
    run_until(&reactor, "connected", || hub.is_connected());
    let present = hub.present("room");
    run_until(&reactor, "an answer", || present.is_called());
    assert_eq!(present.into_result().unwrap().unwrap().len(), 70);
    assert_eq!(hub.stats().connections_lost, 0);
}

#[test]
fn a_stream_that_is_evicted_or_deleted_is_told_at_once() {
    let Some(redis) = Broker::with_settings(Program::Redis, "maxmemory-policy allkeys-lru") else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    let (seen, subscriber) = notes();
    hub.subscribe_from("log.all", Start::Oldest, subscriber).unwrap();
    let mut client = Client::connect(redis.port());
    let reset = format!("({})", Gap::Reset);
    let mut expected = Vec::new();
    for lose in [&["CONFIG", "SET", "maxmemory", "1"][..], &["DEL", "log.all"], &["FLUSHALL"]] {
        hub.publish("log.all", "kept").unwrap();
        expected.push("kept".to_owned());
        run_until(&reactor, "the message", || *seen.borrow() == expected);
        client.ask(lose);
        // It is evicted when something wants room, and then nothing can be stored.
        client.ask(&["XADD", "other", "*", "payload", "x"]);
        expected.push(reset.clone());
        run_until(&reactor, "the loss", || *seen.borrow() == expected);
        client.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    }
    assert_eq!(hub.stats().connections_lost, 0);
}

#[test]
fn whoever_may_not_be_told_of_changes_hears_live_messages_only() {
    let settings = "user ada on >pass ~* &* +@all -client|tracking";
    let Some(redis) = Broker::with_settings(Program::Redis, settings) else { return };
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let url = redis.url().replace("redis://", "redis://ada:pass@");
    let hub = HubConfig::new(&url).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    let live = heard(&hub, "room");
    let stored = heard(&hub, "log.all");
    run_until(&reactor, "refused", || !stored.borrow().is_empty());
    assert!(stored.borrow()[0].contains("client|tracking"), "{stored:?}");
    hub.publish("room", "hello").unwrap();
    run_until(&reactor, "heard", || !live.borrow().is_empty());
    assert_eq!((live.borrow()[0].as_str(), hub.stats().connections_lost), ("hello", 0));
}
