//! Messages arrive unchanged, in their publisher's order, once, at those who have subscribed.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use torsade::hub::{Hub, Message, Publication, PublishError, SubscribeError};

use crate::heard::{Heard, numbered};
use crate::world::{Engine, World, in_every_world};

const MESSAGES: u64 = 100;

in_every_world! {
    fn each_publishers_messages_come_in_its_order_to_all_processes(world: &World) {
        let config = world.config();
        let hubs: Vec<_> = (0..3).map(|_| world.hub(&config)).collect();
        let mut heard = Vec::new();
        for topic in ["order.a", "order.b"] {
            for (number, (_, hub)) in hubs.iter().enumerate() {
                let ears = Heard::default();
                let subscription = hub.subscribe(topic, ears.clone()).unwrap();
                world.until_heard(&hubs[0].1, topic, &ears);
                heard.push((format!("{topic} in process {number}"), ears, subscription));
            }
        }
        for number in 0..MESSAGES {
            for (index, (_, hub)) in hubs.iter().enumerate() {
                for topic in ["order.a", "order.b"] {
                    world.publish(hub, topic, numbered(&format!("{index}"), number));
                }
            }
        }
        let published: HashMap<_, _> = (0..3).map(|index| (index.to_string(), MESSAGES)).collect();
        for (who, ears, _) in &heard {
            world.run_until(who, || ears.count() as u64 == 3 * MESSAGES);
            ears.check(who, &published);
            assert_eq!(ears.gaps(), []);
        }
    }

    fn each_subscriber_of_a_process_hears_a_message_once_whatever_else_is_subscribed(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let patterns = ["room.lobby", "room.lobby", "room.*", "room.>", ">", "*.lobby", "*.*", "room.lobby.>", "*", "other.*"];
        let ears: Vec<_> = patterns.iter().map(|_| Heard::default()).collect();
        let subscriptions: Vec<_> =
            patterns.iter().zip(&ears).map(|(pattern, ears)| hub.subscribe(pattern, ears.clone()).unwrap()).collect();
        for ears in &ears[..7] {
            world.until_heard(&publisher, "room.lobby", ears);
        }
        let last = Heard::default();
        let all = hub.subscribe("room.last", last.clone()).unwrap();
        world.until_heard(&publisher, "room.last", &last);
        for number in 0..10 {
            world.publish(&publisher, "room.lobby", number.to_string());
        }
        let expected: Vec<_> = (0..10).map(|number| number.to_string()).collect();
        for (pattern, ears) in patterns[..7].iter().zip(&ears) {
            world.run_until(pattern, || ears.count() >= 10);
        }
        world.publish(&publisher, "room.last", "end");
        world.run_until("the end", || last.has("end"));
        for (pattern, ears) in patterns.iter().zip(&ears) {
            let heard: Vec<_> = ears.payloads().into_iter().filter(|text| text != "end").collect();
            let asked = !matches!(*pattern, "room.lobby.>" | "*" | "other.*");
            assert_eq!(heard, if asked { expected.clone() } else { Vec::new() }, "{pattern}");
        }
        drop((subscriptions, all));
    }

    fn a_payload_comes_as_it_was_published_whatever_is_in_it(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe("odd.Topic-7/with:signs[?]", ears.clone()).unwrap();
        world.until_heard(&publisher, "odd.Topic-7/with:signs[?]", &ears);
        let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let payloads: [&[u8]; 6] = [b"", b"\r\n", b"+OK\r\nMSG a 1 2\r\n$-1\r\n", &bytes, &[0], b"last"];
        for payload in payloads {
            world.publish(&publisher, "odd.Topic-7/with:signs[?]", payload);
        }
        world.run_until("all payloads", || ears.has("last"));
        let heard = ears.messages();
        assert_eq!(heard.len(), payloads.len());
        for (message, payload) in heard.iter().zip(payloads) {
            assert!(message.payload()[..] == *payload, "{} bytes came of {}", message.payload().len(), payload.len());
            assert_eq!(message.topic().as_str(), "odd.Topic-7/with:signs[?]");
        }
    }

    fn headers_come_with_a_message_or_are_refused(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe("with.headers", ears.clone()).unwrap();
        world.until_heard(&publisher, "with.headers", &ears);
        let publication = Publication::from("text").header("Colour", "red").header("Empty", "");
        let published = publisher.publish("with.headers", publication);
        if world.engine == Engine::Redis {
            assert!(matches!(published, Err(PublishError::Unsupported(_))), "{published:?}");
            return;
        }
        published.unwrap();
        world.run_until("the message", || ears.count() == 1);
        let message: Message = ears.messages().remove(0);
        assert_eq!((message.header("colour"), message.header("Empty"), message.header("Other")), (Some("red"), Some(""), None));
        for (name, value) in [("", "red"), ("a:b", "red"), ("a\r\nb", "red"), ("a", "red\nblue")] {
            let published = publisher.publish("with.headers", Publication::from("text").header(name, value));
            assert!(matches!(published, Err(PublishError::Header { .. })), "{published:?}");
        }
    }

    fn a_subscription_that_has_ended_hears_nothing_more_and_the_others_do(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let (ended, stays) = (Heard::default(), Heard::default());
        let subscription = hub.subscribe("half.heard", ended.clone()).unwrap();
        let _stays = hub.subscribe("half.heard", stays.clone()).unwrap();
        world.until_heard(&publisher, "half.heard", &ended);
        world.until_heard(&publisher, "half.heard", &stays);
        world.publish(&publisher, "half.heard", "first");
        world.run_until("the first", || ended.has("first") && stays.has("first"));
        subscription.unsubscribe();
        world.publish(&publisher, "half.heard", "second");
        world.run_until("the second", || stays.has("second"));
        assert_eq!(ended.payloads(), ["first"]);
        assert_eq!(stays.payloads(), ["first", "second"]);
        // And again, after none was left.
        let again = Heard::default();
        let _again = hub.subscribe("half.heard", again.clone()).unwrap();
        world.until_heard(&publisher, "half.heard", &again);
    }

    fn each_message_goes_to_one_of_a_group(world: &World) {
        let config = world.config();
        let (_process, publisher) = world.hub(&config);
        let hubs: Vec<_> = (0..3).map(|_| world.hub(&config)).collect();
        let everybody = Heard::default();
        let _subscription = publisher.subscribe("work.load", everybody.clone()).unwrap();
        let mut workers = Vec::new();
        for (_, hub) in &hubs {
            let ears = Heard::default();
            match hub.subscribe_in_group("work.load", "workers", ears.clone()) {
                Ok(subscription) => workers.push((ears, subscription)),
                Err(error) => {
                    assert!(matches!(error, SubscribeError::Unsupported(_)) && world.engine == Engine::Redis, "{error}");
                    return;
                }
            }
        }
        world.until_heard(&publisher, "work.load", &everybody);
        for (ears, _) in &workers {
            world.until_heard(&publisher, "work.load", ears);
        }
        for number in 0..MESSAGES {
            world.publish(&publisher, "work.load", numbered("boss", number));
        }
        let count = || workers.iter().map(|(ears, _)| ears.count() as u64).sum::<u64>();
        world.run_until("all work", || count() == MESSAGES && everybody.count() as u64 == MESSAGES);
        let mut all: Vec<_> = workers.iter().flat_map(|(ears, _)| ears.payloads()).collect();
        all.sort();
        let mut expected = everybody.payloads();
        expected.sort();
        assert_eq!(all, expected);
    }

    fn a_subscriber_may_publish_subscribe_and_end_itself_in_its_call(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let answers = Heard::default();
        let _answers = publisher.subscribe("call.answer", answers.clone()).unwrap();
        world.until_heard(&publisher, "call.answer", &answers);
        let (calls, own, speaker): (Rc<RefCell<u32>>, Rc<RefCell<Vec<_>>>, Hub) = (Rc::default(), Rc::default(), hub.clone());
        let (counted, mine, later) = (Rc::clone(&calls), Rc::clone(&own), Heard::default());
        let hears = later.clone();
        let subscription = hub.subscribe("call.ask", move |message: &Message| {
            *counted.borrow_mut() += 1;
            speaker.publish("call.answer", message.payload())?;
            let again = speaker.subscribe("call.ask", hears.clone())?;
            mine.replace(vec![again]);
            Ok(())
        });
        let ending = subscription.unwrap();
        world.repeat_until("an answer", || {
            drop(publisher.publish("call.ask", "hello"));
            answers.has("hello") && later.has("hello")
        });
        ending.unsubscribe();
        let calls_before = *calls.borrow();
        let heard_before = later.count();
        world.publish(&publisher, "call.ask", "bye");
        world.run_until("the rest", || later.count() > heard_before && later.has("bye"));
        assert_eq!(*calls.borrow(), calls_before);
    }
}
