//! The transport that a wrapped protocol is given.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use torsade_reactor::spi::TcpOptions;
use torsade_reactor::{Descriptor, Reactor, Result, TaskGroup};

use crate::address::Address;
use crate::connection::Connection;
use crate::delivery::Delivery;
use crate::policies::wrapping::{Holds, ProtocolWrapper, WrapperTransport};
use crate::producer::consumers::Registration;
use crate::producer::{Producer, ProducerError};
use crate::proxy_protocol::header::ProxyHeader;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;
use crate::transport::Transport;
use crate::transport::compression::ConnectionCompression;
use crate::transport::limits::ConnectionLimits;
use crate::transport::tls::ConnectionTls;
use crate::transport::unix::ConnectionUnix;
use crate::work::Work;

/// What the wrapped protocol's transport is a handle to.
pub(super) struct WrapperConnection<W> {
    pub(super) wrapper: Rc<W>,
    pub(super) below: WrapperTransport,
}

impl<W: ProtocolWrapper + 'static> WrapperConnection<W> {
    fn below(&self) -> &dyn Connection {
        self.below.connection()
    }

    fn holds(&self) -> &Holds {
        &self.below.holds
    }
}

impl<W: ProtocolWrapper + 'static> Connection for WrapperConnection<W> {
    fn reactor(&self) -> &Reactor {
        self.below().reactor()
    }

    fn id(&self) -> u64 {
        self.below().id()
    }

    fn peer(&self) -> Address {
        self.below().peer()
    }

    fn host(&self) -> Address {
        self.below().host()
    }

    fn write(&self, data: &[u8]) {
        self.wrapper.write(&self.below, data);
    }

    fn write_shared(&self, data: &SharedBytes) {
        self.wrapper.write_shared(&self.below, data);
    }

    fn unsent(&self) -> usize {
        self.below().unsent()
    }

    fn delivery(&self) -> Delivery {
        self.below().delivery()
    }

    fn lose_connection(&self) {
        self.wrapper.lose_connection(&self.below);
    }

    fn lose_write_connection(&self) {
        self.wrapper.lose_write_connection(&self.below);
    }

    fn abort_connection(&self) {
        self.wrapper.abort_connection(&self.below);
    }

    fn fail_with(&self, reason: Reason) {
        self.below().fail_with(reason);
    }

    fn tasks(&self) -> Option<TaskGroup> {
        self.below().tasks()
    }

    fn is_connected(&self) -> bool {
        self.below().is_connected()
    }

    fn is_closing(&self) -> bool {
        self.below().is_closing()
    }

    fn pause_producing(&self) {
        self.holds().paused.set(true);
        self.below().pause_producing();
    }

    fn resume_producing(&self) {
        self.holds().paused.set(false);
        if !self.holds().reading.get() {
            self.below().resume_producing();
        }
    }

    fn is_reading(&self) -> bool {
        self.below().is_reading()
    }

    fn can_deliver(&self) -> bool {
        self.below().can_deliver()
    }

    fn work(&self) -> Option<&Work> {
        self.below().work()
    }

    fn unread(&self, data: &[u8]) {
        self.holds().unread.borrow_mut().splice(..0, data.iter().copied());
        // Causes a call of `reading_resumed`, which delivers them.
        self.below().unread(b"");
    }

    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        let producer = Rc::new(HeldProducer {
            producer: RefCell::new(producer),
            consumer: Transport::new(Rc::new(Self { wrapper: Rc::clone(&self.wrapper), below: self.below.clone() })),
            streaming,
            held: Cell::new(self.holds().writing.get()),
            paused: Cell::new(false),
            asked: Cell::new(false),
        });
        let registered = ProducerBelow { producer: Rc::clone(&producer), holds: Rc::clone(&self.below.holds) };
        self.below().register_producer(Box::new(registered), streaming)?;
        self.holds().producer.replace(Some(producer));
        Ok(())
    }

    fn unregister_producer(&self) {
        self.holds().producer.take();
        self.below().unregister_producer();
    }

    fn add_consumer(&self, registration: &Rc<Registration>) {
        self.below().add_consumer(registration);
    }

    fn accept_proxy_header(&self, header: ProxyHeader, rest: &[u8]) {
        self.below().accept_proxy_header(header, b"");
        // These bytes have already passed through the wrapper.
        self.unread(rest);
    }

    fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.below().proxy_header()
    }

    fn limits(&self) -> &dyn ConnectionLimits {
        self.below().limits()
    }

    fn compression(&self) -> Option<&dyn ConnectionCompression> {
        self.below().compression()
    }

    // Bytes that the protocol gave back before switching are plaintext: `WrappedProtocol` refuses them afterwards.
    fn tls(&self) -> Option<&dyn ConnectionTls> {
        self.below().tls()
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        self.below().copy_descriptor()
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        self.below().tcp()
    }

    fn unix(&self) -> Option<&dyn ConnectionUnix> {
        self.below().unix()
    }
}

/// The wrapped protocol's producer. It is called only while it is not held.
pub(super) struct HeldProducer {
    producer: RefCell<Box<dyn Producer>>,
    /// The consumer as the producer knows it: the transport above the wrapper.
    consumer: Transport,
    streaming: bool,
    held: Cell<bool>,
    /// Whether the transport below paused it.
    paused: Cell<bool>,
    /// Whether the transport below asked for more while it was held.
    asked: Cell<bool>,
}

impl HeldProducer {
    pub(super) fn hold(&self, on: bool) -> Result {
        self.held.set(on);
        let asked = self.asked.take();
        match (self.streaming, on) {
            (true, _) if self.paused.get() => Ok(()),
            (true, true) => self.producer.borrow_mut().pause_producing(&self.consumer),
            (true, false) => self.producer.borrow_mut().resume_producing(&self.consumer),
            (false, false) if asked => self.producer.borrow_mut().resume_producing(&self.consumer),
            (false, _) => Ok(()),
        }
    }
}

/// The producer that the transport below knows.
struct ProducerBelow {
    producer: Rc<HeldProducer>,
    holds: Rc<Holds>,
}

impl Producer for ProducerBelow {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        let held = &self.producer;
        held.paused.set(false);
        if held.held.get() {
            held.asked.set(true);
            return Ok(());
        }
        held.producer.borrow_mut().resume_producing(&held.consumer)
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        let held = &self.producer;
        if held.paused.replace(true) || held.held.get() {
            return Ok(());
        }
        held.producer.borrow_mut().pause_producing(&held.consumer)
    }

    fn stop_producing(&mut self) {
        self.holds.producer.take();
        self.producer.producer.borrow_mut().stop_producing();
    }

    fn as_transport(&self) -> Option<Transport> {
        self.producer.producer.borrow().as_transport()
    }
}
