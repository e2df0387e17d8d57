//! The state of a connection, and the changes to it that need nothing else.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::Consumers;
use torsade_protocols::{CompressionError, CompressionStats, Host, Producer, ProducerError, Reason};
use torsade_reactor::spi::{Ready, Stream};
use torsade_reactor::{DelayedCall, TaskGroup};

use crate::connection::chain::Chain;
use crate::connection::output::Output;
use crate::connection::shared::{CAP, FAILURE_LINGER, HIGH_WATERMARK, Shared};

use super::OnLost;
use super::progress::Progress;

/// Unsent bytes at or below which a connection is no longer congested.
const LOW_WATERMARK: usize = 16 << 10;

/// How long a close waits for the peer to acknowledge more. A receiving system does so in steps, of nearly 100 KB over
/// loopback: a peer that reads 1 KB/s makes one in 96 s.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the socket waits for the peer to end its stream, once it has acknowledged everything.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection is doing. Fields that few connections use are in `rare`.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own; most combinations occur")]
pub(super) struct State {
    pub(super) stream: Option<Box<dyn Stream>>,
    pub(super) output: Output,
    pub(super) chain: Option<Box<Chain>>,
    pub(super) rare: Option<Box<Rare>>,
    /// Plain bytes of both directions so far; what was given back counts when it is delivered again.
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Bytes that the system has taken.
    pub(super) bytes_sent: u64,
    /// How many of them there were when the peer was last seen to have them all.
    pub(super) bytes_delivered: u64,
    /// Unsent bytes above which the connection is congested.
    high_watermark: usize,
    /// The lower of the high watermark and the cap: more unsent bytes need a closer look.
    pub(super) noted_above: usize,
    /// Nothing can be written any more: finished, lost, to be lost, or writing has failed.
    pub(super) deaf: bool,
    /// The log says no more of announcements that nobody looks for: it has, or the user wants none looked for.
    pub(super) hushed: bool,
    /// A callback of this connection is running: what it asks for is done when it returns.
    pub(super) in_callback: bool,
    /// The socket may have something to read: an edge was reported that has not been used up.
    pub(super) readable: bool,
    /// The poll said that the peer's stream ends: reading goes on until it is seen.
    read_closed: bool,
    /// The poll said that the socket has failed: reading or writing finds out why, unless neither is done.
    failed: bool,
    /// The socket took all we gave it the last time.
    pub(super) writable: bool,
    /// By `pause_producing`.
    pub(super) paused: bool,
    /// Unsent bytes went above the high watermark and have not come down to the low one.
    congested: bool,
    pub(super) read_while_congested: bool,
    /// The protocol is to be told that reading goes on.
    pub(super) resumed: bool,
    /// The peer's stream has ended, below the layers and above them.
    pub(super) wire_ended: bool,
    pub(super) read_ended: bool,
    /// The socket itself has ended: nothing more can come in.
    pub(super) socket_ended: bool,
    /// `lose_write_connection` was called.
    pub(super) half_closing: bool,
    /// The layers have ended their streams: nothing more can be written.
    pub(super) finished: bool,
    /// Our stream has ended.
    pub(super) write_ended: bool,
    /// `connection_lost` has been called, or is being called.
    pub(super) lost: bool,
}

