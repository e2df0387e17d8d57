//! Custom layers between transport and protocol.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use torsade_reactor::Result;

use crate::address::Address;
use crate::factory::{ClientFactory, Factory};
use crate::policies::wrapper_connection::{HeldProducer, WrapperConnection};
use crate::protocol::{Callback, Protocol};
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;
use crate::transport::Transport;

/// One connection's part of a layer between transport and protocol: it may watch, change or hold back what passes.
///
/// The wrapped protocol is given a transport of its own, whose calls arrive here. By default every method passes things on. No
/// method is re-entered for the same event, but `write` may be called while `data_received` runs, so all methods take `&self`.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};
///
/// /// Rotates letters by 13 places in both directions.
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
/// let transport = torsade::testing::StringTransport::new();
/// let mut protocol = factory.build_protocol(&transport.peer()).expect("Shout refuses nobody");
/// protocol.data_received(&transport, b"uryyb")?;
/// assert_eq!(transport.value(), b"URYYB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProtocolWrapper {
    /// The connection is established. Called before the wrapped protocol's `connection_made`.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason; the wrapped protocol's `connection_made` is then not called.
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        let _ = below;
        Ok(())
    }

    /// Bytes arrived. `above` passes some to the wrapped protocol and may be called any number of times. If the protocol stops
    /// reading after the first call (it pauses, say), the rest waits until it reads again.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn data_received(&self, below: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        let _ = below;
        above(data)
    }

    /// The peer has ended its stream. Called before the wrapped protocol's `read_connection_lost`. `above` works as for data.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[expect(unused_variables, reason = "the names say what overriding methods are given")]
    fn read_connection_lost(&self, below: &WrapperTransport, above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        Ok(())
    }

    /// The connection has ended. Called before the wrapped protocol's `connection_lost`.
    fn connection_lost(&self, below: &WrapperTransport, reason: &Reason) {
        let _ = (below, reason);
    }

    /// The protocol, or another holder of its transport, writes.
    fn write(&self, below: &WrapperTransport, data: &[u8]) {
        below.write(data);
    }

    /// The same for shared bytes. The default passes them to [`write`](Self::write). A wrapper that does not change bytes passes
    /// them to `below` as they are, so that they are not copied or [compressed](SharedBytes::compressed_once) for each
    /// connection.
    fn write_shared(&self, below: &WrapperTransport, data: &SharedBytes) {
        self.write(below, data);
    }

    /// The protocol, or another holder of its transport, closes gracefully.
    fn lose_connection(&self, below: &WrapperTransport) {
        below.lose_connection();
    }

    /// The protocol, or another holder of its transport, half-closes.
    fn lose_write_connection(&self, below: &WrapperTransport) {
        below.lose_write_connection();
    }

    /// The protocol, or another holder of its transport, aborts.
    fn abort_connection(&self, below: &WrapperTransport) {
        below.abort_connection();
    }
}

/// The transport below a [`ProtocolWrapper`], which can also hold both directions; a cheap handle.
#[derive(Clone)]
pub struct WrapperTransport {
    pub(super) below: Transport,
    pub(super) holds: Rc<Holds>,
}

/// What the wrapper holds, and what the wrapped protocol asked for.
#[derive(Default)]
pub(super) struct Holds {
    pub(super) reading: Cell<bool>,
    pub(super) writing: Cell<bool>,
    /// Whether the wrapped protocol paused its transport.
    pub(super) paused: Cell<bool>,
    pub(super) producer: RefCell<Option<Rc<HeldProducer>>>,
    /// Bytes that the wrapped protocol gave back. They have already passed through the wrapper.
    pub(super) unread: RefCell<Vec<u8>>,
}

impl WrapperTransport {
    /// Stops reading while this is on, whatever the wrapped protocol asks for.
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

