//! Missing permissions at a broker.

use crate::heard::Heard;
use crate::world::{World, beside_every_broker};

beside_every_broker! {
    fn what_the_broker_refuses_to_publish_is_counted_and_the_rest_goes_out(world: &World) {
        world.broker(|broker| broker.allow_publishing_only_on("open.topic"));
        let (_process, hub) = world.hub(&world.config());
        let ears = Heard::default();
        let _subscription = hub.subscribe("open.topic", ears.clone()).unwrap();
        world.until_heard(&hub, "open.topic", &ears);
        for number in 0..3 {
            world.publish(&hub, "secret.topic", number.to_string());
            world.publish(&hub, "open.topic", number.to_string());
        }
        world.run_until("three refusals", || hub.stats().refused == 3);
        world.run_until("the others", || ears.count() == 3);
        assert_eq!((ears.payloads(), ears.gaps()), (vec!["0".to_owned(), "1".to_owned(), "2".to_owned()], vec![]));
    }
}