/// What few connections need.
pub(super) struct Rare {
    /// Why it is being closed in order.
    pub(super) closing: Option<Reason>,
    /// Why it is to be lost as soon as the loop comes round.
    pub(super) doom: Option<Reason>,
    /// A layer has failed: `closing` says so, or what was the cause before that.
    pub(super) gave_up: bool,
    /// The host that the connection was made to, if we made it.
    pub(super) host: Option<Host>,
    /// Writing failed; what the peer sent before is still read.
    pub(super) write_error: Option<io::Error>,
    pub(super) low_watermark: usize,
    pub(super) cap: usize,
    pub(super) close_timeout: CloseTimeout,
    pub(super) close_timer: Option<DelayedCall>,
    /// How far the peer is, since the close has begun to wait for it.
    pub(super) progress: Option<Progress>,
    pub(super) producer: Option<RegisteredProducer>,
    /// Those that have this connection as their producer.
    pub(super) consumers: Consumers,
    pub(super) on_lost: Option<OnLost>,
    pub(super) tasks: Option<TaskGroup>,
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

/// Shared so that a producer may be unregistered while it is being called.
pub(super) type SharedProducer = Rc<RefCell<Box<dyn Producer>>>;

/// A producer and what it was last told.
pub(super) struct RegisteredProducer {
    pub(super) producer: SharedProducer,
    pub(super) streaming: bool,
    pub(super) paused: bool,
    /// How many bytes had been written when a pull producer was asked and added nothing: it is asked again once there are
    /// more. (Not once something was sent: a handshake sends, too.)
    pub(super) dry_at: Option<u64>,
    /// The connection that it is, if it is one.
    pub(super) transport: Option<u64>,
    /// It was one half of a relay, of which this is the other: it will not say when it has no more, and is not waited for.
    pub(super) relayed: bool,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            closing: None,
            doom: None,
            gave_up: false,
            host: None,
            write_error: None,
            low_watermark: LOW_WATERMARK,
            cap: CAP,
            close_timeout: CloseTimeout::default(),
            close_timer: None,
            progress: None,
            producer: None,
            consumers: Consumers::default(),
            on_lost: None,
            tasks: None,
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
        Self { high_watermark: HIGH_WATERMARK, noted_above: HIGH_WATERMARK, ..Self::default() }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(super) fn rare_if_any(&self) -> Option<&Rare> {
        self.rare.as_deref()
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

    pub(super) fn take_write_error(&mut self) -> Option<io::Error> {
        self.rare.as_mut()?.write_error.take()
    }

    pub(super) fn stream(&self) -> io::Result<&dyn Stream> {
        self.stream.as_deref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Remembers what the socket is ready for.
    pub(super) fn note_readiness(&mut self, ready: Ready) {
        self.writable |= ready.contains(Ready::WRITABLE);
        self.readable |= ready.intersects(Ready::READABLE | Ready::READ_CLOSED | Ready::ERROR);
        self.read_closed |= ready.contains(Ready::READ_CLOSED);
        self.failed |= ready.contains(Ready::ERROR);
    }

    /// The connection is not read from and has failed: reading, which would find it, may never come.
    pub(super) fn has_failed_unseen(&self) -> bool {
        (self.paused || self.read_ended) && (self.failed || self.has_failed_writing())
    }

    pub(super) fn has_failed_writing(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.write_error.is_some())
    }

    /// Ends a connection that [`has_failed_unseen`](Self::has_failed_unseen). After both streams have ended gracefully there is
    /// nothing left to fail.
    pub(super) fn note_failure(&mut self) {
        if self.lost || self.has_ended() || !self.has_failed_unseen() {
            return;
        }
        self.failed = false;
        let found = || self.stream().and_then(Stream::take_error).unwrap_or_else(Some);
        if let Some(error) = found().or_else(|| self.take_write_error()) {
            self.doom(error.into());
        }
    }

    /// Both streams have ended.
    pub(super) const fn has_ended(&self) -> bool {
        self.read_ended && self.write_ended
    }

    /// The system has taken so many bytes of the output.
    pub(super) fn note_sent(&mut self, count: usize, shared: &Shared) {
        self.output.consume(count, shared);
        self.bytes_sent += count as u64;
    }

    /// A read found less than there was room for: nothing is left, unless the end of the stream is.
    pub(super) fn drained(&mut self) {
        self.readable = self.read_closed;
    }

    /// The protocol may be given data.
    pub(super) fn is_reading(&self) -> bool {
        !(self.paused || self.is_closing() || self.lost || self.congested && !self.read_while_congested)
    }

    /// There is input, and it is wanted: by the protocol, by a handshake, or to see the end of the stream while closing.
    pub(super) fn wants_input(&self) -> bool {
        if self.read_ended || self.lost {
            return false;
        }
        let waiting = self.readable || self.wire_ended || self.holds_input();
        waiting && (self.is_reading() || self.is_closing() || self.is_handshaking())
    }

    /// The layers have input that can be taken further now. Without the protocol's consent, only a handshake's can.
    pub(super) fn holds_input(&self) -> bool {
        let Some(chain) = &self.chain else { return false };
        if chain.is_handshaking() && !self.is_reading() { chain.has_handshake_input() } else { chain.has_input() }
    }

    /// A layer has to read, whatever the protocol wants.
    pub(super) fn is_handshaking(&self) -> bool {
        self.chain.as_ref().is_some_and(|chain| chain.is_handshaking())
    }

    /// Nobody wants what comes in any more, neither the protocol nor a layer: it is dropped.
    pub(super) fn drops_input(&self) -> bool {
        self.is_closing() && !self.is_handshaking()
    }

    /// A layer has failed, and has told the peer: closes once that is sent; for this reason, unless there was a cause before.
    pub(super) fn give_up(&mut self, reason: Reason) {
        if self.lost || self.is_doomed() {
            return;
        }
        self.deaf = true;
        self.finished = true;
        let rare = self.rare();
        rare.gave_up = true;
        if rare.closing.as_ref().is_none_or(Reason::is_clean) {
            rare.closing = Some(reason);
        }
        rare.close_timeout = CloseTimeout { flush: FAILURE_LINGER, linger: FAILURE_LINGER };
        if let Some(timer) = &rare.close_timer {
            // It may have fired in this very turn, and is made anew then.
            timer.reset(FAILURE_LINGER).ok();
        }
    }

    /// Closing in order was asked for; the reason of the first who asked is kept.
    pub(super) fn begin_close(&mut self, reason: Reason) {
        if !self.lost && !self.is_closing() {
            self.rare().closing = Some(reason);
        }
    }

    /// A callback has failed: that is the reason, also if the same callback asked for a graceful close before.
    pub(super) fn begin_failed_close(&mut self, reason: Reason) {
        self.begin_close(reason.clone());
        if let Some(closing) = self.rare.as_mut().and_then(|rare| rare.closing.as_mut()).filter(|closing| closing.is_clean()) {
            *closing = reason;
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.closing.is_some() || rare.doom.is_some())
    }

    pub(super) fn is_doomed(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.doom.is_some())
    }

