//! Lines with `LineOnlyReceiver`'s rules.

use std::time::Duration;

use torsade_reactor::Result;

use crate::framing::line_receiver::{LineProtocol, LineReceiver};
use crate::protocol::{Callback, Protocol};
use crate::transport::Transport;

/// A [`LineReceiver`] with the limits of Twisted's `LineOnlyReceiver`, for ports that depend on them.
///
/// The two differ in when a line is too long: here half a delimiter counts towards the limit until the rest of it comes,
/// and `line_length_exceeded` is given the line alone. In Twisted this one is also the faster; here both cost the same.
#[derive(Debug)]
pub struct LineOnlyReceiver<L>(LineReceiver<L>);

impl<L: LineProtocol> LineOnlyReceiver<L> {
    /// Runs `protocol` on lines that end in CR LF, of at most 16,384 bytes.
    #[must_use]
    pub fn new(protocol: L) -> Self {
        Self(LineReceiver::with_rules(protocol, true))
    }

    /// The same with another delimiter. An empty one is ignored.
    #[must_use]
    pub fn delimiter(self, delimiter: &[u8]) -> Self {
        Self(self.0.delimiter(delimiter))
    }

    /// The same with another limit, in bytes without the delimiter.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        Self(self.0.max_length(max_length))
    }

    /// The same with another time in which a line has to come whole; see [`LineReceiver::message_timeout`].
    #[must_use]
    pub fn message_timeout(self, timeout: Option<Duration>) -> Self {
        Self(self.0.message_timeout(timeout))
    }
}

impl<L: LineProtocol> Protocol for LineOnlyReceiver<L> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        self.0.fallback(transport, callback)
    }
}
