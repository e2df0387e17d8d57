//! Parsers as protocols: the conformance kit, and your own decoders.

#[path = "../support/support.rs"]
mod support;

mod between_messages;
mod conformance;
#[cfg(feature = "futures-io")]
mod conformance_of_async;
mod own_decoder;
mod websocket;
