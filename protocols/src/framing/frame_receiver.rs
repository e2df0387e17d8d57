//! Any decoder's frames as a protocol.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Result;

use crate::compression::{CompressionError, Decompression};
use crate::framing::byte_buffer::ByteBuffer;
use crate::framing::decoder::{Decoder, FrameError, Gate, next_frame};
use crate::framing::message_deadline::MessageDeadline;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig};
use crate::transport::Transport;

/// The callbacks of a connection that speaks in frames; run by a [`FrameReceiver`], which has an example.
pub trait FrameProtocol<D: Decoder> {
    /// The connection is established; see [`Protocol::connection_made`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn connection_made(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The TLS handshake is complete; see [`Protocol::handshake_completed`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn handshake_completed(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A whole frame came.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn frame_received(&mut self, transport: &FrameTransport, frame: D::Frame<'_>) -> Result;

    /// The decoder cannot go on. By default the connection is closed.
    ///
    /// What comes in from now on is dropped, unless [`FrameTransport::take_remaining`] is called.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn frame_refused(&mut self, transport: &FrameTransport, error: FrameError<D::Error>) -> Result {
        log::info!("closing connection {} from {}: {error}", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    /// The peer has ended its stream; see [`Protocol::read_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn read_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    /// Our stream has ended; see [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn write_connection_lost(&mut self, transport: &FrameTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection has ended; see [`Protocol::connection_lost`].
    ///
    /// # Errors
    /// Any error is logged.
    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        let _ = (transport, reason);
        Ok(())
    }
}

/// A [`Transport`] with what a protocol of frames wants besides; a cheap handle.
#[derive(Clone)]
pub struct FrameTransport {
    pub(crate) transport: Transport,
    pub(crate) frames: Rc<Frames>,
}

/// What a receiver and its transports share.
pub(crate) struct Frames {
    /// Borrowed while a frame is being received.
    pub(crate) buffer: RefCell<ByteBuffer>,
    gate: Cell<Gate>,
    pub(crate) max_length: Cell<usize>,
    /// Bytes from `unread_frames`, to go before all others.
    extra: RefCell<Vec<u8>>,
    pub(crate) deadline: MessageDeadline,
}

impl Frames {
    pub(crate) fn new(max_length: usize) -> Rc<Self> {
        Rc::new(Self {
            buffer: RefCell::default(),
            gate: Cell::default(),
            max_length: Cell::new(max_length),
            extra: RefCell::default(),
            deadline: MessageDeadline::default(),
        })
    }

    /// Takes out everything that is not delivered, and forgets an error of the decoder.
    pub(crate) fn take_rest(&self) -> Vec<u8> {
        let mut rest = self.extra.take();
        rest.extend_from_slice(self.buffer.borrow().take(usize::MAX));
        self.gate.take();
        self.deadline.forget();
        rest
    }

    /// Puts what was given back to the front.
    pub(crate) fn take_extra(&self) {
        if !self.extra.borrow().is_empty() {
            self.buffer.borrow_mut().unread(&self.extra.take());
        }
    }
}

impl FrameTransport {
    /// Sets how long a frame may be from the next one on, in bytes as the decoder counts them.
    #[doc(alias = "MAX_LENGTH")]
    pub fn set_max_length(&self, max_length: usize) {
        self.frames.max_length.set(max_length);
    }

    /// Sets how long a frame may take to come whole, from the next one on; see [`FrameReceiver::message_timeout`].
    pub fn set_message_timeout(&self, timeout: Option<Duration>) {
        self.frames.deadline.set_timeout(timeout);
    }

    /// Takes out everything that was received and not yet decoded, and forgets an error of the decoder.
    ///
    /// For a change of protocol in mid-stream: what is taken out belongs to the next one.
    #[doc(alias = "recvd")]
    #[must_use]
    pub fn take_remaining(&self) -> Vec<u8> {
        self.frames.take_rest()
    }

    /// Puts bytes before those that are not yet decoded; a failed decoder begins again with them.
    pub fn unread_frames(&self, data: &[u8]) {
        self.frames.extra.borrow_mut().splice(..0, data.iter().copied());
        self.frames.gate.take();
        // Outside a callback nothing else would make the receiver look at them.
        self.transport.unread(b"");
    }

