//! Names looked up by DNS (RFC 1034, 1035), on the loop.
//!
//! A look-up is a task (`resolver.rs`): it asks for the addresses of both families, for each name that the search list derives.
//! A question goes to one server after another (`servers.rs`), by UDP and, if the answer does not fit, by TCP. A message is read
//! only if it answers that very question (`query.rs`), and cached for as long as it says (`answer.rs`, `cache.rs`).

mod answer;
mod cache;
mod config;
mod precedence;
mod query;
mod resolver;
mod servers;
mod tcp;
mod udp;

#[cfg(test)]
mod tests;

pub use config::DnsConfig;
pub use resolver::DnsResolver;
