//! Subscriptions to stored topics.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use torsade_protocols::Result;
use torsade_reactor::DelayedCall;

use super::connection::{Barrier, Connection};
use super::jetstream::{ApiError, PAUSE, StreamInfo, nanoseconds};
use super::known::Known;
use super::subscription::message;
use super::wire::{self, Head, Headers, Place};
use crate::engine::InterestId;
use crate::message::{Gap, MessageId};
use crate::topic::Topic;

/// The server's interval for heartbeats while there are no messages.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// After this time without messages or heartbeats, the consumer is replaced.
const SILENCE: Duration = Duration::from_secs(15);

/// A subscription to a topic's stream, through a consumer at the server.
///
/// A consumer is never repaired: if a message is missing or it goes silent, it is replaced by another that begins after the last
/// message received. Each consumer has its own `sid`, so that messages of the previous one, which may still arrive, are
/// recognized.
pub(super) struct Tail {
    id: InterestId,
    topic: Topic,
    /// How many messages the stream should keep.
    keep: u64,
    /// The number of consumers before this one.
    generation: Cell<u64>,
    /// The number of the last message received, or of the one to begin after; `None` until that is known.
    last: Cell<Option<u64>>,
    /// The number of messages received from this consumer.
    received: Cell<u64>,
    /// Whether the hub has been told that the subscription has begun.
    is_told: Cell<bool>,
    /// The time at which the consumer counts as silent; `None` while a PING is outstanding.
    watch: RefCell<Option<DelayedCall>>,
    known: Rc<RefCell<Known>>,
}

impl Tail {
    /// Begins after message `after`, or with the next one that is stored, in a stream that keeps at least `keep` messages.
    pub(super) fn begin(connection: &Rc<Connection>, id: InterestId, topic: Topic, keep: u64, after: Option<MessageId>) {
        let tail = Rc::new(Self {
            id,
            known: connection.known.of(topic.as_str()),
            topic,
            keep,
            generation: Cell::new(0),
            last: Cell::new(after.map(|after| after.minor)),
            received: Cell::new(0),
            is_told: Cell::new(false),
            watch: RefCell::default(),
        });
        connection.tails.borrow_mut().insert(id.0, Rc::clone(&tail));
        tail.seek(connection);
    }

    pub(super) const fn topic(&self) -> &Topic {
        &self.topic
    }

    pub(super) fn sid(&self) -> String {
        format!("{}.{}", self.id.0, self.generation.get())
    }

    /// Ends the subscription.
    pub(super) fn end(&self) {
        self.generation.set(u64::MAX);
        if let Some(watch) = self.watch.take() {
            watch.cancel().ok();
        }
    }

    /// Replaces the consumer by one that begins after the last message received.
    fn begin_anew(self: &Rc<Self>, connection: &Rc<Connection>, why: &str) {
        log::info!("replacing the consumer of {}: {why}", self.topic);
        connection.send_unsubscribe(&self.sid(), None);
        self.generation.set(self.generation.get() + 1);
        self.seek(connection);
    }

    fn seek(self: &Rc<Self>, connection: &Rc<Connection>) {
        let (tail, connection, generation) = (Rc::clone(self), Rc::clone(connection), self.generation.get());
        if let Some(watch) = self.watch.take() {
            watch.cancel().ok();
        }
        connection.clone().transport.spawn(async move |_| {
            tail.make_consumer(&connection, generation).await;
            Ok(())
        });
    }

    async fn make_consumer(self: &Rc<Self>, connection: &Rc<Connection>, generation: u64) {
        loop {
            let result = self.try_to_make_consumer(connection, generation).await;
            if self.generation.get() != generation {
                return;
            }
            match result {
                Ok(()) => return self.watch(connection),
                Err(error) if error.is_passing() || error.is_missing_stream() => {
                    log::warn!("the consumer of {} cannot be created, trying again in {PAUSE:?}: {error}", self.topic);
                    connection.send_unsubscribe(&self.sid(), None);
                    connection.pause().await;
                }
                Err(error) => {
                    connection.tails.borrow_mut().remove(&self.id.0);
                    connection.send_unsubscribe(&self.sid(), None);
                    self.end();
                    return connection.upstream.refused(self.id, &error.to_string());
                }
            }
        }
    }

