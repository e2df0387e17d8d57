//! What happens to messages while the broker is unreachable, and what subscribers are told.

use std::collections::HashMap;
use std::time::Duration;

use torsade::hub::{Gap, PublishError, WhenDisconnected};

use crate::heard::{Heard, numbered};
use crate::world::{World, beside_every_broker};

beside_every_broker! {
    fn a_subscriber_is_told_of_the_gap_once_and_hears_what_comes_after_it(world: &World) {
        let config = world.config().when_disconnected(WhenDisconnected::Queue);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = [Heard::default(), Heard::default(), Heard::default()];
        let patterns = ["news.today", "news.*", "news.today"];
        let subscriptions: Vec<_> =
            patterns.iter().zip(&ears).map(|(pattern, ears)| hub.subscribe(pattern, ears.clone()).unwrap()).collect();
        for round in 0..3 {
            for ears in &ears {
                world.until_heard(&publisher, "news.today", ears);
            }
            world.publish(&publisher, "news.today", format!("before {round}"));
            world.run_until("a message before", || ears.iter().all(|ears| ears.has(&format!("before {round}"))));
            world.broker(|broker| broker.kill());
            world.run_for(Duration::from_millis(300));
            world.broker(|broker| broker.start(true));
            for ears in &ears {
                world.until_heard(&publisher, "news.today", ears);
            }
            world.publish(&publisher, "news.today", format!("after {round}"));
            world.run_until("a message after", || ears.iter().all(|ears| ears.has(&format!("after {round}"))));
        }
        let gap = format!("({})", Gap::Disconnected);
        let expected: Vec<_> = (0..3).flat_map(|round| [format!("before {round}"), gap.clone(), format!("after {round}")]).collect();
        for ears in &ears {
            assert_eq!(ears.course(), expected);
        }
        drop(subscriptions);
    }

    fn a_subscription_made_while_the_broker_is_away_begins_when_it_is_back(world: &World) {
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connections", || !publisher.is_connected() && !hub.is_connected());
        let ears = Heard::default();
        let _subscription = hub.subscribe("late.*", ears.clone()).unwrap();
        world.broker(|broker| broker.start(true));
        world.until_heard(&publisher, "late.topic", &ears);
        world.publish(&publisher, "late.topic", "heard");
        world.run_until("a message", || ears.has("heard"));
    }

    fn what_is_published_at_the_news_that_an_answer_is_lost_goes_out_afterwards(world: &World) {
        let (_process, hub) = world.hub(&world.config());
        let ears = Heard::default();
        let _subscription = hub.subscribe("news.lost", ears.clone()).unwrap();
        world.until_heard(&hub, "news.lost", &ears);
        let publisher = hub.clone();
        let asked = hub.present("news.lost").add_errback(move |_| {
            publisher.publish("news.lost", "after")?;
            Ok(Vec::new())
        });
        asked.detach();
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connection", || !hub.is_connected());
        world.broker(|broker| broker.start(true));
        world.run_until("a message", || ears.has("after"));
    }

    fn a_publish_is_refused_where_that_is_asked(world: &World) {
        let config = world.config().when_disconnected(WhenDisconnected::Refuse);
        let (_process, hub) = world.hub(&config);
        world.broker(|broker| broker.kill());
        let mut last = None;
        world.repeat_until("a refusal", || {
            last = hub.publish("some.topic", "text").err();
            last.is_some()
        });
        assert!(matches!(last, Some(PublishError::Disconnected)), "{last:?}");
        world.broker(|broker| broker.start(true));
        world.repeat_until("a publish", || hub.publish("some.topic", "text").is_ok());
    }

    fn a_publish_is_queued_within_its_bound_where_that_is_asked_and_sent_in_order(world: &World) {
        let config = world.config().when_disconnected(WhenDisconnected::Queue).queue(50, 1 << 20);
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        world.broker(|broker| broker.kill());
        // Until both have noticed.
        world.run_until("the end of the connections", || !publisher.is_connected() && !hub.is_connected());
        let mut queued = 0;
        let error = loop {
            match publisher.publish("queued.topic", numbered("p", queued)) {
                Ok(()) => queued += 1,
                Err(error) => break error,
            }
            assert!(queued <= 50, "the bound is 50 messages");
        };
        assert!(matches!(error, PublishError::Full), "{error}");
        assert_eq!(queued, 50);
        // On the same connection, subscriptions are sent before queued messages.
        let ears = Heard::default();
        let _subscription = publisher.subscribe("queued.topic", ears.clone()).unwrap();
        world.broker(|broker| broker.start(true));
        world.run_until("what was queued", || ears.count() as u64 == queued);
        ears.check("the subscriber", &HashMap::from([("p".to_owned(), queued)]));
    }

    fn a_queue_is_bounded_in_bytes_too(world: &World) {
        let config = world.config().when_disconnected(WhenDisconnected::Queue).queue(1_000_000, 10_000);
        let (_process, publisher) = world.hub(&config);
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connection", || !publisher.is_connected());
        let queued = (0..100).take_while(|_| publisher.publish("queued.topic", [b'x'; 1000]).is_ok()).count();
        assert!((1..=10).contains(&queued), "{queued} messages of 1000 bytes in 10,000");
    }

    fn a_publish_is_dropped_and_counted_where_that_is_asked(world: &World) {
        let config = world.config().when_disconnected(WhenDisconnected::Drop);
        let (_process, hub) = world.hub(&config);
        world.broker(|broker| broker.kill());
        world.run_until("the end of the connection", || !hub.is_connected());
        let before = hub.stats();
        for _ in 0..7 {
            hub.publish("some.topic", "text").unwrap();
        }
        assert_eq!(hub.stats().dropped_disconnected - before.dropped_disconnected, 7);
    }

    fn a_broker_that_answers_nothing_is_left_and_returned_to(world: &World) {
        // On the system's sockets, its deadline is in real time.
        if world.simulation().is_none() {
            return;
        }
        let config = world.config();
        let ((_one, publisher), (_two, hub)) = (world.hub(&config), world.hub(&config));
        let ears = Heard::default();
        let _subscription = hub.subscribe("some.topic", ears.clone()).unwrap();
        world.until_heard(&publisher, "some.topic", &ears);
        world.broker(|broker| broker.freeze());
        world.run_for(Duration::from_secs(30));
        assert!(!hub.is_connected() && !publisher.is_connected());
        world.broker(|broker| broker.thaw());
        world.until_heard(&publisher, "some.topic", &ears);
        assert_eq!(ears.gaps(), [Gap::Disconnected]);
    }
}