    /// It is to be lost as soon as the loop comes round.
    pub(super) fn doom(&mut self, reason: Reason) {
        if !self.lost {
            self.deaf = true;
            self.rare().doom.get_or_insert(reason);
        }
    }

    /// The reactor stops: closes gracefully. Gives back the producer, which is to be told.
    pub(super) fn shut_down(&mut self) -> Option<RegisteredProducer> {
        self.begin_close(Reason::ShuttingDown);
        self.rare().producer.take()
    }

    pub(super) fn check_open(&self) -> Result<(), CompressionError> {
        if self.lost || self.finished || self.is_closing() { Err(CompressionError::Closed) } else { Ok(()) }
    }

    pub(super) fn set_watermarks(&mut self, low: usize, high: usize) {
        let rare = self.rare();
        rare.low_watermark = low.min(high);
        let cap = rare.cap;
        self.noted_above = high.min(cap);
        self.high_watermark = high;
    }

    pub(super) fn set_cap(&mut self, cap: usize) {
        self.rare().cap = cap;
        self.noted_above = self.high_watermark.min(cap);
    }

    /// Something was appended to the output.
    pub(super) fn note_output(&mut self) {
        if self.unsent() > self.noted_above {
            self.note_overfull();
        }
    }

    /// Unsent bytes are above the high watermark or the cap.
    #[cold]
    fn note_overfull(&mut self) {
        self.note_congestion();
        let cap = self.rare.as_ref().map_or(CAP, |rare| rare.cap);
        if self.unsent() > cap {
            self.doom(Reason::LimitExceeded { what: "unsent output", limit: cap });
        }
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
            let low = self.rare.as_ref().map_or(LOW_WATERMARK, |rare| rare.low_watermark);
            if unsent <= low {
                self.congested = false;
                self.resumed = true;
            }
        } else {
            self.congested = unsent > self.high_watermark;
        }
    }

    /// Takes the producer, or gives it back with the reason against it.
    pub(super) fn register_producer(
        &mut self,
        producer: Box<dyn Producer>,
        streaming: bool,
    ) -> Result<(), (ProducerError, Box<dyn Producer>)> {
        if self.lost || self.finished {
            return Err((ProducerError::Closed, producer));
        }
        let rare = self.rare();
        if rare.producer.is_some() {
            return Err((ProducerError::AlreadyRegistered, producer));
        }
        let transport = producer.as_transport().map(|transport| transport.id());
        let producer = Rc::new(RefCell::new(producer));
        rare.producer = Some(RegisteredProducer { producer, streaming, paused: false, dry_at: None, transport, relayed: false });
        Ok(())
    }

    pub(super) fn last_stats(&self) -> Option<CompressionStats> {
        self.rare.as_ref()?.last_stats.clone()
    }

    pub(super) fn take_last_trailing(&mut self) -> Vec<u8> {
        self.rare.as_mut().map_or_else(Vec::new, |rare| std::mem::take(&mut rare.last_trailing))
    }
}
