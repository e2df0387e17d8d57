//! A user's own layer between transport and protocol.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Reactor, Result, TaskGroup};

use crate::address::Address;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect};
use crate::connect_error::ConnectError;
use crate::connection::Connection;
use crate::connector::Connector;
use crate::factory::{ClientFactory, Factory};
use crate::producer::{Producer, ProducerError};
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig, TlsInfo};
use crate::transport::Transport;

/// One connection's part of a layer between transport and protocol: what passes may be watched, changed or kept.
///
/// The wrapped protocol is given a transport of its own, whose calls come here. Every method passes things on unless it is
/// overridden, and none is called twice at a time for the same event; `write` may well be called while `data_received`
/// runs, which is why all take `&self`.
///
/// # Examples
/// ```
/// use torsade_protocols::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};
/// use torsade_protocols::{Factory, Protocol, Result, Transport};
///
/// /// Turns letters by 13 places in both directions.
/// struct Rot13;
///
/// fn rot13(data: &[u8]) -> Vec<u8> {
///     let turn = |byte: &u8| match byte {
///         b'a'..=b'm' | b'A'..=b'M' => byte + 13,
///         b'n'..=b'z' | b'N'..=b'Z' => byte - 13,
///         other => *other,
///     };
///     data.iter().map(turn).collect()
/// }
///
/// impl ProtocolWrapper for Rot13 {
///     fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
///         above(&rot13(data))
///     }
///
///     fn write(&self, below: &WrapperTransport, data: &[u8]) {
///         below.write(rot13(data));
///     }
/// }
///
/// struct Shout;
///
/// impl Protocol for Shout {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data.to_ascii_uppercase());
///         Ok(())
///     }
/// }
///
/// let mut factory = WrappingFactory::new(|_peer| Shout, |_peer| Rot13);
/// let transport = torsade_protocols::testing::StringTransport::new();
/// let mut protocol = factory.build_protocol(&transport.peer()).expect("Shout refuses nobody");
/// protocol.data_received(&transport, b"uryyb")?;
/// assert_eq!(transport.value(), b"URYYB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProtocolWrapper {
    /// The connection stands; comes before the wrapped protocol's `connection_made`.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason; the wrapped protocol's `connection_made` does not come then.
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        let _ = below;
        Ok(())
    }

    /// Bytes came in. `above` gives some to the wrapped protocol; it may be called any number of times.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn data_received(&self, below: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        let _ = below;
        above(data)
    }

    /// The peer has ended its stream; comes before the wrapped protocol's `read_connection_lost`. `above` as for data.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[expect(unused_variables, reason = "the names say what overriding methods are given")]
    fn read_connection_lost(&self, below: &WrapperTransport, above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        Ok(())
    }

    /// The connection has ended; comes before the wrapped protocol's `connection_lost`.
    fn connection_lost(&self, below: &WrapperTransport, reason: &Reason) {
        let _ = (below, reason);
    }

    /// The protocol, or whoever has its transport, writes.
    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        below.write(data);
    }

    /// The protocol, or whoever has its transport, closes in order.
    fn lose_connection(&self, below: &WrapperTransport) {
        below.lose_connection();
    }

    /// The protocol, or whoever has its transport, ends our stream.
    fn lose_write_connection(&self, below: &WrapperTransport) {
        below.lose_write_connection();
    }

    /// The protocol, or whoever has its transport, closes at once.
    fn abort_connection(&self, below: &WrapperTransport) {
        below.abort_connection();
    }
}

/// The transport below a [`ProtocolWrapper`], with the means to hold both directions; a cheap handle.
#[derive(Clone)]
pub struct WrapperTransport {
    below: Transport,
    holds: Rc<Holds>,
}

/// What is held on behalf of the wrapper, and what the wrapped protocol asked for.
#[derive(Default)]
struct Holds {
    reading: Cell<bool>,
    writing: Cell<bool>,
    /// The wrapped protocol paused its transport.
    paused: Cell<bool>,
    producer: RefCell<Option<Rc<HeldProducer>>>,
    /// Bytes that the wrapped protocol gave back. They were through the wrapper once.
    unread: RefCell<Vec<u8>>,
}

impl WrapperTransport {
    /// Reads nothing while this is on, whatever the wrapped protocol asks for.
    pub fn hold_reading(&self, on: bool) {
        if self.holds.reading.replace(on) == on {
            return;
        }
        if on {
            self.below.pause_producing();
        } else if !self.holds.paused.get() {
            self.below.resume_producing();
        }
    }

    /// Keeps the wrapped protocol's producer, if there is one, from producing while this is on.
    ///
    /// Its callbacks are called from here, so this may be called from the loop only: from a timer, say.
    ///
    /// # Errors
    /// Those of the producer.
    pub fn hold_producer(&self, on: bool) -> Result {
        if self.holds.writing.replace(on) == on {
            return Ok(());
        }
        let producer = self.holds.producer.borrow().clone();
        producer.map_or(Ok(()), |producer| producer.hold(on))
    }
}

