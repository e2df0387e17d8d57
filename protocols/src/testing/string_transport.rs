//! A transport that records.

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

/// What the protocol asked of the transport as a source of data.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "Twisted's states, without stopped, which here is closing")]
pub enum ProducerState {
    /// Data is wanted.
    #[default]
    Producing,
    /// `pause_producing` was called.
    Paused,
}

/// A call that was made on a [`StringTransport`], as its observer sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TransportCall<'a> {
    /// `abort_connection`, the first time.
    AbortConnection,
    /// `end_compression`, when it was on.
    EndCompression,
    /// `expect_compression`, when it was not on; what comes in from here on is the decompressed stream.
    ExpectCompression(&'a Decompression),
    /// `lose_connection`, the first time.
    LoseConnection,
    /// `lose_write_connection`, the first time.
    LoseWriteConnection,
    /// `pause_producing`, when it was producing.
    PauseProducing,
    /// `register_producer`, when there was none; streaming or not.
    RegisterProducer(bool),
    /// `resume_producing`, when it was paused.
    ResumeProducing,
    /// `set_compression`, when it was off; what is written from here on would be compressed.
    SetCompression(&'a Compression),
    /// `unregister_producer`, when there was one.
    UnregisterProducer,
    /// `write` of these bytes.
    Write(&'a [u8]),
}

/// A transport that keeps what is written, and notes what else is called.
///
/// It dereferences to a [`Transport`], so a protocol's callbacks take a reference to it. Nothing happens by itself: what
/// was written stays here, `lose_connection` sets a flag.
///
/// A protocol that compresses is tested as it is: what it switches on is noted ([`compression`](Self::compression),
/// [`decompression`](Self::decompression)) and refused where a connection would refuse it, but bytes stay as they are. So
/// [`value`](Self::value) is the plain text, and what the test delivers is the text that the peer's stream would hold.
/// Every format is known here, whatever is built in. There is no TLS: `start_tls` is `Unsupported`.
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

    /// A transport that goes by `clock`, which others may share.
    #[must_use]
    pub fn with_clock(clock: &Rc<Clock>) -> Self {
        let ids = clock.local(|_| Ids::default());
        ids.0.set(ids.0.get() + 1);
        let recorder = Rc::new(Recorder::new(clock.reactor().clone(), ids.0.get()));
        Self { transport: Transport::new(Rc::<Recorder>::clone(&recorder)), recorder, clock: Rc::clone(clock) }
    }

    /// Sets what [`Transport::peer`] says; 192.168.1.1:54321 unless set.
    pub fn set_peer(&self, peer: impl Into<Address>) {
        self.recorder.peer.replace(peer.into());
    }

    /// Sets what [`Transport::host`] says; 10.0.0.1:12345 unless set.
    pub fn set_host(&self, host: impl Into<Address>) {
        self.recorder.host.replace(host.into());
    }

    /// Everything written since the last [`clear`](Self::clear).
    #[must_use]
    pub fn value(&self) -> Vec<u8> {
        self.recorder.written.borrow().clone()
    }

    /// What the bytes written now would be compressed as; none while compression is off.
    #[must_use]
    pub fn compression(&self) -> Option<Compression> {
        self.recorder.compression.borrow().clone()
    }

    /// What the bytes that come in would be decompressed as; none while no compression is expected.
    #[must_use]
    pub fn decompression(&self) -> Option<Decompression> {
        self.recorder.decompression.borrow().clone()
    }

    /// Forgets what was written.
    pub fn clear(&self) {
        self.recorder.written.borrow_mut().clear();
    }

    /// Whether it was paused.
    #[doc(alias = "producerState")]
    #[must_use]
    pub fn producer_state(&self) -> ProducerState {
        self.recorder.state.get()
    }

    /// Whether it was aborted.
    #[doc(alias = "disconnected")]
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.recorder.aborted.get()
    }

    /// Whether our stream was ended, by `lose_write_connection`.
    #[must_use]
    pub fn is_write_closed(&self) -> bool {
        self.recorder.write_closed.get()
    }

    /// The registered producer: none, or whether it is streaming.
    #[doc(alias = "streaming")]
    #[must_use]
    pub fn producer(&self) -> Option<bool> {
        self.recorder.producer.borrow().as_ref().map(|(_, streaming)| *streaming)
    }

    /// A close has to wait for the producer.
    pub(super) fn waits_for_producer(&self) -> bool {
        self.producer().is_some() && !self.recorder.relays.get()
    }

    /// Tells the registered producer to produce; does nothing without one.
    ///
    /// # Errors
    /// Those of the producer.
    pub fn resume_producer(&self) -> Result {
        let producer = self.recorder.producer();
        producer.map_or(Ok(()), |producer| producer.borrow_mut().resume_producing(&self.transport))
    }

    /// Tells the registered producer to pause; does nothing without one.
    ///
    /// # Errors
    /// Those of the producer.
    pub fn pause_producer(&self) -> Result {
        let producer = self.recorder.producer();
        producer.map_or(Ok(()), |producer| producer.borrow_mut().pause_producing(&self.transport))
    }

    /// Takes the registered producer away and tells it to stop; does nothing without one.
    pub fn stop_producer(&self) {
        self.recorder.stop_producer();
    }

    /// Behaves as if the peer did not read and the output had reached its high watermark, or as if that were over.
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

    /// Whether a `reading_resumed` is due, which is asked for only once; a connection calls it in its next turn.
    #[must_use]
    pub fn take_resumed(&self) -> bool {
        self.transport.is_reading() && self.recorder.resumed.take()
    }

    /// Behaves as lost from now on: nothing more is written, [`Transport::is_connected`] is false, and its tasks are
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

    /// Has `observer` told of every call that changes something, in order.
    ///
    /// It is called from within the transport's methods, so it should only take notes.
    pub fn observe(&self, observer: impl Fn(TransportCall<'_>) + 'static) {
        self.recorder.observer.replace(Some(Box::new(observer)));
    }

    /// The clock it goes by.
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
