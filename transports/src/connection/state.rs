//! The state of a connection, and the changes that need nothing else.

use std::io;
use std::time::Duration;

use torsade_protocols::spi::Consumers;
use torsade_protocols::{CompressionError, CompressionStats, Format, Host, Reason};
use torsade_reactor::TaskGroup;
use torsade_reactor::spi::{Direction, Ready, Stream, TcpOptions, UnixSocket};

use crate::connection::chain::Chain;
use crate::connection::output::Output;
use crate::connection::shared::HIGH_WATERMARK;

use super::draining::Waiter;
use super::phase::{Incoming, Lifecycle, Outgoing};
use super::registered_producer::RegisteredProducer;
use super::{OnLost, OnMade};

/// The default number of unsent bytes at or below which a connection is no longer congested.
const LOW_WATERMARK: usize = 16 << 10;

/// The default number of unsent bytes above which a connection is lost.
const CAP: usize = 16 << 20;

/// How long a close waits for the peer to acknowledge more. A receiving system acknowledges in steps, of nearly 100 KB over
/// loopback: a peer that reads 1 KB/s makes one in 96 s.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the socket waits for the peer to end its stream, once the peer has acknowledged everything.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a close waits for the peer after a layer's failure, so that the peer can read the cause.
const FAILURE_LINGER: Duration = Duration::from_secs(1);

/// The state of a connection. Fields that few connections use are in `rare`.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; most combinations occur")]
pub(super) struct State {
    pub(super) stream: Option<Box<dyn Stream>>,
    pub(super) output: Output,
    pub(super) chain: Option<Box<Chain>>,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) lifecycle: Lifecycle,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    /// The socket itself has ended: no more input can come, so closing it cannot cause a reset.
    pub(super) socket_ended: bool,
    /// The socket can receive descriptors, which cut reads short.
    pub(super) passes_descriptors: bool,
    /// The socket may have something to read: a reported edge is not used up.
    pub(super) readable: bool,
    /// A short read is not the last: the end of the peer's stream was reported but not read yet, or only `WouldBlock` uses up an
    /// edge of this socket.
    pub(super) reads_on: bool,
    /// A failure of the socket was reported: reading or writing finds the cause, unless neither happens.
    failed: bool,
    /// The socket took everything the last time.
    pub(super) writable: bool,
    /// By `pause_producing`.
    pub(super) paused: bool,
    /// Unsent bytes have reached the high watermark and have not come down to the low one.
    congested: bool,
    pub(super) read_while_congested: bool,
    /// `reading_resumed` is to be called.
    pub(super) resumed: bool,
    /// Undetected announcements are no longer logged: one was, or the program has switched detection off.
    pub(super) silenced: bool,
    /// The format of an undetected announcement.
    pub(super) unsought: Option<Format>,
    /// Plain bytes of each direction so far; bytes given back count when they are delivered again.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Bytes that the system has taken.
    pub(super) bytes_sent: u64,
    /// The number of unsent bytes that needs a closer look: the lower of the high watermark and the cap, as far as it fits.
    pub(super) noted_from: u32,
}

/// State that few connections need.
pub(super) struct Rare {
    /// The host that we connected to, if we did.
    pub(super) host: Option<Host>,
    /// The system's error when it refused to send.
    refusal: Option<io::Error>,
    low_watermark: usize,
    /// Unsent bytes at which the connection is congested.
    high_watermark: usize,
    cap: usize,
    pub(super) close_timeout: CloseTimeout,
    pub(super) producer: Option<RegisteredProducer>,
    /// The connections whose producer this connection is.
    pub(super) consumers: Consumers,
    /// Bytes of the wire that are to be read again, before the socket.
    pub(super) read_again: Vec<u8>,
    pub(super) on_ready: Option<OnMade>,
    pub(super) on_lost: Option<OnLost>,
    pub(super) tasks: Option<TaskGroup>,
    pub(super) waiters: Vec<Waiter>,
    /// The final statistics, since the layers are gone after the end.
    pub(super) last_stats: Option<CompressionStats>,
    pub(super) last_trailing: Vec<u8>,
}

/// How long a close waits for the peer.
#[derive(Clone, Copy)]
pub(super) struct CloseTimeout {
    /// For the peer to acknowledge more.
    pub(super) flush: Duration,
    /// For the peer to end its stream, once it has acknowledged everything.
    pub(super) linger: Duration,
}

impl Rare {
    /// Whether nobody waits for anything here while the connection is open.
    fn is_quiet(&self) -> bool {
        self.producer.is_none() && self.consumers.is_empty() && self.waiters.is_empty()
    }
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            host: None,
            refusal: None,
            low_watermark: LOW_WATERMARK,
            high_watermark: HIGH_WATERMARK,
            cap: CAP,
            close_timeout: CloseTimeout::default(),
            producer: None,
            consumers: Consumers::default(),
            read_again: Vec::new(),
            on_ready: None,
            on_lost: None,
            tasks: None,
            waiters: Vec::new(),
            last_stats: None,
            last_trailing: Vec::new(),
        }
    }
}

