//! A connection to a server, including its login.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use torsade_protocols::{SharedBytes, Transport};
use torsade_reactor::{DelayedCall, Firer, report_error};

use super::jetstream::Streams;
use super::known::KnownStreams;
use super::reading::Reading;
use super::requests::Requests;
use super::subscription::Subscription;
use super::tail::Tail;
use super::wire::{Head, Headers, write_headers};
use crate::engine::{InterestId, Upstream};
use crate::error::EngineError;
use crate::message::Publication;

/// How long a server may be silent before it gets a PING, and how long it then has to answer.
const SILENCE: Duration = Duration::from_secs(10);
/// How long a server that still sends may neither answer a PING nor acknowledge any of our bytes.
const DEAFNESS: Duration = Duration::from_secs(120);
/// Payloads of this size or more are sent without being copied.
const SHARED_FROM: usize = 16 * 1024;
/// The subscription on which requests are answered.
const ANSWERS: &str = "r";

/// What a PONG means: the server has seen everything that was sent before the PING.
pub(super) enum Barrier {
    /// The login was accepted.
    Login,
    /// Nothing else.
    Seen,
    /// A subscription has begun.
    Subscribed(Rc<Subscription>),
    /// The server has seen all requests up to this one.
    Requests { last: u64 },
    /// Everything that the server had sent for this generation of a tail has arrived.
    Tail(Rc<Tail>, u64),
    /// The connection can be closed.
    Closed(Firer<()>),
}

/// A connection, shared by its protocol and the engine.
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) upstream: Upstream,
    /// The prefix of the subjects of answers.
    pub(super) inbox: String,
    /// The maximum length of a message in bytes, in both directions.
    pub(super) max_payload: Cell<usize>,
    /// Why the connection is about to end, if we know better than the transport.
    pub(super) fault: RefCell<Option<EngineError>>,
    /// The meaning of each outstanding PING, and the number of messages published before it.
    barriers: RefCell<VecDeque<(Barrier, u64)>>,
    published: Cell<u64>,
    confirmed: Cell<u64>,
    /// The number of PINGs that were answered.
    ponged: Cell<u64>,
    /// Whether [`watch_pongs`](Self::watch_pongs) is scheduled.
    watches_pongs: Cell<bool>,
    /// Whether an outstanding PING confirms published messages.
    confirming: Cell<bool>,
    /// Whether the transport has been asked to report when it is no longer congested.
    watching: Cell<bool>,
    /// Whether a PONG must be sent when there is room.
    owed_pong: Cell<bool>,
    /// The flow-control reply that each tail must send when there is room.
    pub(super) owed_words: RefCell<BTreeMap<u64, String>>,
    /// While the server has to say something: how many of our bytes it had acknowledged when it was asked. It has to speak first,
    /// so this is set from the beginning.
    asked: Cell<Option<u64>>,
    /// The next check whether the server is silent.
    idle: RefCell<Option<DelayedCall>>,
    pub(super) subscriptions: RefCell<HashMap<u64, Rc<Subscription>>>,
    pub(super) tails: RefCell<HashMap<u64, Rc<Tail>>>,
    pub(super) readings: RefCell<HashMap<u64, Reading>>,
    pub(super) requests: Requests,
    pub(super) streams: Streams,
    pub(super) known: KnownStreams,
    next: Cell<u64>,
}

impl Connection {
    pub(super) fn new(transport: &Transport, upstream: &Upstream, known: &KnownStreams, replicas: u64) -> Rc<Self> {
        let reactor = transport.reactor();
        let connection = Rc::new(Self {
            transport: transport.clone(),
            upstream: upstream.clone(),
            inbox: format!("_INBOX.{:016x}{:016x}", reactor.random(), reactor.random()),
            max_payload: Cell::new(1 << 20),
            fault: RefCell::default(),
            barriers: RefCell::default(),
            published: Cell::default(),
            confirmed: Cell::default(),
            ponged: Cell::default(),
            watches_pongs: Cell::default(),
            confirming: Cell::default(),
            watching: Cell::default(),
            owed_pong: Cell::default(),
            owed_words: RefCell::default(),
            asked: Cell::new(Some(0)),
            idle: RefCell::default(),
            subscriptions: RefCell::default(),
            tails: RefCell::default(),
            readings: RefCell::default(),
            requests: Requests::default(),
            streams: Streams::new(replicas),
            known: known.clone(),
            next: Cell::new(0),
        });
        connection.watch_silence();
        connection
    }

