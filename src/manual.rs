//! The manual: what no single item can say.

#[doc = include_str!("manual/byte.md")]
pub mod way_of_a_byte {}

#[doc = include_str!("manual/closing.md")]
pub mod closing {}

#[doc = include_str!("manual/compression.md")]
pub mod compression {}

#[doc = include_str!("manual/limits.md")]
pub mod limits {}

#[doc = include_str!("manual/speed.md")]
pub mod speed {}

#[doc = include_str!("manual/testing.md")]
pub mod testing {}

#[doc = include_str!("manual/decisions.md")]
pub mod decisions {}