impl Default for CloseTimeout {
    fn default() -> Self {
        Self { flush: FLUSH_TIMEOUT, linger: LINGER_TIMEOUT }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self { noted_from: HIGH_WATERMARK as u32, ..Self::default() }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn rare_if_any(&self) -> Option<&Rare> {
        self.rare.as_deref()
    }

    pub(super) fn take_on_ready(&mut self) -> Option<OnMade> {
        self.rare.as_mut()?.on_ready.take()
    }

    /// Takes out what the end of the connection has to handle.
    pub(super) fn take_rare(&mut self) -> Rare {
        self.rare.take().map_or_else(Rare::default, |rare| *rare)
    }

    /// Frees the chain, which has no layers any more: bytes then take the direct path.
    pub(super) fn drop_chain(&mut self) {
        if let Some(timer) = self.chain.take().and_then(|chain| chain.timer) {
            // It may be what is running now.
            timer.cancel().ok();
        }
    }

    pub(super) fn stream(&self) -> io::Result<&dyn Stream> {
        self.stream.as_deref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    pub(super) fn tcp(&self) -> io::Result<&dyn TcpOptions> {
        self.stream()?.tcp().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this is not a TCP connection"))
    }

    pub(super) fn unix(&self) -> io::Result<&dyn UnixSocket> {
        self.stream()?.unix().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this is not a UNIX socket connection"))
    }

    pub(super) fn update_readiness(&mut self, ready: Ready) {
        self.writable |= ready.contains(Ready::WRITABLE);
        self.readable |= ready.intersects(Ready::READABLE | Ready::READ_CLOSED | Ready::ERROR);
        self.reads_on |= ready.contains(Ready::READ_CLOSED);
        self.failed |= ready.contains(Ready::ERROR);
    }

    /// Whether the connection has failed while it is not read from: a read, which would find that, may never come.
    #[inline]
    pub(super) fn has_failed_unseen(&self) -> bool {
        let unread = self.paused || self.incoming.has_ended();
        unread && self.failed || (unread || self.lifecycle.is_closing()) && self.outgoing.has_failed()
    }

    /// Ends a connection that [`has_failed_unseen`](Self::has_failed_unseen). After both streams have ended gracefully there is
    /// nothing left to fail.
    #[inline]
    pub(super) fn handle_failure(&mut self) {
        if self.has_failed_unseen() && !self.has_ended() && !self.lifecycle.is_lost() {
            self.fail_unseen();
        }
    }

    #[cold]
    fn fail_unseen(&mut self) {
        self.failed = false;
        let refused = self.take_refusal();
        let found = || self.stream().and_then(Stream::take_error).unwrap_or_else(Some);
        if let Some(error) = refused.or_else(found) {
            self.lifecycle.doom(error.into());
        }
    }

    /// Notes that the system has refused to send.
    pub(super) fn record_refusal(&mut self, error: io::Error) {
        self.outgoing.fail();
        self.rare().refusal.get_or_insert(error);
    }

    /// Takes the system's refusal, which is about to be reported.
    pub(super) fn take_refusal(&mut self) -> Option<io::Error> {
        let refusal = self.rare.as_mut()?.refusal.take();
        self.outgoing.report_failure();
        refusal
    }

    pub(super) fn has_ended(&self) -> bool {
        self.incoming.has_ended() && self.outgoing.has_ended()
    }

    /// Whether there is no outgoing stream, so that the peer takes nothing.
    pub(super) fn only_reads(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.direction() == Direction::Input)
    }

    /// Whether writes are accepted.
    pub(super) const fn takes_output(&self) -> bool {
        self.outgoing.is_writable() && !self.lifecycle.is_doomed() && !self.lifecycle.is_lost()
    }

    /// Notes that a read was short: nothing is left, unless it [reads on](Self::reads_on).
    pub(super) fn drained(&mut self) {
        self.readable = self.reads_on;
    }

    /// Whether data may be delivered to the protocol.
    pub(super) const fn is_reading(&self) -> bool {
        !self.paused && self.lifecycle.is_open() && (!self.congested || self.read_while_congested)
    }

    /// Whether there is input, and it is wanted: by the protocol, by a handshake, or to find the end of the stream while closing.
    #[inline]
    pub(super) fn wants_input(&self) -> bool {
        let waiting = self.readable || self.incoming.wire_has_ended() || self.holds_input();
        waiting && self.takes_more()
    }

    /// Whether the peer's stream has not ended, and its input is wanted.
    #[inline]
    pub(super) fn takes_more(&self) -> bool {
        let wanted = self.is_reading() || self.lifecycle.is_closing() || self.is_handshaking();
        wanted && !(self.incoming.has_ended() || self.lifecycle.is_lost())
    }

    /// Whether only input and output can be due: no layers, no producer, no waiters, no end under way.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let quiet = self.rare_if_any().is_none_or(Rare::is_quiet);
        self.chain.is_none() && quiet && self.lifecycle.is_open() && self.outgoing.is_open()
    }

    /// Puts back bytes of the wire, to be read again before the socket.
    pub(super) fn read_again(&mut self, wire: &[u8]) {
        if !wire.is_empty() {
            self.rare().read_again.splice(..0, wire.iter().copied());
            self.readable = true;
        }
    }