impl Deref for WrapperTransport {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.below
    }
}

impl fmt::Debug for WrapperTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrapperTransport").field(&self.below).finish()
    }
}

/// A protocol in its wrapper; what a [`WrappingFactory`] builds.
pub struct WrappedProtocol<W> {
    wrapper: Rc<W>,
    protocol: Box<dyn Protocol>,
    sides: Option<Sides>,
}

/// The transports on both sides of a wrapper.
#[derive(Clone)]
struct Sides {
    below: WrapperTransport,
    above: Transport,
}

impl<W: ProtocolWrapper + 'static> WrappedProtocol<W> {
    /// Puts `wrapper` between `protocol` and its transport.
    #[must_use]
    pub fn new(wrapper: W, protocol: impl Protocol + 'static) -> Self {
        Self { wrapper: Rc::new(wrapper), protocol: Box::new(protocol), sides: None }
    }

    fn sides(&mut self, below: &Transport) -> Sides {
        let wrapper = &self.wrapper;
        let sides = self.sides.get_or_insert_with(|| {
            let below = WrapperTransport { below: below.clone(), holds: Rc::default() };
            let layer = Layer { wrapper: Rc::clone(wrapper), below: below.clone() };
            Sides { below, above: Transport::new(Rc::new(layer)) }
        });
        sides.clone()
    }

    /// Delivers what the protocol had given back, unless it does not want it yet.
    fn deliver_unread(&mut self, sides: &Sides) -> Result {
        if sides.below.holds.unread.borrow().is_empty() || !sides.below.is_reading() {
            return Ok(());
        }
        let unread = sides.below.holds.unread.take();
        self.protocol.data_received(&sides.above, &unread)
    }
}

impl<W: ProtocolWrapper + 'static> Protocol for WrappedProtocol<W> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport);
        self.wrapper.connection_made(&sides.below)?;
        self.protocol.connection_made(&sides.above)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport);
        self.protocol.handshake_completed(&sides.above)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let sides = self.sides(transport);
        self.deliver_unread(&sides)?;
        let protocol = &mut self.protocol;
        self.wrapper.data_received(&sides.below, data, &mut |data| protocol.data_received(&sides.above, data))
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport);
        let protocol = &mut self.protocol;
        self.wrapper.read_connection_lost(&sides.below, &mut |data| protocol.data_received(&sides.above, data))?;
        self.protocol.read_connection_lost(&sides.above)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport);
        self.protocol.write_connection_lost(&sides.above)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        let sides = self.sides(transport);
        self.deliver_unread(&sides)?;
        self.protocol.reading_resumed(&sides.above)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        let sides = self.sides(transport);
        self.wrapper.connection_lost(&sides.below, reason);
        self.protocol.connection_lost(&sides.above, reason)
    }
}

impl<W: fmt::Debug> fmt::Debug for WrappedProtocol<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedProtocol").field("wrapper", &self.wrapper).finish_non_exhaustive()
    }
}

/// A factory whose protocols are wrapped, each in a wrapper of its own.
///
/// Hooks are passed to the wrapped factory; a peer that it refuses is refused. A wrapper's `is_closing` is that of the
/// transport below, so a close from whichever side is seen; in Twisted only one through the wrapper is.
#[derive(Debug)]
pub struct WrappingFactory<F, M> {
    factory: F,
    make_wrapper: M,
}

impl<F, M, W> WrappingFactory<F, M>
where
    F: Factory,
    M: FnMut(&Address) -> W,
    W: ProtocolWrapper + 'static,
{
    /// Wraps what `factory` builds in what `make_wrapper` makes.
    #[must_use]
    pub const fn new(factory: F, make_wrapper: M) -> Self {
        Self { factory, make_wrapper }
    }
}

impl<F, M, W> Factory for WrappingFactory<F, M>
where
    F: Factory,
    M: FnMut(&Address) -> W,
    W: ProtocolWrapper + 'static,
{
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let protocol = self.factory.build_protocol(peer)?;
        Some(Box::new(WrappedProtocol::new((self.make_wrapper)(peer), protocol)))
    }

    fn start_factory(&mut self) {
        self.factory.start_factory();
    }

    fn stop_factory(&mut self) {
        self.factory.stop_factory();
    }
}

impl<F, M, W> ClientFactory for WrappingFactory<F, M>
where
    F: ClientFactory,
    M: FnMut(&Address) -> W,
    W: ProtocolWrapper + 'static,
{
    fn started_connecting(&mut self, connector: &Connector) -> Result {
        self.factory.started_connecting(connector)
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.factory.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        self.factory.client_connection_lost(connector, reason)
    }
}

/// What stands behind the wrapped protocol's transport.
struct Layer<W> {
    wrapper: Rc<W>,
    below: WrapperTransport,
}