    async fn try_to_make_consumer(self: &Rc<Self>, connection: &Rc<Connection>, generation: u64) -> Result<(), ApiError> {
        let stream = connection.streams.of_topic(&self.topic);
        stream.should_keep(self.keep);
        let info = connection.ensured_at_last(&stream).await?;
        let gap = self.gap(connection, &stream.name, &info).await?;
        if self.generation.get() != generation {
            return Ok(());
        }
        self.place(connection, &info, gap);
        if self.generation.get() != generation {
            return Ok(());
        }
        let subject = format!("{}.d.{}", connection.inbox, self.sid());
        connection.send_subscribe(&subject, "", &self.sid());
        self.received.set(0);
        let body = json!({
            "stream_name": stream.name,
            "config": {
                "deliver_subject": subject, "deliver_policy": "by_start_sequence",
                "opt_start_seq": self.last.get().unwrap_or_default() + 1, "ack_policy": "none", "max_deliver": 1,
                "replay_policy": "instant", "flow_control": true, "idle_heartbeat": nanoseconds(HEARTBEAT),
                "mem_storage": true, "num_replicas": 1,
            },
        });
        connection.api(&format!("CONSUMER.CREATE.{}", stream.name), &body).await.map(drop)
    }

    /// Returns the gap, if any, between the last message received and the first that the stream still has, and the message after
    /// which to continue.
    async fn gap(&self, connection: &Rc<Connection>, stream: &str, info: &StreamInfo) -> Result<Option<(Gap, u64)>, ApiError> {
        let Some(last) = self.last.get() else { return Ok(None) };
        let oldest = info.first_seq - 1;
        let recent = self.known.borrow().recent(info);
        let is_there = match recent.last() {
            _ if last > info.last_seq => false,
            Some((number, time)) if *number == last => self.time_of(connection, stream, last).await? == Some(*time),
            // No message is remembered, so the creation time must do. It is less reliable: if the configuration of a stream is
            // changed after a restart, the server reports the time of the restart.
            _ => !self.known.borrow().is_another(info),
        };
        if !is_there {
            // A server that is killed may lose messages that it has confirmed but not yet written, as nats-server 2.9 does.
            // Others may have stored messages under the same numbers since.
            let after = self.last_that_is_there(connection, stream, &recent).await?;
            return Ok(Some((Gap::Reset, after.unwrap_or(oldest))));
        }
        let is_trimmed = info.first_seq > last + 1;
        Ok(is_trimmed.then_some((Gap::Trimmed { after: Some(MessageId { major: 0, minor: last }) }, oldest)))
    }

    /// Returns the last of these messages that the stream still has unchanged; it has all before it, too.
    async fn last_that_is_there(
        &self,
        connection: &Rc<Connection>,
        stream: &str,
        recent: &[(u64, u64)],
    ) -> Result<Option<u64>, ApiError> {
        let (mut there, mut gone) = (0, recent.len());
        while let Some((number, time)) = recent.get(usize::midpoint(there, gone)).filter(|_| there < gone) {
            let middle = usize::midpoint(there, gone);
            if self.time_of(connection, stream, *number).await? == Some(*time) {
                there = middle + 1;
            } else {
                gone = middle;
            }
        }
        Ok(there.checked_sub(1).and_then(|last| recent.get(last)).map(|(number, _)| *number))
    }

