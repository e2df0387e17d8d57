//! Third-party crates on a Torsade connection, in the simulated network: a test for each, named after its crate. `run` prints the
//! table.

mod compression;
mod mail;
mod redis;
mod runtimes;
mod tls;
mod web;
mod websockets;