    /// Pauses the wrapped protocol's producer, if any, while this is on.
    ///
    /// This calls the producer's callbacks, so call it only from the loop, from a timer for example, and never from
    /// [`ProtocolWrapper::write`], whose caller may be the producer.
    ///
    /// # Errors
    /// Any error of the producer.
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

/// A protocol with its wrapper, as a [`WrappingFactory`] builds it.
pub struct WrappedProtocol<W> {
    wrapper: Rc<W>,
    protocol: Box<dyn Protocol>,
    /// Made at the first callback.
    sides: Option<Sides>,
}

/// The transports on both sides of a wrapper.
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

    /// The parts a callback needs.
    fn parts(&mut self, below: &Transport) -> (&W, &mut dyn Protocol, &Sides) {
        let Self { wrapper, protocol, sides } = self;
        let sides = sides.get_or_insert_with(|| {
            let below = WrapperTransport { below: below.clone(), holds: Rc::default() };
            let connection = WrapperConnection { wrapper: Rc::clone(wrapper), below: below.clone() };
            Sides { below, above: Transport::new(Rc::new(connection)) }
        });
        (wrapper, &mut **protocol, sides)
    }
}

impl Sides {
    /// A function that gives bytes to the protocol. After the first call, bytes it no longer wants are kept as if given back.
    fn giving(&self, protocol: &mut dyn Protocol, mut first: bool) -> impl FnMut(&[u8]) -> Result {
        move |data| {
            let wanted = std::mem::take(&mut first) || self.below.connection().can_deliver();
            if wanted && self.below.holds.unread.borrow().is_empty() {
                return protocol.data_received(&self.above, data);
            }
            if self.below.is_handshaking() {
                // These bytes are plaintext received after the switch.
                self.below.refuse_plaintext(data);
            } else {
                self.below.holds.unread.borrow_mut().extend_from_slice(data);
            }
            Ok(())
        }
    }

    /// Delivers what the protocol gave back, if it is reading. Returns whether there was anything.
    fn deliver_unread(&self, protocol: &mut dyn Protocol) -> Result<bool> {
        if self.below.holds.unread.borrow().is_empty() || !self.below.is_reading() {
            return Ok(false);
        }
        let unread = self.below.holds.unread.take();
        if self.below.is_handshaking() {
            // TLS was switched on without the wrapped protocol.
            self.below.refuse_plaintext(&unread);
        } else {
            protocol.data_received(&self.above, &unread)?;
        }
        Ok(true)
    }
}

impl<W: ProtocolWrapper + 'static> Protocol for WrappedProtocol<W> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let (wrapper, protocol, sides) = self.parts(transport);
        let first = !sides.deliver_unread(protocol)?;
        wrapper.data_received(&sides.below, data, &mut sides.giving(protocol, first))
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        let (wrapper, protocol, sides) = self.parts(transport);
        match callback {
            Callback::ConnectionMade => wrapper.connection_made(&sides.below)?,
            Callback::HandshakeCompleted if transport.refuse_plaintext(&sides.below.holds.unread.take()) => return Ok(()),
            Callback::ReadingResumed => {
                sides.deliver_unread(protocol)?;
            }
            Callback::ReadConnectionLost => wrapper.read_connection_lost(&sides.below, &mut sides.giving(protocol, true))?,
            Callback::ConnectionLost(reason) => wrapper.connection_lost(&sides.below, reason),
            _ => {}
        }
        callback.dispatch(protocol, &sides.above)
    }
}

impl<W: fmt::Debug> fmt::Debug for WrappedProtocol<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WrappedProtocol").field("wrapper", &self.wrapper).finish_non_exhaustive()
    }
}

/// A factory that wraps each protocol in a wrapper of its own.
///
/// Hooks are passed to the wrapped factory, and a peer it refuses is refused. A wrapper's `is_closing` is that of the transport
/// below, so it sees a close from either side; in Twisted it sees only one through the wrapper.
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
    /// Wraps what `factory` builds in wrappers from `make_wrapper`.
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

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<F, M, W> ClientFactory for WrappingFactory<F, M>
where
    F: ClientFactory,
    M: FnMut(&Address) -> W,
    W: ProtocolWrapper + 'static,
{
    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}
