//! Stored topics.

use std::time::Duration;

use torsade::hub::{HubConfig, Start};
use torsade::simulated::Faults;

use crate::support::World;

const RESET: &str = "(the broker has lost its stored messages)";

#[test]
fn what_was_stored_while_nobody_listened_comes_after_the_return() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.publish_stored("log.a", "one"));
    world.until("it comes", || list.len() == 1);
    world.simulation.partition("10.0.0.1", "10.0.0.9");
    world.server.publish("log.a", b"two");
    world.server.publish("log.a", b"three");
    world.run(30);
    world.simulation.heal("10.0.0.1", "10.0.0.9");
    world.until("they come", || list.len() == 3);
    assert_eq!(list.take(), "0-1 one, 0-2 two, 0-3 three");
}

#[test]
fn what_was_trimmed_meanwhile_is_told() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.publish_stored("log.a", "one"));
    world.until("it comes", || list.len() == 1);
    world.server.drop_all();
    for number in 2..=9 {
        world.server.publish("log.a", number.to_string().as_bytes());
    }
    world.run(5);
    assert_eq!(list.take(), "0-1 one, (messages after 0-1 are no longer stored), 0-5 5, 0-6 6, 0-7 7, 0-8 8, 0-9 9");
}

#[test]
fn a_stream_keeps_as_many_as_the_publisher_says() {
    let world = World::new();
    let hub = world.hub(1);
    hub.subscribe("log.a", world.notes()).unwrap();
    world.run(2);
    assert_eq!(world.server.stored("log_-a"), (Vec::new(), 5), "the subscriber says it as well");
    world.value(hub.publish_stored("log.a", "one"));
    assert_eq!(world.server.stored("log_-a"), (vec!["one".to_owned()], 5));
    // One who wants more gets it, and nobody gets it less.
    for (host, keep, expected) in [(2, 9, 9), (3, 5, 9)] {
        let config = HubConfig::new("nats://10.0.0.9").unwrap().replay("log.a", keep).unwrap();
        let other = config.open(&world.simulation.host(&format!("10.0.0.{host}"))).unwrap();
        world.value(other.when_connected());
        world.value(other.publish_stored("log.a", "more"));
        assert_eq!(world.server.stored("log_-a").1, expected);
    }
}

#[test]
fn a_server_that_has_lost_its_disk_is_noticed_however_much_it_has_stored_since() {
    for stored_since in [0_u8, 1, 4] {
        let world = World::new();
        let (hub, list) = (world.hub(1), world.notes());
        hub.subscribe("log.a", list.clone()).unwrap();
        world.value(hub.when_connected());
        for _ in 0..2 {
            world.value(hub.publish_stored("log.a", "old"));
        }
        world.until("they come", || list.len() == 2);
        list.take();
        world.simulation.partition("10.0.0.1", "10.0.0.9");
        world.server.restart(false);
        let other = world.hub(2);
        world.value(other.when_connected());
        for _ in 0..stored_since {
            world.value(other.publish_stored("log.a", "new"));
        }
        world.run(30);
        world.simulation.heal("10.0.0.1", "10.0.0.9");
        world.run(10);
        let expected: Vec<_> = (1..=stored_since).map(|number| format!("0-{number} new")).collect();
        assert_eq!(list.take(), [&[RESET.to_owned()][..], &expected].concat().join(", "));
    }
}

#[test]
fn the_end_that_a_killed_server_had_not_written_is_told_as_lost() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.when_connected());
    for number in 1..=3 {
        world.value(hub.publish_stored("log.a", number.to_string()));
    }
    world.until("they come", || list.len() == 3);
    list.take();
    world.server.kill();
    world.server.lose_last(1);
    world.server.start();
    world.run(5);
    world.value(hub.publish_stored("log.a", "4"));
    world.run(1);
    assert_eq!(list.take(), format!("{RESET}, 0-3 4"));

    // Its number is given again before we are back.
    world.server.kill();
    world.server.lose_last(1);
    world.server.start();
    world.server.publish("log.a", b"5");
    world.run(5);
    assert_eq!(list.take(), format!("{RESET}, 0-3 5"));

    // More is lost than is stored until we are back.
    for number in 6..=20 {
        world.value(hub.publish_stored("log.a", number.to_string()));
    }
    world.run(1);
    list.take();
    world.server.kill();
    world.server.lose_last(4);
    world.server.start();
    world.server.publish("log.a", b"new");
    world.run(5);
    assert_eq!(list.take(), format!("{RESET}, 0-15 new"));
}