    /// Encrypts everything after this frame; what is buffered behind it already ends the connection, as injected.
    ///
    /// # Errors
    /// As [`Transport::start_tls`].
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::Refuse)
    }

    /// The same, where the peer begins its TLS without waiting: what is buffered behind this frame is read as TLS.
    ///
    /// # Errors
    /// As [`Transport::start_tls_with_rest`].
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::IsTls)
    }

    /// Decompresses everything after this frame: what is buffered already goes back and is read as compressed.
    ///
    /// # Errors
    /// As [`Transport::expect_compression`].
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

    /// Hands what is buffered to the transport, and takes it back if that refuses.
    fn switch<E>(&self, switch: impl FnOnce(&Transport, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let rest = self.take_remaining();
        let switched = switch(&self.transport, &rest);
        if switched.is_err() {
            self.frames.extra.replace(rest);
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
            .field("max_length", &self.frames.max_length.get())
            .finish_non_exhaustive()
    }
}

/// A protocol that splits its input into a [`Decoder`]'s frames and gives them to a [`FrameProtocol`].
///
/// Between two frames it looks at [`Transport::is_reading`]: paused, closing or congested, it keeps the rest, and goes on
/// when reading is resumed. What is kept is bounded by the maximum length, the decoder's overhead and one read.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
/// use torsade::testing::StringTransport;
///
/// /// Points: two bytes each.
/// struct Points;
///
/// impl Decoder for Points {
///     type Frame<'a> = (u8, u8);
///     type Error = std::convert::Infallible;
///
///     fn decode<'a>(&mut self, data: &'a [u8], _: usize) -> Result<Decoded<(u8, u8)>, FrameError<Self::Error>> {
///         Ok(match data {
///             [x, y, ..] => Decoded::Frame { frame: (*x, *y), used: 2 },
///             _ => Decoded::Incomplete { needed: 2 },
///         })
///     }
/// }
///
/// struct Mirror;
///
/// impl FrameProtocol<Points> for Mirror {
///     fn frame_received(&mut self, transport: &FrameTransport, (x, y): (u8, u8)) -> Result {
///         transport.write([y, x]);
///         Ok(())
///     }
/// }
///
/// let transport = StringTransport::new();
/// let mut protocol = FrameReceiver::new(Points, Mirror);
/// protocol.data_received(&transport, b"abc")?;
/// protocol.data_received(&transport, b"d")?;
/// assert_eq!(transport.value(), b"badc");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameReceiver<D, P> {
    protocol: P,
    decoder: D,
    frames: Rc<Frames>,
    transport: Option<FrameTransport>,
}

impl<D: Decoder, P: FrameProtocol<D>> FrameReceiver<D, P> {
    /// Runs `protocol` on the frames of `decoder`, of at most [`Decoder::MAX_LENGTH`] bytes.
    #[must_use]
    pub fn new(decoder: D, protocol: P) -> Self {
        Self { protocol, decoder, frames: Frames::new(D::MAX_LENGTH), transport: None }
    }

    /// The same with another limit, in bytes as the decoder counts them.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        self.frames.max_length.set(max_length);
        self
    }

    /// The same with another time in which a frame that was begun has to come whole; with none there is no limit.
    ///
    /// 60 s unless set, and a second more for each 1,000 bytes of the frame that have come. Then the connection is closed
    /// with `Reason::TimedOut(Deadline::Message)`. The time begins with the first byte that the decoder has not used, and
    /// anew whenever reading is resumed. An idle peer is a matter of [`TimeoutFactory`](crate::policies::TimeoutFactory).
    #[must_use]
    pub fn message_timeout(self, timeout: Option<Duration>) -> Self {
        self.frames.deadline.set_timeout(timeout);
        self
    }

    /// Calls the frame protocol, with its transport.
    fn call(&mut self, transport: &Transport, call: impl FnOnce(&mut P, &FrameTransport) -> Result) -> Result {
        let frames = &self.frames;
        let transport =
            self.transport.get_or_insert_with(|| FrameTransport { transport: transport.clone(), frames: Rc::clone(frames) });
        call(&mut self.protocol, transport)
    }

    fn deliver(&mut self, transport: &Transport) -> Result {
        let frames = Rc::clone(&self.frames);
        let mut unfinished = 0;
        let result = loop {
            frames.take_extra();
            if !transport.connection().can_deliver() {
                if transport.is_handshaking() {
                    transport.refuse_plaintext(&frames.take_rest());
                }
                break Ok(());
            }
            let buffer = frames.buffer.borrow();
            let mut gate = frames.gate.get();
            let next = next_frame(&mut self.decoder, &buffer, &mut gate, frames.max_length.get());
            frames.gate.set(gate);
            let delivered = match next {
                None => {
                    unfinished = if gate.failed { 0 } else { buffer.len() };
                    break Ok(());
                }
                Some(Ok(frame)) => self.call(transport, |protocol, transport| protocol.frame_received(transport, frame)),
                Some(Err(error)) => self.call(transport, |protocol, transport| protocol.frame_refused(transport, error)),
            };
            frames.deadline.begin_anew();
            if delivered.is_err() {
                break delivered;
            }
        };
        frames.deadline.wait_for_rest(transport, unfinished);
        frames.buffer.borrow_mut().drop_taken();
        result
    }
}

impl<D: Decoder, P: FrameProtocol<D>> Protocol for FrameReceiver<D, P> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.call(transport, FrameProtocol::connection_made)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        if transport.refuse_plaintext(&self.frames.take_rest()) {
            return Ok(());
        }
        self.call(transport, FrameProtocol::handshake_completed)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if self.frames.gate.get().failed {
            return Ok(());
        }
        self.frames.buffer.borrow_mut().feed(data);
        self.deliver(transport)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.frames.deadline.begin_anew();
        self.deliver(transport)
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.frames.deadline.forget();
        self.call(transport, FrameProtocol::read_connection_lost)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.call(transport, FrameProtocol::write_connection_lost)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.frames.deadline.forget();
        self.call(transport, |protocol, transport| protocol.connection_lost(transport, reason))
    }
}

impl<D, P: fmt::Debug> fmt::Debug for FrameReceiver<D, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReceiver").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
