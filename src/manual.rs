//! The manual: topics that concern more than one item.
//!
//! | to find out | read |
//! |---|---|
//! | how to write programs with Torsade, starting with a small one | [`tutorial`] |
//! | how to say where to listen and connect, as text and as values | [`endpoints`] |
//! | how connections end: what happens to the last bytes, and which reason each side gets | [`closing`] |
//! | how much memory a peer can make the program use, and how to limit it | [`limits`] |
//! | how to compress, when not to, and which peers support it | [`compression`] |
//! | when one process is not enough, and how to run several | [`many_machines`] |
//! | how to test without sockets and without waiting, on bad networks too | [`testing`] |
//! | which third-party crates run on a connection, and how | [`async_ecosystem`] |
//! | what it costs | [`speed`] |
//! | which code a byte passes through | [`way_of_a_byte`] |
//! | what Twisted's names are called in Torsade | [`twisted`] |
//! | what a ported Twisted program looks like | [`side_by_side`] |
//! | why a port of a Twisted program behaves differently | [`porting`] |
//! | why something was decided as it is, and where it differs from Twisted | [`decisions`] |

#[doc = include_str!("manual/async_ecosystem.md")]
pub mod async_ecosystem {}

#[doc = include_str!("manual/byte.md")]
pub mod way_of_a_byte {}

#[doc = include_str!("manual/closing.md")]
pub mod closing {}

#[doc = include_str!("manual/compression.md")]
pub mod compression {}

#[doc = include_str!("manual/endpoints.md")]
pub mod endpoints {}

#[doc = include_str!("manual/limits.md")]
pub mod limits {}

#[doc = include_str!("manual/many_machines.md")]
pub mod many_machines {}

#[doc = include_str!("manual/porting.md")]
pub mod porting {}

pub mod side_by_side;

#[doc = include_str!("manual/speed.md")]
pub mod speed {}

#[doc = include_str!("manual/testing.md")]
pub mod testing {}

#[doc = include_str!("manual/twisted.md")]
pub mod twisted {}

#[doc = include_str!("manual/decisions.md")]
pub mod decisions {}

// The pictures (as data, since rustdoc copies no files) come first: of two definitions of a link, the first one counts.
#[doc = include_str!("manual/ladder/images.md")]
#[doc = include_str!("manual/tutorial.md")]
pub mod tutorial {}
