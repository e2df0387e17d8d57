//! The engine with a Redis that behaves, and with one that does not.

use std::rc::Rc;
use std::time::Duration;

use torsade::hub::{Gap, Hub, HubConfig, Message, Start};
use torsade::simulated::{Host as SimulatedHost, Simulation};

use crate::heard;
use crate::notes::{Notes, notes};
use crate::scripted_redis::{ScriptedRedis, Value};

/// A broker at 10.0.0.9, and hosts for programs.
struct World {
    simulation: Simulation,
    redis: ScriptedRedis,
    server: SimulatedHost,
}

impl World {
    fn new(seed: u64) -> Self {
        let simulation = Simulation::new(seed);
        let server = simulation.host("10.0.0.9");
        let redis = ScriptedRedis::new();
        redis.listen(&server, "10.0.0.9:6379");
        Self { simulation, redis, server }
    }

    fn hub(&self, ip: &str) -> Hub {
        HubConfig::new("redis://10.0.0.9").unwrap().replay("log.>", 1000).unwrap().open(&self.simulation.host(ip)).unwrap()
    }

    fn run(&self, millis: u64) {
        self.simulation.run_for(Duration::from_millis(millis)).unwrap();
    }

    fn ask(&self, command: &str) -> Value {
        let parts: Vec<_> = command.split(' ').collect();
        self.redis.ask(&self.server, &parts)
    }
}

#[test]
fn messages_go_from_one_hub_to_another() {
    let world = World::new(1);
    let (one, two) = (world.hub("10.0.0.1"), world.hub("10.0.0.2"));
    let seen = heard(&two, "room.*");
    let exact = heard(&one, "room.a?b");
    world.run(1000);
    assert!(one.is_connected() && two.is_connected());
    for topic in ["room.a?b", "room.axb", "room.a?b.c", "other.a?b"] {
        one.publish(topic, topic).unwrap();
    }
    world.run(1000);
    assert_eq!(*seen.borrow(), ["room.a?b", "room.axb"]);
    assert_eq!(*exact.borrow(), ["room.a?b"]);
}

#[test]
fn whoever_subscribes_hears_what_is_published_after_that() {
    let world = World::new(17);
    let hub = world.hub("10.0.0.1");
    world.run(1000);
    for topic in ["room", "log.all"] {
        let (seen, subscriber) = notes();
        hub.subscribe(topic, subscriber).unwrap();
        hub.publish(topic, "at once").unwrap();
        world.run(1000);
        assert_eq!(*seen.borrow(), ["at once"], "{topic}");
    }
}

#[test]
fn a_large_message_comes_whole() {
    let world = World::new(2);
    let hub = world.hub("10.0.0.1");
    let seen = heard(&hub, "room");
    let stored = heard(&hub, "log.all");
    world.run(1000);
    let text = "\r\n$5\r\n".repeat(70_000);
    hub.publish("room", &text).unwrap();
    hub.publish("log.all", &text).unwrap();
    world.run(5000);
    assert_eq!((seen.borrow().len(), stored.borrow().len()), (1, 1));
    assert!(seen.borrow()[0] == text && stored.borrow()[0] == text);
}

#[test]
fn stored_messages_are_read_from_any_start_and_by_any_writer() {
    let world = World::new(3);
    let hub = world.hub("10.0.0.1");
    world.run(1000);
    for number in 0..300 {
        world.ask(&format!("XADD log.all * payload {number}"));
    }
    world.ask("XADD log.all * anything only");
    world.ask("XADD log.all * one 1 two 2");
    let (oldest, subscriber) = notes();
    hub.subscribe_from("log.all", Start::Oldest, subscriber).unwrap();
    let (last, subscriber) = notes();
    hub.subscribe_from("log.all", Start::Last(70), subscriber).unwrap();
    let next = heard(&hub, "log.all");
    world.run(1000);
    hub.publish("log.all", "new").unwrap();
    world.run(1000);
    world.ask("XADD log.all * payload foreign");
    world.run(1000);
    let mut all: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    all.extend(["only", "", "new", "foreign"].map(str::to_owned));
    assert_eq!(*oldest.borrow(), all);
    assert_eq!(*last.borrow(), all[232..]);
    assert_eq!(*next.borrow(), all[302..]);
    // What Python reads: the payload as it is, and where it comes from.
    let Value::List(entries) = world.ask("XREVRANGE log.all + - COUNT 2") else { panic!("a list") };
    let Value::List(entry) = &entries[1] else { panic!("an entry") };
    let Value::List(fields) = &entry[1] else { panic!("fields") };
    assert_eq!(fields[..3], ["payload", "new", "Nats-Msg-Id"].map(Value::text));
}

