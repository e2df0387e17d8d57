//! A user's own layer between transport and protocol.

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

/// One connection's part of a layer between transport and protocol: what passes may be watched, changed or kept.
///
/// The wrapped protocol is given a transport of its own, whose calls come here. Every method passes things on unless it is
/// overridden, and none is called twice at a time for the same event; `write` may well be called while `data_received`
/// runs, which is why all take `&self`.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};
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
/// let transport = torsade::testing::StringTransport::new();
/// let mut protocol = factory.build_protocol(&transport.peer()).expect("Shout refuses nobody");
/// protocol.data_received(&transport, b"uryyb")?;
/// assert_eq!(transport.value(), b"URYYB");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProtocolWrapper {
    /// The connection is established; comes before the wrapped protocol's `connection_made`.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason; the wrapped protocol's `connection_made` does not come then.
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        let _ = below;
        Ok(())
    }

    /// Bytes came in. `above` gives some to the wrapped protocol; it may be called any number of times. What the protocol
    /// does not want any more after the first (it has paused, say) waits until it does.
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

    /// The same with bytes that are shared. By default they go to [`write`](Self::write); a wrapper that changes none passes them on
    /// to `below` as they are, so that they are neither copied nor [compressed](SharedBytes::compressed_once) for each connection.
    fn write_shared(&self, below: &WrapperTransport, data: &SharedBytes) {
        self.write(below, data);
    }

    /// The protocol, or whoever has its transport, closes gracefully.
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
    pub(super) below: Transport,
    pub(super) holds: Rc<Holds>,
}

/// What is held on behalf of the wrapper, and what the wrapped protocol asked for.
#[derive(Default)]
pub(super) struct Holds {
    pub(super) reading: Cell<bool>,
    pub(super) writing: Cell<bool>,
    /// The wrapped protocol paused its transport.
    pub(super) paused: Cell<bool>,
    pub(super) producer: RefCell<Option<Rc<HeldProducer>>>,
    /// Bytes that the wrapped protocol gave back. They were through the wrapper once.
    pub(super) unread: RefCell<Vec<u8>>,
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
    /// Its callbacks are called from here, so this may be called from the loop only, from a timer say, and never from
    /// [`ProtocolWrapper::write`], where the producer may be what writes.
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
    /// Made with the first callback.
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

    /// The parts that a callback needs.
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
    /// What gives bytes to the protocol: what it does not want any more after the first is kept, as if given back.
    fn giving(&self, protocol: &mut dyn Protocol, mut first: bool) -> impl FnMut(&[u8]) -> Result {
        move |data| {
            let wanted = std::mem::take(&mut first) || self.below.connection().can_deliver();
            if wanted && self.below.holds.unread.borrow().is_empty() {
                return protocol.data_received(&self.above, data);
            }
            if self.below.is_handshaking() {
                // It came in plaintext, behind the switch.
                self.below.refuse_plaintext(data);
            } else {
                self.below.holds.unread.borrow_mut().extend_from_slice(data);
            }
            Ok(())
        }
    }

    /// Delivers what the protocol had given back, unless it does not want it yet. Says whether there was any.
    fn deliver_unread(&self, protocol: &mut dyn Protocol) -> Result<bool> {
        if self.below.holds.unread.borrow().is_empty() || !self.below.is_reading() {
            return Ok(false);
        }
        let unread = self.below.holds.unread.take();
        if self.below.is_handshaking() {
            // TLS was switched on past the wrapped protocol.
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
