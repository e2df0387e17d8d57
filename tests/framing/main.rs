//! Parsers as protocols: the kit that tries them, and those of one's own.

#[path = "../support/support.rs"]
mod support;

mod between_messages;
mod conformance;
#[cfg(feature = "futures-io")]
mod conformance_of_async;
mod own_decoder;
mod websocket;
