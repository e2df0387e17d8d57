//! A byte layer: one sans-IO step between the protocol and the socket, for both directions.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_protocols::spi::Work;

/// What [`Layer::read`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct LayerRead {
    /// How many bytes of the input were taken. The caller keeps the rest and offers it again.
    pub(crate) consumed: usize,
    /// The layer can give more without new input: it stopped because the room or the work was used up.
    pub(crate) more: bool,
}

/// One layer of a connection's chain: plain bytes on the protocol's side, wire bytes on the socket's.
///
/// A layer owns no socket and no clock, and calls nobody. It appends what it produces to the caller's buffer.
pub(crate) trait Layer {
    /// Takes plain bytes on their way out and appends what they become to `wire`, which may be nothing yet.
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Appends whatever the peer needs to read everything written so far. Called at the end of each turn with writes, when
    /// [`Layer::wants_flush`] says so, and before the end of the stream.
    fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Ends the outgoing stream: last data, trailer. Nothing is written afterwards.
    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason>;

    /// Takes bytes that came in and appends at most `room` plain bytes to `plain`. Counts in `work` what that costs, and
    /// stops when none is left.
    ///
    /// Input that was not consumed is offered again; after [`LayerRead::more`] the next call needs no new input. On an error,
    /// what was appended before it is valid: it is delivered first, and nothing is delivered after it.
    fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Result<LayerRead, Reason>;

    /// The input has ended. Appends what was held back; an error if it may not end here.
    ///
    /// Called when nothing is left to read: all input was consumed, without [`LayerRead::more`].
    fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<(), Reason>;

    /// Whether incoming bytes pass unchanged, until something is switched on, so that they need not be shown to this layer.
    fn reads_directly(&self) -> bool;

    /// When [`Layer::expire`] wants to be called; none when nothing is waited for. Any call may change it.
    fn deadline(&self) -> Option<Duration>;

    /// The deadline has passed: appends what was held back in either direction. Does nothing before the deadline.
    fn expire(&mut self, wire: &mut Vec<u8>, plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Whether there is something to send without a write: an answer to what was read, or output that had to wait for it.
    fn wants_flush(&self) -> bool {
        false
    }

    /// How many written bytes the layer keeps back because they cannot be sent before something was read.
    fn unsent(&self) -> usize {
        0
    }

    /// Whether the peer has ended this layer's stream, whatever the wire does, and everything before it was given out.
    fn has_ended(&self) -> bool {
        false
    }

    /// Whether it has to read before anything else can be done, even while no data is wanted. It gives out none meanwhile.
    fn is_handshaking(&self) -> bool {
        false
    }
}
