//! TLS of one connection.

use std::time::Duration;

use rustls::Error;
use torsade_protocols::spi::{Work, weight};
use torsade_protocols::{Deadline, Reason, TlsError, TlsInfo};

use super::failure::tls_error;
use super::handshakes::Place;
use super::incoming::Incoming;
use super::server_names::take_asked_for;
use super::session::{Job, RECORD, Session, Sinks, Step};
use super::spare;
use crate::layer::{Layer, LayerRead};

/// The most unprocessed input, in bytes; more is refused. No record and no handshake message is larger than 64 KiB, but a message
/// may come in any number of records.
const INCOMPLETE_LIMIT: usize = 128 << 10;

/// The size of the close_notify record (RFC 8446, 5.2 and 6), in bytes; in TLS 1.2 it is slightly larger.
const CLOSE_NOTIFY: usize = 24;

/// TLS of one connection: encrypts what goes out, decrypts what comes in, after a handshake that it does by itself.
///
/// What is guaranteed:
/// - Writes wait here until the handshake is complete. Nothing is delivered before it is authenticated, nor in the call that
///   completes the handshake.
/// - A failure is kept, and every later read returns it. What was decrypted before it is delivered first, and the alert that
///   informs the peer is sent.
/// - What is written in one turn becomes as few records as possible.
/// - Work is counted record by record, before each is processed. The layer holds at most one read, decrypted or not, and what
///   was written; an idle connection holds no buffers.
pub(crate) struct TlsLayer {
    session: Session,
    phase: Phase,
    incoming: Incoming,
    /// Decrypted bytes for which there was no room: at most one read.
    decrypted: Vec<u8>,
    /// Plain bytes that are still to be encrypted.
    pending: Vec<u8>,
    /// Bytes for the wire that were produced while reading: handshake messages, or an alert.
    outgoing: Vec<u8>,
    /// The name that the client asked for, if we are the server.
    server_name: Option<Box<str>>,
    peer_closed: bool,
    finish: Finish,
    truncation_allowed: bool,
    /// The handshake is complete, but not reported yet.
    completed: bool,
}

/// Where the connection is in its life; it only moves to later phases.
enum Phase {
    /// With the deadline, and the place that may be given to another handshake.
    Handshaking(Duration, Option<Place>),
    Open,
    Failed(Reason),
}

/// The end of our stream.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Finish {
    NotAsked,
    /// It is to be sent after what waits for the handshake.
    Waits,
    /// It was sent, or is no longer needed.
    Done,
}

impl TlsLayer {
    /// A layer whose handshake has to be complete by `deadline`. A client's first message is ready at once.
    pub(super) fn new(session: Session, deadline: Duration) -> Self {
        let mut layer = Self {
            session,
            phase: Phase::Handshaking(deadline, None),
            incoming: Incoming::default(),
            decrypted: Vec::new(),
            pending: Vec::new(),
            outgoing: Vec::new(),
            server_name: None,
            peer_closed: false,
            finish: Finish::NotAsked,
            truncation_allowed: false,
            completed: false,
        };
        // A failure is kept, and returned by the first read.
        layer.step(Job::Nothing, None, None).ok();
        layer
    }

    /// Adds the place of the handshake, which is counted.
    pub(super) fn placed(mut self, place: Place) -> Self {
        if let Phase::Handshaking(_, counted) = &mut self.phase {
            *counted = Some(place);
        }
        self
    }

    /// Sets the function that makes the connection check its [`deadline`](Layer::deadline) (which is then now), when the
    /// handshake has to give its place to another.
    pub(crate) fn on_cut_off(&self, wake: impl Fn() + 'static) {
        if let Phase::Handshaking(_, Some(place)) = &self.phase {
            place.set_wake(wake);
        }
    }

    /// What the handshake agreed on.
    pub(crate) fn info(&self) -> Option<TlsInfo> {
        if !matches!(self.phase, Phase::Open) {
            return None;
        }
        let mut info = self.session.info()?;
        info.server_name = self.server_name.as_deref().map(str::to_owned);
        Some(info)
    }

