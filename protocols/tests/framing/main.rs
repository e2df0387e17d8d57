//! Messages from a stream: independent of the cuts, and complete in time.

mod any_chunking;
mod decoders;
mod message_deadline;
