//! The handle of a connection.

use std::fmt;
use std::future::Future;
use std::rc::Rc;

use torsade_reactor::{CallbackResult, DeferredError, Panic, Reactor};

use crate::address::Address;
use crate::connection::Connection;
use crate::delivery::Delivery;
use crate::producer::consumers::Registered;
use crate::producer::{Producer, ProducerError};
use crate::proxy_protocol::header::ProxyHeader;
use crate::reason::Reason;
use crate::shared_bytes::SharedBytes;
use crate::tls::TlsError;

/// A connection; a cheap handle.
///
/// Keep a clone to write to the connection from anywhere on the reactor's thread: a chat room is a map of transports. No method
/// calls a callback before it returns, so a `RefCell` may stay borrowed across all of them. Once the connection is lost the
/// methods do nothing.
///
/// # Examples
/// What one guest says goes to all others in the room, which the factory's closure shares among its protocols:
/// ```
/// use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
/// use torsade::{Clock, prelude::*, testing::StringTransport};
///
/// #[derive(Clone, Default)]
/// struct Guest {
///     room: Rc<RefCell<BTreeMap<u64, Transport>>>,
/// }
///
/// impl Protocol for Guest {
///     fn connection_made(&mut self, transport: &Transport) -> Result {
///         self.room.borrow_mut().insert(transport.id(), transport.clone());
///         Ok(())
///     }
///
///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
///         for (id, other) in &*self.room.borrow() {
///             if *id != transport.id() {
///                 other.write(data);
///             }
///         }
///         Ok(())
///     }
///
///     fn connection_lost(&mut self, transport: &Transport, _reason: &Reason) -> Result {
///         self.room.borrow_mut().remove(&transport.id());
///         Ok(())
///     }
/// }
///
/// let clock = Rc::new(Clock::new());
/// let (anna, ben) = (StringTransport::with_clock(&clock), StringTransport::with_clock(&clock));
/// let mut guest = Guest::default();
/// guest.connection_made(&anna)?;
/// guest.connection_made(&ben)?;
/// guest.data_received(&anna, b"hello")?;
/// assert_eq!(anna.value(), b"");
/// assert_eq!(ben.value(), b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # In groups
/// - What it is: [`id`](Self::id), [`peer`](Self::peer), [`host`](Self::host), [`reactor`](Self::reactor),
///   [`is_connected`](Self::is_connected).
/// - Writing: [`write`](Self::write), [`write_sequence`](Self::write_sequence), [`write_shared`](Self::write_shared),
///   [`unsent`](Self::unsent), and producers by [`register_producer`](Self::register_producer); a file by
///   [`FileSender`](crate::FileSender).
/// - Closing: [`lose_connection`](Self::lose_connection), [`lose_write_connection`](Self::lose_write_connection),
///   [`abort_connection`](Self::abort_connection), [`is_closing`](Self::is_closing).
/// - Reading: [`pause_producing`](Self::pause_producing), [`resume_producing`](Self::resume_producing),
///   [`is_reading`](Self::is_reading), [`unread`](Self::unread).
/// - Tasks: [`spawn`](Self::spawn).
/// - Compression: [`set_compression`](Self::set_compression), [`end_compression`](Self::end_compression),
///   [`expect_compression`](Self::expect_compression), [`set_detection`](Self::set_detection), and more.
/// - Limits: [`set_write_buffer_limits`](Self::set_write_buffer_limits),
///   [`set_write_buffer_cap`](Self::set_write_buffer_cap), [`set_read_while_congested`](Self::set_read_while_congested),
///   [`set_close_timeout`](Self::set_close_timeout).
/// - Socket options: [`set_tcp_nodelay`](Self::set_tcp_nodelay), [`set_tcp_keepalive`](Self::set_tcp_keepalive).
/// - TLS: [`start_tls`](Self::start_tls), [`tls_info`](Self::tls_info), and more.
/// - UNIX sockets: [`peer_credentials`](Self::peer_credentials), [`send_descriptor`](Self::send_descriptor),
///   [`set_descriptor_limit`](Self::set_descriptor_limit).
#[doc(alias = "IConsumer")]
#[derive(Clone)]
#[doc(alias = "ITransport")]
#[doc(alias = "ITCPTransport")]
pub struct Transport(Rc<dyn Connection>); // not `Send`: give other threads `transport.reactor().handle()`

/// # What it is
impl Transport {
    /// Wraps an implementation.
    #[must_use]
    pub fn new(connection: Rc<dyn Connection>) -> Self {
        Self(connection)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// An id, unique among the connections of this reactor; usable as a key.
    #[doc(alias = "ILoggingContext")]
    #[doc(alias = "logPrefix")]
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// The address of the peer; available also after the connection is lost. If a [proxy header](Self::proxy_header) was
    /// received, it is the client's address in it.
    #[doc(alias = "getPeer")]
    #[must_use]
    pub fn peer(&self) -> Address {
        self.0.peer()
    }

    /// The local address; `Address::Unnamed` once the connection is lost.
    #[doc(alias = "getHost")]
    #[must_use]
    pub fn host(&self) -> Address {
        self.0.host()
    }

    /// The header that a proxy sent; `None` unless the connection came through a
    /// [`ProxyProtocolFactory`](crate::ProxyProtocolFactory).
    #[must_use]
    pub fn proxy_header(&self) -> Option<&ProxyHeader> {
        self.0.proxy_header()
    }

    /// Returns whether `connection_lost` has not been called yet.
    #[doc(alias = "connected")]
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }
}