    /// Whether the handshake was completed since the last call.
    pub(crate) const fn take_completed(&mut self) -> bool {
        std::mem::replace(&mut self.completed, false)
    }

    /// Sets whether an end without close_notify is accepted, if it does not cut a record.
    pub(crate) const fn set_truncation_allowed(&mut self, allowed: bool) {
        self.truncation_allowed = allowed;
    }

    /// Closes without waiting for the handshake if there is nothing to send: a peer that sees it broken off has missed nothing.
    /// Called when the whole connection closes, not only our half.
    pub(crate) fn give_up_pointless_handshake(&mut self) {
        let pointless = matches!(self.phase, Phase::Handshaking(..)) && self.pending.is_empty();
        if pointless && self.finish != Finish::Done {
            self.finish = Finish::Done;
        }
    }

    /// The memory of all buffers, in bytes.
    #[cfg(test)]
    pub(super) const fn kept(&self) -> usize {
        self.incoming.capacity() + self.decrypted.capacity() + self.pending.capacity() + self.outgoing.capacity()
    }

    /// Makes a step of the session. Without `wire` its output goes to `outgoing`; without `plain` decrypted bytes go to
    /// `decrypted`.
    fn step(&mut self, job: Job<'_>, wire: Option<&mut Vec<u8>>, plain: Option<&mut Vec<u8>>) -> Result<Step, Reason> {
        let handshaking = self.session.is_handshaking();
        let mut sinks = Sinks { wire: wire.unwrap_or(&mut self.outgoing), plain: plain.unwrap_or(&mut self.decrypted) };
        let (taken, result) = self.session.step(self.incoming.shown(), job, &mut sinks);
        self.incoming.take(taken);
        if handshaking && self.session.is_server() {
            // Only this step can have set it.
            let asked_for = take_asked_for();
            if asked_for.is_some() {
                self.server_name = asked_for.map(String::into_boxed_str);
            }
        }
        if handshaking && !self.session.is_handshaking() && result.is_ok() {
            self.phase = Phase::Open;
            self.completed = true;
            // In TLS 1.2 our own last message may be due now, and the protocol may have paused reading.
            self.take_out(&mut []);
        }
        if result == Ok(Step::PeerClosed) {
            self.peer_closed = true;
        }
        result.map_err(|error| self.fail(error, handshaking))
    }

    /// Moves what the session sends by itself to `outgoing`. The session does this before it reads: the `seen` part of the input
    /// stays.
    fn take_out(&mut self, seen: &mut [u8]) {
        let mut ignored = Vec::new();
        while self.session.wants_write() {
            let mut sinks = Sinks { wire: &mut self.outgoing, plain: &mut ignored };
            if self.session.step(seen, Job::Nothing, &mut sinks).1.is_err() {
                break;
            }
        }
    }

    /// Keeps the failure, and moves the alert that informs the peer to `outgoing`.
    fn fail(&mut self, error: Error, handshaking: bool) -> Reason {
        // A session that fails in the middle of a record looks for the rest of it where it was, and panics if it is not there.
        let mut incoming = std::mem::take(&mut self.incoming);
        self.take_out(incoming.shown());
        self.fail_with(Reason::Tls(tls_error(error, handshaking)))
    }

    fn fail_with(&mut self, reason: Reason) -> Reason {
        self.phase = Phase::Failed(reason.clone());
        // Nothing waits for a handshake any more.
        self.finish = Finish::Done;
        self.pending = Vec::new();
        self.incoming = Incoming::default();
        reason
    }

    /// Does a job, after sending what already waits.
    fn send(&mut self, job: Job<'_>, wire: &mut Vec<u8>) -> Result<(), Reason> {
        self.send_waiting(wire);
        loop {
            match self.step(job, Some(wire), None)? {
                Step::PeerClosed | Step::Read => {}
                Step::JobDone => return Ok(()),
                Step::Idle => return Err(self.fail(Error::HandshakeNotComplete, false)),
            }
        }
    }

