//! What a hub costs: `hub [members [COUNT..] | brokers | silent | topics]`, by default all of them.
//!
//! `members` publishes to 1, 100 and 10,000 members of a local hub, plain and compressed, whose peers are in another process.
//! `brokers` publishes through redis-server and nats-server, if installed, interleaved with a bare client of the same protocol
//! and `redis-benchmark`. `silent` compares a topic with one member that never reads to a topic without it. `topics` publishes on
//! one of many topics that keep their messages.

#[path = "../hub/bare.rs"]
mod bare;
#[path = "../../../hub/tests/support/broker.rs"]
mod broker;
#[path = "../hub/brokers.rs"]
mod brokers;
#[path = "../hub/clock.rs"]
mod clock;
#[path = "../hub/crowd.rs"]
mod crowd;
#[path = "../hub/members.rs"]
mod members;
#[path = "../hub/peers.rs"]
mod peers;
#[path = "../hub/silent.rs"]
mod silent;
#[path = "../hub/topics.rs"]
mod topics;

use torsade::prelude::*;

const COUNTS: [usize; 3] = [1, 100, 10_000];
const TOPICS: [usize; 4] = [1, 100, 1_000, 10_000];

fn main() -> Result {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        [] => {
            members::run(&COUNTS)?;
            brokers::run()?;
            silent::run()?;
            topics::run(&TOPICS)
        }
        ["members"] => members::run(&COUNTS),
        ["members", ref counts @ ..] => {
            let counts = counts.iter().map(|count| count.parse()).collect::<Result<Vec<usize>, _>>()?;
            members::run(&counts)
        }
        ["brokers"] => brokers::run(),
        ["silent"] => silent::run(),
        ["topics"] => topics::run(&TOPICS),
        ["peers", ref ports @ ..] => peers::run(ports),
        _ => Err("usage: hub [members [COUNT..] | brokers | silent | topics]".into()),
    }
}
