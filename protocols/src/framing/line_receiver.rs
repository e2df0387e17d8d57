//! Lines as a protocol.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Result;

use crate::compression::{CompressionError, Decompression};
use crate::framing::line_decoder::{LineDecoder, LineTooLong};
use crate::framing::message_deadline::MessageDeadline;
use crate::protocol::Protocol;
use crate::reason::Reason;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig};
use crate::transport::Transport;

/// The callbacks of a connection that speaks in lines; run by a [`LineReceiver`], which has an example.
pub trait LineProtocol {
    /// The connection is established; see [`Protocol::connection_made`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The TLS handshake is complete; see [`Protocol::handshake_completed`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn handshake_completed(&mut self, transport: &LineTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// A line came, without its delimiter.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lineReceived")]
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result;

    /// Bytes came in raw mode, cut anywhere.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason; so does the default.
    #[doc(alias = "rawDataReceived")]
    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        let _ = (transport, data);
        Err("raw mode was set, but raw_data_received is not implemented".into())
    }

    /// A line is too long. By default the connection is closed, as in Twisted.
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    #[doc(alias = "lineLengthExceeded")]
    fn line_length_exceeded(&mut self, transport: &LineTransport, line: LineTooLong<'_>) -> Result {
        log::info!("closing connection {} from {}: {line}", transport.id(), transport.peer());
        transport.lose_connection();
        Ok(())
    }

    /// The peer has ended its stream; see [`Protocol::read_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn read_connection_lost(&mut self, transport: &LineTransport) -> Result {
        transport.lose_connection();
        Ok(())
    }

    /// Our stream has ended; see [`Protocol::write_connection_lost`].
    ///
    /// # Errors
    /// Any error closes the connection, with that reason.
    fn write_connection_lost(&mut self, transport: &LineTransport) -> Result {
        let _ = transport;
        Ok(())
    }

    /// The connection has ended; see [`Protocol::connection_lost`].
    ///
    /// # Errors
    /// Any error is logged.
    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        let _ = (transport, reason);
        Ok(())
    }
}

/// A [`Transport`] with what a line protocol wants besides; a cheap handle.
#[derive(Clone)]
pub struct LineTransport {
    transport: Transport,
    lines: Rc<Lines>,
}

/// What the receiver and its transports share.
struct Lines {
    decoder: RefCell<LineDecoder>,
    raw: Cell<bool>,
    /// Bytes from `set_line_mode`, to go before all others. The decoder is borrowed while a line is being received.
    extra: RefCell<Vec<u8>>,
    deadline: MessageDeadline,
}

impl Lines {
    /// Takes out everything that is not delivered.
    fn take_rest(&self) -> Vec<u8> {
        let mut rest = self.extra.take();
        rest.extend_from_slice(self.decoder.borrow().take_rest());
        self.deadline.forget();
        rest
    }
}

impl LineTransport {
    /// Sends a line: `line` and the delimiter.
    #[doc(alias = "sendLine")]
    pub fn send_line(&self, line: impl AsRef<[u8]>) {
        self.lines.decoder.borrow().with_delimiter(|delimiter| self.transport.write_sequence(&[line.as_ref(), delimiter]));
    }

    /// Delivers what follows to `raw_data_received`, from the byte after this line on.
    #[doc(alias = "setRawMode")]
    pub fn set_raw_mode(&self) {
        self.lines.raw.set(true);
    }

    /// Delivers lines again. `extra` is what of the raw data belongs to them already; it comes before all other bytes.
    #[doc(alias = "setLineMode")]
    pub fn set_line_mode(&self, extra: &[u8]) {
        self.lines.raw.set(false);
        // The end of what `raw_data_received` was given need not be copied: many short blocks in one read stay cheap.
        if self.lines.extra.borrow().is_empty() && self.lines.decoder.borrow().take_back(extra) {
            return;
        }
        self.lines.extra.borrow_mut().splice(..0, extra.iter().copied());
        // Outside a callback nothing else would make the receiver look at them.
        self.transport.unread(b"");
    }

