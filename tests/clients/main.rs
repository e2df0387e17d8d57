//! Outgoing connections: names, attempts, hooks, and reconnecting.

#[path = "../support/support.rs"]
mod support;

mod connecting;
mod happy_eyeballs;
mod links;
mod names;
