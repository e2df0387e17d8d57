//! Strings with their length before them, as a protocol: what netstrings and IntN strings have in common.

use std::error::Error;
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use torsade_reactor::Result;

use crate::framing::decoder::{Decoder, FrameError};
use crate::framing::frame_receiver::{FrameProtocol, FrameReceiver, FrameTransport};
use crate::protocol::{Callback, Protocol};
use crate::reason::Reason;
use crate::transport::Transport;

/// A framing of strings that can be written as well as read.
pub trait StringDecoder: for<'a> Decoder<Frame<'a> = &'a [u8]> + Default {
    /// Appends `string` with its framing to `out`.
    ///
    /// # Errors
    /// [`StringTooLong`] if its length cannot be expressed; nothing is appended then.
    fn encode(string: &[u8], out: &mut Vec<u8>) -> Result<(), StringTooLong>;
}

/// The callbacks of a connection that speaks in strings; run by a [`StringReceiver`], whatever the framing.
pub trait StringProtocol {
    /// The connection is established; see [`Protocol::connection_made`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn connection_made(&mut self, transport: &StringFrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The TLS handshake is complete; see [`Protocol::handshake_completed`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn handshake_completed(&mut self, transport: &StringFrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A whole string came, without its framing.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "stringReceived")]
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result;

    /// A string of `length` bytes was announced, which is above the limit. By default the connection is closed.
    ///
    /// What comes in from now on is dropped, unless [`FrameTransport::take_remaining`] is called. (In Twisted strings
    /// that were received before may come again after this, issue 8105; and netstrings are closed without asking.)
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lengthLimitExceeded")]
    fn length_limit_exceeded(&mut self, transport: &StringFrameTransport, length: usize) -> Result {
        log::info!("closing connection {} from {}: a string of {length} bytes is too long", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    /// The peer has ended its stream; see [`Protocol::read_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn read_connection_lost(&mut self, transport: &StringFrameTransport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    /// Our stream has ended; see [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn write_connection_lost(&mut self, transport: &StringFrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection has ended; see [`Protocol::connection_lost`].
    ///
    /// # Errors
    /// Any error is logged.
    fn connection_lost(&mut self, transport: &StringFrameTransport, reason: &Reason) -> Result {
        let _ = (transport, reason);
        Ok(())
    }
}

/// A string is too long for its framing to express its length.
#[derive(Clone, Copy, Eq, PartialEq)]
#[doc(alias = "StringTooLongError")]
pub struct StringTooLong {
    /// How long it is, in bytes.
    pub length: usize,
    /// The greatest length that the framing can express, in bytes.
    pub limit: usize,
}

/// A [`FrameTransport`] that sends strings; a cheap handle.
#[derive(Clone)]
pub struct StringFrameTransport {
    transport: FrameTransport,
    encode: fn(&[u8], &mut Vec<u8>) -> Result<(), StringTooLong>,
}

impl StringFrameTransport {
    /// Sends a string with its framing. The limit for received strings does not apply.
    ///
    /// # Errors
    /// [`StringTooLong`] if the framing cannot express its length; nothing is sent then. Send it in parts, or use a
    /// wider prefix.
    #[doc(alias = "sendString")]
    pub fn send_string(&self, string: impl AsRef<[u8]>) -> Result<(), StringTooLong> {
        let mut framed = Vec::new();
        (self.encode)(string.as_ref(), &mut framed)?;
        self.transport.write(framed);
        Ok(())
    }
}

impl Deref for StringFrameTransport {
    type Target = FrameTransport;

    fn deref(&self) -> &FrameTransport {
        &self.transport
    }
}

impl fmt::Debug for StringFrameTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(f)
    }
}

/// A protocol that splits its input into strings and gives them to a [`StringProtocol`].
///
/// Used under the name of a framing: [`NetstringReceiver`](crate::NetstringReceiver),
/// [`Int32StringReceiver`](crate::Int32StringReceiver) and so on. It keeps strings back while the transport is not
/// reading, as a [`FrameReceiver`] does.
pub struct StringReceiver<D, P>(FrameReceiver<D, Strings<P>>);

impl<D: StringDecoder, P: StringProtocol> StringReceiver<D, P> {
    /// Runs `protocol` on strings of at most 99,999 bytes.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self(FrameReceiver::new(D::default(), Strings { protocol, transport: None }))
    }

    /// The same with another limit, in bytes without the framing.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        Self(self.0.max_length(max_length))
    }

    /// The same with another time in which a string has to come whole; see [`FrameReceiver::message_timeout`].
    #[must_use]
    pub fn message_timeout(self, timeout: Option<Duration>) -> Self {
        Self(self.0.message_timeout(timeout))
    }
}

impl<D: StringDecoder, P: StringProtocol> Protocol for StringReceiver<D, P> {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.data_received(transport, data)
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        callback.dispatch(&mut self.0, transport)
    }
}

/// Makes a frame protocol of a string protocol.
#[derive(Debug)]
struct Strings<P> {
    protocol: P,
    transport: Option<StringFrameTransport>,
}

impl<P: StringProtocol> Strings<P> {
    /// Calls the string protocol, with its transport.
    fn call<D: StringDecoder>(
        &mut self,
        transport: &FrameTransport,
        call: impl FnOnce(&mut P, &StringFrameTransport) -> Result,
    ) -> Result {
        let transport =
            self.transport.get_or_insert_with(|| StringFrameTransport { transport: transport.clone(), encode: D::encode });
        call(&mut self.protocol, transport)
    }
}

impl<D: StringDecoder, P: StringProtocol> FrameProtocol<D> for Strings<P> {
    fn connection_made(&mut self, transport: &FrameTransport) -> Result {
        self.call::<D>(transport, StringProtocol::connection_made)
    }

    fn handshake_completed(&mut self, transport: &FrameTransport) -> Result {
        self.call::<D>(transport, StringProtocol::handshake_completed)
    }

    fn frame_received(&mut self, transport: &FrameTransport, string: &[u8]) -> Result {
        self.call::<D>(transport, |protocol, transport| protocol.string_received(transport, string))
    }

    fn frame_refused(&mut self, transport: &FrameTransport, error: FrameError<D::Error>) -> Result {
        if let FrameError::TooLong { length, .. } = error {
            return self.call::<D>(transport, |protocol, transport| protocol.length_limit_exceeded(transport, length));
        }
        log::info!("closing connection {} from {}: {error}", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    fn read_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        self.call::<D>(transport, StringProtocol::read_connection_lost)
    }

    fn write_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        self.call::<D>(transport, StringProtocol::write_connection_lost)
    }

    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        self.call::<D>(transport, |protocol, transport| protocol.connection_lost(transport, reason))
    }
}

impl<D, P: fmt::Debug> fmt::Debug for StringReceiver<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StringReceiver").field("protocol", &self.0).finish()
    }
}

impl fmt::Display for StringTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of {} bytes cannot be sent: its framing expresses at most {}", self.length, self.limit)
    }
}

torsade_reactor::debug_as_display!(StringTooLong);

impl Error for StringTooLong {}
