//! The two ends of a connection (TCP, UNIX socket or pipe), as Linux represents them.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::passing::Passing;
use crate::address::Address;
use crate::backend::{Direction, Ready, Token};

/// The id of a connection; never reused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct LinkId(pub(super) u64);

/// One of the two ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// What is sent between the ends.
#[derive(Debug)]
pub(super) enum Segment {
    /// The client has received the server's answer: the server's end can be accepted.
    Ack,
    /// Something in the network resets both ends.
    Cut,
    Data(Vec<u8>),
    Fin,
    Reset,
    SynAck,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The client waits for an answer; the server knows nothing yet.
    Connecting,
    /// The server has answered, and waits for the client.
    HalfOpen,
    Open,
    /// Reset, timed out or never connected: nothing is sent any more.
    Dead,
}

/// The outcome of the client's request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Answered,
    Hanging,
    Refused,
}

/// What a connection runs over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Medium {
    /// The network between hosts, with all its faults.
    Network,
    /// The memory of one machine: a UNIX socket or a pipe. Nothing is lost, and closing takes nothing back.
    Machine,
}

pub(super) struct Link {
    pub(super) medium: Medium,
    pub(super) client: End,
    pub(super) server: End,
    pub(super) fate: Fate,
}

impl Link {
    pub(super) const fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) const fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// How many bytes the side may send now without overrunning its peer's buffer.
    pub(super) fn window(&self, side: Side) -> usize {
        let peer = self.end(side.other());
        if peer.released && peer.stage == Stage::Open || peer.stage == Stage::Dead {
            // Nothing reads there, but what arrives is answered with a reset.
            return usize::MAX;
        }
        let end = self.end(side);
        peer.window.saturating_sub(end.flying).min(end.until_stuck.unwrap_or(usize::MAX))
    }

    /// Appends the names of the faults that keep it from progressing.
    pub(super) fn describe_troubles(&self, now: Duration, text: &mut String) {
        let mut say = |trouble: fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ignored = write!(text, "\n    {trouble}");
        };
        if self.fate == Fate::Hanging && self.client.stage == Stage::Connecting {
            say(format_args!("its connect is not answered: the fault `connect_hangs`"));
        }
        for (end, peer) in [(&self.client, &self.server), (&self.server, &self.client)] {
            if end.until_stuck == Some(0) {
                say(format_args!("{} takes no more bytes from {}: the fault `stuck`", peer.local, end.local));
            }
            if let Some(since) = end.stalled_since {
                let held = now.saturating_sub(since);
                say(format_args!("what {} has sent is held back for {held:?} by a partition, or a host that is off", end.local));
            }
            let late = end.in_flight.front().is_some_and(|(arrival, _)| *arrival > now + Duration::from_secs(1));
            if let Some(bandwidth) = end.bandwidth.filter(|_| late && end.stalled_since.is_none()) {
                say(format_args!("{} sends {bandwidth} bytes a second: the fault `slow`, or `bandwidth`", end.local));
            }
        }
    }

    /// Bytes were written at this side: waiting descriptors go with them.
    pub(super) fn pass_descriptors(&mut self, side: Side, count: usize) {
        let (from, to) = match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        from.passing.write(count, &mut to.passing);
    }

    /// Returns whether its existence no longer matters.
    pub(super) fn is_over(&self) -> bool {
        [&self.client, &self.server]
            .iter()
            .all(|end| end.released && (end.stage == Stage::Dead || end.unsent.is_empty() && end.in_flight.is_empty()))
    }
}

/// One socket or end of a pipe, and its outgoing direction.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) local: Address,
    pub(super) remote: Address,
    pub(super) direction: Direction,
    pub(super) stage: Stage,
    pub(super) token: Option<Token>,
    /// For a socket without edges, what was reported and is not repeated before a call returns `WouldBlock`.
    pub(super) reported: Option<Ready>,
    /// Whether it is in its host's list of woken sockets.
    pub(super) queued: bool,
    /// Whether the program does not hold it any more, or not yet.
    pub(super) released: bool,
    /// The error that was not reported yet (SO_ERROR).
    pub(super) error: Option<ErrorKind>,

    /// Received and not read yet; at most `receive_limit` bytes.
    pub(super) received: VecDeque<u8>,
    pub(super) receive_limit: usize,
    /// How many bytes the peer may still send, including those in transit.
    pub(super) window: usize,
    /// Whether the peer's FIN has arrived.
    pub(super) ended: bool,

    /// Written and not sent yet; together with `flying` at most `send_limit` bytes.
    pub(super) unsent: VecDeque<u8>,
    pub(super) send_limit: usize,
    /// Whether we write no more; the FIN follows what is unsent.
    pub(super) shut: bool,
    pub(super) fin_sent: bool,
    /// Whether the peer has our FIN.
    pub(super) fin_taken: bool,
    pub(super) reset_on_close: bool,
    /// Whether a write found no room, so that room has to be reported.
    pub(super) wants_room: bool,
    /// After a short write, the time before which there is no room.
    pub(super) blocked_until: Duration,

    /// In transit to the peer, with increasing times of arrival.
    pub(super) in_flight: VecDeque<(Duration, Segment)>,
    pub(super) flying: usize,
    /// When everything sent so far will have left.
    pub(super) line_free: Duration,
    pub(super) last_arrival: Duration,
    pub(super) bandwidth: Option<u64>,
    /// Bytes that can still be sent before the peer stops reading.
    pub(super) until_stuck: Option<usize>,
    /// Since when a partition has held back what is in transit.
    pub(super) stalled_since: Option<Duration>,

    pub(super) passing: Passing,
    pub(super) nodelay: bool,
    pub(super) keepalive: bool,
}

