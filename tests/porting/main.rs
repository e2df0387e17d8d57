//! The port checker, and the pairs of programs that it compares: `examples/port_checker`, `examples/ports`.
#![allow(missing_docs, missing_debug_implementations, unreachable_pub, reason = "a test")]
#![cfg(unix)]

#[path = "../../examples/port_checker/main.rs"]
#[allow(dead_code, reason = "it has a main of its own")]
mod port_checker;
#[path = "../support/support.rs"]
mod support;

mod checking;
#[cfg(feature = "tls")]
mod guests;
mod metrics;
mod mutants;
mod pairs;
mod planted;
mod playing;
mod programs;
mod scripts;
mod shrinking;
mod telling;
#[path = "transit_relay/main.rs"]
mod transit_relay;
