//! A connection to Redis: sending commands, and its beginning and end.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use torsade_protocols::{HostPort, Protocol, Reason, SharedBytes, Transport};
use torsade_reactor::{Deferred, DeferredPermit, DeferredSemaphore, DelayedCall, Reactor};

use crate::error::EngineError;
use crate::topic::Topic;

use super::command::{Answer, Pending, encode, encode_all_but_last};
use super::receiving::Receiving;
use super::session::Session;

/// How long Redis may be silent before it gets a PING, and how long it then has to answer.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How many unsent bytes end the connection: more than the longest message, and more than the hub sends before it checks for
/// congestion.
const WRITE_CAP: usize = 64 * 1024 * 1024;

/// How many bytes may wait for a node that has not accepted the login yet.
const EARLY_CAP: usize = 64 * 1024;

/// How many commands may be unanswered before no more are sent.
const MAX_PENDING: usize = 1 << 16;

/// How many long answers may be under way at once: Redis closes a connection that has subscriptions when 32 MB wait for it.
const LONG_AT_ONCE: usize = 8;

/// Payloads of at least this length are sent without a copy.
const SHARED_FROM: usize = 4096;

/// A buffer up to this size is reused for the next command.
const LARGEST_SCRATCH: usize = 16 * 1024;

/// A connection; a cheap handle.
#[derive(Clone)]
pub(super) struct Link(Rc<Shared>);

struct Shared {
    host: HostPort,
    transport: RefCell<Option<Transport>>,
    phase: Cell<Phase>,
    /// What was sent and not answered, oldest first.
    pending: RefCell<VecDeque<Pending>>,
    /// Whether the session was told that too many commands are unanswered.
    was_full: Cell<bool>,
    /// Permits for commands whose answer may be long.
    long: DeferredSemaphore,
    /// Commands that wait for the login.
    early: RefCell<Vec<(Vec<u8>, Pending)>>,
    /// Whether anything has arrived since the last check, and whether a PING is outstanding.
    heard: Cell<bool>,
    asked: Cell<bool>,
    timer: RefCell<Option<DelayedCall>>,
    /// The reason, if it was ended on this side.
    error: RefCell<Option<EngineError>>,
    scratch: RefCell<Vec<u8>>,
    owner: RefCell<Weak<Session>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// The login is not complete.
    Early,
    Open,
    /// Lost, or about to be.
    Ended,
}

impl Link {
    /// A connection that is not made yet.
    pub(super) fn new(host: HostPort) -> Self {
        Self(Rc::new(Shared {
            host,
            transport: RefCell::default(),
            phase: Cell::new(Phase::Early),
            pending: RefCell::default(),
            was_full: Cell::new(false),
            long: DeferredSemaphore::new(LONG_AT_ONCE),
            early: RefCell::default(),
            heard: Cell::new(false),
            asked: Cell::new(true),
            timer: RefCell::default(),
            error: RefCell::default(),
            scratch: RefCell::default(),
            owner: RefCell::default(),
        }))
    }

    /// The protocol of this connection.
    pub(super) fn protocol(&self) -> impl Protocol + use<> {
        Receiving::new(self)
    }

