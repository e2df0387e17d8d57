//! The handle of a connection.

use std::fmt;
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{CallbackResult, DeferredError, Panic, Reactor, TaskGroup};

use crate::address::Address;
use crate::compression::{Compression, CompressionError, CompressionStats, Decompression, Detect};
use crate::connection::Connection;
use crate::producer::{Producer, ProducerError};
use crate::reason::Reason;
use crate::tls::{AlreadyReceived, StartTlsError, TlsConfig, TlsError, TlsInfo};

/// One connection, as its protocol and others see it; a cheap handle.
///
/// Keep a clone, and you can write to that connection from anywhere on the reactor's thread: a chat room is a map of
/// transports. No method calls a callback before it returns, so a `RefCell` may stay borrowed across all of them. Once
/// the connection is lost they do nothing.
#[derive(Clone)]
#[doc(alias = "ITransport")]
#[doc(alias = "ITCPTransport")]
pub struct Transport(Rc<dyn Connection>);

impl Transport {
    /// Wraps what does the work.
    #[must_use]
    pub fn new(connection: Rc<dyn Connection>) -> Self {
        Self(connection)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// A number that no other connection of this reactor has had; good as a key.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id()
    }

    /// The address of the other end; known also after the connection is lost.
    #[doc(alias = "getPeer")]
    #[must_use]
    pub fn peer(&self) -> Address {
        self.0.peer()
    }

    /// The address of our end; `Address::None` once the connection is lost.
    #[doc(alias = "getHost")]
    #[must_use]
    pub fn host(&self) -> Address {
        self.0.host()
    }