#[test]
fn a_subscription_that_begins_while_others_wait_wakes_them() {
    let world = World::new(4);
    let hub = world.hub("10.0.0.1");
    let first = heard(&hub, "log.one");
    world.run(1000);
    let second = heard(&hub, "log.two");
    world.run(200);
    hub.publish("log.two", "two").unwrap();
    hub.publish("log.one", "one").unwrap();
    world.run(200);
    assert_eq!((first.borrow().clone(), second.borrow().clone()), (vec!["one".to_owned()], vec!["two".to_owned()]));
}

#[test]
fn after_a_loss_live_topics_have_a_gap_and_stored_ones_none() {
    let world = World::new(5);
    let hub = world.hub("10.0.0.1");
    let live = heard(&hub, "room");
    let stored = heard(&hub, "log.all");
    let never = heard(&hub, "log.new");
    world.run(1000);
    hub.publish("room", "before").unwrap();
    hub.publish("log.all", "before").unwrap();
    world.run(1000);
    world.redis.drop_all();
    world.ask("PUBLISH room lost");
    world.ask("XADD log.all * payload kept");
    world.ask("XADD log.new * payload first");
    world.run(3000);
    assert!(hub.is_connected());
    hub.publish("room", "after").unwrap();
    hub.publish("log.all", "after").unwrap();
    world.run(1000);
    let gap = format!("({})", Gap::Disconnected);
    assert_eq!(*live.borrow(), ["before", &gap, "after"]);
    assert_eq!(*stored.borrow(), ["before", "kept", "after"]);
    assert_eq!(*never.borrow(), ["first"]);
}

#[test]
fn what_was_trimmed_away_or_lost_is_told() {
    let world = World::new(6);
    let hub = world.hub("10.0.0.1");
    let seen = heard(&hub, "log.all");
    world.run(1000);
    hub.publish("log.all", "one").unwrap();
    world.run(1000);
    let snapshot = world.redis.snapshot();
    hub.publish("log.all", "two").unwrap();
    world.run(1000);
    // More than it keeps, between two reads.
    world.ask("XADD log.all * payload three");
    world.ask("XADD log.all * payload four");
    world.ask("XTRIM log.all MAXLEN 1");
    world.redis.drop_all();
    world.run(3000);
    assert_eq!(seen.borrow().len(), 4, "{seen:?}");
    assert!(seen.borrow()[2].contains("no longer stored") && seen.borrow()[3] == "four", "{seen:?}");
    // An older disk.
    world.redis.return_to(&snapshot);
    world.redis.drop_all();
    world.run(3000);
    hub.publish("log.all", "five").unwrap();
    world.run(1000);
    let reset = format!("({})", Gap::Reset);
    assert_eq!(seen.borrow()[4..], [reset.clone(), "five".to_owned()]);
    // No disk.
    world.redis.lose_data();
    world.redis.drop_all();
    world.run(3000);
    hub.publish("log.all", "six").unwrap();
    world.run(1000);
    assert_eq!(seen.borrow()[6..], [reset, "six".to_owned()]);
}

#[test]
fn a_burst_that_is_longer_than_what_is_kept_is_told_while_connected() {
    let world = World::new(7);
    let hub = world.hub("10.0.0.1");
    let seen = heard(&hub, "log.all");
    world.run(1000);
    for round in 0..3 {
        for number in 0..5 {
            world.ask(&format!("XADD log.all MAXLEN 2 * payload {round}{number}"));
        }
        world.ask("XADD log.other * payload wakes-nobody");
        hub.publish("log.all", "x").unwrap();
        world.run(1000);
    }
    let told: Vec<_> = seen.borrow().iter().filter(|text| text.starts_with('(')).cloned().collect();
    assert_eq!(told.len(), 3, "{seen:?}");
}

