//! Parsers as protocols: the kit that tries them, and those of one's own.

#[path = "../support/support.rs"]
mod support;

mod conformance;
mod own_decoder;
mod websocket;
