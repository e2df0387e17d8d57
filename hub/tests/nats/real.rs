//! A real nats-server.

use std::time::Duration;

use torsade::hub::{Hub, HubConfig, Publication, Start};

use crate::broker::{Broker, Program};
use crate::support::{Notes, run, soon};

#[test]
fn messages_go_through_with_headers_wildcards_and_groups() {
    let Some(broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let (one, other) = (Hub::open(&reactor, &broker.url())?, Hub::open(&reactor, &broker.url())?);
        let (all, single, group) = (Notes::new(&reactor), Notes::new(&reactor), Notes::new(&reactor));
        one.subscribe("room.>", all.clone())?;
        one.subscribe("room.lobby", single.clone())?;
        other.subscribe_in_group("room.*", "workers", group.clone())?;
        one.subscribe_in_group("room.*", "workers", group.clone())?;
        soon(&reactor, one.when_connected()).await?;
        soon(&reactor, other.when_connected()).await?;
        // What is asked for after the subscriptions is answered after them.
        soon(&reactor, one.present("room")).await?;
        soon(&reactor, other.present("room")).await?;
        one.publish("room.lobby", Publication::from("hello").header("Kind", "greeting"))?;
        one.publish("room.corner.dark", "boo")?;
        one.publish("room.lobby", vec![b'x'; 100_000])?;
        one.publish("room.lobby", "")?;
        assert_eq!(single.next().await?, "hello Kind=greeting");
        assert_eq!(single.next().await?.len(), 100_000);
        assert_eq!(single.next().await?, "");
        assert_eq!(all.take(2).await?, "hello Kind=greeting, boo");
        // Each went to one of the two, whose connections may overtake each other.
        let mut lengths = [group.next().await?.len(), group.next().await?.len(), group.next().await?.len()];
        lengths.sort_unstable();
        assert_eq!(lengths, [0, "hello Kind=greeting".len(), 100_000]);
        soon(&reactor, other.close()).await?;
        soon(&reactor, one.close()).await?;
        Ok(())
    });
}

#[test]
fn a_topic_that_keeps_its_messages_replays_them() {
    let Some(broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let config = HubConfig::new(&broker.url())?.replay("log.>", 5)?;
        let hub = config.open(&reactor);
        let hub = hub?;
        let live = Notes::new(&reactor);
        hub.subscribe("log.a_b.c", live.clone())?;
        soon(&reactor, hub.when_connected()).await?;
        for number in 1..=8 {
            let id = soon(&reactor, hub.publish_stored("log.a_b.c", format!("m{number}"))).await?;
            assert_eq!(id.to_string(), format!("0-{number}"));
        }
        assert_eq!(live.take(8).await?, "0-1 m1, 0-2 m2, 0-3 m3, 0-4 m4, 0-5 m5, 0-6 m6, 0-7 m7, 0-8 m8");

        let late = config.open(&reactor)?;
        let (last, after, oldest) = (Notes::new(&reactor), Notes::new(&reactor), Notes::new(&reactor));
        late.subscribe_from("log.a_b.c", Start::Last(2), last.clone())?;
        late.subscribe_from("log.a_b.c", Start::After("0-6".parse()?), after.clone())?;
        late.subscribe_from("log.a_b.c", Start::Oldest, oldest.clone())?;
        assert_eq!(last.take(2).await?, "0-7 m7, 0-8 m8");
        assert_eq!(after.take(2).await?, "0-7 m7, 0-8 m8");
        assert_eq!(oldest.take(5).await?, "0-4 m4, 0-5 m5, 0-6 m6, 0-7 m7, 0-8 m8");
        hub.publish("log.a_b.c", "m9")?;
        assert_eq!(last.next().await?, "0-9 m9");
        assert_eq!(oldest.next().await?, "0-9 m9");

        let trimmed = Notes::new(&reactor);
        late.subscribe_from("log.a_b.c", Start::After("0-1".parse()?), trimmed.clone())?;
        assert_eq!(trimmed.take(2).await?, "(messages after 0-1 are no longer stored), 0-5 m5");
        Ok(())
    });
}

#[test]
fn presence_is_seen_by_others_and_forgotten_after_a_crash() {
    let Some(broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let config = HubConfig::new(&broker.url())?.presence_period(Duration::from_secs(3));
        let (one, other) = (config.open(&reactor)?, config.open(&reactor)?);
        let changes = Notes::new(&reactor);
        let _watch = other.watch("room", changes.presence())?;
        let ada = one.enter("room", "ada")?;
        assert_eq!(changes.next().await?, "+ada");
        let _bob = one.enter("room", "bob")?;
        assert_eq!(changes.next().await?, "+bob");
        assert_eq!(soon(&reactor, other.present("room")).await?, ["ada", "bob"]);
        ada.leave();
        assert_eq!(changes.next().await?, "-ada");
        assert_eq!(soon(&reactor, other.present("room")).await?, ["bob"]);
        soon(&reactor, one.close()).await?;
        assert_eq!(changes.next().await?, "-bob");
        assert_eq!(soon(&reactor, other.present("room")).await?, [""; 0]);
        Ok(())
    });
}

