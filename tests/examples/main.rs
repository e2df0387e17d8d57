//! The examples do what they say.

#[path = "../support/support.rs"]
mod support;

mod calculus_and_finger;
mod datagrams;
#[cfg(unix)]
mod endpoints;
mod file_server;
mod ladder;
mod processes;
mod programs;
mod simulated;
mod twisted;
#[cfg(unix)]
mod unix;
