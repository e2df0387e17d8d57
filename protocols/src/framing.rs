//! Framing of byte streams into messages: lines, netstrings, length-prefixed strings and custom formats.

mod byte_buffer;
mod callbacks;
pub(crate) mod decoder;
pub(crate) mod frame_receiver;
pub(crate) mod frame_transport;
mod inbox;
pub(crate) mod int_string_receiver;
pub(crate) mod line_decoder;
pub(crate) mod line_only_receiver;
pub(crate) mod line_receiver;
mod message_deadline;
pub(crate) mod netstring_receiver;
mod receiver;
mod spare_buffer;
pub(crate) mod stateful_protocol;
pub(crate) mod string_protocol;
