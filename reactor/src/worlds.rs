//! The worlds a reactor can run in.

pub(crate) mod os;
pub mod simulated;