#[test]
fn a_wrong_password_is_said_and_tried_again() {
    let world = World::new(8);
    world.redis.require_login("ada", "secret");
    let hub = Hub::open(&world.simulation.host("10.0.0.1"), "redis://ada:secret@10.0.0.9").unwrap();
    let wrong = Hub::open(&world.simulation.host("10.0.0.2"), "redis://ada:wrong@10.0.0.9").unwrap();
    let none = Hub::open(&world.simulation.host("10.0.0.3"), "redis://10.0.0.9").unwrap();
    world.run(20_000);
    assert!(hub.is_connected() && !wrong.is_connected() && !none.is_connected());
    let lost = wrong.stats().connections_lost;
    assert!((5..30).contains(&lost), "{lost} attempts in 20 s");
    world.redis.require_login("ada", "wrong");
    world.run(5000);
    assert!(wrong.is_connected() && hub.is_connected());
}

#[test]
fn a_broker_that_is_silent_is_given_up() {
    let world = World::new(9);
    let hub = world.hub("10.0.0.1");
    world.run(1000);
    assert!(hub.is_connected());
    world.redis.stop_answering(true);
    world.run(31_000);
    assert!(!hub.is_connected());
    world.run(60_000);
    world.redis.stop_answering(false);
    world.run(15_000);
    assert!(hub.is_connected());
    // An idle one is asked, and stays.
    let lost = hub.stats().connections_lost;
    world.run(120_000);
    assert_eq!(hub.stats().connections_lost, lost);
}

#[test]
fn hosts_are_tried_in_turn() {
    let world = World::new(10);
    world.simulation.host("10.0.0.7");
    let hub = Hub::open(&world.simulation.host("10.0.0.1"), "redis://10.0.0.7,10.0.0.9").unwrap();
    world.run(10_000);
    assert!(hub.is_connected());
}

#[test]
fn a_broker_that_reads_its_disk_or_became_a_replica_is_left() {
    let world = World::new(11);
    let hub = world.hub("10.0.0.1");
    world.redis.fail_command("PING", Some("LOADING Redis is loading the dataset in memory"));
    world.run(5000);
    assert!(!hub.is_connected());
    world.redis.fail_command("PING", None);
    world.run(5000);
    assert!(hub.is_connected());
    world.redis.fail_command("XADD", Some("READONLY You can't write against a read only replica."));
    let stored = hub.publish_stored("log.all", "kept");
    world.run(5000);
    assert!(!stored.is_called() && hub.stats().connections_lost > 1);
    world.redis.fail_command("XADD", None);
    world.run(5000);
    assert!(stored.into_result().unwrap().is_ok());
    // What it does not take for good is told.
    world.redis.fail_command("XADD", Some("OOM command not allowed when used memory > 'maxmemory'."));
    let refused = hub.publish_stored("log.all", "no");
    world.run(1000);
    assert!(refused.into_result().unwrap().unwrap_err().to_string().contains("OOM"));
    assert!(hub.is_connected());
}

#[test]
fn a_key_of_another_type_is_refused_by_itself() {
    let world = World::new(12);
    world.ask("SET log.text value");
    let hub = world.hub("10.0.0.1");
    let refused = heard(&hub, "log.text");
    let seen = heard(&hub, "log.all");
    world.run(1000);
    hub.publish("log.all", "one").unwrap();
    world.run(1000);
    assert_eq!(*seen.borrow(), ["one"]);
    assert!(refused.borrow().iter().any(|text| text.contains("WRONGTYPE")), "{refused:?}");
}

#[test]
fn a_key_that_becomes_another_type_ends_its_topic_and_no_more() {
    let world = World::new(19);
    let hub = world.hub("10.0.0.1");
    let refused = heard(&hub, "log.text");
    let seen = heard(&hub, "log.all");
    world.run(1000);
    hub.publish("log.text", "before").unwrap();
    world.run(1000);
    world.ask("SET log.text value");
    world.run(10_000);
    hub.publish("log.all", "one").unwrap();
    world.run(1000);
    assert_eq!(*seen.borrow(), ["one"]);
    assert!(refused.borrow().iter().any(|text| text.contains("WRONGTYPE")), "{refused:?}");
    assert_eq!(hub.stats().connections_lost, 0);
}

#[test]
fn a_broker_that_answers_nothing_is_sent_no_more_than_so_much() {
    let world = World::new(20);
    let hub = HubConfig::new("redis://10.0.0.9").unwrap().queue(10, 1 << 20).open(&world.simulation.host("10.0.0.1")).unwrap();
    let _seen = heard(&hub, "room");
    world.run(1000);
    world.redis.withhold("PUBLISH", true);
    let mut sent = 0;
    while hub.publish("room", "x").is_ok() {
        sent += 1;
        assert!(sent < 200_000, "it is sent without end");
        if sent % 1000 == 0 {
            world.run(1);
        }
    }
    world.redis.withhold("PUBLISH", false);
    world.redis.drop_all();
    world.run(5000);
    hub.publish("room", "x").unwrap();
}