    fn send_waiting(&mut self, wire: &mut Vec<u8>) {
        if !self.outgoing.is_empty() {
            wire.append(&mut std::mem::take(&mut self.outgoing));
        }
    }

    /// Encrypts as much of what is pending as fills whole records, or all of it.
    fn encrypt_pending(&mut self, all: bool, wire: &mut Vec<u8>) -> Result<(), Reason> {
        let length = if all { self.pending.len() } else { self.pending.len() / RECORD * RECORD };
        if length == 0 {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending);
        let result = self.send(Job::Encrypt(pending.get(..length).unwrap_or_default()), wire);
        if all {
            spare::give(pending);
        } else {
            pending.drain(..length);
            self.pending = pending;
        }
        result
    }

    /// Moves decrypted bytes to `plain` as long as there is room.
    fn give_out(&mut self, plain: &mut Vec<u8>, room: &mut usize) {
        let count = self.decrypted.len().min(*room);
        plain.extend(self.decrypted.drain(..count));
        *room -= count;
        if self.decrypted.is_empty() {
            self.decrypted = Vec::new();
        }
    }

    /// Decrypts as much of the input as room and work allow. Stops once the handshake is complete, so that this
    /// can be reported before any data.
    fn decrypt(&mut self, plain: &mut Vec<u8>, room: usize, work: &Work) -> Result<bool, Reason> {
        let mut room = room;
        // The session sees its input record by record, so that each can be counted. A message may take several.
        let mut wants_record = !self.incoming.is_shown();
        loop {
            self.give_out(plain, &mut room);
            let record = self.incoming.next_record().filter(|_| wants_record);
            let cost = record.map_or(0, |length| self.cost(length));
            if !self.decrypted.is_empty() || !work.allows(cost) {
                return Ok(true);
            }
            if let Some(length) = record {
                self.incoming.show(length);
                work.spend(cost);
            }
            let (before, seen) = (plain.len(), self.incoming.is_shown());
            // A record that is sure to fit goes straight to `plain`. One that came with the end of the handshake waits.
            let sink = (room >= RECORD && matches!(self.phase, Phase::Open)).then_some(&mut *plain);
            let step = self.step(Job::Nothing, None, sink)?;
            if seen && plain.len() == before && self.decrypted.is_empty() {
                work.spend(weight::TLS_SILENT);
            }
            room -= plain.len() - before;
            let idle = match step {
                Step::PeerClosed => false,
                Step::Idle | Step::JobDone => true,
                Step::Read => !self.incoming.is_shown() && self.decrypted.is_empty() && !self.session.wants_write(),
            };
            if self.completed {
                return Ok(true);
            } else if idle && self.incoming.next_record().is_none() {
                return self.show_part().map(|()| false);
            }
            wants_record = idle || !self.incoming.is_shown();
        }
    }

    /// What a record of this length costs.
    fn cost(&self, length: usize) -> u64 {
        if matches!(self.phase, Phase::Handshaking(..)) {
            (weight::TLS_HANDSHAKE * length as u64).min(weight::TLS_HANDSHAKE_RECORD)
        } else {
            weight::TLS_RECORD + weight::TLS * length as u64
        }
    }

    /// Shows the session an incomplete record, once: it may be invalid.
    fn show_part(&mut self) -> Result<(), Reason> {
        let part = self.incoming.unseen();
        if part > 0 {
            self.incoming.show(part);
            self.step(Job::Nothing, None, None)?;
            self.incoming.hide(part);
        }
        Ok(())
    }
}

impl Layer for TlsLayer {
    fn write(&mut self, plain: &[u8], wire: &mut Vec<u8>, _now: Duration) -> Result<(), Reason> {
        match self.phase {
            Phase::Failed(_) => return Ok(()),
            Phase::Handshaking(..) => {
                self.pending.extend_from_slice(plain);
                return Ok(());
            }
            Phase::Open => {}
        }
        let whole = if self.pending.is_empty() { plain.len() / RECORD * RECORD } else { 0 };
        let (now, later) = plain.split_at(whole);
        if !now.is_empty() {
            self.send(Job::Encrypt(now), wire)?;
        }
        spare::append(&mut self.pending, later);
        self.encrypt_pending(false, wire)
    }

