//! How far what was written has come.

/// How much of what was written to a connection its peer has; as [`Transport::delivery`](crate::Transport::delivery) tells.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// Bytes, as they are on the wire, that the peer's system has acknowledged since the connection was made.
    pub acknowledged: u64,
    /// Bytes that are still to be acknowledged: those on their way, and those not sent yet.
    pub outstanding: u64,
}

impl Delivery {
    /// For those who implement a [`Connection`](crate::spi::Connection).
    #[must_use]
    pub const fn new(acknowledged: u64, outstanding: u64) -> Self {
        Self { acknowledged, outstanding }
    }
}