#[test]
fn presence_ends_with_its_process() {
    let world = World::new(13);
    let config = HubConfig::new("redis://10.0.0.9").unwrap().presence_period(Duration::from_secs(3));
    let there = world.simulation.host("10.0.0.1");
    let one = config.open(&there).unwrap();
    let two = config.open(&world.simulation.host("10.0.0.2")).unwrap();
    world.run(1000);
    let _ada = one.enter("room", "ada").unwrap();
    let _ben = two.enter("room", "ben").unwrap();
    world.run(1000);
    let present = two.present("room");
    world.run(1000);
    assert_eq!(present.into_result().unwrap().unwrap(), ["ada", "ben"]);
    there.crash();
    world.run(3500);
    let present = two.present("room");
    world.run(1000);
    assert_eq!(present.into_result().unwrap().unwrap(), ["ben"]);
}

#[test]
fn a_hub_that_is_closed_leaves_nothing() {
    for wait in [0, 1, 5, 20, 50, 1000] {
        let world = World::new(14);
        let host = world.simulation.host("10.0.0.1");
        let hub = HubConfig::new("redis://10.0.0.9").unwrap().replay("log.>", 1000).unwrap().open(&host).unwrap();
        let (seen, subscriber) = notes();
        let gone = Rc::downgrade(&seen);
        hub.subscribe("log.all", subscriber).unwrap();
        hub.subscribe_from("log.all", Start::Oldest, Notes(Rc::clone(&seen))).unwrap();
        world.run(wait);
        hub.publish("log.all", "last").unwrap();
        hub.publish("room", "last").unwrap();
        let closed = hub.close();
        drop((hub, seen));
        world.run(20_000);
        assert!(closed.is_called());
        assert_eq!(world.redis.clients(), 0, "closed after {wait} ms");
        assert_eq!(gone.strong_count(), 0);
        assert!(host.leftovers().is_clean(), "closed after {wait} ms: {:?}", host.leftovers());
        if wait > 50 {
            assert_eq!(world.ask("XLEN log.all"), Value::Number(1));
        }
    }
}

#[test]
fn a_busy_topic_does_not_keep_others_waiting() {
    let world = World::new(18);
    let hub = world.hub("10.0.0.1");
    let seen = heard(&hub, "log.busy");
    hub.subscribe("log.quiet", Notes(Rc::clone(&seen))).unwrap();
    world.run(1000);
    world.redis.drop_all();
    for number in 0..3000 {
        world.ask(&format!("XADD log.busy * payload {number}"));
    }
    world.simulation.run_until(|| !seen.borrow().is_empty()).unwrap();
    world.ask("XADD log.quiet * payload quiet");
    world.simulation.run_until(|| seen.borrow().iter().any(|text| text == "quiet")).unwrap();
    assert!(seen.borrow().len() < 1000, "{} came first", seen.borrow().len());
    world.run(10_000);
    assert_eq!(seen.borrow().len(), 3001);
}

#[test]
fn sharded_pub_sub_is_asked_for_by_the_text() {
    let world = World::new(15);
    let hub = Hub::open(&world.simulation.host("10.0.0.1"), "redis://10.0.0.9?sharded").unwrap();
    let seen = heard(&hub, "room");
    assert!(hub.subscribe("room.*", |_: &Message| Ok(())).is_err());
    world.run(1000);
    hub.publish("room", "hello").unwrap();
    world.run(1000);
    assert_eq!(*seen.borrow(), ["hello"]);
    let asked = world.redis.take_asked();
    assert!(asked.contains(&"SSUBSCRIBE".to_owned()) && asked.contains(&"SPUBLISH".to_owned()), "{asked:?}");
}

#[test]
fn addresses_that_say_nothing_useful_are_refused() {
    let world = World::new(16);
    let host = world.simulation.host("10.0.0.1");
    for text in ["redis://10.0.0.9?nonsense", "redis://ada@10.0.0.9", "redis://10.0.0.9?ca=/x.pem"] {
        assert!(Hub::open(&host, text).is_err(), "{text}");
    }
}
