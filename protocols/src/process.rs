//! Child processes: what users write for one, and its handle.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod protocol;
