//! Who looks up names: a table, a resolver of one's own, and DNS, in simulated networks and beside a real server.

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
