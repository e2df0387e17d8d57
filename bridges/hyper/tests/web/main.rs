//! The web examples do what they say, and the cost of large, slow and broken transfers.

#[path = "../../../../tests/support/child.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod child;
#[path = "../../../../tests/support/logged.rs"]
#[allow(dead_code, reason = "a part of it is used")]
mod logged;

mod asking;
mod bodies;
mod encodings;
mod events;
mod files;
mod notes;
mod programs;
mod resets;
mod server_process;
mod simulated;
mod tower;
mod twisted;