impl End {
    pub(super) fn new(host: usize, local: Address, remote: Address, limits: (usize, usize)) -> Self {
        Self {
            host,
            local,
            remote,
            direction: Direction::Both,
            stage: Stage::Connecting,
            token: None,
            reported: None,
            queued: false,
            released: false,
            error: None,
            received: VecDeque::new(),
            receive_limit: limits.0,
            window: limits.0,
            ended: false,
            unsent: VecDeque::new(),
            send_limit: limits.1,
            shut: false,
            fin_sent: false,
            fin_taken: false,
            reset_on_close: false,
            wants_room: false,
            blocked_until: Duration::ZERO,
            in_flight: VecDeque::new(),
            flying: 0,
            line_free: Duration::ZERO,
            last_arrival: Duration::ZERO,
            bandwidth: None,
            until_stuck: None,
            stalled_since: None,
            passing: Passing::default(),
            nodelay: true,
            keepalive: false,
        }
    }

    /// The current readiness, as `tcp_poll` of Linux defines it and mio interprets it.
    pub(super) fn readiness(&self, now: Duration) -> Ready {
        let mut ready = Ready::NONE;
        if matches!(self.stage, Stage::Connecting | Stage::HalfOpen) {
            return ready;
        }
        let dead = self.stage == Stage::Dead;
        if !self.received.is_empty() {
            ready |= Ready::READABLE;
        }
        if self.ended || dead {
            ready |= Ready::READABLE | Ready::READ_CLOSED;
        }
        // A shut side is "writable" too: the write fails at once.
        if self.shut || dead || self.has_room(now) {
            ready |= Ready::WRITABLE;
        }
        if self.error.is_some() {
            ready |= Ready::ERROR;
        }
        // For a pipe, only what its end can do is reported.
        match self.direction {
            Direction::Both => ready,
            Direction::Input => ready.without(Ready::WRITABLE),
            Direction::Output => ready.without(Ready::READABLE | Ready::READ_CLOSED),
        }
    }

    /// Changes the size of the receive buffer.
    pub(super) fn set_room(&mut self, room: usize) {
        self.receive_limit = room;
        self.window = room.saturating_sub(self.received.len());
    }

    /// Announces room made by reading to the peer if it is worth a segment: half the buffer, or a full segment (RFC 9293,
    /// 3.8.6.2.2). So a slow reader's peer sends in steps. Returns whether it did.
    pub(super) fn open_window(&mut self, segment: usize) -> bool {
        let free = self.receive_limit.saturating_sub(self.received.len());
        let opened = free >= self.window.saturating_add(segment.min(self.receive_limit / 2).max(1));
        if opened {
            self.window = free;
        }
        opened
    }

    /// The part of the readiness that is to be reported.
    pub(super) fn report(&mut self, ready: Ready) -> Ready {
        let Some(reported) = &mut self.reported else { return ready };
        let news = ready.without(*reported);
        *reported |= ready.without(Ready::ERROR);
        news
    }

    /// Returns whether it counts as writable: a third of the buffer is free, so that a writer is not woken for every byte.
    pub(super) fn has_room(&self, now: Duration) -> bool {
        now >= self.blocked_until && self.buffered().saturating_mul(3) <= self.send_limit.saturating_mul(2)
    }

    /// Our bytes that the peer does not have yet; a FIN counts as one.
    pub(super) fn unacknowledged(&self) -> usize {
        self.buffered() + usize::from(self.shut && !self.fin_taken)
    }

    fn buffered(&self) -> usize {
        self.unsent.len() + self.flying
    }

    /// Reads like `recv`: first what arrived in order, whatever happened later; then the error, once; then the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended && self.received.is_empty() {
            return Ok(0);
        }
        if !self.received.is_empty() {
            // Two reads, because one read of a `VecDeque` stops where its memory wraps, and a short read means that everything
            // was read.
            let first = io::Read::read(&mut self.received, buffer)?;
            return Ok(first + io::Read::read(&mut self.received, &mut buffer[first..])?);
        }
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        if self.stage == Stage::Dead { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    /// How many bytes a write may take now.
    pub(super) fn room_to_write(&mut self, now: Duration) -> io::Result<usize> {
        if matches!(self.stage, Stage::Connecting | Stage::HalfOpen) {
            return Err(ErrorKind::WouldBlock.into());
        }
        if let Some(kind) = self.error.take() {
            return Err(kind.into());
        }
        if self.shut || self.stage == Stage::Dead {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if now < self.blocked_until { Ok(0) } else { Ok(self.send_limit.saturating_sub(self.buffered())) }
    }

    /// Returns whether both streams have ended in order, so that a reset does no harm.
    pub(super) const fn is_finished(&self) -> bool {
        self.ended && self.fin_taken
    }
}
