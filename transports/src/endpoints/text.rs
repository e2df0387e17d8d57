//! Endpoints as text, in the grammar of Twisted's `serverFromString` and `clientFromString`.
//!
//! A text is split at its colons (`quoting.rs`); its type gives the names of its parts (`kind.rs`, `arguments.rs`) and the
//! function that makes an endpoint from them (`server.rs`, `client.rs`). None of this touches the system: files are read, names
//! looked up and descriptors taken when the endpoint listens or connects.

pub(crate) mod arguments;
mod client;
mod kind;
mod layers;
mod nearest;
mod options;
pub(crate) mod quoting;
pub(crate) mod registry;
#[cfg(feature = "serde")]
mod serde;
mod server;
mod unix_text;
mod writing;

#[cfg(test)]
mod tests;
