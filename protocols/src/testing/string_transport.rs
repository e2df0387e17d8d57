//! A transport that records calls.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use torsade_reactor::{Clock, Result};

use crate::address::Address;
use crate::compression::{Compression, Decompression};
use crate::reason::Reason;
use crate::testing::recorder::Recorder;
use crate::transport::Transport;

/// Whether the protocol has paused reading.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "Twisted's states, without stopped, which here is closing")]
pub enum ProducerState {
    /// Reading is wanted.
    #[default]
    Producing,
    /// `pause_producing` was called.
    Paused,
}

/// A call on a [`StringTransport`], as passed to its observer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TransportCall<'a> {
    /// `abort_connection`, the first time.
    AbortConnection,
    /// `end_compression`, if compression was on.
    EndCompression,
    /// `expect_compression`, if none was expected; what arrives from here on is the decompressed stream.
    ExpectCompression(&'a Decompression),
    /// `lose_connection`, the first time.
    LoseConnection,
    /// `lose_write_connection`, the first time.
    LoseWriteConnection,
    /// `pause_producing`, if it was producing.
    PauseProducing,
    /// `register_producer`, if there was none; true for streaming.
    RegisterProducer(bool),
    /// `resume_producing`, if it was paused.
    ResumeProducing,
    /// `set_compression`, if it was off; what is written from here on would be compressed.
    SetCompression(&'a Compression),
    /// `unregister_producer`, if there was a producer.
    UnregisterProducer,
    /// `write` of these bytes.
    Write(&'a [u8]),
}

/// A transport that keeps what is written and records other calls.
///
/// It dereferences to a [`Transport`], so a reference to it can be passed to a protocol's callbacks. Nothing happens by itself:
/// what was written stays here, and `lose_connection` sets a flag.
///
/// A protocol that uses compression is tested unchanged: what it switches on is recorded ([`compression`](Self::compression),
/// [`decompression`](Self::decompression)), and refused where a connection would refuse it, but the bytes stay plain. So
/// [`value`](Self::value) is plain text, and the test delivers the plain text of the peer's stream. All formats are accepted,
/// whichever are compiled in. There is no TLS: `start_tls` returns `Unsupported`.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// struct Greet;
///
/// impl Protocol for Greet {
///     fn data_received(&mut self, transport: &Transport, name: &[u8]) -> Result {
///         transport.write_sequence(&[b"hello, ", name]);
///         transport.lose_connection();
///         Ok(())
///     }
/// }
///
/// let transport = StringTransport::new();
/// Greet.data_received(&transport, b"world")?;
/// assert_eq!(transport.value(), b"hello, world");
/// assert!(transport.is_closing());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// With compression:
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// struct Server;
///
/// impl LineProtocol for Server {
///     fn connection_made(&mut self, transport: &LineTransport) -> Result {
///         transport.set_compression("deflate")?;
///         Ok(())
///     }
///
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         transport.send_line(line);
///         Ok(())
///     }
/// }
///
/// let transport = StringTransport::new();
/// let mut server = LineReceiver::new(Server);
/// server.connection_made(&transport)?;
/// server.data_received(&transport, b"hello\r\n")?;
/// assert_eq!(transport.compression(), Some(Compression::deflate()));
/// assert_eq!(transport.value(), b"hello\r\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct StringTransport {
    recorder: Rc<Recorder>,
    transport: Transport,
    clock: Rc<Clock>,
}

/// The next id, for all transports of one clock.
#[derive(Default)]
struct Ids(Cell<u64>);

impl StringTransport {
    /// A transport with a clock of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(&Rc::new(Clock::new()))
    }

    /// A transport that uses `clock`, which may be shared.
    #[must_use]
    pub fn with_clock(clock: &Rc<Clock>) -> Self {
        let ids = clock.local(|_| Ids::default());
        ids.0.set(ids.0.get() + 1);
        let recorder = Rc::new(Recorder::new(clock.reactor().clone(), ids.0.get()));
        Self { transport: Transport::new(Rc::<Recorder>::clone(&recorder)), recorder, clock: Rc::clone(clock) }
    }

    /// Sets what [`Transport::peer`] returns; default 192.168.1.1:54321.
    pub fn set_peer(&self, peer: impl Into<Address>) {
        self.recorder.peer.replace(peer.into());
    }

    /// Sets what [`Transport::host`] returns; default 10.0.0.1:12345.
    pub fn set_host(&self, host: impl Into<Address>) {
        self.recorder.host.replace(host.into());
    }

    /// Everything written since the last [`clear`](Self::clear).
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        self.recorder.written.borrow().clone()
    }

    /// How bytes written now would be compressed; `None` while compression is off.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.recorder.compression.borrow().clone()
    }

    /// How arriving bytes would be decompressed; `None` while no compression is expected.
    #[must_use]
    pub fn decompression(&self) -> Option<Decompression> {
        self.recorder.decompression.borrow().clone()
    }

    /// Discards what was written.
    pub fn clear(&self) {
        self.recorder.written.borrow_mut().clear();
    }

    /// Whether reading is paused.
    #[doc(alias = "producerState")]
    #[must_use]
    pub fn producer_state(&self) -> ProducerState {
        self.recorder.state.get()
    }

    /// Returns whether it was aborted.
    #[doc(alias = "disconnected")]
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.recorder.aborted.get()
    }

    /// Returns whether our stream was ended by `lose_write_connection`.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.recorder.write_closed.get()
    }

    /// Whether the registered producer is streaming; `None` without a producer.
    #[doc(alias = "streaming")]
    #[must_use]
    pub fn producer(&self) -> Option<bool> {
        self.recorder.producer.borrow().as_ref().map(|(_, streaming)| *streaming)
    }

    /// Returns whether a close has to wait for the producer.
    pub(super) fn waits_for_producer(&self) -> bool {
        self.producer().is_some() && !self.recorder.relays.get()
    }

    /// Tells the registered producer to produce; does nothing without one.
    ///
    /// # Errors
    /// Any error of the producer.
    pub fn resume_producer(&self) -> Result {
        let producer = self.recorder.producer();
        producer.map_or(Ok(()), |producer| producer.borrow_mut().resume_producing(&self.transport))
    }

    /// Tells the registered producer to pause; does nothing without one.
    ///
    /// # Errors
    /// Any error of the producer.
    pub fn pause_producer(&self) -> Result {
        let producer = self.recorder.producer();
        producer.map_or(Ok(()), |producer| producer.borrow_mut().pause_producing(&self.transport))
    }

    /// Unregisters the producer and tells it to stop; does nothing without one.
    pub fn stop_producer(&self) {
        self.recorder.stop_producer();
    }

    /// Simulates that unsent bytes have reached the high watermark because the peer does not read, or that this is over.
    pub fn set_congested(&self, on: bool) {
        if self.recorder.congested.replace(on) && !on {
            self.recorder.resumed.set(true);
            self.recorder.waiters.take().into_iter().for_each(|waiter| waiter.callback(()));
        }
    }

    /// Takes out the bytes that were given back with [`Transport::unread`].
    #[must_use]
    pub fn take_unread(&self) -> Vec<u8> {
        self.recorder.unread.take()
    }

    /// Returns whether a `reading_resumed` is due, and clears that. A connection calls it in its next turn.
    #[must_use]
    pub fn take_resumed(&self) -> bool {
        self.transport.is_reading() && self.recorder.resumed.take()
    }

    /// Marks the connection as lost: nothing more is written, [`Transport::is_connected`] returns false, and its tasks are
    /// cancelled.
    pub fn set_lost(&self) {
        self.mark_lost();
        self.cancel_tasks();
    }

    pub(super) fn mark_lost(&self) {
        self.recorder.lost.set(true);
        self.recorder.leave_consumers();
    }

    pub(super) fn cancel_tasks(&self) {
        self.recorder.waiters.take().into_iter().for_each(|waiter| waiter.errback(Reason::ConnectionDone));
        self.recorder.tasks.cancel();
    }

    pub(super) fn take_failure(&self) -> Option<Reason> {
        self.recorder.failed.take()
    }

    /// Calls `observer` for every call that changes something, in order.
    ///
    /// It is called from within the transport's methods, so it should only record.
    pub fn observe(&self, observer: impl Fn(TransportCall<'_>) + 'static) {
        self.recorder.observer.replace(Some(Box::new(observer)));
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }
}

impl Default for StringTransport {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for StringTransport {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

impl fmt::Debug for StringTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StringTransport")
            .field("value", &self.recorder.written.borrow().escape_ascii().to_string())
            .field("closing", &self.recorder.closing.get())
            .field("producer_state", &self.recorder.state.get())
            .finish_non_exhaustive()
    }
}
