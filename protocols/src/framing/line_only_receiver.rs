//! Lines with `LineOnlyReceiver`'s rules.

use torsade_reactor::Result;

use crate::framing::line_receiver::{LineProtocol, LineReceiver};
use crate::framing::receiver::receiver;

/// A [`LineReceiver`] with the limits of Twisted's `LineOnlyReceiver`, for ports of programs that depend on them.
///
/// The two differ in when a line is too long: here a partial delimiter counts towards the limit until the rest of it arrives, and
/// `line_length_exceeded` is given the line alone. In Twisted this class is also faster; here both cost the same.
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
}

receiver!(LineOnlyReceiver, L: LineProtocol);
