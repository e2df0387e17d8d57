//! Stored topics: each message is seen at least once, in order, by every subscriber that was not away for longer than is stored.

use std::time::Duration;

use torsade::hub::{Gap, Hub, HubConfig, MessageId, Start, WhenDisconnected};

use crate::heard::{Heard, numbered};
use crate::world::{World, beside_every_broker, in_every_world};

const TOPIC: &str = "log.events";

fn config(world: &World, keep: u64) -> HubConfig {
    world.config().when_disconnected(WhenDisconnected::Queue).replay("log.>", keep).unwrap()
}

/// Stores numbered messages, and returns their ids.
fn store(world: &World, hub: &Hub, publisher: &str, numbers: std::ops::Range<u64>) -> Vec<MessageId> {
    let stored: Vec<_> = numbers.map(|number| hub.publish_stored(TOPIC, numbered(publisher, number))).collect();
    stored.into_iter().map(|stored| world.wait("an id", stored).unwrap()).collect()
}

fn texts(publisher: &str, numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| numbered(publisher, number)).collect()
}

fn is_ascending(ids: &[MessageId]) -> bool {
    ids.windows(2).all(|pair| pair[0] < pair[1])
}

in_every_world! {
    fn a_stored_message_has_the_id_that_its_publisher_was_told(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe(TOPIC, ears.clone()).unwrap();
        world.until_heard(&publisher, TOPIC, &ears);
        let ids = store(world, &publisher, "p", 0..20);
        assert!(is_ascending(&ids), "{ids:?}");
        world.run_until("the messages", || ears.count() == 20);
        assert_eq!((ears.ids(), ears.payloads()), (ids, texts("p", 0..20)));
        assert_eq!(ears.gaps(), []);
    }

    fn a_plain_publish_on_such_a_topic_is_stored_too(world: &World) {
        let config = config(world, 1000);
        let (_process, hub) = world.hub(&config);
        for number in 0..5 {
            world.publish(&hub, TOPIC, numbered("p", number));
        }
        store(world, &hub, "p", 5..6);
        let ears = Heard::default();
        let _subscription = hub.subscribe_from(TOPIC, Start::Oldest, ears.clone()).unwrap();
        world.run_until("all six", || ears.count() == 6);
        assert_eq!(ears.payloads(), texts("p", 0..6));
    }

    fn a_newcomer_gets_the_last_messages_and_then_each_that_comes(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        store(world, &publisher, "p", 0..50);
        let mut newcomers = Vec::new();
        for number in 50..100 {
            // While more is published.
            world.publish(&publisher, TOPIC, numbered("p", number));
            if number % 10 == 5 {
                let ears = Heard::default();
                let subscription = hub.subscribe_from(TOPIC, Start::Last(20), ears.clone()).unwrap();
                newcomers.push((ears, subscription));
                world.run_for(Duration::from_millis(1));
            }
        }
        for (ears, _) in &newcomers {
            world.run_until("the last", || ears.has(&numbered("p", 99)));
            let heard = ears.payloads();
            let first: u64 = heard[0].strip_prefix("p ").unwrap().parse().unwrap();
            assert_eq!(heard, texts("p", first..100), "none twice, none left out");
            assert!((30..=80).contains(&first), "the last 20 begin with {first}");
            assert!(is_ascending(&ears.ids()) && ears.gaps().is_empty());
        }
    }

    fn who_comes_back_with_an_id_gets_what_came_since(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ids = store(world, &publisher, "p", 0..30);
        for (after, expected) in [(ids[0], 1..40), (ids[17], 18..40), (ids[29], 30..40)] {
            let ears = Heard::default();
            // As text, as a client would store it.
            let after = after.to_string().parse().unwrap();
            let _subscription = hub.subscribe_from(TOPIC, Start::After(after), ears.clone()).unwrap();
            if expected.start == 1 {
                store(world, &publisher, "p", 30..40);
            }
            let count = usize::try_from(expected.end - expected.start).unwrap();
            world.run_until("what came since", || ears.count() >= count);
            assert_eq!((ears.payloads(), ears.gaps()), (texts("p", expected), vec![]));
        }
    }

    fn who_was_away_for_longer_than_is_kept_is_told(world: &World) {
        let config = config(world, 100);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ids = store(world, &publisher, "p", 0..1000);
        let ears = Heard::default();
        let _subscription = hub.subscribe_from(TOPIC, Start::After(ids[3]), ears.clone()).unwrap();
        world.run_until("the last", || ears.has(&numbered("p", 999)));
        assert_eq!(ears.course()[0], format!("({})", Gap::Trimmed { after: Some(ids[3]) }));
        let heard = ears.payloads();
        assert!((100..500).contains(&heard.len()), "{} are kept", heard.len());
        let first = 1000 - u64::try_from(heard.len()).unwrap();
        assert_eq!((heard, ears.gaps().len()), (texts("p", first..1000), 1));
    }

    fn the_oldest_that_is_kept_comes_first_where_that_is_asked(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        store(world, &publisher, "p", 0..300);
        let ears = Heard::default();
        let _subscription = hub.subscribe_from(TOPIC, Start::Oldest, ears.clone()).unwrap();
        world.run_until("all", || ears.count() == 300);
        assert_eq!((ears.payloads(), ears.gaps()), (texts("p", 0..300), vec![]));
    }

    fn topics_that_are_kept_are_apart(world: &World) {
        let config = config(world, 1000);
        let (_process, hub) = world.hub(&config);
        let topics = ["log.a", "log.a.b", "log.a_b", "log.a-b", "log.A", "log.a__b", "log.a_-b"];
        for topic in topics {
            world.wait("an id", hub.publish_stored(topic, topic)).unwrap();
        }
        for topic in topics {
            let ears = Heard::default();
            let _subscription = hub.subscribe_from(topic, Start::Oldest, ears.clone()).unwrap();
            world.run_until(topic, || ears.count() > 0);
            assert_eq!(ears.payloads(), [topic]);
        }
    }
}

