//! A byte layer: one sans-IO step between the protocol and the socket, for both directions.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_protocols::spi::Work;

/// What [`Layer::read`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LayerRead {
    /// How many bytes of the input were taken. The caller keeps the rest and offers it again.
    pub(crate) consumed: usize,
    /// The layer has more output without new input: it stopped because the room or the work was used up.
    pub(crate) more: bool,
}

/// One layer of a connection's chain: plain bytes on the protocol's side, wire bytes on the socket's.
///
/// A layer owns no socket and no clock, and calls nobody. It appends what it produces to the caller's buffer.
pub(crate) trait Layer {
    /// Encodes outgoing plain bytes and appends the result to `wire`, which may be nothing yet.
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Appends whatever the peer needs to read everything written so far. Called at the end of each turn with writes, when
    /// [`Layer::wants_flush`] says so, and before the end of the stream.
    fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Ends the outgoing stream: last data, trailer. Nothing is written afterwards.
    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason>;

    /// Decodes incoming bytes and appends at most `room` plain bytes to `plain`. Counts the cost in `work`, and
    /// stops when none is left.
    ///
    /// Input that was not consumed is offered again; after [`LayerRead::more`] the next call needs no new input. On an error,
    /// what was appended before it is valid: it is delivered first, and nothing is delivered after it.
    fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Result<LayerRead, Reason>;

    /// Handles the end of the input: appends what was held back, or returns an error if the input may not end here.
    ///
    /// Called when nothing is left to read: all input was consumed, without [`LayerRead::more`].
    fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<(), Reason>;

    /// Whether incoming bytes pass unchanged until something is switched on, so that they need not pass through this layer.
    fn reads_directly(&self) -> bool;

    /// When [`Layer::expire`] has to be called; `None` while nothing is due. Any call may change it.
    fn deadline(&self) -> Option<Duration>;

    /// The deadline has passed: appends what was held back in either direction. Does nothing before the deadline.
    fn expire(&mut self, wire: &mut Vec<u8>, plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Whether there is something to send without a write: an answer to input, or output that had to wait for input.
    fn wants_flush(&self) -> bool {
        false
    }

    /// How many written bytes the layer holds back because they cannot be sent before more input came.
    fn unsent(&self) -> usize {
        0
    }

    /// Whether the peer has ended this layer's stream, even if the wire has not ended, and everything before was delivered.
    fn has_ended(&self) -> bool {
        false
    }

    /// Whether it has to read before anything else can happen, even while no data is wanted. It delivers none meanwhile.
    fn is_handshaking(&self) -> bool {
        false
    }
}