    /// Sets what ends a line, received and sent; CR LF unless set. An empty one is ignored.
    #[doc(alias = "delimiter")]
    pub fn set_delimiter(&self, delimiter: &[u8]) {
        self.lines.decoder.borrow().set_delimiter(delimiter);
    }

    /// Sets how long a line may be, in bytes without the delimiter; 16,384 unless set.
    #[doc(alias = "MAX_LENGTH")]
    pub fn set_max_length(&self, max_length: usize) {
        self.lines.decoder.borrow().set_max_length(max_length);
    }

    /// Sets how long a line may take to come whole, from the next one on; see [`LineReceiver::message_timeout`].
    pub fn set_message_timeout(&self, timeout: Option<Duration>) {
        self.lines.deadline.set_timeout(timeout);
    }

    /// Takes out everything that was received and not yet delivered.
    #[doc(alias = "clearLineBuffer")]
    #[must_use]
    pub fn clear_line_buffer(&self) -> Vec<u8> {
        self.lines.take_rest()
    }

    /// Decompresses everything after this line: what is buffered already goes back and is read as compressed.
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

    /// Encrypts everything after this line; what is buffered behind it already ends the connection, as injected.
    ///
    /// # Errors
    /// As [`Transport::start_tls`].
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::Refuse)
    }

    /// The same, where the peer begins its TLS without waiting: what is buffered behind this line is read as TLS.
    ///
    /// # Errors
    /// As [`Transport::start_tls_with_rest`].
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.switch_tls(&config.into(), AlreadyReceived::IsTls)
    }

    fn switch_tls(&self, config: &TlsConfig, already: AlreadyReceived) -> Result<(), StartTlsError> {
        self.switch(|transport, rest| transport.start_tls_after(config, rest, already))
    }

    /// Hands what is buffered to the transport, and takes it back if that refuses.
    fn switch<E>(&self, switch: impl FnOnce(&Transport, &[u8]) -> Result<(), E>) -> Result<(), E> {
        let rest = self.clear_line_buffer();
        let switched = switch(&self.transport, &rest);
        if switched.is_err() {
            self.lines.extra.replace(rest);
        }
        switched
    }
}

impl Deref for LineTransport {
    type Target = Transport;

    fn deref(&self) -> &Transport {
        &self.transport
    }
}

impl fmt::Debug for LineTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineTransport")
            .field("transport", &self.transport)
            .field("raw", &self.lines.raw.get())
            .finish_non_exhaustive()
    }
}

/// A protocol that splits its input into lines and gives them to a [`LineProtocol`].
///
/// Between two lines it looks at [`Transport::is_reading`]: paused, closing or congested, it keeps the rest, and goes on
/// when reading is resumed. The work is linear in the input however it is cut, and what is kept is bounded by the
/// maximum length and one read.
///
/// # Examples
/// ```no_run
/// use torsade::prelude::*;
///
/// struct Upper;
///
/// impl LineProtocol for Upper {
///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
///         transport.send_line(line.to_ascii_uppercase());
///         Ok(())
///     }
/// }
///
/// let reactor = Reactor::new()?;
/// reactor.listen_tcp("127.0.0.1:8000", |_peer| LineReceiver::new(Upper).max_length(1000))?;
/// reactor.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct LineReceiver<L> {
    protocol: L,
    lines: Rc<Lines>,
    transport: Option<LineTransport>,
}

impl<L: LineProtocol> LineReceiver<L> {
    /// Runs `protocol` on lines that end in CR LF, of at most 16,384 bytes.
    #[must_use]
    pub fn new(protocol: L) -> Self {
        Self::with_decoder(LineDecoder::new(), protocol)
    }

