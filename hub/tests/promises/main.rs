//! What a hub promises: each case over the engine in one process, a scripted Redis and a scripted NATS in the simulated network,
//! and a real `redis-server` and `nats-server` on the loopback. What is not installed is skipped with a message.
//!
//! A case is a test per world: `cargo test -p torsade-hub --test promises newcomer` runs one case in all of them,
//! `cargo test -p torsade-hub --test promises ::scripted_nats` one world's cases.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test, in functions that clippy takes for others"
)]

#[path = "../support/broker.rs"]
mod broker;
#[allow(dead_code, reason = "a part of it is used")]
#[path = "../../../tests/support/child.rs"]
mod child;

#[allow(dead_code, reason = "a part of it is used")]
#[path = "../support/scripted/nats/mod.rs"]
mod scripted_nats;
#[path = "../support/scripted/redis/mod.rs"]
mod scripted_redis;

mod brokers;
mod cluster;
mod deadline;
mod disconnected;
mod heard;
mod kills;
mod members;
mod nats_cluster;
mod order;
mod partitions;
mod presence;
mod replay;
mod rights;
mod workers;
mod world;
