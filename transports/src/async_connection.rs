//! Connections for `async` code: input and events wait here until they are asked for.

mod incoming;
mod protocol;
mod reactor_async;

pub use incoming::Incoming;
pub use protocol::AsyncProtocol;
pub use reactor_async::ReactorAsync;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use torsade_protocols::{CompressionError, Decompression, Reason, StartTlsError, TlsConfig, Transport};
use torsade_reactor::Deferred;

use protocol::Received;

/// The largest buffer that a connection keeps while it is empty, in bytes.
const KEEP: usize = 4 << 10;

/// The most pieces that one call writes; a head and a body are two.
const MOST_PIECES: usize = 16;

/// A connection as a byte stream for `async` code: `futures-io`'s `AsyncRead`, `AsyncBufRead` and `AsyncWrite`.
///
/// It comes from [`connect_async`](ReactorAsync::connect_async) and [`listen_async`](ReactorAsync::listen_async), or from a
/// protocol that gives its connection away, [`from_protocol`](Self::from_protocol). Code written for `futures-io` runs on
/// it, on this reactor and in a simulated network. No other runtime is needed, and none may be mixed in (its timers would need a
/// loop of their own).
///
/// - *Reading* returns what was received, at most 64 KiB; nothing more is received before that has been read. All received bytes
///   come before the end of the stream, and before the error of a lost connection. Unsent output does not stop reading.
/// - *Writing* takes as much as fits below the high watermark of unsent bytes, and waits while nothing fits.
/// - *Flushing* completes when the system has taken everything.
/// - *Closing* sends everything and ends our stream, and completes when that is sent. You can still read from the peer.
/// - *Dropping* [aborts](Transport::abort_connection) the connection, unless it was closed: then it closes, without waiting for
///   what the peer still sends.
///
/// # Errors
/// The [`io::Error`] of a lost connection contains a [`ReasonText`](torsade_protocols::ReasonText); a connection that ended
/// gracefully reads as the end of the stream. Writing after closing, or while the reactor stops, is `BrokenPipe`.
///
/// # Examples
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use torsade::{prelude::*, simulated::Simulation, wire::Echo};
///
/// let simulation = Simulation::new(1);
/// simulation.host("10.0.0.1").listen("tcp:7", |_peer| Echo)?;
/// let client = simulation.host("10.0.0.2");
/// let reactor = client.clone();
/// let heard = client.spawn(async move {
///     let mut connection = reactor.connect_async("10.0.0.1:7").await?;
///     connection.write_all(b"hello").await?;
///     connection.close().await?;
///     let mut heard = String::new();
///     connection.read_to_string(&mut heard).await?;
///     Ok(heard)
/// });
/// simulation.run_for(std::time::Duration::from_secs(1))?;
/// assert_eq!(heard.into_deferred().into_result().expect("it is done")?, "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AsyncConnection {
    transport: Transport,
    received: Rc<RefCell<Received>>,
    /// What was taken out of `received`, and how much of it was read.
    bytes: Vec<u8>,
    read: usize,
    /// Something was written since the last flush.
    unflushed: bool,
    /// Our stream is to end.
    closing: bool,
    /// Fires when there is room to write.
    writable: Option<Deferred<()>>,
    /// Fires when the system has everything.
    drained: Option<Deferred<()>>,
}

impl AsyncConnection {
    fn new(transport: &Transport, received: Rc<RefCell<Received>>) -> Self {
        // Otherwise two ends that both write first would wait for each other. The reader here limits what is received.
        transport.set_read_while_congested(true);
        Self {
            transport: transport.clone(),
            received,
            bytes: Vec::new(),
            read: 0,
            unflushed: false,
            closing: false,
            writable: None,
            drained: None,
        }
    }

