//! What users write: the callbacks of one connection.

mod callback;

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::{Descriptor, Result};

pub use self::callback::{Callback, PassedDescriptor};
use crate::reason::Reason;
use crate::transport::Transport;

/// The callbacks of one connection, from its making to its loss.
///
/// They come from the loop, never from inside a method of the transport, so everything may be called in them: this
/// transport, others, timers, shared state behind a `RefCell`. For one connection the order is
/// [`connection_made`](Self::connection_made); with TLS, [`handshake_completed`](Self::handshake_completed); any number
/// of [`data_received`](Self::data_received);
/// [`read_connection_lost`](Self::read_connection_lost) at most once;
/// [`connection_lost`](Self::connection_lost) exactly once, and nothing after it.
///
/// An `Err` or a panic closes this connection, with a [`Reason`] that carries it; what was written before is still sent,
/// and no other connection notices.
///
/// A protocol that wraps another one passes all callbacks on by two methods: see [`fallback`](Self::fallback).
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// struct Echo;
///
/// impl Protocol for Echo {
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         transport.write(data);
///         Ok(())
///     }
/// }
/// ```
#[doc(alias = "IProtocol")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a protocol",
    label = "does not implement `Protocol`",
    note = "implement `Protocol`; or if it gets more than bytes, wrap it in what finds that in the stream: a `LineProtocol` in `LineReceiver::new(..)`, a `StringProtocol` in `NetstringReceiver::new(..)` or `Int32StringReceiver::new(..)`, a `FrameProtocol` in `FrameReceiver::new(..)`, a `StatefulProtocol` in `StatefulReceiver::new(..)`"
)]
pub trait Protocol {
    /// The connection is established. Comes once and first; no byte is read before it returns.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "connectionMade")]
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ConnectionMade)
    }

    /// The TLS handshake is complete: what comes from now on is the peer's, and private. Comes once, before any data.
    ///
    /// Only where TLS is switched on, by `listen_tls`, `connect_tls` or [`Transport::start_tls`]; always after
    /// [`connection_made`](Self::connection_made). What was agreed on is in [`Transport::tls_info`]; to refuse the peer,
    /// return an error or abort, and no data is delivered.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "handshakeCompleted")]
    #[doc(alias = "IHandshakeListener")]
    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::HandshakeCompleted)
    }

    /// Bytes came in: at least one, at most 64 KiB, cut anywhere. Test with chunks down to one byte.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "dataReceived")]
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result;

    /// The peer of a UNIX socket has passed a descriptor, which is ours now and closed when it is dropped.
    ///
    /// Only after [`Transport::set_descriptor_limit`]. It comes before the bytes that it was sent with, whatever layers those go
    /// through, and several come in the order in which they were sent; pausing in here does not hold back the bytes that were
    /// read together with it. Dropped by default. Not on systems without UNIX sockets.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "fileDescriptorReceived")]
    #[doc(alias = "IFileDescriptorReceiver")]
    fn descriptor_received(&mut self, transport: &Transport, descriptor: Descriptor) -> Result {
        self.fallback(transport, Callback::Descriptor(&PassedDescriptor::new(descriptor)))
    }

    /// The peer has ended its stream; what we write can still reach it. Comes once, after all data.
    ///
    /// By default the connection is closed, which still sends everything written before. Half-closeable protocols
    /// override it.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "readConnectionLost")]
    #[doc(alias = "IHalfCloseableProtocol")]
    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ReadConnectionLost)
    }

    /// Our stream has ended, by [`lose_write_connection`](Transport::lose_write_connection): all was sent.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "writeConnectionLost")]
    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::WriteConnectionLost)
    }

    /// Data is wanted again, after a pause or after our own output had reached its high watermark.
    ///
    /// A protocol that keeps bytes back while [`Transport::is_reading`] is false goes on with them here.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "_PauseableMixin")]
    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ReadingResumed)
    }

    /// The connection has ended, and why. Comes exactly once, and last; the transport is dead: writing does nothing.
    ///
    /// # Errors
    /// Any error is logged, and so is a panic.
    #[doc(alias = "connectionLost")]
    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.fallback(transport, Callback::ConnectionLost(reason))
    }

    /// Takes every callback that has no method here: what a protocol that wraps another one overrides.
    ///
    /// By default the connection is closed when the peer has ended its stream, and nothing is done otherwise. With
    /// `data_received`, which has no default, this is all that a wrapper needs, and what it does not look at it passes on
    /// unseen, callbacks that are added later among them. It dispatches to the protocol that it wraps, never to itself: that
    /// would come back here.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`; of `connection_lost` it is logged.
    ///
    /// # Examples
    /// ```
    /// use torsade::{Callback, prelude::*};
    ///
    /// /// Counts the bytes that the other one is given.
    /// struct Counted<P> {
    ///     protocol: P,
    ///     bytes: usize,
    /// }
    ///
    /// impl<P: Protocol> Protocol for Counted<P> {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         self.bytes += data.len();
    ///         self.protocol.data_received(transport, data)
    ///     }
    ///
    ///     fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
    ///         if let Callback::ConnectionLost(reason) = callback {
    ///             println!("{} bytes from {}, and then {reason}", self.bytes, transport.peer());
    ///         }
    ///         callback.dispatch(&mut self.protocol, transport)
    ///     }
    /// }
    /// ```
    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        if let Callback::ReadConnectionLost = callback {
            transport.lose_connection();
        }
        Ok(())
    }
}

impl<P: Protocol + ?Sized> Protocol for Box<P> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        (**self).data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        callback.dispatch(&mut **self, transport)
    }
}

/// A protocol that others hold as well. Nobody may keep it borrowed when control goes back to the loop.
impl<P: Protocol + ?Sized> Protocol for Rc<RefCell<P>> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.borrow_mut().data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        callback.dispatch(&mut *self.borrow_mut(), transport)
    }
}
