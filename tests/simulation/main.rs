//! The simulated network behaves like the real one.

#[path = "../support/support.rs"]
mod support;

mod both_worlds;
#[cfg(feature = "futures-io")]
mod both_worlds_of_async;
mod both_worlds_of_datagrams;
mod hosts;
mod network;
mod scale;
mod sockets;
