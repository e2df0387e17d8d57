//! The manual: what no single item can say.
//!
//! | to find out | read |
//! |---|---|
//! | how to write such programs, from the first one on | [`tutorial`] |
//! | where to listen and connect, as text and as values | [`endpoints`] |
//! | what becomes of the last bytes, and which reason is told | [`closing`] |
//! | what a peer can make the program hold, and where to bound it | [`limits`] |
//! | how to compress, when not to, and which peers understand it | [`compression`] |
//! | when one process is not enough, and how to run several | [`many_machines`] |
//! | how to test without sockets and without waiting, on bad networks too | [`testing`] |
//! | which crates of others run on a connection, and how | [`async_ecosystem`] |
//! | what it costs | [`speed`] |
//! | through which code a byte goes | [`way_of_a_byte`] |
//! | what a name of Twisted is called here | [`twisted`] |
//! | what a Twisted program looks like when it is ported | [`side_by_side`] |
//! | why a port of a Twisted program does not do what the program did | [`porting`] |
//! | why something is as it is, and otherwise than in Twisted | [`decisions`] |

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

// Its pictures first: of two definitions of a link the first one counts, and rustdoc takes no files.
#[doc = include_str!("manual/ladder/images.md")]
#[doc = include_str!("manual/tutorial.md")]
pub mod tutorial {}