beside_every_broker! {
    fn nothing_that_was_stored_is_missed_while_the_broker_is_away(world: &World) {
        let config = config(world, 10_000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe(TOPIC, ears.clone()).unwrap();
        world.until_heard(&publisher, TOPIC, &ears);
        let mut stored = Vec::new();
        for round in 0..3 {
            for number in 0..40 {
                stored.push(publisher.publish_stored(TOPIC, numbered("p", round * 40 + number)));
                match number {
                    10 => world.broker(|broker| broker.kill()),
                    30 => world.broker(|broker| broker.start(true)),
                    _ => {}
                }
                world.run_for(Duration::from_millis(2));
            }
            world.run_until("all of a round", || stored.iter().all(|stored| stored.is_called()));
        }
        for stored in stored {
            world.wait("an id", stored).unwrap();
        }
        world.run_until("the last", || ears.has(&numbered("p", 119)));
        // The hub recognizes duplicates by their origin.
        assert_eq!((ears.payloads(), ears.gaps()), (texts("p", 0..120), vec![]));
        assert!(is_ascending(&ears.ids()));
    }

    fn who_subscribes_while_the_broker_is_away_is_brought_what_the_others_here_are(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let (first, second) = (Heard::default(), Heard::default());
        let _subscription = hub.subscribe(TOPIC, first.clone()).unwrap();
        world.until_heard(&publisher, TOPIC, &first);
        store(world, &publisher, "p", 0..3);
        world.run_until("what came before", || first.count() == 3);
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connections", || !publisher.is_connected() && !hub.is_connected());
        for number in 3..6 {
            world.publish(&publisher, TOPIC, numbered("p", number));
        }
        let _later = hub.subscribe(TOPIC, second.clone()).unwrap();
        world.broker(|broker| broker.start(true));
        world.run_until("what came since", || first.count() == 6 && second.count() == 3);
        assert_eq!((second.payloads(), second.gaps()), (texts("p", 3..6), vec![]));
    }

    fn a_broker_that_has_lost_its_messages_is_told_of_and_goes_on(world: &World) {
        let config = config(world, 1000);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe(TOPIC, ears.clone()).unwrap();
        world.until_heard(&publisher, TOPIC, &ears);
        store(world, &publisher, "p", 0..10);
        world.run_until("the first", || ears.count() == 10);
        world.broker(|broker| broker.kill());
        world.broker(|broker| broker.start(false));
        world.connect(&publisher);
        store(world, &publisher, "q", 0..5);
        world.run_until("what comes after", || ears.has(&numbered("q", 4)));
        assert_eq!(ears.gaps().len(), 1, "{:?}", ears.course());
        let told = ears.course()[10..].to_vec();
        // If ids start over by the clock, the loss looks like a trim.
        assert!(told[0] == format!("({})", Gap::Reset) || told[0].contains("no longer stored"), "{told:?}");
        assert_eq!(told[1..], texts("q", 0..5));
    }
}
