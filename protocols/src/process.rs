//! Child processes: their callbacks and their handle.

pub(crate) mod error;
pub(crate) mod handle;
pub(crate) mod protocol;
