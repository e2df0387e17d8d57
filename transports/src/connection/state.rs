//! The state of a connection, and the changes to it that need nothing else.

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
use super::phase::{Incoming, Life, Outgoing};
use super::registered_producer::RegisteredProducer;
use super::{OnLost, OnMade};

/// Unsent bytes at or below which a connection is no longer congested.
const LOW_WATERMARK: usize = 16 << 10;

/// Unsent bytes above which a connection is lost.
const CAP: usize = 16 << 20;

/// How long a close waits for the peer to acknowledge more. A receiving system does so in steps, of nearly 100 KB over
/// loopback: a peer that reads 1 KB/s makes one in 96 s.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the socket waits for the peer to end its stream, once it has acknowledged everything.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a close waits for the peer after a layer's failure: it has a moment to read why.
const FAILURE_LINGER: Duration = Duration::from_secs(1);

/// What a connection is doing. Fields that few connections use are in `rare`.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; most combinations occur")]
pub(super) struct State {
    pub(super) stream: Option<Box<dyn Stream>>,
    pub(super) output: Output,
    pub(super) chain: Option<Box<Chain>>,
    pub(super) rare: Option<Box<Rare>>,
    pub(super) life: Life,
    pub(super) outgoing: Outgoing,
    pub(super) incoming: Incoming,
    /// The socket itself has ended: nothing more can come in, and closing it is answered by nothing.
    pub(super) socket_ended: bool,
    /// The socket is one that passes descriptors, which cut reads short.
    pub(super) passes_descriptors: bool,
    /// The socket may have something to read: an edge was reported that has not been used up.
    pub(super) readable: bool,
    /// A short read is not the last: the poll said that the peer's stream ends, which is still to be seen, or the socket is
    /// one whose edge only `WouldBlock` ends.
    pub(super) reads_on: bool,
    /// The poll said that the socket has failed: reading or writing finds out why, unless neither is done.
    failed: bool,
    /// The socket took all we gave it the last time.
    pub(super) writable: bool,
    /// By `pause_producing`.
    pub(super) paused: bool,
    /// Unsent bytes have reached the high watermark and have not come down to the low one.
    congested: bool,
    pub(super) read_while_congested: bool,
    /// The protocol is to be told that reading goes on.
    pub(super) resumed: bool,
    /// The log says no more of announcements that nobody looks for: it has, or the user wants none looked for.
    pub(super) hushed: bool,
    /// What was announced there.
    pub(super) unsought: Option<Format>,
    /// Plain bytes of both directions so far; what was given back counts when it is delivered again.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Bytes that the system has taken.
    pub(super) bytes_sent: u64,
    /// The lower of the high watermark and the cap, or what fits: so many unsent bytes need a closer look.
    pub(super) noted_from: u32,
}

/// What few connections need.
pub(super) struct Rare {
    /// The host that the connection was made to, if we made it.
    pub(super) host: Option<Host>,
    /// What the system has said when it refused to send.
    refusal: Option<io::Error>,
    low_watermark: usize,
    /// Unsent bytes from which on the connection is congested.
    high_watermark: usize,
    cap: usize,
    pub(super) close_timeout: CloseTimeout,
    pub(super) producer: Option<RegisteredProducer>,
    /// Those that have this connection as their producer.
    pub(super) consumers: Consumers,
    /// Bytes of the wire that were read, and are to be read once more, before what the socket has.
    pub(super) read_again: Vec<u8>,
    pub(super) on_ready: Option<OnMade>,
    pub(super) on_lost: Option<OnLost>,
    pub(super) tasks: Option<TaskGroup>,
    pub(super) waiters: Vec<Waiter>,
    /// What is asked for after the end: by then the layers are gone.
    pub(super) last_stats: Option<CompressionStats>,
    pub(super) last_trailing: Vec<u8>,
}

/// How long a close waits for the peer.
#[derive(Clone, Copy)]
pub(super) struct CloseTimeout {
    /// To acknowledge more of what it was sent.
    pub(super) flush: Duration,
    /// To end its stream, once it has acknowledged everything.
    pub(super) linger: Duration,
}

impl Rare {
    /// Nobody is told anything from here as long as the connection is open.
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