/// # Writing
/// What is written leaves in order, once a turn, without blocking.
impl Transport {
    /// Sends `data` after everything written before, without blocking.
    ///
    /// The bytes are copied. They leave when the callback that wrote them returns, or at the end of the turn if they were written
    /// outside of this connection's callbacks: many small writes in one turn become one system call.
    ///
    /// After [`lose_connection`](Self::lose_connection), bytes written in the same callback are still sent. Later bytes, and
    /// those for a lost connection, are dropped.
    ///
    /// # Limits
    /// At the high watermark of unsent bytes (64 KiB), the connection is not read from and its producer is paused; above the cap
    /// (16 MiB) the connection is aborted with `Reason::LimitExceeded`.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.0.write(data.as_ref());
    }

    /// Writes each of `pieces`, in order; cheaper than writing them one by one.
    ///
    /// # Examples
    /// ```
    /// fn reply(transport: &torsade::Transport, line: &[u8]) {
    ///     transport.write_sequence(&[b"<", line, b">\r\n"]);
    /// }
    /// ```
    #[doc(alias = "writeSequence")]
    pub fn write_sequence(&self, pieces: &[&[u8]]) {
        self.0.write_sequence(pieces);
    }

    /// Sends `data` after everything written before, as [`write`](Self::write) does, without copying it. Use it for one message
    /// to many connections, which is then in memory only once, and for large ones.
    ///
    /// The bytes count towards each connection's limits like all others, and leave in the same system call as what was written
    /// before and after: a header by `write`, a body by this. A layer (compression, TLS) makes its own bytes of them; if they are
    /// [`compressed_once`](SharedBytes::compressed_once), compression does so once for all connections that compress alike. While
    /// other bytes are unsent, fewer than 4 KiB are copied, which costs less than keeping them.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use torsade::prelude::*;
    ///
    /// /// Sends what each says to everyone.
    /// struct Member(Rc<RefCell<Vec<Transport>>>);
    ///
    /// impl Protocol for Member {
    ///     fn connection_made(&mut self, transport: &Transport) -> Result {
    ///         self.0.borrow_mut().push(transport.clone());
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
    ///         let message = SharedBytes::from(data.to_vec());
    ///         self.0.borrow().iter().for_each(|member| member.write_shared(&message));
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn write_shared(&self, data: &SharedBytes) {
        self.0.write_shared(data);
    }

    /// The number of written bytes that the system has not taken yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.0.unsent()
    }

    /// How much of what was written the peer's system has acknowledged, and how much is outstanding.
    ///
    /// Bytes that the system has taken may not have reached the peer: the send buffer may hold megabytes. On systems that do not
    /// report acknowledgements (Linux does), bytes taken by the system count as acknowledged. Each call makes several system
    /// calls: call it now and then, not at every write.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.0.delivery()
    }

    /// Registers a producer, which is paused and resumed as the connection sends; see [`Producer`].
    ///
    /// Two transports that are each other's producers form a relay: closing one of them does not wait for the other.
    ///
    /// # Errors
    /// [`ProducerError::AlreadyRegistered`], [`ProducerError::Closed`].
    #[doc(alias = "registerProducer")]
    pub fn register_producer(&self, producer: impl Producer + 'static, streaming: bool) -> Result<(), ProducerError> {
        let Some(source) = producer.as_transport() else { return self.0.register_producer(Box::new(producer), streaming) };
        let producer = Registered::new(producer, self);
        let registration = producer.registration();
        self.0.register_producer(Box::new(producer), streaming)?;
        source.0.add_consumer(&registration);
        Ok(())
    }

    /// Unregisters the producer: it has no more to write. A close that waited for it proceeds.
    #[doc(alias = "unregisterProducer")]
    pub fn unregister_producer(&self) {
        self.0.unregister_producer();
    }
}

/// # Closing
/// Except for `abort_connection`, these send everything written before. See `manual::closing` of the `torsade` crate for the
/// details.
impl Transport {
    /// Closes the connection once everything written is sent.
    ///
    /// No more data is delivered from now on. What was written goes out through every layer, then our stream ends (FIN).
    /// `connection_lost` is called with `Reason::ConnectionDone` when the peer has ended its stream too, or at most 250 ms after
    /// it has acknowledged everything. The socket is kept a while longer, so that a reset does not destroy what the peer has not
    /// read yet: see the manual on closing. If a producer is registered, this waits for
    /// [`unregister_producer`](Self::unregister_producer), within the limit below; a transport as producer unregisters itself.
    ///
    /// # Limits
    /// If the peer acknowledges nothing for 120 s ([`set_close_timeout`](Self::set_close_timeout)), whether or not there is
    /// anything to acknowledge, the connection is reset, with `Reason::TimedOut`.
    #[doc(alias = "loseConnection")]
    #[doc(alias = "close")]
    pub fn lose_connection(&self) {
        self.0.lose_connection();
    }