impl<W: ProtocolWrapper + 'static> Layer<W> {
    fn holds(&self) -> &Holds {
        &self.below.holds
    }
}

impl<W: ProtocolWrapper + 'static> Connection for Layer<W> {
    fn reactor(&self) -> &Reactor {
        self.below.reactor()
    }

    fn id(&self) -> u64 {
        self.below.id()
    }

    fn peer(&self) -> Address {
        self.below.peer()
    }

    fn host(&self) -> Address {
        self.below.host()
    }

    fn write(&self, data: &[u8]) {
        self.wrapper.write(&self.below, data);
    }

    fn unsent(&self) -> usize {
        self.below.unsent()
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
        self.below.fail_with(reason);
    }

    fn tasks(&self) -> Option<TaskGroup> {
        self.below.tasks()
    }

    fn is_connected(&self) -> bool {
        self.below.is_connected()
    }

    fn is_closing(&self) -> bool {
        self.below.is_closing()
    }

    fn pause_producing(&self) {
        self.holds().paused.set(true);
        self.below.pause_producing();
    }

    fn resume_producing(&self) {
        self.holds().paused.set(false);
        if !self.holds().reading.get() {
            self.below.resume_producing();
        }
    }

    fn is_reading(&self) -> bool {
        self.below.is_reading()
    }

    fn unread(&self, data: &[u8]) {
        self.holds().unread.borrow_mut().splice(..0, data.iter().copied());
        // Has `reading_resumed` come, where they are delivered.
        self.below.unread(b"");
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
        let registered = Registered { producer: Rc::clone(&producer), holds: Rc::clone(&self.below.holds) };
        self.below.register_producer(registered, streaming)?;
        self.holds().producer.replace(Some(producer));
        Ok(())
    }

    fn unregister_producer(&self) {
        self.holds().producer.take();
        self.below.unregister_producer();
    }

    fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.below.set_write_buffer_limits(low, high);
    }

    fn set_write_buffer_cap(&self, cap: usize) {
        self.below.set_write_buffer_cap(cap);
    }

    fn set_read_while_congested(&self, on: bool) {
        self.below.set_read_while_congested(on);
    }

    fn set_close_timeout(&self, timeout: Duration) {
        self.below.set_close_timeout(timeout);
    }

    fn tcp_nodelay(&self) -> io::Result<bool> {
        self.below.tcp_nodelay()
    }

    fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.below.set_tcp_nodelay(on)
    }

    fn tcp_keepalive(&self) -> io::Result<bool> {
        self.below.tcp_keepalive()
    }

    fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.below.set_tcp_keepalive(on)
    }

    fn set_compression(&self, compression: &Compression) -> Result<(), CompressionError> {
        self.below.set_compression::<Compression>(compression.clone())
    }

    fn expect_compression(&self, decompression: &Decompression, rest: &[u8]) -> Result<(), CompressionError> {
        self.below.expect_compression::<Decompression>(decompression.clone(), rest)
    }

    fn set_detection(&self, detect: Detect) {
        self.below.set_detection(detect);
    }

    fn set_decompression_limits(&self, limits: &Decompression) {
        self.below.set_decompression_limits(limits);
    }

    fn flush_compression(&self) {
        self.below.flush_compression();
    }

    fn compression_barrier(&self) {
        self.below.compression_barrier();
    }

    fn end_compression(&self) {
        self.below.end_compression();
    }

    fn take_trailing(&self) -> Vec<u8> {
        self.below.take_trailing()
    }

    fn compression_stats(&self) -> Option<CompressionStats> {
        self.below.compression_stats()
    }

    fn start_tls(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        // What was given back here came in clear as well.
        let held = self.holds().unread.take();
        let switched = self.below.start_tls_after(config, &[&held, rest].concat(), already);
        if switched.is_err() {
            self.holds().unread.replace(held);
        }
        switched
    }

    fn is_handshaking(&self) -> bool {
        self.below.is_handshaking()
    }

    fn tls_info(&self) -> Option<TlsInfo> {
        self.below.tls_info()
    }

    fn set_tls_truncation_allowed(&self, allowed: bool) {
        self.below.set_tls_truncation_allowed(allowed);
    }
}

/// The wrapped protocol's producer, which is told things only while it is not held.
struct HeldProducer {
    producer: RefCell<Box<dyn Producer>>,
    /// What the producer knows as its consumer: the transport above the wrapper.
    consumer: Transport,
    streaming: bool,
    held: Cell<bool>,
    /// The transport below paused it.
    paused: Cell<bool>,
    /// The transport below asked for more while it was held.
    asked: Cell<bool>,
}

impl HeldProducer {
    fn hold(&self, on: bool) -> Result {
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

/// What the transport below has as its producer.
struct Registered {
    producer: Rc<HeldProducer>,
    holds: Rc<Holds>,
}

impl Producer for Registered {
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
}
