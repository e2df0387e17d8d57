//! Child processes: their callbacks, pipes and end, and that nothing is left of them.
#![cfg(all(unix, feature = "processes"))]

#[path = "../support/support.rs"]
mod support;

mod both_worlds;
mod callbacks;
mod ends;
mod failures;
mod monitor;
mod output;
mod pipes;
mod simulated;
mod stop;
mod terminals;
mod watcher;
