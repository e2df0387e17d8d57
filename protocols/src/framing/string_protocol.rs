//! A protocol for length-prefixed strings: what netstrings and IntN strings share.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use torsade_reactor::Result;

use crate::framing::callbacks::{call_back, connection_callbacks};
use crate::framing::decoder::{Decoder, FrameError};
use crate::framing::frame_receiver::deliver_frames;
use crate::framing::frame_transport::FrameTransport;
use crate::framing::receiver::{Messages, Receiver, Run, receiver};
use crate::framing::spare_buffer::SpareBuffer;
use crate::protocol::Callback;

/// A framing of strings that can be written as well as read.
pub trait StringDecoder: for<'a> Decoder<Frame<'a> = &'a [u8]> + Default {
    /// Appends `string` with its framing to `out`.
    ///
    /// # Errors
    /// [`StringTooLong`] if its length cannot be expressed; nothing is appended then.
    fn encode(string: &[u8], out: &mut Vec<u8>) -> Result<(), StringTooLong>;
}

/// The callbacks of a connection that exchanges strings. Run by a [`StringReceiver`], whatever the framing.
pub trait StringProtocol {
    /// A whole string arrived, without its framing.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "stringReceived")]
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result;

    /// A string of `length` bytes was announced, which is above the limit. The default closes the connection.
    ///
    /// Further input is dropped, unless [`FrameTransport::take_remaining`] is called. (In Twisted, strings received before may be
    /// delivered again after this, issue 8105, and netstrings close the connection without calling it.)
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lengthLimitExceeded")]
    fn length_limit_exceeded(&mut self, transport: &StringFrameTransport, length: usize) -> Result {
        log::info!("closing connection {} from {}: a string of {length} bytes is too long", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    connection_callbacks!(StringFrameTransport);
}

/// A string is longer than its framing can express.
#[derive(Clone, Copy, Eq, PartialEq)]
#[doc(alias = "StringTooLongError")]
pub struct StringTooLong {
    /// Its length in bytes.
    pub length: usize,
    /// The greatest length the framing can express, in bytes.
    pub limit: usize,
}

thread_local! {
    /// Where strings are framed.
    static FRAMED: SpareBuffer = const { SpareBuffer::up_to(64 << 10) };
}

/// A [`FrameTransport`] that sends strings; a cheap handle.
#[derive(Clone)]
pub struct StringFrameTransport {
    transport: FrameTransport,
    encode: fn(&[u8], &mut Vec<u8>) -> Result<(), StringTooLong>,
}

impl StringFrameTransport {
    /// Sends a string with its framing. The maximum length of received strings does not apply.
    ///
    /// # Errors
    /// [`StringTooLong`] if the framing cannot express its length; then nothing is sent. Send it in parts, or use a wider prefix.
    #[doc(alias = "sendString")]
    pub fn send_string(&self, string: impl AsRef<[u8]>) -> Result<(), StringTooLong> {
        let mut framed = SpareBuffer::take(&FRAMED);
        let encoded = (self.encode)(string.as_ref(), &mut framed);
        if encoded.is_ok() {
            self.transport.write(&framed);
        }
        SpareBuffer::give(&FRAMED, framed);
        encoded
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

/// A protocol that splits its input into strings and passes them to a [`StringProtocol`].
///
/// Use it under the name of a framing: [`NetstringReceiver`](crate::NetstringReceiver),
/// [`Int32StringReceiver`](crate::Int32StringReceiver) and so on. While the transport is not reading it keeps strings back, as a
/// [`FrameReceiver`](crate::FrameReceiver) does.
#[derive(Debug)]
pub struct StringReceiver<D, P>(Receiver<Strings<D, P>, StringFrameTransport>);

impl<D: StringDecoder, P: StringProtocol> StringReceiver<D, P> {
    /// Runs `protocol` on strings of at most 99,999 bytes.
    #[must_use]
    pub fn new(protocol: P) -> Self {
        Self(Receiver::new(Strings { decoder: D::default(), protocol }))
    }
}

receiver!(StringReceiver, D: StringDecoder, P: StringProtocol);

/// Strings as [`Messages`].
#[derive(Debug)]
struct Strings<D, P> {
    decoder: D,
    protocol: P,
}

impl<D: StringDecoder, P: StringProtocol> Messages for Strings<D, P> {
    type Transport = StringFrameTransport;

    const MAX_LENGTH: usize = D::MAX_LENGTH;

    fn transport(&self, frames: FrameTransport) -> StringFrameTransport {
        StringFrameTransport { transport: frames, encode: D::encode }
    }

    #[inline]
    fn deliver(&mut self, transport: &StringFrameTransport, run: &Run<'_>) -> Result<Option<usize>> {
        deliver_frames(&mut self.decoder, run, |string| match string {
            Ok(string) => self.protocol.string_received(transport, string),
            Err(FrameError::TooLong { length, .. }) => self.protocol.length_limit_exceeded(transport, length),
            Err(error) => {
                log::info!("closing connection {} from {}: {error}", transport.id(), transport.peer());
                transport.lose_connection();
                Ok(())
            }
        })
    }

    fn call_back(&mut self, transport: &StringFrameTransport, callback: Callback<'_>) -> Result {
        call_back!(self.protocol, transport, callback)
    }
}

impl fmt::Display for StringTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a string of {} bytes cannot be sent: its framing allows at most {}", self.length, self.limit)
    }
}

torsade_reactor::debug_as_display!(StringTooLong);

impl Error for StringTooLong {}
