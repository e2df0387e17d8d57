//! Messages out of a stream: however it is cut, and in time.

mod any_chunking;
mod decoders;
mod message_deadline;