#[test]
fn a_message_that_a_consumer_was_not_sent_is_asked_for_again() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.run(2);
    // One is lost in the middle, and found missing by the next; then one at the end, by the heartbeat.
    for _ in 0..2 {
        world.server.publish("log.a", b"one");
        world.run(1);
        world.server.lose_next_of_consumers();
        world.server.publish("log.a", b"two");
        world.server.publish("log.a", b"three");
        world.run(1);
    }
    world.server.lose_next_of_consumers();
    world.server.publish("log.a", b"four");
    world.run(20);
    let all = "0-1 one, 0-2 two, 0-3 three, 0-4 one, 0-5 two, 0-6 three, 0-7 four";
    assert_eq!(list.take(), all);
}

#[test]
fn a_consumer_that_the_server_has_forgotten_is_made_anew() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.run(2);
    world.server.forget_consumers();
    world.server.publish("log.a", b"one");
    world.run(20);
    assert_eq!(list.take(), "0-1 one");
}

#[test]
fn a_stream_that_was_deleted_is_made_again_for_what_is_stored() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.publish_stored("log.a", "one"));
    world.run(1);
    world.server.delete_stream("log_-a");
    let ids: Vec<_> = (0..10).map(|number| hub.publish_stored("log.a", number.to_string())).collect();
    let ids: Vec<_> = ids.into_iter().map(|id| world.value(id).to_string()).collect();
    assert_eq!(ids, ["0-1", "0-2", "0-3", "0-4", "0-5", "0-6", "0-7", "0-8", "0-9", "0-10"]);
    world.run(30);
    assert_eq!(list.take(), format!("0-1 one, {RESET}, 0-6 5, 0-7 6, 0-8 7, 0-9 8, 0-10 9"));
}

#[test]
fn what_the_server_could_not_store_while_it_stored_later_ones_is_stored_behind_them_and_heard() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.when_connected());
    world.value(hub.publish_stored("log.a", "first"));
    world.server.miss_once(&["a", "c"]);
    let stored = ["a", "b", "c", "d"].map(|text| hub.publish_stored("log.a", text));
    world.run(2);
    let places = stored.map(|stored| world.value(stored).minor);
    world.value(hub.publish_stored("log.a", "last"));
    world.run(2);
    assert_eq!(places, [4, 2, 5, 3]);
    assert_eq!(list.take(), "0-1 first, 0-2 b, 0-3 d, 0-4 a, 0-5 c, 0-6 last");
    // The same when the connection is lost meanwhile.
    world.server.miss_once(&["e"]);
    let stored = ["e", "f"].map(|text| hub.publish_stored("log.a", text));
    world.until("the later one", || stored[1].is_called());
    world.server.drop_all();
    world.run(5);
    assert_eq!(list.take(), "0-7 f, 0-8 e");
}

#[test]
fn on_a_way_that_takes_minutes_everything_is_asked_for_once() {
    let world = World::new();
    world.simulation.set_faults(Faults { bandwidth: Some(1000), segment: 1..=1460, ..Faults::calm() });
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.when_connected());
    let stored: Vec<_> = (0..300).map(|number| hub.publish_stored("log.a", number.to_string())).collect();
    let last = stored.into_iter().map(|stored| world.value(stored).minor).last();
    world.run(200);
    assert!(list.take().ends_with("0-300 299"));
    let heard = world.server.heard();
    let count = |start: &str| heard.iter().filter(|line| line.starts_with(start)).count();
    assert_eq!((last, count("HPUB log.a "), count("PUB $JS.API.CONSUMER.CREATE")), (Some(300), 300, 1));
    assert!(world.simulation.now() > Duration::from_secs(60), "it took minutes");
}