    /// Turns a protocol's connection into an async one, which reads `rest` first.
    ///
    /// The calling protocol still gets all callbacks, and has to pass them on to the returned [`AsyncProtocol`], by
    /// `fallback` and `data_received`. The connection does not know of those that it does not pass on.
    ///
    /// # Examples
    /// The first byte decides who serves the connection:
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use torsade::{AsyncProtocol, Callback, prelude::*, simulated::Simulation};
    ///
    /// #[derive(Default)]
    /// struct Switch(Option<AsyncProtocol>);
    ///
    /// async fn serve(mut connection: AsyncConnection) -> Result {
    ///     let mut question = Vec::new();
    ///     connection.read_to_end(&mut question).await?;
    ///     connection.write_all(b"answered").await?;
    ///     Ok(connection.close().await?)
    /// }
    ///
    /// impl Protocol for Switch {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         if let Some(protocol) = &mut self.0 {
    ///             return protocol.data_received(transport, data);
    ///         }
    ///         if data[0] != b'?' {
    ///             return Err("it is no question".into());
    ///         }
    ///         let (connection, protocol) = AsyncConnection::from_protocol(transport, &data[1..]);
    ///         self.0 = Some(protocol);
    ///         transport.spawn(|_| serve(connection));
    ///         Ok(())
    ///     }
    ///
    ///     fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
    ///         self.0.as_mut().map_or(Ok(()), |protocol| callback.dispatch(protocol, transport))
    ///     }
    /// }
    /// let simulation = Simulation::new(1);
    /// simulation.host("10.0.0.1").listen("tcp:7", |_peer| Switch::default())?;
    /// let client = simulation.host("10.0.0.2");
    /// let reactor = client.clone();
    /// let heard = client.spawn(async move {
    ///     let mut connection = reactor.connect_async("10.0.0.1:7").await?;
    ///     connection.write_all(b"?what").await?;
    ///     connection.close().await?;
    ///     let mut heard = String::new();
    ///     connection.read_to_string(&mut heard).await?;
    ///     Ok(heard)
    /// });
    /// simulation.run_for(std::time::Duration::from_secs(1))?;
    /// assert_eq!(heard.into_deferred().into_result().expect("it is done")?, "answered");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_protocol(transport: &Transport, rest: &[u8]) -> (Self, AsyncProtocol) {
        let protocol = AsyncProtocol::with(rest);
        if !rest.is_empty() {
            transport.pause_producing();
        }
        (Self::new(transport, protocol.received()), protocol)
    }

    /// The transport of this connection: for its addresses, [`tls_info`](Transport::tls_info), limits, and
    /// [`set_compression`](Transport::set_compression). Use the methods here to read from it and to end it.
    #[must_use]
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Decompresses what comes next, beginning with what was received and not read yet.
    ///
    /// # Errors
    /// As [`Transport::expect_compression`].
    pub fn expect_compression<D>(&mut self, decompression: D) -> Result<(), CompressionError>
    where
        D: TryInto<Decompression>,
        CompressionError: From<D::Error>,
    {
        let rest = self.take_unread();
        self.transport.expect_compression(decompression, &rest)
    }

    /// Switches TLS on. Reads and writes then wait for the handshake, and fail with its reason if it fails.
    ///
    /// First read everything that belongs before the handshake: received bytes that were not read end the connection with
    /// `TlsError::Injected`.
    ///
    /// # Errors
    /// As [`Transport::start_tls`].
    pub fn start_tls(&mut self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.transport.start_tls(config)?;
        let rest = self.take_unread();
        if !rest.is_empty() {
            self.transport.unread(&rest);
        }
        Ok(())
    }

    /// Puts `data` in front of what is read next: bytes that belong to the next reader.
    pub fn unread(&mut self, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let mut unread = data.to_vec();
        unread.extend_from_slice(&self.bytes[self.read..]);
        unread.append(&mut self.received.borrow_mut().take());
        (self.bytes, self.read) = (unread, 0);
        self.transport.pause_producing();
    }

    /// Why the connection was lost; `None` while it is not.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        self.received.borrow().lost().cloned()
    }

    /// Takes out what was received and not read, and receives more.
    fn take_unread(&mut self) -> Vec<u8> {
        let mut unread = std::mem::take(&mut self.bytes).split_off(std::mem::take(&mut self.read));
        unread.append(&mut self.received.borrow_mut().take());
        self.transport.resume_producing();
        unread
    }

    /// An error if nothing can be written any more.
    fn check_writable(&self) -> io::Result<()> {
        match self.received.borrow().lost() {
            Some(reason) => Err(reason.into()),
            // By the reactor's stop or the transport's own methods: the transport would drop what is written.
            None if self.closing || self.transport.is_closing() => {
                Err(io::Error::new(ErrorKind::BrokenPipe, "the connection was closed by us"))
            }
            None => Ok(()),
        }
    }

    /// How many bytes can be written now, at least one.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            if let Some(writable) = &mut self.writable {
                // If it fails the connection is lost, which the next round of the loop finds.
                std::task::ready!(Pin::new(writable).poll(context)).ok();
                self.writable = None;
            }
            self.check_writable()?;
            let (_, high) = self.transport.write_buffer_limits();
            let room = high.saturating_sub(self.transport.unsent());
            if room > 0 && !self.transport.is_congested() {
                return Poll::Ready(Ok(room));
            }
            self.writable = Some(self.transport.when_writable());
        }
    }
}

impl AsyncRead for AsyncConnection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let unread = std::task::ready!(self.as_mut().poll_fill_buf(context))?;
        let count = unread.len().min(buffer.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

/// Reads without a copy.
impl AsyncBufRead for AsyncConnection {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { received, bytes, read, .. } = self.get_mut();
        if bytes.is_empty() {
            std::task::ready!(received.borrow_mut().poll_take(context, bytes))?;
        }
        Poll::Ready(Ok(&bytes[*read..]))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.read += count;
        if self.read < self.bytes.len() || self.bytes.is_empty() {
            return;
        }
        self.read = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        self.transport.resume_producing();
    }
}

impl AsyncWrite for AsyncConnection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(context))?;
        let taken = data.len().min(room);
        self.transport.write(&data[..taken]);
        self.unflushed = true;
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let room = std::task::ready!(self.poll_room(context))?;
        let mut left = room;
        let mut taken = [&[][..]; MOST_PIECES];
        let mut count = 0;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()).take(MOST_PIECES) {
            taken[count] = &piece[..piece.len().min(left)];
            left -= taken[count].len();
            count += 1;
        }
        self.transport.write_sequence(&taken[..count]);
        self.unflushed = true;
        Poll::Ready(Ok(room - left))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(reason) = self.received.borrow().lost() {
                // A graceful end means that the system has taken everything.
                return Poll::Ready(if reason.is_clean() { Ok(()) } else { Err(reason.into()) });
            }
            if let Some(drained) = &mut self.drained {
                let drained = std::task::ready!(Pin::new(drained).poll(context));
                self.drained = None;
                // It may belong to a flush that was given up; what was written since needs another.
                if drained.is_ok() && !self.unflushed {
                    return Poll::Ready(Ok(()));
                }
            } else {
                if std::mem::take(&mut self.unflushed) {
                    self.transport.flush_compression();
                    if !self.transport.flush() {
                        self.drained = Some(self.transport.when_drained());
                        continue;
                    }
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.closing, true) {
            self.transport.lose_write_connection();
        }
        self.received.borrow_mut().poll_write_end(context)
    }
}

impl Drop for AsyncConnection {
    fn drop(&mut self) {
        if self.closing {
            self.transport.lose_connection();
        } else {
            self.transport.abort_connection();
        }
    }
}

impl fmt::Debug for AsyncConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncConnection").field("transport", &self.transport).finish_non_exhaustive()
    }
}