    /// Returns when the message with this number was stored; `None` if there is none.
    async fn time_of(&self, connection: &Rc<Connection>, stream: &str, number: u64) -> Result<Option<u64>, ApiError> {
        match connection.api(&format!("STREAM.MSG.GET.{stream}"), &json!({ "seq": number })).await {
            Ok(value) => Ok(value.pointer("/message/time").and_then(Value::as_str).and_then(wire::nanoseconds)),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Sets the message after which to begin, and tells the hub.
    fn place(&self, connection: &Connection, info: &StreamInfo, gap: Option<(Gap, u64)>) {
        let last = match (self.last.get(), &gap) {
            (_, Some((_, after))) => *after,
            (Some(last), None) => last,
            (None, None) => info.last_seq,
        };
        self.last.set(Some(last));
        self.known.borrow_mut().record_stream(info, last);
        self.report_begun(connection);
        if let Some((gap, _)) = gap {
            connection.upstream.missed(self.id, &gap);
        }
    }

    fn report_begun(&self, connection: &Connection) {
        if !self.is_told.replace(true) {
            connection.upstream.subscribed(self.id, self.last.get().map(|minor| MessageId { major: 0, minor }));
        }
    }

    /// Replaces the consumer if it is silent for [`SILENCE`]. Because its messages may be delayed on a slow link, a PING is sent
    /// first: the consumer is replaced only if nothing has arrived before the PONG.
    fn watch(self: &Rc<Self>, connection: &Rc<Connection>) {
        let (tail, there) = (Rc::downgrade(self), Rc::downgrade(connection));
        let call = connection.transport.reactor().call_later(SILENCE, move || {
            if let (Some(tail), Some(connection)) = (tail.upgrade(), there.upgrade()) {
                tail.watch.replace(None);
                let generation = tail.generation.get();
                connection.ping(Barrier::Tail(tail, generation));
            }
        });
        if let Some(old) = self.watch.replace(Some(call)) {
            old.cancel().ok();
        }
    }

    /// The PONG has arrived, and with it everything that the server had sent before.
    pub(super) fn ponged(self: &Rc<Self>, connection: &Rc<Connection>, generation: u64) {
        if self.watch.borrow().is_none() && self.generation.get() == generation {
            self.begin_anew(connection, "it is silent");
        }
    }

    pub(super) fn deliver(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        generation: &str,
        head: &Head<'_>,
        headers: Headers,
        payload: &[u8],
    ) {
        if generation.parse() != Ok(self.generation.get()) {
            return;
        }
        let is_watched = self.watch.borrow().as_ref().is_some_and(|watch| watch.reset(SILENCE).is_ok());
        if !is_watched {
            self.watch(connection);
        }
        match (headers.status, head.reply.and_then(Place::parse)) {
            (Some(100), _) => self.hear(connection, head, &headers),
            (None, Some(place)) => self.take(connection, place, headers, payload),
            _ => log::debug!("what the server sends for {} is not a message", self.topic),
        }
    }

    /// A heartbeat or a flow-control request has arrived.
    fn hear(self: &Rc<Self>, connection: &Rc<Connection>, head: &Head<'_>, headers: &Headers) {
        if let Some(reply) = head.reply.or_else(|| headers.get("Nats-Consumer-Stalled")) {
            if connection.transport.is_congested() {
                connection.owed_words.borrow_mut().insert(self.id.0, reply.to_owned());
            } else {
                connection.send(reply, None, &[], b"");
            }
        }
        let sent = headers.get("Nats-Last-Consumer").and_then(|number| number.parse::<u64>().ok());
        if sent.is_some_and(|sent| sent != self.received.get()) {
            self.begin_anew(connection, "messages are missing");
        }
    }

    fn take(self: &Rc<Self>, connection: &Rc<Connection>, place: Place, headers: Headers, payload: &[u8]) {
        if place.consumer != self.received.get() + 1 {
            return self.begin_anew(connection, "a message is missing");
        }
        self.received.set(place.consumer);
        let last = self.last.get().unwrap_or_default();
        if place.stream <= last {
            return;
        }
        self.last.set(Some(place.stream));
        self.known.borrow_mut().record_message(place.stream, place.time);
        if place.stream > last + 1 {
            // Trimmed or deleted before they could be sent.
            connection.upstream.missed(self.id, &Gap::Trimmed { after: Some(MessageId { major: 0, minor: last }) });
        }
        let message = message(self.topic.clone(), headers, payload).with_id(MessageId { major: 0, minor: place.stream });
        connection.upstream.message(self.id, &message);
    }
}
