//! The outside worlds that a reactor can run in.

pub(crate) mod os;
pub mod simulated;