    /// Takes the bytes that are to be read again, if there are any.
    pub(super) fn take_read_again(&mut self) -> Option<Vec<u8>> {
        let again = &mut self.rare.as_mut()?.read_again;
        (!again.is_empty()).then(|| std::mem::take(again))
    }

    /// Whether there is something to do that no event of the socket will report.
    #[inline]
    pub(super) fn wants_turn(&self) -> bool {
        !self.lifecycle.is_lost() && (self.wants_input() || self.resumed && self.is_reading() || self.producer_is_due())
    }

    /// Whether the layers have input that can be processed now; while the protocol is paused, only a handshake's.
    #[inline]
    pub(super) fn holds_input(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.holds_input(self.is_reading()))
    }

    /// Whether a layer has to read, whatever the protocol wants.
    #[inline]
    pub(super) fn is_handshaking(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.is_handshaking())
    }

    /// Whether input is dropped, since neither the protocol nor a layer wants it any more.
    pub(super) fn drops_input(&self) -> bool {
        self.lifecycle.is_closing() && !self.is_handshaking()
    }

    /// A layer has failed and has written why to the peer: closes once that is sent.
    pub(super) fn give_up(&mut self, reason: Reason) {
        self.outgoing.finish();
        self.lifecycle.give_up(reason);
        self.rare().close_timeout = CloseTimeout { flush: FAILURE_LINGER, linger: FAILURE_LINGER };
        if let Some(close) = self.lifecycle.close_mut() {
            close.look_in(FAILURE_LINGER);
        }
    }

    /// Closes gracefully, since the reactor stops. Returns the producer, which has to be stopped.
    pub(super) fn shut_down(&mut self) -> Option<RegisteredProducer> {
        self.lifecycle.close(Reason::ShuttingDown);
        self.take_producer()
    }

    pub(super) fn check_open(&self) -> Result<(), CompressionError> {
        if self.lifecycle.is_open() && !self.outgoing.has_finished() { Ok(()) } else { Err(CompressionError::Closed) }
    }

    pub(super) fn close_timeout(&self) -> CloseTimeout {
        self.rare.as_ref().map_or_else(CloseTimeout::default, |rare| rare.close_timeout)
    }

    pub(super) fn set_watermarks(&mut self, low: usize, high: usize) {
        let rare = self.rare();
        // A watermark of zero is reached by the first byte.
        rare.high_watermark = high.max(1);
        rare.low_watermark = low.min(rare.high_watermark - 1);
        self.noted_from = rare.high_watermark.min(rare.cap).try_into().unwrap_or(u32::MAX);
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        let rare = self.rare();
        rare.cap = cap;
        self.noted_from = rare.high_watermark.min(cap).try_into().unwrap_or(u32::MAX);
    }

    /// Notes that something was appended to the output.
    pub(super) fn check_unsent(&mut self) {
        if self.is_overfull() {
            self.handle_overfull();
        }
    }

    /// Whether the unsent bytes need a closer look.
    #[inline]
    pub(super) fn is_overfull(&self) -> bool {
        self.unsent() >= self.noted_from as usize
    }

    /// Handles unsent bytes that have reached the high watermark or the cap.
    #[cold]
    pub(super) fn handle_overfull(&mut self) {
        self.update_congestion();
        let cap = self.rare.as_ref().map_or(CAP, |rare| rare.cap);
        if self.unsent() > cap {
            self.lifecycle.doom(Reason::LimitExceeded { what: "unsent output", limit: cap });
        }
    }

    pub(super) fn watermarks(&self) -> (usize, usize) {
        self.rare_if_any().map_or((LOW_WATERMARK, HIGH_WATERMARK), |rare| (rare.low_watermark, rare.high_watermark))
    }

    pub(super) fn is_congested(&self) -> bool {
        self.congested
    }

    /// The written bytes that the system has not taken, including those that a layer holds back.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() + self.chain.as_ref().map_or(0, |chain| chain.unsent())
    }

    /// Brings `congested` up to date with the unsent bytes.
    pub(super) fn update_congestion(&mut self) {
        let unsent = self.unsent();
        if self.congested {
            if unsent <= self.watermarks().0 {
                self.congested = false;
                self.resumed = true;
            }
        } else if unsent >= self.noted_from as usize {
            self.congested = unsent >= self.watermarks().1;
        }
    }

    /// The compression statistics, including an undetected announcement.
    pub(super) fn compression_stats(&self) -> Option<CompressionStats> {
        let last = self.rare.as_ref().and_then(|rare| rare.last_stats.clone());
        let stats = last.or_else(|| self.chain.as_ref()?.compression_stats());
        if self.unsought.is_none() {
            return stats;
        }
        let mut stats = stats.unwrap_or_default();
        stats.unsought = self.unsought;
        Some(stats)
    }

    pub(super) fn take_last_trailing(&mut self) -> Vec<u8> {
        self.rare.as_mut().map_or_else(Vec::new, |rare| std::mem::take(&mut rare.last_trailing))
    }
}
