//! TLS as a layer: the order of events, what is refused, and how it ends.
#![cfg(feature = "tls")]

#[path = "../support/support.rs"]
mod support;
mod world;

mod behaviour;
mod certificates;
mod closing;
mod common_name;
mod endpoint_files;
mod handshake;
mod interop;
mod over_transport;
mod starttls;
mod wrapping;

use support::keys;
