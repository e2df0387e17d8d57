//! A Redis that can watch fewer keys for its clients than they have read.

use std::time::Duration;

use torsade::hub::{HubConfig, Start};
use torsade::prelude::*;

use crate::broker::{Broker, Program};
use crate::client::Client;
use crate::notes::notes;
use crate::real::{info, run_until};

#[test]
fn a_tracking_table_that_is_too_small_costs_some_look_ups_and_no_message() {
    const TOPICS: usize = 200;
    let Some(redis) = Broker::with_settings(Program::Redis, "appendfsync no\ntracking-table-max-keys 20") else { return };
    let mut client = Client::connect(redis.port());
    let reactor = Reactor::new().unwrap();
    reactor.start_running().unwrap();
    let hub = HubConfig::new(&redis.url()).unwrap().replay("log.>", 100).unwrap().open(&reactor).unwrap();
    let topics: Vec<_> = (0..TOPICS).map(|number| format!("log.{number}")).collect();
    let heard: Vec<_> = topics
        .iter()
        .map(|topic| {
            let (seen, subscriber) = notes();
            hub.subscribe_from(topic, Start::Oldest, subscriber).unwrap();
            seen
        })
        .collect();
    let mut published = 0;
    for _ in 0..4 {
        for _ in 0..3 {
            topics.iter().for_each(|topic| hub.publish(topic, published.to_string()).unwrap());
            published += 1;
        }
        run_until(&reactor, "all of them", || heard.iter().all(|seen| seen.borrow().len() == published));
        // Nothing is said for a while.
        let (begun, before) = (reactor.now(), info(&mut client, "total_commands_processed"));
        run_until(&reactor, "some time", || reactor.now() > begun + Duration::from_secs(3));
        let commands = info(&mut client, "total_commands_processed") - before;
        // Ten in quick succession, and one a second.
        let most = TOPICS * (10 + 1 + usize::try_from((reactor.now() - begun).as_secs()).unwrap());
        println!("{commands} commands while nothing is said");
        assert!(commands <= most, "{commands} commands while nothing is said, and at most {most} were expected");
    }
    let expected: Vec<_> = (0..published).map(|number| number.to_string()).collect();
    for (topic, seen) in topics.iter().zip(&heard) {
        assert_eq!(*seen.borrow(), expected, "{topic}");
    }
    assert_eq!(hub.stats().connections_lost, 0);
}