    pub(crate) fn with_decoder(decoder: LineDecoder, protocol: L) -> Self {
        let lines = Lines {
            decoder: RefCell::new(decoder),
            raw: Cell::new(false),
            extra: RefCell::default(),
            deadline: MessageDeadline::default(),
        };
        Self { protocol, lines: Rc::new(lines), transport: None }
    }

    /// The same with another delimiter. An empty one is ignored.
    #[must_use]
    pub fn delimiter(self, delimiter: &[u8]) -> Self {
        self.lines.decoder.borrow().set_delimiter(delimiter);
        self
    }

    /// The same with another limit, in bytes without the delimiter.
    #[must_use]
    pub fn max_length(self, max_length: usize) -> Self {
        self.lines.decoder.borrow().set_max_length(max_length);
        self
    }

    /// The same with another time in which a line that was begun has to come whole; with none there is no limit.
    ///
    /// 60 s unless set, and a second more for each 1,000 bytes of the line that have come. Then the connection is closed with
    /// `Reason::TimedOut(Deadline::Message)`. The time begins with a line's first byte, and anew whenever reading is resumed;
    /// it does not run in raw mode. An idle peer is a matter of [`TimeoutFactory`](crate::policies::TimeoutFactory).
    ///
    /// Where people type and each key is sent at once, set a long time, or none.
    #[must_use]
    pub fn message_timeout(self, timeout: Option<Duration>) -> Self {
        self.lines.deadline.set_timeout(timeout);
        self
    }

    /// Calls the line protocol, with its transport.
    fn call(&mut self, transport: &Transport, call: impl FnOnce(&mut L, &LineTransport) -> Result) -> Result {
        let lines = &self.lines;
        let transport =
            self.transport.get_or_insert_with(|| LineTransport { transport: transport.clone(), lines: Rc::clone(lines) });
        call(&mut self.protocol, transport)
    }

    fn deliver(&mut self, transport: &Transport) -> Result {
        let lines = Rc::clone(&self.lines);
        let mut unfinished = 0;
        let result = loop {
            if !lines.extra.borrow().is_empty() {
                lines.decoder.borrow_mut().unread(&lines.extra.take());
            }
            if !transport.connection().can_deliver() {
                if transport.is_handshaking() {
                    transport.refuse_plaintext(&lines.take_rest());
                }
                break Ok(());
            }
            let decoder = lines.decoder.borrow();
            let delivered = if lines.raw.get() {
                match decoder.take_rest() {
                    [] => break Ok(()),
                    rest => self.call(transport, |protocol, transport| protocol.raw_data_received(transport, rest)),
                }
            } else {
                match decoder.next_line() {
                    None => {
                        unfinished = decoder.len();
                        break Ok(());
                    }
                    Some(Ok(line)) => self.call(transport, |protocol, transport| protocol.line_received(transport, line)),
                    Some(Err(line)) => self.call(transport, |protocol, transport| protocol.line_length_exceeded(transport, line)),
                }
            };
            lines.deadline.begin_anew();
            if delivered.is_err() {
                break delivered;
            }
        };
        lines.deadline.wait_for_rest(transport, unfinished);
        lines.decoder.borrow_mut().drop_taken();
        result
    }
}

impl<L: LineProtocol> Protocol for LineReceiver<L> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.call(transport, LineProtocol::connection_made)
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        if transport.refuse_plaintext(&self.lines.take_rest()) {
            return Ok(());
        }
        self.call(transport, LineProtocol::handshake_completed)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.lines.decoder.borrow_mut().feed(data);
        self.deliver(transport)
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.lines.deadline.begin_anew();
        self.deliver(transport)
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.lines.deadline.forget();
        self.call(transport, LineProtocol::read_connection_lost)
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.call(transport, LineProtocol::write_connection_lost)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.lines.deadline.forget();
        self.call(transport, |protocol, transport| protocol.connection_lost(transport, reason))
    }
}

impl<L: fmt::Debug> fmt::Debug for LineReceiver<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineReceiver").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}
