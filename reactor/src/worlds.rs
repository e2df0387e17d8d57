//! The worlds that a reactor can turn in: the operating system, and those that stand in its place in tests.

pub(crate) mod clock;
pub(crate) mod memory;
pub(crate) mod os;
pub mod simulated;
