//! What a hub promises, the same over each engine.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]

#[path = "../support/broker.rs"]
mod broker;

mod brokers;