    /// Half-closes: ends our stream (FIN) once everything written is sent, and keeps reading.
    ///
    /// The protocol's `write_connection_lost` is called when that is done. Once the peer's stream has ended as well, the
    /// connection is lost. Our stream ends only after a pull producer is [unregistered](Self::unregister_producer), but does not
    /// wait for a push producer.
    #[doc(alias = "loseWriteConnection")]
    #[doc(alias = "shutdown")]
    pub fn lose_write_connection(&self) {
        self.0.lose_write_connection();
    }

    /// Closes the connection at once: unsent bytes are dropped and the peer sees a reset (RST).
    ///
    /// `connection_lost` is called from the loop, with `Reason::ConnectionAborted`; no data is delivered before it.
    #[doc(alias = "abortConnection")]
    pub fn abort_connection(&self) {
        self.0.abort_connection();
    }

    /// Returns whether our side is closing the connection.
    #[doc(alias = "disconnecting")]
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }
}

/// # Reading
/// Data is delivered by `data_received` without being asked for; these methods hold it back.
impl Transport {
    /// Pauses reading: nothing more is delivered after this callback until resumed.
    ///
    /// A reset by the peer is still noticed.
    #[doc(alias = "pauseProducing")]
    pub fn pause_producing(&self) {
        self.0.pause_producing();
    }

    /// Resumes reading, from the next turn on.
    #[doc(alias = "resumeProducing")]
    pub fn resume_producing(&self) {
        self.0.resume_producing();
    }

    /// Returns whether data is wanted now: reading is not paused, the connection is not closing, and its output is not congested.
    ///
    /// A framing protocol checks this between messages, and continues in `reading_resumed`.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.0.is_reading()
    }

    /// Gives back bytes that were delivered too early. They are delivered again in a later turn, before all others. After the
    /// peer's stream has ended (`read_connection_lost`) nothing more is delivered, including these.
    ///
    /// During a TLS handshake such bytes are plaintext, and giving them back ends the connection with `Reason::Tls`.
    pub fn unread(&self, data: &[u8]) {
        self.0.unread(data);
    }
}

/// # Tasks
impl Transport {
    /// Runs an `async` task that belongs to this connection. It is first polled in this turn or the next, never during this call.
    ///
    /// An error or panic of the task closes the connection, like one in a callback. The task is dropped right after
    /// `connection_lost`, at whatever it awaits; if the connection is already lost, `task` is not called at all. Tasks of one
    /// connection run concurrently: where responses must keep the order of requests, pause reading meanwhile.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::prelude::*;
    ///
    /// struct Slow;
    ///
    /// impl Protocol for Slow {
    ///     fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
    ///         let answer = data.to_ascii_uppercase();
    ///         transport.spawn(|transport| async move {
    ///             transport.reactor().sleep(Duration::from_millis(100)).await?;
    ///             transport.write(answer);
    ///             Ok(())
    ///         });
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[track_caller]
    pub fn spawn<M, F>(&self, task: M)
    where
        M: FnOnce(Self) -> F + 'static,
        F: Future + 'static,
        F::Output: CallbackResult<Value = ()>,
    {
        let Some(tasks) = self.0.tasks() else { return };
        let transport = self.clone();
        // Called inside the task, so that no part of it runs before this returns.
        let spawned = tasks.spawn(self.reactor(), async move { task(transport).await.settle().into_result().await });
        let connection = Rc::clone(&self.0);
        let reported = spawned.into_deferred().add_errback(move |failure| {
            // It ended with its connection, or with the reactor.
            let ended = match failure.downcast_ref() {
                Some(DeferredError::Cancelled) => !connection.is_connected(),
                Some(DeferredError::Abandoned) => !connection.reactor().is_running(),
                _ => false,
            };
            if ended {
                return;
            }
            let panic = failure.downcast_ref::<Panic>().cloned();
            connection.fail_with(panic.map_or_else(|| Reason::Protocol(failure.into_error()), Reason::Panicked));
        });
        reported.detach();
    }
}

/// For layers and adapters.
impl Transport {
    /// The implementation: for layers between two transports, which pass on what they do not change.
    #[must_use]
    pub fn connection(&self) -> &dyn Connection {
        &*self.0
    }

    /// For adapters when TLS was switched on without them: `rest` is plaintext they still hold, received after the switch. It
    /// ends the connection, as injected. Returns false if it is empty.
    pub(crate) fn refuse_plaintext(&self, rest: &[u8]) -> bool {
        match rest.len() {
            0 => return false,
            _ if self.is_handshaking() => self.unread(rest),
            bytes => self.0.fail_with(Reason::Tls(TlsError::Injected { bytes })),
        }
        true
    }
}

// Declared below the blocks above because rustdoc lists them in this order.
pub(crate) mod compression;
pub(crate) mod limits;
mod socket;
pub(crate) mod tls;
pub(crate) mod unix;

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("id", &self.id()).field("peer", &self.peer()).finish_non_exhaustive()
    }
}
