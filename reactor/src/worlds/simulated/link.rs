//! The two ends of a connection, as Linux keeps them: of TCP, of a UNIX socket, or of a pipe.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::passing::Passing;
use crate::address::Address;
use crate::backend::{Direction, Ready, Token};

/// Names a connection; never given out twice.
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

/// What travels between the ends.
#[derive(Debug)]
pub(super) enum Segment {
    /// The client has the server's answer: the server's end can be accepted.
    Ack,
    /// Something on the way resets both ends.
    Cut,
    Data(Vec<u8>),
    Fin,
    Reset,
    SynAck,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    /// The client waits for an answer; the server does not know yet.
    Connecting,
    /// The server has answered, and waits for the client.
    HalfOpen,
    Open,
    /// Reset, timed out or never connected: nothing is sent any more.
    Dead,
}

/// What the client's request will meet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Answered,
    Hanging,
    Refused,
}

/// What a connection goes through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Medium {
    /// The network between the hosts, with all its faults.
    Network,
    /// The memory of one machine: a UNIX socket or a pipe. Nothing gets lost, and a close takes nothing back that was written.
    Machine,
}

/// A connection.
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

    /// How many bytes of the side's may be sent now without overrunning its peer's buffer.
    pub(super) fn window(&self, side: Side) -> usize {
        let peer = self.end(side.other());
        if peer.released && peer.stage == Stage::Open || peer.stage == Stage::Dead {
            // Nobody reads there, but what comes is answered with a reset.
            return usize::MAX;
        }
        let end = self.end(side);
        peer.window.saturating_sub(end.flying).min(end.until_stuck.unwrap_or(usize::MAX))
    }

    /// What keeps it from going on: the faults that were drawn for it, by their names.
    pub(super) fn describe_troubles(&self, now: Duration, text: &mut String) {
        let mut say = |trouble: fmt::Arguments<'_>| {
            // Writing to a String cannot fail.
            let _ignored = write!(text, "\n    {trouble}");
        };
        if self.fate == Fate::Hanging && self.client.stage == Stage::Connecting {
            say(format_args!("nobody answers its connect: the fault `connect_hangs`"));
        }
        for (end, peer) in [(&self.client, &self.server), (&self.server, &self.client)] {
            if end.until_stuck == Some(0) {
                say(format_args!("{} takes no more bytes of {}: the fault `stuck`", peer.local, end.local));
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

    /// So many bytes are written at this side, which take along what is to be passed.
    pub(super) fn pass_descriptors(&mut self, side: Side, count: usize) {
        let (from, to) = match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        from.passing.write(count, &mut to.passing);
    }

    /// Whether nobody will notice any more that it exists.
    pub(super) fn is_over(&self) -> bool {
        [&self.client, &self.server]
            .iter()
            .all(|end| end.released && (end.stage == Stage::Dead || end.unsent.is_empty() && end.in_flight.is_empty()))
    }
}

/// One socket or end of a pipe, and the way out of it.
#[derive(Debug)]
pub(super) struct End {
    pub(super) host: usize,
    pub(super) local: Address,
    pub(super) remote: Address,
    pub(super) direction: Direction,
    pub(super) stage: Stage,
    pub(super) token: Option<Token>,
    /// What was reported and is not again before a call ends with `WouldBlock`, if the socket is one without edges.
    pub(super) told: Option<Ready>,
    /// It is among its host's woken sockets.
    pub(super) queued: bool,
    /// The program holds it no longer, or not yet.
    pub(super) released: bool,
    /// The error that was not told yet (SO_ERROR).
    pub(super) error: Option<ErrorKind>,

    /// Arrived and not read yet; at most `receive_limit` bytes.
    pub(super) received: VecDeque<u8>,
    pub(super) receive_limit: usize,
    /// How many bytes the peer was told that it may send; those on the way count.
    pub(super) window: usize,
    /// The peer's FIN has arrived.
    pub(super) ended: bool,

    /// Written and not sent yet; with `flying` at most `send_limit` bytes.
    pub(super) unsent: VecDeque<u8>,
    pub(super) send_limit: usize,
    /// We write no more; the FIN follows what is unsent.
    pub(super) shut: bool,
    pub(super) fin_sent: bool,
    /// The peer has our FIN.
    pub(super) fin_taken: bool,
    pub(super) reset_on_close: bool,
    /// A write found no room, so room is to be reported.
    pub(super) wants_room: bool,
    /// A short write: there is no room before this time.
    pub(super) choked_until: Duration,

    /// On the way to the peer, with the time of arrival, which grows.
    pub(super) in_flight: VecDeque<(Duration, Segment)>,
    /// Bytes of data in flight.
    pub(super) flying: usize,
    /// When the line has taken everything sent so far.
    pub(super) line_free: Duration,
    pub(super) last_arrival: Duration,
    pub(super) bandwidth: Option<u64>,
    /// Bytes that can still be sent before the peer reads no more.
    pub(super) until_stuck: Option<usize>,
    /// Since when a partition holds back what is in flight.
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
            told: None,
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
            choked_until: Duration::ZERO,
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

    /// What the socket is ready for now, as `tcp_poll` of Linux says it and mio reads it.
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
        // Of a pipe nothing is reported that its end cannot do.
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

    /// Tells the peer of the room that was made by reading, if it is worth a segment: half the buffer, or a full segment
    /// (RFC 9293, 3.8.6.2.2). So a slow reader's peer sends in steps. Says whether it did.
    pub(super) fn open_window(&mut self, segment: usize) -> bool {
        let free = self.receive_limit.saturating_sub(self.received.len());
        let opened = free >= self.window.saturating_add(segment.min(self.receive_limit / 2).max(1));
        if opened {
            self.window = free;
        }
        opened
    }

    /// What of the readiness is to be reported.
    pub(super) fn report(&mut self, ready: Ready) -> Ready {
        let Some(told) = &mut self.told else { return ready };
        let news = ready.without(*told);
        *told |= ready.without(Ready::ERROR);
        news
    }

    /// Whether it counts as writable: a third of the buffer is free, so that a writer is not woken for every byte.
    pub(super) fn has_room(&self, now: Duration) -> bool {
        now >= self.choked_until && self.buffered().saturating_mul(3) <= self.send_limit.saturating_mul(2)
    }

    /// Bytes of ours that the peer does not have yet, our FIN counted as one.
    pub(super) fn unacknowledged(&self) -> usize {
        self.buffered() + usize::from(self.shut && !self.fin_taken)
    }

    fn buffered(&self) -> usize {
        self.unsent.len() + self.flying
    }

    /// Reads as `recv` does: what came in order first, whatever happened later; then the error, once; then the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended && self.received.is_empty() {
            return Ok(0);
        }
        if !self.received.is_empty() {
            // Twice, since one read of a `VecDeque` ends where its memory wraps, and a short read means that all is read.
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
        if now < self.choked_until { Ok(0) } else { Ok(self.send_limit.saturating_sub(self.buffered())) }
    }

    /// Both streams have ended in order: a reset cannot harm it any more.
    pub(super) const fn is_finished(&self) -> bool {
        self.ended && self.fin_taken
    }
}
