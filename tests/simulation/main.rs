//! The simulated network, and that it behaves as the real one.

#[path = "../support/support.rs"]
mod support;

mod both_worlds;
mod hosts;
mod network;
mod scale;
mod sockets;
