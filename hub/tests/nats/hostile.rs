//! A hostile server, which sends anything.

use torsade::simulated::{Simulation, simulate};

use crate::support::World;

#[test]
fn what_is_not_of_the_protocol_ends_the_connection_and_no_more() {
    let long = vec![b'x'; 300 * 1024];
    let huge = b"MSG room 1 999999999\r\n".to_vec();
    let cases: &[&[u8]] = &[
        b"HELLO\r\n",
        b"MSG room\r\n",
        b"MSG room 1 -1\r\n",
        b"MSG room 1 99999999999999999999999999\r\n",
        b"HMSG room 1 9 5\r\n",
        b"MSG room 1 2\r\nabXXPING\r\n",
        b"PONG\r\nPONG\r\nPONG\r\n",
        b"INFO {\"max_payload\": \r\n",
        b"INFO 7\r\n",
        b"\xff\xfe\r\n",
        &huge,
        &long,
    ];
    for case in cases {
        let world = World::new();
        let (hub, list) = (world.hub(1), world.notes());
        hub.subscribe("room", list.clone()).unwrap();
        world.value(hub.when_connected());
        world.run(1);
        world.server.say(case);
        world.until("it is noticed", || world.server.connections() == 2);
        world.until("it is back", || hub.is_connected());
        world.run(1);
        world.server.publish("room", b"hello");
        world.run(1);
        assert!(list.take().ends_with("hello"), "{}", case[..case.len().min(40)].escape_ascii());
    }
}

#[test]
fn what_nobody_has_asked_for_is_left_out() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    hub.subscribe("room.*", list.clone()).unwrap();
    hub.subscribe("log.a", list.clone()).unwrap();
    world.value(hub.when_connected());
    world.run(1);
    for (subject, sid) in [
        ("room.a", "77"),
        ("room.a", "r"),
        ("room.a", "f1"),
        ("room.a", "f"),
        ("room.a", "2.5"),
        ("room.a", "2.x"),
        ("room.a", "."),
        ("other", "2"),
        ("room", "2"),
        ("room..a", "2"),
        ("$SYS.a", "2"),
        ("_INBOX.x.1", "r"),
        ("room.\u{e4}", "2"),
        ("log.a", "3.0"),
    ] {
        world.server.say(format!("MSG {subject} {sid} 1\r\nx\r\n").as_bytes());
        world.server.say(format!("MSG {subject} {sid} $JS.ACK.a.b.c 1\r\nx\r\n").as_bytes());
        world.server.say(format!("HMSG {subject} {sid} 4 5\r\n\r\r\n\nx\r\n").as_bytes());
    }
    world.server.say(b"+OK\r\n-ERR 'Permissions Violation for Publish to \"room\"'\r\n-ERR\r\n-ERR '\r\n");
    world.run(1);
    assert_eq!((list.take().as_str(), world.server.connections()), ("", 1));
}

#[test]
fn a_subscription_that_is_refused_is_told_to_its_subscriber_alone() {
    let world = World::new();
    let (hub, list, other) = (world.hub(1), world.notes(), world.notes());
    world.value(hub.when_connected());
    world.run(1);
    hub.subscribe("secret.plans", list.clone()).unwrap();
    hub.subscribe("room", other.clone()).unwrap();
    world.server.say(b"-ERR 'Permissions Violation for Subscription to \"secret.plans\"'\r\n");
    world.run(1);
    let refused = "(the broker refuses the subscription: Permissions Violation for Subscription to \"secret.plans\")";
    assert_eq!((list.take().as_str(), other.take().as_str()), (refused, ""));
    assert!(hub.is_connected());
}

#[test]
fn a_flood_of_pings_that_nobody_reads_the_answers_of_is_bounded() {
    let world = World::new();
    let hub = world.hub(1);
    world.value(hub.when_connected());
    world.run(1);
    world.server.stop_reading();
    for _ in 0..200 {
        world.server.say(&b"PING\r\n".repeat(10_000));
        world.simulation.run_for(std::time::Duration::from_millis(20)).unwrap();
    }
    world.server.read_again();
    world.run(5);
    let pongs = world.server.heard().iter().filter(|line| *line == "PONG").count();
    assert!(hub.is_connected() && pongs > 0 && pongs < 1_000_000, "{pongs}");
}

#[test]
fn a_server_that_sends_but_does_not_read_is_left_for_a_new_connection() {
    let world = World::new();
    let (hub, list) = (world.hub(1), world.notes());
    // Its consumer sends heartbeats all the time.
    hub.subscribe("log.a", list.clone()).unwrap();
    world.run(2);
    world.server.stop_reading();
    let stored = hub.publish_stored("log.a", "one");
    world.run(250);
    assert_eq!((world.server.connections(), world.value(stored).minor, list.take().as_str()), (2, 1, "0-1 one"));
}

#[test]
fn a_garbled_stream_is_survived() {
    let valid: &[u8] = b"INFO {\"headers\":true,\"max_payload\":1000} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Slow Consumer'\r\nMSG room 1 5\r\nhello\r\n\
        HMSG room 1 12 17\r\nNATS/1.0\r\n\r\nhello\r\nMSG log.a 2.0 $JS.ACK.log_-a.C1.1.1.1.1796000000000000000.0 5\r\nhello\r\n\
        HMSG _INBOX.d 2.0 48 48\r\nNATS/1.0 100 Idle\r\nNats-Last-Consumer: 99\r\n\r\n\r\nMSG _INBOX.x.1 r 2\r\n{}\r\n";
    simulate(0..60, |simulation: &Simulation| {
        let world = World::on(simulation);
        let (hub, list) = (world.hub(1), world.notes());
        hub.subscribe("room", list.clone())?;
        hub.subscribe("log.a", list.clone())?;
        world.value(hub.when_connected());
        world.run(1);
        let mut garbled = valid.repeat(3);
        for _ in 0..=simulation.draw(6) {
            let at = usize::try_from(simulation.draw(garbled.len() as u64))?;
            match simulation.draw(4) {
                0 => garbled[at] = u8::try_from(simulation.draw(256))?,
                1 => drop(garbled.remove(at)),
                2 => garbled.insert(at, b"\r\n 0%-9"[usize::try_from(simulation.draw(7))?]),
                _ => garbled.truncate(at.max(1)),
            }
        }
        world.server.say(&garbled);
        // What was begun and not ended is waited for, at most until the server has been silent for too long.
        world.run(90);
        world.until("it is back", || hub.is_connected());
        world.run(1);
        list.take();
        world.server.publish("room", b"still here");
        world.run(40);
        assert!(list.take().contains("still here"));
        Ok::<_, Box<dyn std::error::Error>>(())
    });
}
