//! The connection behind a transport that records.

use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::spi::TcpOptions;
use torsade_reactor::{Deferred, Descriptor, Firer, Reactor, Result, TaskGroup, defer};

use crate::address::Address;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect, Format};
use crate::connection::Connection;
use crate::delivery::Delivery;
use crate::producer::consumers::{Consumers, Registration};
use crate::producer::{Producer, ProducerError};
use crate::proxy_protocol::header::ProxyHeader;
use crate::reason::Reason;
use crate::testing::string_transport::{ProducerState, TransportCall};
use crate::transport::compression::ConnectionCompression;
use crate::transport::limits::ConnectionLimits;
use crate::transport::tls::ConnectionTls;
use crate::transport::unix::ConnectionUnix;
use crate::work::Work;

/// A producer and whether it is streaming. Shared, because it may be called while the connection is in use.
type Registered = (Rc<RefCell<Box<dyn Producer>>>, bool);
type Observer = Box<dyn Fn(TransportCall<'_>)>;

pub(super) struct Recorder {
    pub(super) reactor: Reactor,
    pub(super) id: u64,
    pub(super) peer: RefCell<Address>,
    pub(super) host: RefCell<Address>,
    pub(super) written: RefCell<Vec<u8>>,
    /// Total number of bytes written.
    delivered: Cell<u64>,
    pub(super) producer: RefCell<Option<Registered>>,
    consumers: Consumers,
    /// The id of the transport that is the producer, if it is one.
    source: Cell<Option<u64>>,
    /// Whether that transport has this one as its producer in turn: then a close does not wait for it.
    pub(super) relays: Cell<bool>,
    pub(super) state: Cell<ProducerState>,
    pub(super) closing: Cell<bool>,
    pub(super) write_closed: Cell<bool>,
    pub(super) aborted: Cell<bool>,
    pub(super) lost: Cell<bool>,
    pub(super) congested: Cell<bool>,
    /// Deferreds to fire when the congestion is over.
    pub(super) waiters: RefCell<Vec<Firer<()>>>,
    pub(super) resumed: Cell<bool>,
    pub(super) unread: RefCell<Vec<u8>>,
    proxy_header: OnceCell<ProxyHeader>,
    pub(super) observer: RefCell<Option<Observer>>,
    pub(super) tasks: TaskGroup,
    /// Why it is closing, if one of its tasks or layers failed.
    pub(super) failed: RefCell<Option<Reason>>,
    /// How outgoing and incoming bytes are declared to be compressed.
    pub(super) compression: RefCell<Option<Compression>>,
    pub(super) decompression: RefCell<Option<Decompression>>,
}

impl Recorder {
    pub(super) fn new(reactor: Reactor, id: u64) -> Self {
        Self {
            reactor,
            id,
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
            waiters: RefCell::default(),
            resumed: Cell::default(),
            unread: RefCell::default(),
            proxy_header: OnceCell::new(),
            observer: RefCell::default(),
            tasks: TaskGroup::new(),
            failed: RefCell::default(),
            compression: RefCell::default(),
            decompression: RefCell::default(),
        }
    }

    pub(super) fn producer(&self) -> Option<Rc<RefCell<Box<dyn Producer>>>> {
        self.producer.borrow().as_ref().map(|(producer, _)| Rc::clone(producer))
    }

    pub(super) fn stop_producer(&self) {
        let registered = self.producer.take();
        if let Some((producer, _)) = registered {
            producer.borrow_mut().stop_producing();
        }
    }

    /// This connection no longer produces for others.
    pub(super) fn leave_consumers(&self) {
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

    fn record_first(&self, flag: &Cell<bool>, call: TransportCall<'_>) {
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
        if self.lost.get() { Address::Unnamed } else { self.host.borrow().clone() }
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
        self.record_first(&self.closing, TransportCall::LoseConnection);
        self.leave_consumers();
    }

    fn lose_write_connection(&self) {
        self.record_first(&self.write_closed, TransportCall::LoseWriteConnection);
    }

    fn abort_connection(&self) {
        self.record_first(&self.aborted, TransportCall::AbortConnection);
        self.closing.set(true);
        self.leave_consumers();
    }

    fn fail_with(&self, reason: Reason) {
        self.failed.borrow_mut().get_or_insert(reason);
        self.lose_connection();
        // A failed connection does not wait for its producer.
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

    fn can_deliver(&self) -> bool {
        self.is_reading()
    }

    fn work(&self) -> Option<&Work> {
        None
    }

    fn unread(&self, data: &[u8]) {
        self.unread.borrow_mut().splice(..0, data.iter().copied());
        self.resumed.set(true);
    }

    fn accept_proxy_header(&self, header: ProxyHeader, rest: &[u8]) {
        for (end, said) in [(&self.peer, header.source()), (&self.host, header.destination())] {
            if *said != Address::Unnamed {
                end.replace(said.clone());
            }
        }
        // If this fails there already is a header, which stays.
        self.proxy_header.set(header).ok();
        self.unread(rest);
    }

    fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.proxy_header.get()
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

    fn limits(&self) -> &dyn ConnectionLimits {
        self
    }

    fn compression(&self) -> Option<&dyn ConnectionCompression> {
        Some(self)
    }

    fn tls(&self) -> Option<&dyn ConnectionTls> {
        None
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "nothing is behind this transport"))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn ConnectionUnix> {
        None
    }
}

/// Nothing is limited here: what is written counts as sent at once.
impl ConnectionLimits for Recorder {
    fn write_buffer_limits(&self) -> (usize, usize) {
        (16 << 10, 64 << 10)
    }

    fn is_congested(&self) -> bool {
        self.congested.get()
    }

    fn when_unsent(&self, _: usize) -> Deferred<()> {
        if self.lost.get() {
            return defer::fail(Reason::ConnectionDone);
        }
        if !self.congested.get() {
            return defer::succeed(());
        }
        let (deferred, firer) = Deferred::new();
        self.waiters.borrow_mut().push(firer);
        deferred
    }

    fn flush(&self) -> bool {
        !self.lost.get() && !self.congested.get()
    }

    fn set_write_buffer_limits(&self, _: usize, _: usize) {}

    fn set_write_buffer_cap(&self, _: usize) {}

    fn set_read_while_congested(&self, _: bool) {}

    fn set_close_timeout(&self, _: Duration) {}
}

/// Calls are recorded, and refused where a connection would refuse them; nothing is compressed.
impl ConnectionCompression for Recorder {
    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError> {
        if self.closing.get() || self.lost.get() || self.write_closed.get() {
            return Err(CompressionError::Closed);
        }
        if let Some(running) = &*self.compression.borrow() {
            return already_on(running.format, compression.format);
        }
        compression.check()?;
        self.compression.replace(Some(compression.clone()));
        self.note(TransportCall::SetCompression(compression));
        Ok(())
    }

    fn flush_compression(&self) {}

    fn compression_barrier(&self) {}

    fn set_uncompressed(&self, _: bool) {}

    fn end_compression(&self) {
        if self.compression.take().is_some() {
            self.note(TransportCall::EndCompression);
        }
    }

    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        if self.closing.get() || self.lost.get() {
            return Err(CompressionError::Closed);
        }
        if let Some(running) = &*self.decompression.borrow() {
            return already_on(running.format, decompression.format);
        }
        self.decompression.replace(Some(decompression.clone()));
        self.note(TransportCall::ExpectCompression(decompression));
        self.unread(rest);
        Ok(())
    }

    fn set_detection(&self, _: Detect) {}

    fn set_decompression_limits(&self, _: &Decompression) {}

    fn take_trailing(&self) -> Vec<u8> {
        Vec::new()
    }

    fn compression_stats(&self) -> Option<CompressionStats> {
        let format_out = self.compression.borrow().as_ref().map(|compression| compression.format);
        let format_in = self.decompression.borrow().as_ref().map(|decompression| decompression.format);
        (format_out.is_some() || format_in.is_some()).then(|| CompressionStats {
            format_in,
            format_out,
            ..CompressionStats::default()
        })
    }
}

/// Requesting the same format again changes nothing.
fn already_on(running: Format, wanted: Format) -> Result<(), CompressionError> {
    if running == wanted { Ok(()) } else { Err(CompressionError::AlreadyOn { running, wanted }) }
}
