//! Datagrams: UDP and UNIX datagrams, on the system's sockets, in simulated networks, and with other programs.

#[path = "../support/support.rs"]
mod support;

mod behaviour;
mod fairness;
mod groups;
mod network;
mod peers;
mod probe;
mod sending;
#[cfg(unix)]
mod unix;