#[test]
fn after_a_kill_everything_goes_on_and_what_is_kept_comes_once() {
    let Some(mut broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let config = HubConfig::new(&broker.url())?.replay("log", 100)?;
        let hub = config.open(&reactor)?;
        let (kept, live) = (Notes::new(&reactor), Notes::new(&reactor));
        hub.subscribe("log", kept.clone())?;
        hub.subscribe("live", live.clone())?;
        soon(&reactor, hub.when_connected()).await?;
        soon(&reactor, hub.publish_stored("log", "one")).await?;
        assert_eq!(kept.next().await?, "0-1 one");
        // The server writes what it has confirmed some milliseconds later.
        reactor.sleep(Duration::from_millis(500)).await?;
        broker.kill();
        broker.start();
        assert_eq!(live.next().await?, "(messages were missed while the broker could not be reached)");
        soon(&reactor, hub.publish_stored("log", "two")).await?;
        assert_eq!(kept.next().await?, "0-2 two");

        broker.kill();
        broker.lose_data();
        broker.start();
        assert_eq!(live.next().await?, "(messages were missed while the broker could not be reached)");
        assert_eq!(kept.next().await?, "(the broker has lost its stored messages)");
        soon(&reactor, hub.publish_stored("log", "three")).await?;
        assert_eq!(kept.next().await?, "0-1 three");
        Ok(())
    });
}

#[test]
fn without_jetstream_keeping_is_refused_and_not_hung() {
    let Some(broker) = Broker::with_settings(Program::Nats, "accounts { A { users = [ { user: a, password: b } ] } }") else {
        return;
    };
    run(async move |reactor| {
        let url = format!("nats://a:b@127.0.0.1:{}", broker.port());
        let hub = HubConfig::new(&url)?.replay("log", 100)?.open(&reactor)?;
        soon(&reactor, hub.when_connected()).await?;
        let error = soon(&reactor, hub.publish_stored("log", "one")).await.unwrap_err().to_string();
        assert!(error.contains("JetStream") && error.contains("does not support"), "{error}");
        let error = soon(&reactor, hub.present("room")).await.unwrap_err().to_string();
        assert!(error.contains("JetStream"), "{error}");
        let kept = Notes::new(&reactor);
        hub.subscribe("log", kept.clone())?;
        let refused = kept.next().await?;
        assert!(refused.starts_with("(the broker refuses the subscription: JetStream"), "{refused}");
        Ok(())
    });
}

#[test]
fn a_wrong_password_is_told_without_it() {
    let Some(broker) = Broker::with_settings(Program::Nats, "authorization { user: ada, password: right }") else { return };
    run(async move |reactor| {
        let wrong = Hub::open(&reactor, &format!("nats://ada:wrong@127.0.0.1:{}", broker.port()))?;
        let right = Hub::open(&reactor, &format!("nats://ada:right@127.0.0.1:{}", broker.port()))?;
        soon(&reactor, right.when_connected()).await?;
        assert!(!wrong.is_connected());
        Ok(())
    });
}

#[test]
fn a_long_replay_comes_whole_while_more_is_stored() {
    const STORED: u64 = 5000;
    let Some(broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let config = HubConfig::new(&broker.url())?.replay("log", 1_000_000)?.queue(10_000, 10 << 20);
        let (one, other) = (config.open(&reactor)?, config.open(&reactor)?);
        soon(&reactor, one.when_connected()).await?;
        soon(&reactor, other.when_connected()).await?;
        for number in 1..STORED {
            one.publish("log", number.to_string())?;
        }
        soon(&reactor, one.publish_stored("log", STORED.to_string())).await?;
        let notes = Notes::new(&reactor);
        other.subscribe_from("log", Start::Oldest, notes.clone())?;
        for number in 1..=500 {
            one.publish("log", (STORED + number).to_string())?;
        }
        for number in 1..=STORED + 500 {
            assert_eq!(notes.next().await?, format!("0-{number} {number}"));
        }
        Ok(())
    });
}

#[test]
fn megabytes_that_are_kept_come_as_fast_as_they_are_taken() {
    const STORED: usize = 400;
    let Some(broker) = Broker::nats() else { return };
    run(async move |reactor| {
        let config = HubConfig::new(&broker.url())?.replay("log", 10_000)?.queue(10_000, 100 << 20);
        let (one, other) = (config.open(&reactor)?, config.open(&reactor)?);
        let notes = Notes::new(&reactor);
        other.subscribe("log", notes.clone())?;
        soon(&reactor, one.when_connected()).await?;
        soon(&reactor, other.when_connected()).await?;
        soon(&reactor, other.present("room")).await?;
        for number in 0..STORED {
            one.publish("log", [number.to_string().as_bytes(), &[b'x'; 50_000]].concat())?;
        }
        for number in 0..STORED {
            let next = notes.next().await?;
            assert!(next.starts_with(&format!("0-{} {number}x", number + 1)), "{number}: {}", next.get(..20).unwrap_or_default());
        }
        Ok(())
    });
}