    /// Sends `data` after everything written before, without waiting.
    ///
    /// The bytes are copied. They leave when the callback that wrote them returns, or at the end of the turn when
    /// someone else wrote them: many small writes of one turn become one system call.
    ///
    /// After [`lose_connection`](Self::lose_connection), what is written in the same callback is still sent; later bytes, and
    /// those for a lost connection, are dropped.
    ///
    /// # Limits
    /// Nothing blocks and nothing fails here. Above the high watermark (64 KiB) of unsent bytes the connection is not
    /// read from, and producers are paused; above the cap (16 MiB) it is aborted with `Reason::LimitExceeded`.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        self.0.write(data.as_ref());
    }

    /// Writes each of `pieces`, in order; the same as writing them one by one, and cheaper.
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

    /// How many written bytes the system has not taken yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.0.unsent()
    }

    /// Closes the connection once everything written is sent.
    ///
    /// No more data is delivered from now on. Output goes out through every layer, then our stream ends (FIN), and the
    /// peer's is read and dropped until it ends too, so that nothing on its way to the peer is lost to a reset. Then
    /// `connection_lost` comes, with `Reason::ConnectionDone`. If a producer is registered, this waits for
    /// [`unregister_producer`](Self::unregister_producer), within the limits below.
    ///
    /// # Limits
    /// If the peer takes no byte for 30 s, there being any or not ([`set_close_timeout`](Self::set_close_timeout)), or does not end its stream
    /// within that time, the connection is closed with `Reason::TimedOut`.
    #[doc(alias = "loseConnection")]
    #[doc(alias = "close")]
    pub fn lose_connection(&self) {
        self.0.lose_connection();
    }

    /// Ends our stream (FIN) once everything written is sent, and keeps reading.
    ///
    /// The protocol's `write_connection_lost` comes when it is done. Once the peer's stream has ended as well, the
    /// connection is lost. A pull producer is waited for until [`unregister_producer`](Self::unregister_producer), a push
    /// producer is not.
    #[doc(alias = "loseWriteConnection")]
    #[doc(alias = "shutdown")]
    pub fn lose_write_connection(&self) {
        self.0.lose_write_connection();
    }

    /// Closes the connection at once: unsent bytes are dropped and the peer sees a reset (RST).
    ///
    /// `connection_lost` comes from the loop, with `Reason::ConnectionAborted`; no data is delivered before it.
    #[doc(alias = "abortConnection")]
    pub fn abort_connection(&self) {
        self.0.abort_connection();
    }

    /// Runs an `async` task that belongs to this connection, from the next turn on.
    ///
    /// An error or a panic in it closes the connection, like one in a callback. It is dropped right after
    /// `connection_lost`, where it waits; once the connection is lost, `task` is not called at all. Tasks of one
    /// connection run side by side: where answers must keep the order of requests, pause reading meanwhile.
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
        // Inside, so that nothing of the task runs before this returns.
        let spawned = tasks.spawn(self.reactor(), async move { task(transport).await.settle().into_result().await });
        let connection = Rc::clone(&self.0);
        let told = spawned.into_deferred().add_errback(move |failure| {
            if failure.downcast_ref() == Some(&DeferredError::Cancelled) && !connection.is_connected() {
                return;
            }
            let panic = failure.downcast_ref::<Panic>().cloned();
            connection.fail_with(panic.map_or_else(|| Reason::Protocol(failure.into_error()), Reason::Panicked));
        });
        told.detach();
    }

    /// For layers between two transports, which pass these two on.
    pub(crate) fn fail_with(&self, reason: Reason) {
        self.0.fail_with(reason);
    }

    pub(crate) fn tasks(&self) -> Option<TaskGroup> {
        self.0.tasks()
    }

    /// Whether `connection_lost` is still to come.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_connected()
    }

    /// Whether it is being closed from our side.
    #[doc(alias = "disconnecting")]
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    /// Reads and delivers nothing more, from the end of this callback until resumed.
    ///
    /// That the peer resets the connection is noticed all the same.
    #[doc(alias = "pauseProducing")]
    pub fn pause_producing(&self) {
        self.0.pause_producing();
    }

    /// Reads and delivers again, from the next turn on.
    #[doc(alias = "resumeProducing")]
    pub fn resume_producing(&self) {
        self.0.resume_producing();
    }

    /// Whether data is wanted now: not paused, not closing, own output not above its high watermark.
    ///
    /// A framing protocol looks at this between messages, and goes on in `reading_resumed`.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.0.is_reading()
    }

    /// For adapters, between two messages.
    pub(crate) fn can_deliver(&self) -> bool {
        self.0.can_deliver()
    }

    /// For adapters, where TLS was switched on past them: `rest` is what they still have, which came in clear behind the
    /// switch. It ends the connection, as injected. False if there is nothing.
    pub(crate) fn refuse_clear(&self, rest: &[u8]) -> bool {
        match rest.len() {
            0 => return false,
            _ if self.is_handshaking() => self.unread(rest),
            bytes => self.fail_with(Reason::Tls(TlsError::Injected { bytes })),
        }
        true
    }

    /// Gives back bytes that were delivered too early: they are delivered again, before all others, in a later turn.
    /// Once the peer's stream has ended (`read_connection_lost`) nothing is delivered any more, these neither.
    ///
    /// During a TLS handshake they came in clear, and end the connection with `Reason::Tls`.
    pub fn unread(&self, data: &[u8]) {
        self.0.unread(data);
    }

    /// Attaches a source of data that is told when to produce; see [`Producer`].
    ///
    /// # Errors
    /// [`ProducerError::AlreadyRegistered`]; [`ProducerError::Closed`].
    #[doc(alias = "registerProducer")]
    pub fn register_producer(&self, producer: impl Producer + 'static, streaming: bool) -> Result<(), ProducerError> {
        self.0.register_producer(Box::new(producer), streaming)
    }

    /// Detaches the producer: it has no more to write. A close that waited for it goes on.
    #[doc(alias = "unregisterProducer")]
    pub fn unregister_producer(&self) {
        self.0.unregister_producer();
    }

    /// Sets the watermarks of unsent bytes: above `high` the connection is congested, at or below `low` no longer.
    ///
    /// 16 KiB and 64 KiB unless set. Congested, it is not read from and its producer is paused. `low` above `high` is
    /// taken as `high`.
    pub fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.0.set_write_buffer_limits(low, high);
    }

    /// Sets how many unsent bytes end the connection, with `Reason::LimitExceeded`; 16 MiB unless set.
    pub fn set_write_buffer_cap(&self, cap: usize) {
        self.0.set_write_buffer_cap(cap);
    }

    /// Reads even while own output is above the high watermark; off unless set.
    ///
    /// For peers that both only write before they read. Whoever sets it must bound the output some other way; the cap
    /// stays.
    pub fn set_read_while_congested(&self, on: bool) {
        self.0.set_read_while_congested(on);
    }

    /// Sets how long a close waits for the peer to take bytes, and then to end its stream; 30 s unless set.
    pub fn set_close_timeout(&self, timeout: Duration) {
        self.0.set_close_timeout(timeout);
    }

    /// Whether Nagle's algorithm is off.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is no TCP connection.
    #[doc(alias = "getTcpNoDelay")]
    pub fn tcp_nodelay(&self) -> io::Result<bool> {
        self.0.tcp_nodelay()
    }

    /// Turns Nagle's algorithm off (or on): small writes leave at once.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is no TCP connection.
    #[doc(alias = "setTcpNoDelay")]
    pub fn set_tcp_nodelay(&self, on: bool) -> io::Result<()> {
        self.0.set_tcp_nodelay(on)
    }

    /// Whether the system probes the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is no TCP connection.
    #[doc(alias = "getTcpKeepAlive")]
    pub fn tcp_keepalive(&self) -> io::Result<bool> {
        self.0.tcp_keepalive()
    }

    /// Has the system probe the peer while the connection is idle.
    ///
    /// # Errors
    /// As the system says; `Unsupported` if it is no TCP connection.
    #[doc(alias = "setTcpKeepAlive")]
    pub fn set_tcp_keepalive(&self, on: bool) -> io::Result<()> {
        self.0.set_tcp_keepalive(on)
    }

    /// Compresses everything written from here on; what was written before leaves as it is.
    ///
    /// Takes a name (`"deflate"`, `"deflate-raw"`, `"gzip"`, and `"zstd"` or `"lz4"` if built in) or a [`Compression`]
    /// with options. The stream is standard: any ordinary decoder reads it. Hidden inside is an announcement, by which
    /// a Torsade client notices it and decompresses without a call, if nothing was written before (in mid-stream it does
    /// only with [`Detect::Anywhere`]). Each turn's output is flushed once, so nothing
    /// waits in the compressor. Having called this, we also take the same announcement from this peer.
    ///
    /// Do not compress secrets together with text that an attacker can choose: lengths give the secret away. See
    /// [`compression_barrier`](Self::compression_barrier).
    ///
    /// # Errors
    /// [`CompressionError::UnknownFormat`] or `NotBuilt`, `Level`; `AlreadyOn` in another format (in the same one, nothing
    /// happens); `Closed` once the connection is lost or closing. Nothing is switched then.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// struct Greeter;
    ///
    /// impl Protocol for Greeter {
    ///     fn connection_made(&mut self, transport: &Transport) -> Result {
    ///         transport.set_compression("deflate")?;
    ///         transport.write("hello, hello, hello\r\n");
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "setCompression")]
    pub fn set_compression<C>(&self, compression: C) -> Result<(), CompressionError>
    where
        C: TryInto<Compression>,
        CompressionError: From<C::Error>,
    {
        self.0.set_compression(&compression.try_into()?)
    }

    /// Decompresses everything that comes in from here on; for protocols that agree on it (IMAP COMPRESS, MCCP2).
    ///
    /// `rest` is what was already received of the compressed stream, after the command that switched; it is delivered
    /// decompressed, in a later turn. (A [`LineTransport`](crate::LineTransport) finds it by itself.)
    ///
    /// # Errors
    /// As [`set_compression`](Self::set_compression).
    pub fn expect_compression<D>(&self, decompression: D, rest: &[u8]) -> Result<(), CompressionError>
    where
        D: TryInto<Decompression>,
        CompressionError: From<D::Error>,
    {
        self.0.expect_compression(&decompression.try_into()?, rest)
    }

    /// Sets whether a peer's announcement is looked for: `AtStart` where we connect and `Off` where we listen, unless set.
    ///
    /// [`set_compression`](Self::set_compression) has it looked for as well, since the peer may answer in kind: to forbid that,
    /// call this afterwards.
    pub fn set_detection(&self, detect: Detect) {
        self.0.set_detection(detect);
    }

    /// Bounds the streams that a peer announces: total size, ratio, windows; the format in `limits` does not matter.
    ///
    /// What is not set is, for each format, the default of its [`Decompression`].
    pub fn set_decompression_limits(&self, limits: &Decompression) {
        self.0.set_decompression_limits(limits);
    }

    /// Sends all that the compressor holds at the end of this turn, whatever its flush policy.
    pub fn flush_compression(&self) {
        self.0.flush_compression();
    }

    /// Forgets the compressor's history, so that what follows shares nothing with what was written before.
    ///
    /// Put it before and after a secret that travels with text an attacker may choose. A zstd stream goes on in a new frame,
    /// which a reader has to expect: one with [`AfterEnd::Plain`](crate::AfterEnd::Plain) takes it for plain bytes.
    pub fn compression_barrier(&self) {
        self.0.compression_barrier();
    }

    /// Ends the compressed stream, trailer and all; what is written from here on leaves as it is.
    ///
    /// The end leaves with this turn's output, in its place among what is written. A later
    /// [`set_compression`](Self::set_compression) begins a new stream, in any format. Without a running stream nothing
    /// happens; a stream into which nothing was written leaves nothing. `lose_connection` and `lose_write_connection` end
    /// the stream by themselves.
    ///
    /// The peer must be known to take it: MCCP clients (`IAC DONT 86` asks for it) and gzip readers that look for a next
    /// member do, IMAP and XMPP have no such thing, and a Torsade peer that found the stream by its announcement ends the
    /// connection with `TrailingData` at the first byte after it, unless it set [`AfterEnd::Plain`](crate::AfterEnd::Plain)
    /// by [`set_decompression_limits`](Self::set_decompression_limits) or `expect_compression`.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// struct Mud;
    ///
    /// impl LineProtocol for Mud {
    ///     fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
    ///         if line == b"\xff\xfe\x56" {
    ///             transport.end_compression(); // IAC DONT COMPRESS2
    ///             transport.send_line("compression is off");
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// ```
    #[doc(alias = "endCompression")]
    #[doc(alias = "stopCompression")]
    pub fn end_compression(&self) {
        self.0.end_compression();
    }

    /// Takes the bytes that followed the end of the peer's compressed stream, where that was an error.
    ///
    /// The connection ends then with `Reason::Decompress`, kind `TrailingData`; in `connection_lost` they are still here.
    #[must_use]
    pub fn take_trailing(&self) -> Vec<u8> {
        self.0.take_trailing()
    }

    /// What compression did on this connection; none if it was never on.
    #[must_use]
    pub fn compression_stats(&self) -> Option<CompressionStats> {
        self.0.compression_stats()
    }

    /// Encrypts everything from here on, in both directions (STARTTLS); the handshake begins.
    ///
    /// Takes a `TlsServerConfig` or a `TlsClientConfig`, which decides whose part we play. What was written before leaves
    /// in clear, what is written from now on is held until the handshake is complete, and then sent encrypted. Data is
    /// delivered once it is authenticated, after [`handshake_completed`](crate::Protocol::handshake_completed); a
    /// handshake that fails ends the connection with `Reason::Tls`.
    ///
    /// Bytes that came in behind the command that switches are **refused**: whoever sits between the peers could have
    /// put them there. Those that the transport still holds end the connection, with
    /// [`TlsError::Injected`](crate::TlsError::Injected); those in the hands of a protocol it must not use any more (a
    /// [`LineTransport`](crate::LineTransport) finds them by itself).
    ///
    /// Compression goes above TLS: switch it on afterwards.
    ///
    /// # Errors
    /// [`StartTlsError::AlreadyOn`], `Compressing`, `Closed`; `NoServerName` for a client whose configuration names none,
    /// on a connection that was not made to a host; `Injected` (the connection ends then); `Unsupported` by what is no TCP
    /// connection, or without the cargo feature `tls`.
    #[doc(alias = "startTLS")]
    #[doc(alias = "ITLSTransport")]
    pub fn start_tls(&self, config: impl Into<TlsConfig>) -> Result<(), StartTlsError> {
        self.0.start_tls(&config.into(), b"", AlreadyReceived::Refuse)
    }

    /// The same, where the peer begins its TLS without waiting: after a PROXY header, for instance.
    ///
    /// `rest` is what the protocol was given of it, behind the command that switches. Use it only if nobody could gain by
    /// putting bytes there: they are read as TLS, never as data.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls); `Injected` only for bytes that were given back by [`unread`](Self::unread) before.
    pub fn start_tls_with_rest(&self, config: impl Into<TlsConfig>, rest: &[u8]) -> Result<(), StartTlsError> {
        self.0.start_tls(&config.into(), rest, AlreadyReceived::IsTls)
    }

    /// [`start_tls`](Self::start_tls) for an adapter that keeps a buffer: says itself what becomes of `rest`.
    ///
    /// # Errors
    /// As [`start_tls`](Self::start_tls).
    pub fn start_tls_after(&self, config: &TlsConfig, rest: &[u8], already: AlreadyReceived) -> Result<(), StartTlsError> {
        self.0.start_tls(config, rest, already)
    }

    /// Whether a TLS handshake is under way: no data comes meanwhile, and what is written waits.
    ///
    /// An adapter that still has bytes while this is so has got them in clear, before the switch; it must not deliver
    /// them. Given to [`unread`](Self::unread) they end the connection, as injected.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// What the TLS handshake agreed on: version, certificates, names.
    ///
    /// None without TLS, before [`handshake_completed`](crate::Protocol::handshake_completed), and once the connection is
    /// lost.
    #[doc(alias = "ISSLTransport")]
    #[must_use]
    pub fn tls_info(&self) -> Option<TlsInfo> {
        self.0.tls_info()
    }

    /// The peer's certificate chain in DER, its own first; empty if it sent none, or without TLS.
    #[doc(alias = "getPeerCertificate")]
    #[must_use]
    pub fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.tls_info().map_or_else(Vec::new, |info| info.peer_certificates)
    }

    /// The application protocol that was agreed on (ALPN); none if there was no agreement, or without TLS.
    #[doc(alias = "negotiatedProtocol")]
    #[doc(alias = "INegotiated")]
    #[must_use]
    pub fn negotiated_protocol(&self) -> Option<Vec<u8>> {
        self.tls_info()?.negotiated_protocol
    }

    /// The name that the client asked for (SNI); for servers only, and none if it named none.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.tls_info()?.server_name
    }

    /// Takes an end without TLS's close_notify for a proper one, or (unless set) for `Reason::TlsTruncated`.
    ///
    /// Set it only where the protocol itself says where its messages end: whoever sits between can cut the stream.
    pub fn set_tls_truncation_allowed(&self, allowed: bool) {
        self.0.set_tls_truncation_allowed(allowed);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("id", &self.id()).field("peer", &self.peer()).finish_non_exhaustive()
    }
}
