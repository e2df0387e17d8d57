//! The transport of a protocol of messages.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Result;

use crate::compression::{CompressionError, Decompression};
use crate::framing::inbox::Inbox;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig};
use crate::transport::Transport;

/// A [`Transport`] with the methods that protocols of messages need; a cheap handle.
///
/// [`LineTransport`](crate::LineTransport) and [`StringFrameTransport`](crate::StringFrameTransport) dereference to it.
#[derive(Clone)]
pub struct FrameTransport {
    pub(crate) transport: Transport,
    pub(crate) inbox: Rc<Inbox>,
}

impl FrameTransport {
    /// Sets the maximum length of a message, from the next one on: of a line without its delimiter, of a string without its
    /// framing, of a frame as its decoder counts, of the bytes a state wants.
    #[doc(alias = "MAX_LENGTH")]
    pub fn set_max_length(&self, max_length: usize) {
        self.inbox.max_length.set(max_length);
        self.inbox.touch();
    }

    /// Sets how long a message may take to arrive whole, from the next one on; see
    /// [`FrameReceiver::message_timeout`](crate::FrameReceiver::message_timeout).
    pub fn set_message_timeout(&self, timeout: Option<Duration>) {
        self.inbox.deadline.set_timeout(timeout);
    }

    /// Takes out everything received and not yet delivered, and clears an error of the decoder.
    ///
    /// For a change of protocol in mid-stream: the bytes belong to the next protocol.
    #[doc(alias = "recvd")]
    #[must_use]
    pub fn take_remaining(&self) -> Vec<u8> {
        self.inbox.take_rest()
    }

    /// Puts bytes before those not yet delivered; a failed decoder starts again with them.
    pub fn unread_frames(&self, data: &[u8]) {
        self.inbox.unread(data);
        // Outside a callback, nothing else would make the receiver look at them.
        self.transport.unread(b"");
    }

    /// Encrypts everything after this message. If bytes after it are already buffered, the connection ends: they may be injected.
    ///
    /// # Errors
    /// See [`Transport::start_tls`].
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::Refuse)
    }

    /// The same for a peer that begins TLS without waiting: bytes already buffered after this message are read as TLS.
    ///
    /// # Errors
    /// See [`Transport::start_tls_with_rest`].
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::IsTls)
    }

    /// Decompresses everything after this message: bytes already buffered are read as compressed.
    ///
    /// # Errors
    /// See [`Transport::expect_compression`].
    pub fn expect_compression<D>(&self, decompression: D) -> Result<(), CompressionError>
    where
        D: TryInto<Decompression>,
        CompressionError: From<D::Error>,
    {
        let decompression = decompression.try_into()?;
        self.switch(|transport, rest| transport.expect_compression::<Decompression>(decompression, rest))
    }

    fn switch_tls(&self, config: &TlsConfig, already: AlreadyReceived) -> Result<(), StartTlsError> {
        self.switch(|transport, rest| transport.start_tls_after(config, rest, already))
    }

    /// Passes the buffered bytes to the transport, and takes them back if it refuses.
    fn switch<E>(&self, switch: impl FnOnce(&Transport, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let rest = self.take_remaining();
        let switched = switch(&self.transport, &rest);
        if switched.is_err() {
            self.inbox.unread(&rest);
        }
        switched
    }
}

impl Deref for FrameTransport {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

impl fmt::Debug for FrameTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameTransport")
            .field("transport", &self.transport)
            .field("max_length", &self.inbox.max_length.get())
            .finish_non_exhaustive()
    }
}
