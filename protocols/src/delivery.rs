//! How much of the written data has arrived.

/// How much of what was written to a connection has reached its peer, as returned by
/// [`Transport::delivery`](crate::Transport::delivery).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Delivery {
    /// Bytes on the wire that the peer's system has acknowledged since the connection was made.
    pub acknowledged: u64,
    /// Bytes not yet acknowledged: in transit or not sent yet.
    pub outstanding: u64,
}

impl Delivery {
    /// For implementations of [`Connection`](crate::spi::Connection).
    #[must_use]
    pub const fn new(acknowledged: u64, outstanding: u64) -> Self {
        Self { acknowledged, outstanding }
    }
}
