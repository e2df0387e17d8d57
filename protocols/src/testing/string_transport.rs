//! A transport that records.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::rc::Rc;

use torsade_reactor::{Clock, Reactor, Result, TaskGroup};

use crate::address::Address;
use crate::connection::Connection;
use crate::delivery::Delivery;
use crate::producer::consumers::{Consumers, Registration};
use crate::producer::{Producer, ProducerError};
use crate::reason::Reason;
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
#[derive(Clone)]
pub struct StringTransport {
    recorder: Rc<Recorder>,
    transport: Transport,
    clock: Rc<Clock>,
}

/// A producer, which may be called while the connection is asked for something, and whether it is streaming.
type Registered = (Rc<RefCell<Box<dyn Producer>>>, bool);
type Observer = Box<dyn Fn(TransportCall<'_>)>;

struct Recorder {
    reactor: Reactor,
    id: u64,
    peer: RefCell<Address>,
    host: RefCell<Address>,
    written: RefCell<Vec<u8>>,
    /// Bytes written in all.
    delivered: Cell<u64>,
    producer: RefCell<Option<Registered>>,
    consumers: Consumers,
    /// The transport that the producer is, if it is one.
    source: Cell<Option<u64>>,
    /// That one had this as its producer in turn: it is not waited for.
    relays: Cell<bool>,
    state: Cell<ProducerState>,
    closing: Cell<bool>,
    write_closed: Cell<bool>,
    aborted: Cell<bool>,
    lost: Cell<bool>,
    congested: Cell<bool>,
    resumed: Cell<bool>,
    unread: RefCell<Vec<u8>>,
    observer: RefCell<Option<Observer>>,
    tasks: TaskGroup,
    /// Why it is being closed, if one of its tasks or layers has failed.
    failed: RefCell<Option<Reason>>,
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
        let recorder = Rc::new(Recorder {
            reactor: clock.reactor().clone(),
            id: ids.0.get(),
            peer: RefCell::new(SocketAddr::from((Ipv4Addr::new(192, 168, 1, 1), 54_321)).into()),
            host: RefCell::new(SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), 12_345)).into()),
            written: RefCell::default(),
            delivered: Cell::default(),
            producer: RefCell::default(),
            consumers: Consumers::default(),
            source: Cell::default(),
            relays: Cell::default(),
            state: Cell::default(),
            closing: Cell::default(),
            write_closed: Cell::default(),
            aborted: Cell::default(),
            lost: Cell::default(),
            congested: Cell::default(),
            resumed: Cell::default(),
            unread: RefCell::default(),
            observer: RefCell::default(),
            tasks: TaskGroup::new(),
            failed: RefCell::default(),
        });
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

    /// Behaves as if the peer did not read and the output were above its high watermark, or as if that were over.
    pub fn set_congested(&self, on: bool) {
        if self.recorder.congested.replace(on) && !on {
            self.recorder.resumed.set(true);
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
        self.recorder.is_reading() && self.recorder.resumed.take()
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

impl Recorder {
    fn producer(&self) -> Option<Rc<RefCell<Box<dyn Producer>>>> {
        self.producer.borrow().as_ref().map(|(producer, _)| Rc::clone(producer))
    }

    fn stop_producer(&self) {
        let registered = self.producer.take();
        if let Some((producer, _)) = registered {
            producer.borrow_mut().stop_producing();
        }
    }

    /// Nothing more comes from here.
    fn leave_consumers(&self) {
        if self.source.get().is_some_and(|source| self.consumers.contains(source)) {
            self.relays.set(true);
        }
        self.consumers.leave();
    }

    fn note(&self, call: TransportCall<'_>) {
        if let Some(observer) = &*self.observer.borrow() {
            observer(call);
        }
    }

    fn note_first(&self, flag: &Cell<bool>, call: TransportCall<'_>) {
        if !self.lost.get() && !flag.replace(true) {
            self.note(call);
        }
    }
}

impl Connection for Recorder {
    fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn peer(&self) -> Address {
        self.peer.borrow().clone()
    }

    fn host(&self) -> Address {
        if self.lost.get() { Address::None } else { self.host.borrow().clone() }
    }

    fn write(&self, data: &[u8]) {
        if !self.lost.get() && !self.aborted.get() && !self.write_closed.get() {
            self.written.borrow_mut().extend_from_slice(data);
            self.delivered.set(self.delivered.get() + data.len() as u64);
            self.note(TransportCall::Write(data));
        }
    }

    fn unsent(&self) -> usize {
        0
    }

    fn delivery(&self) -> Delivery {
        Delivery::new(self.delivered.get(), 0)
    }

    fn lose_connection(&self) {
        self.note_first(&self.closing, TransportCall::LoseConnection);
        self.leave_consumers();
    }

    fn lose_write_connection(&self) {
        self.note_first(&self.write_closed, TransportCall::LoseWriteConnection);
    }

    fn abort_connection(&self) {
        self.note_first(&self.aborted, TransportCall::AbortConnection);
        self.closing.set(true);
        self.leave_consumers();
    }

    fn fail_with(&self, reason: Reason) {
        self.failed.borrow_mut().get_or_insert(reason);
        self.lose_connection();
        // It has no more say in when that is.
        self.stop_producer();
    }

    fn tasks(&self) -> Option<TaskGroup> {
        (!self.lost.get()).then(|| self.tasks.clone())
    }

    fn is_connected(&self) -> bool {
        !self.lost.get()
    }

    fn is_closing(&self) -> bool {
        self.closing.get()
    }

    fn pause_producing(&self) {
        if !self.lost.get() && self.state.replace(ProducerState::Paused) == ProducerState::Producing {
            self.note(TransportCall::PauseProducing);
        }
    }

    fn resume_producing(&self) {
        if !self.lost.get() && self.state.replace(ProducerState::Producing) == ProducerState::Paused {
            self.resumed.set(true);
            self.note(TransportCall::ResumeProducing);
        }
    }

    fn is_reading(&self) -> bool {
        self.state.get() == ProducerState::Producing && !self.closing.get() && !self.lost.get() && !self.congested.get()
    }

    fn unread(&self, data: &[u8]) {
        self.unread.borrow_mut().splice(..0, data.iter().copied());
        self.resumed.set(true);
    }

    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        if self.lost.get() {
            return Err(ProducerError::Closed);
        }
        if self.producer.borrow().is_some() {
            return Err(ProducerError::AlreadyRegistered);
        }
        self.source.set(producer.as_transport().map(|source| source.id()));
        self.relays.set(false);
        self.producer.replace(Some((Rc::new(RefCell::new(producer)), streaming)));
        self.note(TransportCall::RegisterProducer(streaming));
        Ok(())
    }

    fn unregister_producer(&self) {
        if self.producer.take().is_some() {
            self.note(TransportCall::UnregisterProducer);
        }
    }

    fn add_consumer(&self, registration: &Rc<Registration>) {
        self.consumers.add(registration);
        if self.closing.get() || self.lost.get() {
            self.leave_consumers();
        }
    }

    fn set_write_buffer_limits(&self, _low: usize, _high: usize) {}
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