    fn flush(&mut self, wire: &mut Vec<u8>, _now: Duration) -> Result<(), Reason> {
        self.send_waiting(wire);
        if !matches!(self.phase, Phase::Open) {
            return Ok(());
        }
        self.encrypt_pending(true, wire)?;
        if self.finish == Finish::Waits {
            self.finish = Finish::Done;
            self.send(Job::CloseNotify, wire)?;
        }
        Ok(())
    }

    fn finish(&mut self, wire: &mut Vec<u8>) -> Result<(), Reason> {
        if self.finish == Finish::NotAsked {
            self.finish = Finish::Waits;
        }
        self.flush(wire, Duration::ZERO)
    }

    fn read(&mut self, wire: &[u8], plain: &mut Vec<u8>, room: usize, work: &Work, _now: Duration) -> Result<LayerRead, Reason> {
        if let Phase::Failed(reason) = &self.phase {
            return Err(reason.clone());
        }
        // With a backlog, new input has to wait: what is held here stays bounded by one read.
        let consumed = if self.decrypted.is_empty() { wire.len() } else { 0 };
        if !self.peer_closed {
            self.incoming.push(wire.get(..consumed).unwrap_or_default());
        }
        let result = self.decrypt(plain, room, work);
        self.incoming.shrink();
        let more = result? || consumed < wire.len();
        if !more && self.incoming.len() > INCOMPLETE_LIMIT {
            let what = "a handshake message in too many records".into();
            return Err(self.fail_with(Reason::Tls(TlsError::Misbehaved(what))));
        }
        if self.peer_closed {
            // Data after the peer's close_notify must be ignored (RFC 8446, 6.1).
            self.incoming = Incoming::default();
        }
        Ok(LayerRead { consumed, more })
    }

    fn read_end(&mut self, _plain: &mut Vec<u8>) -> Result<(), Reason> {
        let cut = self.incoming.len() > 0;
        match &self.phase {
            Phase::Failed(reason) => Err(reason.clone()),
            _ if self.peer_closed => Ok(()),
            Phase::Handshaking(..) if self.finish == Finish::Done => Ok(()),
            Phase::Handshaking(..) => Err(self.fail_with(Reason::Tls(TlsError::ClosedInHandshake))),
            Phase::Open if self.truncation_allowed && !cut => Ok(()),
            Phase::Open => Err(self.fail_with(Reason::TlsTruncated)),
        }
    }

    fn reads_directly(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Handshaking(_, Some(place)) if self.finish != Finish::Done && place.is_cut_off() => Some(Duration::ZERO),
            Phase::Handshaking(deadline, _) if self.finish != Finish::Done => Some(*deadline),
            _ => None,
        }
    }

    fn expire(&mut self, _wire: &mut Vec<u8>, _plain: &mut Vec<u8>, now: Duration) -> Result<(), Reason> {
        match self.deadline() {
            Some(deadline) if deadline <= now => Err(self.fail_with(Reason::TimedOut(Deadline::Handshake))),
            _ => Ok(()),
        }
    }

    fn wants_flush(&self) -> bool {
        let open = matches!(self.phase, Phase::Open);
        !self.outgoing.is_empty() || open && (!self.pending.is_empty() || self.finish == Finish::Waits)
    }

    fn unsent(&self) -> usize {
        let end = if self.finish == Finish::Waits { CLOSE_NOTIFY } else { 0 };
        // Not `outgoing`: nobody wrote it, and the next flush sends it whatever the peer does.
        self.pending.len() + end
    }

    fn has_ended(&self) -> bool {
        self.peer_closed && self.decrypted.is_empty()
    }

    fn is_handshaking(&self) -> bool {
        matches!(self.phase, Phase::Handshaking(..)) && self.finish != Finish::Done
    }
}
