//! The Redis engine on the wire, and the scripted Redis that takes the place of the real one in simulated networks.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "../support/broker.rs"]
mod broker;
#[path = "../support/notes.rs"]
mod notes;
#[path = "../support/scripted/redis/mod.rs"]
mod scripted_redis;

mod client;
mod cluster;
mod hostile;
mod real;
mod scripted;
#[cfg(feature = "tls")]
mod tls;
mod tracking;
mod wire;

use torsade::hub::Hub;

use notes::{Seen, notes};

/// Subscribes to a topic or pattern; the list grows by what is received.
fn heard(hub: &Hub, topic: &str) -> Seen {
    let (seen, subscriber) = notes();
    hub.subscribe(topic, subscriber).unwrap();
    seen
}
