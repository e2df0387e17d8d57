//! Names looked up by DNS (RFC 1034, 1035), on the loop.
//!
//! A look-up is a task (`resolver.rs`): it asks for both families of each name that the search list makes of the one that is
//! looked up. A question goes to one server after another (`servers.rs`), by UDP and, if the answer does not fit, by TCP; what
//! comes is read only if it answers that very question (`query.rs`), and kept for as long as it says (`answer.rs`, `cache.rs`).

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
