//! Resolvers: tables, your own, and DNS, in simulated networks and with a real server.

#[cfg(feature = "dns")]
#[path = "../support/support.rs"]
mod support;

#[cfg(feature = "dns")]
mod answering;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "dns")]
mod dnsmasq;
mod own;