    pub(super) fn host(&self) -> &HostPort {
        &self.0.host
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Sets the session that gets pushes, redirections and the end of the connection.
    pub(super) fn belong_to(&self, session: &Rc<Session>) {
        self.0.owner.replace(Rc::downgrade(session));
    }

    /// Sends a command, after the login.
    pub(super) fn send(&self, parts: &[&[u8]], pending: Pending) {
        let mut bytes = self.0.scratch.take();
        encode(&mut bytes, parts);
        self.send_encoded(&bytes, pending);
        self.keep_scratch(bytes);
    }

    /// Sends a command that is encoded already.
    pub(super) fn send_encoded(&self, bytes: &[u8], pending: Pending) {
        match self.0.phase.get() {
            Phase::Early => self.0.early.borrow_mut().push((bytes.to_vec(), pending)),
            Phase::Open => self.transmit(bytes, pending),
            Phase::Ended => pending.answer.give(Err(self.end_error())),
        }
    }

    /// Waits until few enough long answers are under way; fires at once if so.
    pub(super) fn permit(&self) -> Deferred<DeferredPermit> {
        self.0.long.acquire()
    }

    /// Sends a publishing command, followed by the topic and the payload.
    pub(super) fn publish(&self, command: &[u8], topic: &Topic, payload: &Arc<[u8]>) {
        let pending = Pending::new(Answer::Published(topic.clone()));
        let parts = [command, topic.as_str().as_bytes()];
        let mut bytes = self.0.scratch.take();
        encode_all_but_last(&mut bytes, &parts, payload.len());
        if payload.len() < SHARED_FROM || self.0.phase.get() != Phase::Open {
            bytes.extend_from_slice(payload);
            bytes.extend_from_slice(b"\r\n");
            self.send_encoded(&bytes, pending);
        } else {
            self.transmit(&bytes, pending);
            if let Some(transport) = &*self.0.transport.borrow() {
                transport.write_shared(&SharedBytes::new(Arc::clone(payload)));
                transport.write("\r\n");
            }
        }
        self.keep_scratch(bytes);
    }

    /// Keeps a buffer for the next command, unless it has become large.
    fn keep_scratch(&self, mut bytes: Vec<u8>) {
        bytes.clear();
        if bytes.capacity() <= LARGEST_SCRATCH {
            self.0.scratch.replace(bytes);
        }
    }

    fn transmit(&self, bytes: &[u8], pending: Pending) {
        self.0.pending.borrow_mut().push_back(pending);
        if let Some(transport) = &*self.0.transport.borrow() {
            transport.write(bytes);
        }
    }

    /// Sends a command of the login.
    pub(super) fn send_login(&self, parts: &[&[u8]], answer: Answer) {
        let mut bytes = Vec::new();
        encode(&mut bytes, parts);
        self.transmit(&bytes, Pending::new(answer));
    }

    /// The login is complete.
    pub(super) fn open(&self) {
        if self.0.phase.get() != Phase::Early {
            return;
        }
        self.0.phase.set(Phase::Open);
        for (bytes, pending) in self.0.early.take() {
            self.transmit(&bytes, pending);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.0.phase.get() == Phase::Open
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.phase.get() == Phase::Ended
    }

    pub(super) fn is_congested(&self) -> bool {
        match self.0.phase.get() {
            Phase::Early => self.0.early.borrow().iter().map(|(bytes, _)| bytes.len()).sum::<usize>() > EARLY_CAP,
            Phase::Open => self.is_full() || self.transport().is_some_and(|transport| transport.is_congested()),
            Phase::Ended => false,
        }
    }

    /// Whether so many commands are unanswered that no more should be sent; the session is told when that has changed.
    pub(super) fn is_full(&self) -> bool {
        let is_full = self.0.pending.borrow().len() >= MAX_PENDING;
        if is_full {
            self.0.was_full.set(true);
        }
        is_full
    }

    pub(super) fn transport(&self) -> Option<Transport> {
        self.0.transport.borrow().clone()
    }

    /// Ends it at once, and returns what was not answered. Its session hears of it from the loop.
    pub(super) fn end(&self, error: &EngineError) -> Vec<Pending> {
        self.0.error.borrow_mut().get_or_insert_with(|| error.clone());
        self.0.phase.set(Phase::Ended);
        if let Some(transport) = self.transport() {
            transport.abort_connection();
        }
        let early = self.0.early.take().into_iter().map(|(_, pending)| pending);
        self.0.pending.take().into_iter().chain(early).collect()
    }

    /// Closes it after what was written.
    pub(super) fn close(&self) {
        self.0.phase.set(Phase::Ended);
        if let Some(transport) = self.transport() {
            transport.lose_connection();
        }
    }

    /// Takes out all commands of a slot, oldest first, to be sent elsewhere: their answers on this connection are ignored.
    pub(super) fn take_slot(&self, slot: u16) -> Vec<Pending> {
        let mut taken = Vec::new();
        for pending in self.0.pending.borrow_mut().iter_mut() {
            if pending.again.as_ref().is_some_and(|again| again.slot == slot) {
                // Here it is answered by an error or a push, and neither matters.
                let confirmed_for = pending.confirmed_for.clone();
                taken.push(std::mem::replace(pending, Pending { confirmed_for, ..Pending::new(Answer::Ignored) }));
            }
        }
        taken
    }

    /// Returns a command to the unanswered ones, just before the connection is ended.
    pub(super) fn take_back(&self, pending: Pending) {
        self.0.pending.borrow_mut().push_front(pending);
    }

    fn end_error(&self) -> EngineError {
        self.0.error.borrow().clone().unwrap_or_else(|| EngineError::Lost("it was closed".to_owned()))
    }

    pub(super) fn owner(&self) -> Option<Rc<Session>> {
        self.0.owner.borrow().upgrade()
    }

    /// The transport is connected.
    pub(super) fn made(&self, transport: Transport) {
        transport.set_write_buffer_cap(WRITE_CAP);
        // Redis keeps reading whatever we do, and reading its answers makes room for more commands.
        transport.set_read_while_congested(true);
        transport.set_close_timeout(KEEPALIVE);
        transport.set_tcp_nodelay(true).ok();
        if self.0.phase.get() == Phase::Ended {
            // It was ended meanwhile.
            transport.abort_connection();
        }
        self.watch(transport.reactor());
        self.0.transport.replace(Some(transport));
    }

    /// Notes that bytes came.
    pub(super) fn record_heard(&self) {
        self.0.heard.set(true);
    }

    /// Takes the command that the next answer is for.
    pub(super) fn take_pending(&self) -> Option<Pending> {
        let pending = self.0.pending.borrow_mut().pop_front();
        if self.0.was_full.get() && self.0.pending.borrow().len() <= MAX_PENDING / 2 {
            self.0.was_full.set(false);
            if let Some(session) = self.owner() {
                session.upstream.writable();
            }
        }
        pending
    }

    /// Takes it only if a push for this channel answers it.
    pub(super) fn take_pending_for(&self, channel: &[u8]) -> Option<Pending> {
        let is_for = |next: &Pending| next.confirmed_for.as_deref() == Some(channel);
        let is_next = self.0.pending.borrow().front().is_some_and(is_for);
        is_next.then(|| self.take_pending()).flatten()
    }

    /// Checks from time to time that Redis is alive.
    fn watch(&self, reactor: &Reactor) {
        let (link, of) = (Rc::downgrade(&self.0), reactor.clone());
        let call = reactor.call_later(KEEPALIVE, move || {
            let Some(link) = link.upgrade().map(Self) else { return };
            if !link.0.heard.replace(false) {
                if link.0.asked.replace(true) {
                    return link.lose(EngineError::Lost(format!("{} has not answered for {KEEPALIVE:?}", link.0.host)));
                }
                if link.is_open() {
                    link.send(&[b"PING"], Pending::new(Answer::Ignored));
                }
            } else {
                link.0.asked.set(false);
            }
            link.watch(&of);
        });
        self.0.timer.replace(Some(call));
    }

    /// Ends it for a reason of ours; its session hears of it when the transport is closed.
    pub(super) fn lose(&self, error: EngineError) {
        self.0.error.borrow_mut().get_or_insert(error);
        if let Some(transport) = self.transport() {
            transport.abort_connection();
        }
    }

    /// The transport is closed.
    pub(super) fn lost(&self, reason: &Reason) {
        if let Some(timer) = self.0.timer.take() {
            timer.cancel().ok();
        }
        let error = match reason {
            Reason::Protocol(error) => error.downcast_ref::<EngineError>().cloned(),
            _ => None,
        };
        let error = self.0.error.borrow().clone().or(error).unwrap_or_else(|| EngineError::from(reason));
        self.0.transport.take();
        match self.owner() {
            Some(session) => session.link_lost(self, &error),
            None => self.end(&error).into_iter().for_each(|pending| pending.answer.give(Err(error.clone()))),
        }
    }
}
