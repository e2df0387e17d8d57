//! A byte layer: one sans-IO stage between the protocol and the socket, for both directions.

use std::time::Duration;

use torsade_protocols::Reason;
use torsade_protocols::spi::Work;

/// What [`Layer::read`] did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Progress {
    /// How many bytes of the input were taken. The caller keeps the rest and offers it again.
    pub(crate) consumed: usize,
    /// The layer has more to give without new input: it stopped because the room or the work was used up.
    pub(crate) more: bool,
}

/// One stage of a connection's chain: plain bytes on the protocol's side, wire bytes on the socket's.
///
/// A layer owns no socket and no clock. What it produces it appends to the caller's buffer.
pub(crate) trait Layer {
    /// Takes plain bytes on their way out and appends what they become to `wire`, which may be nothing yet.
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Appends whatever the peer needs to read everything written so far. Called at the end of
    /// each turn with writes, when [`Layer::wants_flush`], and before the end of the stream.
    fn flush(&mut self, wire: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// Ends the outgoing stream: last data, trailer. Nothing is written afterwards.
    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason>;

    /// Takes bytes that came in and appends at most `room` plain bytes to `plain`. Counts in `work` what that costs, and
    /// stops when nothing of it is left.
    ///
    /// Input not consumed is offered again; with [`Progress::more`] the next call needs no new input. On an error what
    /// was appended before it is good: it is delivered first, and nothing after it.
    fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, now: Duration) -> Result<Progress, Reason>;

    /// The wire below has ended. Appends what was held back, and says whether the end was legitimate.
    ///
    /// Called once nothing is left to read: all input consumed, and no [`Progress::more`].
    fn read_end(&mut self, plain: &mut Vec<u8>) -> Result<(), Reason>;

    /// Incoming bytes pass unchanged, now and until something is switched on: they need not be shown to this layer.
    fn reads_directly(&self) -> bool;

    /// When [`Layer::expire`] wants to be called; none when nothing is waited for. Any call may change it.
    fn deadline(&self) -> Option<Duration>;

    /// The deadline has passed: appends what was held back on either side. Too early a call does nothing.
    fn expire(&mut self, wire: &mut Vec<u8>, plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason>;

    /// There is something to send that nobody wrote: reading has made it, or it had to wait for what was read.
    fn wants_flush(&self) -> bool {
        false
    }

    /// Bytes written that the layer keeps back, because they cannot be sent before something has been read.
    fn unsent(&self) -> usize {
        0
    }

    /// The peer has ended this layer's stream, whatever the wire does; everything before it was given out.
    fn has_ended(&self) -> bool {
        false
    }

    /// It has to read before anything else can be done, whether data is wanted or not. It gives out none meanwhile.
    fn is_handshaking(&self) -> bool {
        false
    }
}