    /// Returns a new number.
    pub(super) fn number(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    /// Returns the last number that was given.
    pub(super) fn last_number(&self) -> u64 {
        self.next.get()
    }

    /// Something has arrived, so the server is alive.
    pub(super) fn heard(self: &Rc<Self>) {
        self.asked.set(None);
        let put_off = self.idle.borrow().as_ref().is_some_and(|idle| idle.reset(SILENCE).is_ok());
        if !put_off && self.transport.is_connected() {
            self.watch_silence();
        }
    }

    /// After [`SILENCE`] without input sends a PING, and after another without an answer aborts the connection.
    fn watch_silence(self: &Rc<Self>) {
        let there = Rc::downgrade(self);
        let call = self.transport.reactor().call_later(SILENCE, move || {
            let Some(connection) = there.upgrade() else { return };
            connection.idle.replace(None);
            let acknowledged = connection.transport.delivery().acknowledged;
            match connection.asked.replace(Some(acknowledged)) {
                None => connection.ping(Barrier::Seen),
                // On a slow link the PING may wait behind our own bytes. While these are acknowledged, the server is alive.
                Some(before) if before != acknowledged => {}
                Some(_) => connection.give_up_unless_heard(),
            }
            connection.watch_silence();
        });
        self.idle.replace(Some(call));
    }

    /// Aborts the connection to a server that sends but does not read: while PINGs are outstanding, it must answer one or
    /// acknowledge some of our bytes within [`DEAFNESS`].
    fn watch_pongs(self: &Rc<Self>) {
        if self.watches_pongs.replace(true) {
            return;
        }
        let progress = |connection: &Self| (connection.ponged.get(), connection.transport.delivery().acknowledged);
        let (there, before) = (Rc::downgrade(self), progress(self));
        self.transport.reactor().call_later(DEAFNESS, move || {
            let Some(connection) = there.upgrade() else { return };
            connection.watches_pongs.set(false);
            if connection.barriers.borrow().is_empty() {
                return;
            }
            if progress(&connection) == before {
                connection.abort(EngineError::Lost(format!("the server has read nothing for {DEAFNESS:?}")));
            } else {
                connection.watch_pongs();
            }
        });
    }

    /// Aborts the connection unless input is found in the next turn: this program may have been suspended for a while.
    fn give_up_unless_heard(self: &Rc<Self>) {
        let there = Rc::downgrade(self);
        self.transport.reactor().call_later(Duration::ZERO, move || {
            if let Some(connection) = there.upgrade().filter(|connection| connection.asked.get().is_some()) {
                connection.abort(EngineError::Lost(format!("the server has been silent for {SILENCE:?}")));
            }
        });
    }

    /// Aborts the connection for this reason.
    pub(super) fn abort(&self, fault: EngineError) {
        self.fault.borrow_mut().get_or_insert(fault);
        self.transport.abort_connection();
    }

    /// The connection is lost: fails everything that waits for it. Returns how many messages may not have arrived.
    pub(super) fn lost(&self, error: &EngineError) -> u64 {
        if let Some(idle) = self.idle.take() {
            idle.cancel().ok();
        }
        for tail in std::mem::take(&mut *self.tails.borrow_mut()).into_values() {
            tail.end();
        }
        self.subscriptions.borrow_mut().clear();
        // Everything is taken out first: callbacks may use the connection.
        let barriers = std::mem::take(&mut *self.barriers.borrow_mut());
        drop(std::mem::take(&mut *self.readings.borrow_mut()));
        self.requests.fail_all(error);
        self.streams.fail_all(error);
        for (barrier, _) in barriers {
            if let Barrier::Closed(firer) = barrier {
                firer.callback(());
            }
        }
        self.published.get() - self.confirmed.get()
    }

    /// Writes, and lets the hub know when there is room again.
    pub(super) fn write(self: &Rc<Self>, pieces: &[&[u8]]) {
        self.transport.write_sequence(pieces);
        self.watch_congestion();
    }

    fn watch_congestion(self: &Rc<Self>) {
        if !self.transport.is_congested() || self.watching.replace(true) {
            return;
        }
        let connection = Rc::clone(self);
        let told = self.transport.when_writable().add_both(move |result| {
            connection.watching.set(false);
            if result.is_ok() {
                connection.pay();
                connection.upstream.writable();
            }
        });
        told.detach();
    }

    /// Sends the replies that had to wait for room.
    fn pay(self: &Rc<Self>) {
        if self.owed_pong.take() {
            self.write(&[b"PONG\r\n"]);
        }
        for word in std::mem::take(&mut *self.owed_words.borrow_mut()).into_values() {
            self.send(&word, None, &[], b"");
        }
    }

    /// Answers a PING. While there is no room it answers later, and several with one PONG: a server may ask without reading.
    pub(super) fn pong(self: &Rc<Self>) {
        if self.transport.is_congested() {
            self.owed_pong.set(true);
        } else {
            self.write(&[b"PONG\r\n"]);
        }
    }

    /// Sends a PING; the PONG means that the server has seen everything sent before it.
    pub(super) fn ping(self: &Rc<Self>, barrier: Barrier) {
        self.barriers.borrow_mut().push_back((barrier, self.published.get()));
        self.write(&[b"PING\r\n"]);
        self.watch_pongs();
    }

    /// The oldest PING is answered. Returns its meaning; `None` if no PING is outstanding.
    pub(super) fn ponged(self: &Rc<Self>) -> Option<Barrier> {
        let (barrier, published) = self.barriers.borrow_mut().pop_front()?;
        self.confirmed.set(published);
        self.ponged.set(self.ponged.get() + 1);
        self.fault.replace(None);
        if self.confirming.get() {
            let behind = self.published.get() > published;
            self.confirming.set(behind);
            // The next PING, unless one is outstanding.
            if behind && self.barriers.borrow().is_empty() {
                self.ping(Barrier::Seen);
            }
        }
        Some(barrier)
    }

    /// Publishes a live message.
    pub(super) fn publish(self: &Rc<Self>, subject: &str, publication: &Publication) {
        let (headers, payload) = (pairs(publication.headers()), publication.payload());
        if let Err(why) = self.check_length(&headers, payload) {
            let (upstream, subject) = (self.upstream.clone(), subject.to_owned());
            let tell = move || upstream.publication_refused(&subject, &why);
            return drop(self.transport.reactor().call_later(Duration::ZERO, tell));
        }
        if payload.len() < SHARED_FROM {
            self.send(subject, None, &headers, payload);
        } else {
            self.transport.write(head_of(subject, None, &headers, payload.len()));
            self.transport.write_shared(&SharedBytes::new(Arc::clone(payload)));
            self.write(&[b"\r\n"]);
        }
        self.published.set(self.published.get() + 1);
        if !self.confirming.replace(true) {
            self.ping(Barrier::Seen);
        }
    }

    /// Refuses a message that is too long: the server would close the connection.
    pub(super) fn check_length(&self, headers: &[(&str, &str)], payload: &[u8]) -> Result<(), String> {
        let length = payload.len() + if headers.is_empty() { 0 } else { write_headers(headers.iter().copied()).len() };
        let limit = self.max_payload.get();
        if length <= limit {
            return Ok(());
        }
        Err(format!("its {length} bytes, with its headers, exceed the server's max_payload of {limit}"))
    }

    /// Sends a message.
    pub(super) fn send(self: &Rc<Self>, subject: &str, reply: Option<&str>, headers: &[(&str, &str)], payload: &[u8]) {
        self.write(&[&head_of(subject, reply, headers, payload.len()), payload, b"\r\n"]);
    }

    /// Subscribes; the group may be empty.
    pub(super) fn send_subscribe(self: &Rc<Self>, subject: &str, group: &str, sid: &str) {
        let space = if group.is_empty() { "" } else { " " };
        self.write(&[format!("SUB {subject} {group}{space}{sid}\r\n").as_bytes()]);
    }

    /// Ends a subscription, now or after this number of messages.
    pub(super) fn send_unsubscribe(self: &Rc<Self>, sid: &str, after: Option<usize>) {
        let after = after.map_or_else(String::new, |after| format!(" {after}"));
        self.write(&[format!("UNSUB {sid}{after}\r\n").as_bytes()]);
    }

    /// Subscribes to the answers to requests.
    pub(super) fn listen_for_answers(self: &Rc<Self>) {
        self.send_subscribe(&format!("{}.*", self.inbox), "", ANSWERS);
    }

    /// A message has arrived.
    pub(super) fn deliver(self: &Rc<Self>, head: &Head<'_>, headers: &[u8], payload: &[u8]) {
        let headers = if headers.is_empty() { Headers::default() } else { Headers::parse(headers) };
        if head.sid == ANSWERS {
            let token = head.subject.strip_prefix(&self.inbox).and_then(|rest| rest.strip_prefix('.'));
            let Some(token) = token.and_then(|token| token.parse().ok()) else { return };
            return self.requests.answer(token, headers.status, payload);
        }
        if let Some(number) = head.sid.strip_prefix('f') {
            return number.parse().map_or((), |number| self.read(number, head, headers, payload));
        }
        if let Some((id, generation)) = head.sid.split_once('.') {
            let tail = id.parse().ok().and_then(|id| self.tails.borrow().get(&id).cloned());
            return tail.map_or((), |tail| tail.deliver(self, generation, head, headers, payload));
        }
        let subscription = head.sid.parse().ok().and_then(|id| self.subscriptions.borrow().get(&id).cloned());
        if let Some(subscription) = subscription {
            subscription.deliver(&self.upstream, head.subject, headers, payload);
        }
    }

    /// The server reports an error: it refuses something, or is about to close the connection.
    pub(super) fn refused(&self, text: &str) {
        let lower = text.to_ascii_lowercase();
        let subject = text.split('"').nth(1).unwrap_or_default();
        if lower.starts_with("permissions violation for subscription") {
            return self.subscription_refused(text, |subscription| subscription.subject() == subject);
        }
        if lower.starts_with("permissions violation for publish") {
            if !self.requests.deny(subject, text) {
                self.upstream.publication_refused(subject, text);
            }
            return;
        }
        if lower.starts_with("maximum subscriptions exceeded") {
            return self.subscription_refused(text, |_| true);
        }
        let is_login = ["authorization", "authentication", "account", "user"].iter().any(|word| lower.contains(word));
        let is_login = is_login || matches!(self.barriers.borrow().front(), Some((Barrier::Login, _)));
        report_error("hub", format_args!("the NATS server says: {text}"));
        let fault = if is_login { EngineError::Refused(text.to_owned()) } else { EngineError::Lost(text.to_owned()) };
        self.fault.replace(Some(fault));
    }

    /// Refuses the first matching subscription that is not answered yet.
    fn subscription_refused(&self, text: &str, is_it: impl Fn(&Subscription) -> bool) {
        let subscription = self.barriers.borrow().iter().find_map(|(barrier, _)| match barrier {
            Barrier::Subscribed(subscription) if !subscription.is_told() && is_it(subscription) => Some(Rc::clone(subscription)),
            _ => None,
        });
        let Some(subscription) = subscription else {
            return report_error("hub", format_args!("the NATS server refuses a subscription: {text}"));
        };
        self.subscriptions.borrow_mut().remove(&subscription.id().0);
        subscription.refuse(&self.upstream, text);
    }

    /// Returns whether the hub should queue messages for now.
    pub(super) fn is_congested(self: &Rc<Self>) -> bool {
        self.watch_congestion();
        self.transport.is_congested()
    }

    /// Ends a subscription of the hub.
    pub(super) fn unsubscribe(self: &Rc<Self>, id: InterestId) {
        let subscription = self.subscriptions.borrow_mut().remove(&id.0);
        if let Some(subscription) = subscription {
            subscription.end();
            self.send_unsubscribe(&id.0.to_string(), None);
        }
        let tail = self.tails.borrow_mut().remove(&id.0);
        if let Some(tail) = tail {
            self.owed_words.borrow_mut().remove(&id.0);
            self.send_unsubscribe(&tail.sid(), None);
            self.known.forget(tail.topic().as_str());
            self.streams.forget(tail.topic());
            tail.end();
        }
    }
}

/// Returns the line before a message, and its headers.
fn head_of(subject: &str, reply: Option<&str>, headers: &[(&str, &str)], payload: usize) -> Vec<u8> {
    let (space, reply) = reply.map_or(("", ""), |reply| (" ", reply));
    if headers.is_empty() {
        return format!("PUB {subject}{space}{reply} {payload}\r\n").into_bytes();
    }
    let headers = write_headers(headers.iter().copied());
    let line = format!("HPUB {subject}{space}{reply} {} {}\r\n", headers.len(), headers.len() + payload);
    [line.as_bytes(), &headers].concat()
}

/// Headers as they are sent.
pub(super) fn pairs(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}
