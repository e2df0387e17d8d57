//! Standard input and output as a connection: terminals, pipes, sockets, files, or nothing.
#![cfg(unix)]

#[path = "../support/support.rs"]
mod support;

mod files;
mod pipes;
mod program;
mod simulated;
mod sockets;
#[cfg(target_os = "linux")]
mod terminals;