    /// Takes out what the end of the connection has to deal with.
    pub(super) fn take_rare(&mut self) -> Rare {
        self.rare.take().map_or_else(Rare::default, |rare| *rare)
    }

    /// Frees the chain, which has no layers any more: from here on bytes take the direct path.
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
        self.stream()?.tcp().ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this connection is not one of TCP"))
    }

    pub(super) fn unix(&self) -> io::Result<&dyn UnixSocket> {
        self.stream()?
            .unix()
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this connection is not one of UNIX sockets"))
    }

    /// Remembers what the socket is ready for.
    pub(super) fn note_readiness(&mut self, ready: Ready) {
        self.writable |= ready.contains(Ready::WRITABLE);
        self.readable |= ready.intersects(Ready::READABLE | Ready::READ_CLOSED | Ready::ERROR);
        self.reads_on |= ready.contains(Ready::READ_CLOSED);
        self.failed |= ready.contains(Ready::ERROR);
    }

    /// The connection has failed and is not read from: reading, which would find that, may never come.
    #[inline]
    pub(super) fn has_failed_unseen(&self) -> bool {
        let unread = self.paused || self.incoming.has_ended();
        unread && self.failed || (unread || self.life.is_closing()) && self.outgoing.has_failed()
    }

    /// Ends a connection that [`has_failed_unseen`](Self::has_failed_unseen). After both streams have ended gracefully there is
    /// nothing left to fail.
    #[inline]
    pub(super) fn note_failure(&mut self) {
        if self.has_failed_unseen() && !self.has_ended() && !self.life.is_lost() {
            self.fail_unseen();
        }
    }

    #[cold]
    fn fail_unseen(&mut self) {
        self.failed = false;
        let refused = self.take_refusal();
        let found = || self.stream().and_then(Stream::take_error).unwrap_or_else(Some);
        if let Some(error) = refused.or_else(found) {
            self.life.doom(error.into());
        }
    }

    /// The system has refused to send.
    pub(super) fn note_refusal(&mut self, error: io::Error) {
        self.outgoing.fail();
        self.rare().refusal.get_or_insert(error);
    }

    /// What it has said then, which is about to be told.
    pub(super) fn take_refusal(&mut self) -> Option<io::Error> {
        let refusal = self.rare.as_mut()?.refusal.take();
        self.outgoing.tell_failure();
        refusal
    }

    /// Both streams have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.incoming.has_ended() && self.outgoing.has_ended()
    }

    /// There is no stream of ours, so the peer takes nothing.
    pub(super) fn only_reads(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.direction() == Direction::Input)
    }

    /// What is written is taken.
    pub(super) const fn takes_output(&self) -> bool {
        self.outgoing.is_writable() && !self.life.is_doomed() && !self.life.is_lost()
    }

    /// A read found less than there was room for: nothing is left, unless it [reads on](Self::reads_on).
    pub(super) fn drained(&mut self) {
        self.readable = self.reads_on;
    }

    /// The protocol may be given data.
    pub(super) const fn is_reading(&self) -> bool {
        !self.paused && self.life.is_open() && (!self.congested || self.read_while_congested)
    }

    /// There is input, and it is wanted: by the protocol, by a handshake, or to see the end of the stream while closing.
    #[inline]
    pub(super) fn wants_input(&self) -> bool {
        let waiting = self.readable || self.incoming.wire_has_ended() || self.holds_input();
        waiting && self.takes_more()
    }

    /// The peer's stream has not ended, and somebody wants what comes of it.
    #[inline]
    pub(super) fn takes_more(&self) -> bool {
        let wanted = self.is_reading() || self.life.is_closing() || self.is_handshaking();
        wanted && !(self.incoming.has_ended() || self.life.is_lost())
    }

    /// Nothing can be due here but input and output: no layers, no producer, nobody who waits, no end under way.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        let quiet = self.rare_if_any().is_none_or(Rare::is_quiet);
        self.chain.is_none() && quiet && self.life.is_open() && self.outgoing.is_open()
    }

    /// Has bytes of the wire read once more, before what the socket has.
    pub(super) fn read_again(&mut self, wire: &[u8]) {
        if !wire.is_empty() {
            self.rare().read_again.splice(..0, wire.iter().copied());
            self.readable = true;
        }
    }

    /// Takes the bytes that are to be read once more, if there are any.
    pub(super) fn take_read_again(&mut self) -> Option<Vec<u8>> {
        let again = &mut self.rare.as_mut()?.read_again;
        (!again.is_empty()).then(|| std::mem::take(again))
    }

    /// There is something to do that no readiness of the socket will tell of.
    #[inline]
    pub(super) fn wants_turn(&self) -> bool {
        !self.life.is_lost() && (self.wants_input() || self.resumed && self.is_reading() || self.producer_is_due())
    }

    /// The layers have input that can be taken further now. Without the protocol's consent, only a handshake's can.
    #[inline]
    pub(super) fn holds_input(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.holds_input(self.is_reading()))
    }

    /// A layer has to read, whatever the protocol wants.
    #[inline]
    pub(super) fn is_handshaking(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.is_handshaking())
    }

    /// Nobody wants what comes in any more, neither the protocol nor a layer: it is dropped.
    pub(super) fn drops_input(&self) -> bool {
        self.life.is_closing() && !self.is_handshaking()
    }

    /// A layer has failed, and has told the peer: closes once that is sent.
    pub(super) fn give_up(&mut self, reason: Reason) {
        self.outgoing.finish();
        self.life.give_up(reason);
        self.rare().close_timeout = CloseTimeout { flush: FAILURE_LINGER, linger: FAILURE_LINGER };
        if let Some(close) = self.life.close_mut() {
            close.look_in(FAILURE_LINGER);
        }
    }

    /// The reactor stops: closes gracefully. Gives back the producer, which is to be told.
    pub(super) fn shut_down(&mut self) -> Option<RegisteredProducer> {
        self.life.close(Reason::ShuttingDown);
        self.take_producer()
    }

    pub(super) fn check_open(&self) -> Result<(), CompressionError> {
        if self.life.is_open() && !self.outgoing.has_finished() { Ok(()) } else { Err(CompressionError::Closed) }
    }

    pub(super) fn close_timeout(&self) -> CloseTimeout {
        self.rare.as_ref().map_or_else(CloseTimeout::default, |rare| rare.close_timeout)
    }

    pub(super) fn set_watermarks(&mut self, low: usize, high: usize) {
        let rare = self.rare();
        // A mark of zero is one that the first byte reaches.
        rare.high_watermark = high.max(1);
        rare.low_watermark = low.min(rare.high_watermark - 1);
        self.noted_from = rare.high_watermark.min(rare.cap).try_into().unwrap_or(u32::MAX);
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        let rare = self.rare();
        rare.cap = cap;
        self.noted_from = rare.high_watermark.min(cap).try_into().unwrap_or(u32::MAX);
    }

    /// Something was appended to the output.
    pub(super) fn note_output(&mut self) {
        if self.is_overfull() {
            self.note_overfull();
        }
    }

    /// Unsent bytes need a closer look.
    #[inline]
    pub(super) fn is_overfull(&self) -> bool {
        self.unsent() >= self.noted_from as usize
    }

    /// Unsent bytes have reached the high watermark or the cap.
    #[cold]
    pub(super) fn note_overfull(&mut self) {
        self.note_congestion();
        let cap = self.rare.as_ref().map_or(CAP, |rare| rare.cap);
        if self.unsent() > cap {
            self.life.doom(Reason::LimitExceeded { what: "unsent output", limit: cap });
        }
    }

    /// The watermarks of unsent bytes, low and high.
    pub(super) fn watermarks(&self) -> (usize, usize) {
        self.rare_if_any().map_or((LOW_WATERMARK, HIGH_WATERMARK), |rare| (rare.low_watermark, rare.high_watermark))
    }

    pub(super) fn is_congested(&self) -> bool {
        self.congested
    }

    /// Bytes written that the system has not taken: those on their way to it, and those that a layer keeps back.
    pub(super) fn unsent(&self) -> usize {
        self.output.len() + self.chain.as_ref().map_or(0, |chain| chain.unsent())
    }

    /// Brings `congested` up to date with the unsent bytes.
    pub(super) fn note_congestion(&mut self) {
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

    /// What compression did, or would have had to do.
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
