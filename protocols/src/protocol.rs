//! The callbacks of a connection, which users implement.

mod callback;

use std::cell::RefCell;
use std::rc::Rc;

use torsade_reactor::{Descriptor, Result};

pub use self::callback::{Callback, PassedDescriptor};
use crate::reason::Reason;
use crate::transport::Transport;

/// The callbacks of one connection, from establishment to loss.
///
/// They come from the loop, never from inside a method of the transport, so anything may be called in them: this transport,
/// others, timers, shared state behind a `RefCell`. For one connection the order is [`connection_made`](Self::connection_made);
/// with TLS, [`handshake_completed`](Self::handshake_completed); any number of [`data_received`](Self::data_received);
/// [`read_connection_lost`](Self::read_connection_lost) at most once; [`connection_lost`](Self::connection_lost) exactly once,
/// and nothing after it.
///
/// An `Err` or a panic closes this connection, with a [`Reason`] that carries it. What was written before is still sent, and
/// other connections are not affected.
///
/// A protocol that wraps another needs two methods to pass on all callbacks: see [`fallback`](Self::fallback).
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
    /// The connection is established. Called once, first; nothing is read before it returns.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "connectionMade")]
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ConnectionMade)
    }

    /// The TLS handshake is complete: from now on data is encrypted and comes from the authenticated peer. Called once, before
    /// any data.
    ///
    /// Called only if TLS is switched on, by `listen_tls`, `connect_tls` or [`Transport::start_tls`], and always after
    /// [`connection_made`](Self::connection_made). [`Transport::tls_info`] has what was negotiated. To refuse the peer, return an
    /// error or abort; then no data is delivered.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "handshakeCompleted")]
    #[doc(alias = "IHandshakeListener")]
    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::HandshakeCompleted)
    }

    /// Bytes arrived: at least one, at most 64 KiB, split anywhere. Test with chunks down to one byte.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "dataReceived")]
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result;

    /// The peer of a UNIX socket passed us a descriptor. It is ours now, and closed when dropped.
    ///
    /// Called only after [`Transport::set_descriptor_limit`], before the bytes the descriptor was sent with, whatever layers
    /// those go through. Several descriptors come in the order in which they were sent. Pausing in here does not hold back the
    /// bytes that were read together with the descriptor. The default drops it. Not available on systems without UNIX sockets.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "fileDescriptorReceived")]
    #[doc(alias = "IFileDescriptorReceiver")]
    fn descriptor_received(&mut self, transport: &Transport, descriptor: Descriptor) -> Result {
        self.fallback(transport, Callback::Descriptor(&PassedDescriptor::new(descriptor)))
    }

    /// The peer has ended its stream; it can still receive what we write. Called once, after all data.
    ///
    /// The default closes the connection, which still sends everything written before. Protocols that support half-close override
    /// it.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "readConnectionLost")]
    #[doc(alias = "IHalfCloseableProtocol")]
    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ReadConnectionLost)
    }

    /// Our stream has ended after [`lose_write_connection`](Transport::lose_write_connection), and everything was sent.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "writeConnectionLost")]
    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::WriteConnectionLost)
    }

    /// Reading has resumed, after a pause or after our own unsent bytes had reached the high watermark.
    ///
    /// A protocol that keeps bytes back while [`Transport::is_reading`] is false continues with them here.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`.
    #[doc(alias = "_PauseableMixin")]
    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.fallback(transport, Callback::ReadingResumed)
    }

    /// The connection has ended, for this reason. Called exactly once, last. Writing to the transport now does nothing.
    ///
    /// # Errors
    /// Any error is logged, and so is a panic.
    #[doc(alias = "connectionLost")]
    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.fallback(transport, Callback::ConnectionLost(reason))
    }

    /// Handles every callback not overridden here; a protocol that wraps another overrides this.
    ///
    /// The default closes the connection when the peer has ended its stream, and otherwise does nothing. A wrapper needs only
    /// this and `data_received`, which has no default: callbacks it does not care about are passed on unseen, including ones
    /// added in later versions. Dispatch to the wrapped protocol, never to `self`, which would call this again.
    ///
    /// # Errors
    /// Any error closes the connection, with `Reason::Protocol`; an error of `connection_lost` is logged.
    ///
    /// # Examples
    /// ```
    /// use torsade::{Callback, prelude::*};
    ///
    /// /// Counts the bytes passed to the wrapped protocol.
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

/// A shared protocol. It must not stay borrowed when control returns to the loop.
impl<P: Protocol + ?Sized> Protocol for Rc<RefCell<P>> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.borrow_mut().data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        callback.dispatch(&mut *self.borrow_mut(), transport)
    }
}
