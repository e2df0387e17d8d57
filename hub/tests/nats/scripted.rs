//! Connecting, losing connections, giving up silent ones, and reconnecting.

use std::time::Duration;

use torsade::hub::{HubConfig, PublishError};
use torsade::simulated::{Faults, Simulation, simulate_with};

use crate::support::World;

const MISSED: &str = "(messages were missed while the broker could not be reached)";

#[test]
fn messages_come_in_order_over_bad_networks() {
    simulate_with(&Faults::lossy(), 0..20, |simulation: &Simulation| {
        let world = World::on(simulation);
        let (one, other, list) = (world.hub(1), world.hub(2), world.notes());
        other.subscribe("room.*", list.clone())?;
        world.until("both are there", || one.is_connected() && other.is_connected());
        // The subscription has come when the other is answered.
        world.value(other.present("room"));
        let expected: Vec<_> = (0..100).map(|number| format!("{number} {}", "x".repeat(number * 37 % 1000))).collect();
        for text in &expected {
            one.publish("room.lobby", text)?;
        }
        world.until("all came", || list.len() == 100);
        assert_eq!(list.take(), expected.join(", "));
        Ok::<_, Box<dyn std::error::Error>>(())
    });
}

#[test]
fn whoever_is_refused_is_told_and_let_in_once_that_has_changed() {
    let world = World::new();
    world.server.refuse_logins(Some("Authorization Violation"));
    let hub = world.hub(1);
    world.run(60);
    assert!(!hub.is_connected());
    let tries = world.server.connections();
    // From 50 ms on the waits grow to 2 s, and the jitter is small.
    assert!((30..=45).contains(&tries), "{tries}");
    world.server.refuse_logins(None);
    world.until("it is let in", || hub.is_connected());
    assert_eq!(hub.stats().connections_lost, tries);
}

#[test]
fn subscriptions_are_made_again_and_the_gap_is_told() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("room", list.clone()).unwrap();
    world.value(hub.when_connected());
    world.run(1);
    world.server.publish("room", b"one");
    world.run(1);
    world.server.restart(true);
    world.until("the gap is told", || list.len() == 2);
    world.server.publish("room", b"two");
    world.run(1);
    assert_eq!(list.take(), format!("one, {MISSED}, two"));
}

#[test]
fn a_server_that_says_nothing_is_given_up_and_tried_again() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    world.run(100);
    assert_eq!(world.server.connections(), 1, "an idle server answers");
    world.server.freeze();
    world.run(21);
    assert!(!hub.is_connected());
    world.run(60);
    // Neither do attempts hang that the server takes and says nothing on.
    assert!(world.server.connections() > 5, "{}", world.server.connections());
    world.server.thaw();
    world.until("it goes on", || hub.is_connected());
}

#[test]
fn a_way_that_is_cut_is_noticed() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("room", list.clone()).unwrap();
    world.value(hub.when_connected());
    world.run(1);
    world.simulation.partition("10.0.0.1", "10.0.0.9");
    world.run(21);
    assert!(!hub.is_connected());
    world.simulation.heal("10.0.0.1", "10.0.0.9");
    world.until("it is back", || list.len() == 1);
    assert_eq!(list.take(), MISSED);
}

#[test]
fn a_slow_server_is_not_given_up() {
    let world = World::new();
    world.server.delay(Duration::from_secs(4));
    let hub = world.hub(1);
    world.run(300);
    assert!(hub.is_connected());
    assert_eq!(world.server.connections(), 1);
}

#[test]
fn the_servers_of_a_cluster_are_tried_in_turn() {
    let world = World::new();
    world.simulation.host("10.0.0.8");
    let config = HubConfig::new("nats://10.0.0.7:1,10.0.0.8,10.0.0.9").unwrap();
    let hub = config.open(&world.simulation.host("10.0.0.1")).unwrap();
    world.value(hub.when_connected());
    assert!(world.simulation.now() < Duration::from_secs(10), "{:?}", world.simulation.now());
}

#[test]
fn what_was_not_seen_by_the_server_is_counted() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    hub.publish("room", "seen").unwrap();
    world.run(1);
    world.server.freeze();
    for _ in 0..3 {
        hub.publish("room", "lost").unwrap();
    }
    world.run(1);
    world.server.kill();
    world.until("it is noticed", || !hub.is_connected());
    assert_eq!(hub.stats().unconfirmed, 3);
}

#[test]
fn a_close_sends_what_was_published_before() {
    let world = World::new();
    let (one, other, list) = (world.hub(1), world.hub(2), world.notes());
    other.subscribe("room", list.clone()).unwrap();
    world.value(one.when_connected());
    world.value(other.when_connected());
    world.run(1);
    one.publish("room", vec![b'x'; 500_000]).unwrap();
    world.value(one.close());
    world.until("it has come", || list.len() == 1);
    assert_eq!(world.server.clients(), 1);
    world.run(100);
    assert_eq!(world.server.connections(), 2, "it does not come back");
}

#[test]
fn a_hub_that_nobody_has_any_more_disconnects() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    drop(hub);
    world.until("it is gone", || world.server.clients() == 0);
}

#[test]
fn presence_ends_with_the_process_within_its_period() {
    let world = World::new();
    let (one, other, changes) = (world.hub(1), world.hub(2), world.notes());
    let told = changes.clone();
    let _watch = other.watch("room", move |change| told.note(format!("{change:?}"))).unwrap();
    let _ada = one.enter("room", "ada").unwrap();
    world.until("she is seen", || changes.len() == 1);
    world.run(60);
    assert_eq!(changes.take(), "Entered(\"ada\")");
    world.simulation.host("10.0.0.1").crash();
    world.run(6);
    assert_eq!(changes.take(), "Left(\"ada\")");
    assert_eq!(world.value(other.present("room")), [""; 0]);
}

#[test]
fn presence_is_right_again_after_the_server_has_lost_everything() {
    let world = World::new();
    let (one, other) = (world.hub(1), world.hub(2));
    let _ada = one.enter("room", "ada").unwrap();
    let _bob = other.enter("room", "bob").unwrap();
    world.run(2);
    assert_eq!(world.value(other.present("room")), ["ada", "bob"]);
    world.server.restart(false);
    world.run(6);
    assert_eq!(world.value(one.present("room")), ["ada", "bob"]);
    assert_eq!(world.value(one.present("room.other")), [""; 0]);
}

#[test]
fn what_is_longer_than_the_server_takes_is_refused_and_nothing_else() {
    let world = World::new();
    world.server.set_max_payload(1000);
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("room", list.clone()).unwrap();
    world.value(hub.when_connected());
    world.run(1);
    let error = hub.publish("room", vec![b'x'; 1001]).unwrap_err();
    assert!(matches!(error, PublishError::TooLong { length: 1001, limit: 1000 }), "{error}");
    hub.publish("room", vec![b'x'; 1000]).unwrap();
    let error = world.result(hub.publish_stored("log.a", vec![b'x'; 1000])).unwrap_err();
    assert!(error.ends_with("with its headers, exceed the server's max_payload of 1000"), "{error}");
    world.value(hub.publish_stored("log.a", vec![b'x'; 900]));
    world.run(1);
    assert_eq!((list.take().len(), world.server.connections()), (1000, 1));
}