#[test]
fn nothing_is_stored_twice_when_the_answer_was_lost() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    world.value(hub.publish_stored("log.a", "first"));
    // It gets there, and the answer does not.
    world.server.delay(Duration::from_secs(3));
    let stored = hub.publish_stored("log.a", "second");
    world.run(2);
    world.server.delay(Duration::ZERO);
    world.server.restart(true);
    assert_eq!(world.value(stored).to_string(), "0-2");
    assert_eq!(world.server.stored("log_-a").0, ["first", "second"]);
}

#[test]
fn what_is_kept_is_read_in_pieces_from_every_start() {
    let world = World::new();
    let config = world.config().replay("many", 1000).unwrap().queue(2000, 1 << 20);
    let hub = config.open(&world.simulation.host("10.0.0.1")).unwrap();
    world.value(hub.when_connected());
    for number in 1..=1200 {
        hub.publish("many", number.to_string()).unwrap();
    }
    world.value(hub.publish_stored("many", "1201"));
    for (start, first) in [(Start::Oldest, 202), (Start::Last(350), 852), (Start::After("0-777".parse().unwrap()), 778)] {
        let list = world.notes();
        hub.subscribe_from("many", start, list.clone()).unwrap();
        world.run(5);
        let expected: Vec<_> = (first..=1201).map(|number| format!("0-{number} {number}")).collect();
        assert_eq!(list.take(), expected.join(", "), "{start:?}");
    }
    let empty = world.notes();
    hub.subscribe_from("log.empty", Start::Last(3), empty.clone()).unwrap();
    world.run(5);
    assert_eq!(empty.take(), "");
    // No consumer is left but those of the two topics.
    assert_eq!(world.server.consumers(), 2);
}

#[test]
fn without_jetstream_nothing_hangs() {
    let world = World::new();
    world.server.set_jetstream(false);
    let hub = world.hub(1);
    world.value(hub.when_connected());
    let text = "the broker does not support this: its JetStream is off: start nats-server with -js, and let this account use it";
    assert_eq!(world.result(hub.publish_stored("log.a", "one")).unwrap_err(), text);
    assert_eq!(world.result(hub.present("room")).unwrap_err(), text);
    let list = world.notes();
    hub.subscribe("log.a", list.clone()).unwrap();
    world.run(1);
    assert!(list.take().contains("its JetStream is off"));
    // What is not kept goes on.
    hub.subscribe("room", list.clone()).unwrap();
    world.run(1);
    hub.publish("room", "hello").unwrap();
    world.run(1);
    assert_eq!(list.take(), "hello");
}

#[test]
fn a_consumer_that_waits_for_a_word_gets_it() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("log.a", list.clone()).unwrap();
    world.run(1);
    let heard = world.server.heard();
    let words = heard.iter().find(|line| line.starts_with("SUB") && line.contains(".d.")).unwrap().split(' ');
    let [_, subject, sid] = words.collect::<Vec<_>>()[..] else { panic!("{heard:?}") };
    let control = "NATS/1.0 100 FlowControl Request\r\n\r\n";
    let stalled = "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 0\r\nNats-Consumer-Stalled: $JS.FC.b\r\n\r\n";
    for (reply, headers) in [("$JS.FC.a ", control), ("", stalled)] {
        let length = headers.len();
        world.server.say(format!("HMSG {subject} {sid} {reply}{length} {length}\r\n{headers}\r\n").as_bytes());
    }
    world.run(1);
    let heard = world.server.heard();
    assert!(["PUB $JS.FC.a 0", "PUB $JS.FC.b 0"].iter().all(|word| heard.iter().any(|line| line == word)), "{heard:?}");
    assert_eq!(list.take(), "");
}

#[test]
fn topics_that_come_and_go_leave_nothing_behind() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    for round in 0..20 {
        let (topic, list) = (format!("log.{round}"), world.notes());
        let subscription = hub.subscribe(&topic, list.clone()).unwrap();
        world.value(hub.publish_stored(&topic, "one"));
        world.until("it comes", || list.len() == 1);
        subscription.unsubscribe();
        world.run(1);
    }
    world.run(20);
    assert_eq!(world.server.consumers(), 0);
    // Subscribed to again, it goes on with what is stored next.
    let list = world.notes();
    hub.subscribe("log.3", list.clone()).unwrap();
    world.run(1);
    world.value(hub.publish_stored("log.3", "two"));
    world.run(1);
    assert_eq!(list.take(), "0-2 two");
}
