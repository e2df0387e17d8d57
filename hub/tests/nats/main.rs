//! The NATS engine on the wire: a real server on loopback, and a scripted one in the simulated network.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test")]

#[path = "../support/broker.rs"]
mod broker;
#[allow(dead_code, reason = "the promises use the rest")]
#[path = "../support/scripted/nats/mod.rs"]
mod scripted_nats;

#[cfg(feature = "tls")]
#[allow(dead_code, reason = "those of all suites")]
#[path = "../../../tests/tls/keys.rs"]
mod keys;

mod hostile;
mod kept;
mod presence;
mod real;
mod scripted;
#[cfg(feature = "tls")]
mod secured;
mod support;
