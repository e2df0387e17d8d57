//! Reading stored messages once.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use torsade_protocols::Result;
use torsade_reactor::{Deferred, Firer};

use super::connection::Connection;
use super::jetstream::{ApiError, PAUSE, Stream};
use super::requests::Unanswered;
use super::subscription::message;
use super::wire::{Head, Headers, Place};
use crate::engine::{Page, Start};
use crate::error::EngineError;
use crate::message::{Message, MessageId};
use crate::topic::Topic;

/// How often the state of a consumer is requested that has not sent everything.
const LOOK: Duration = Duration::from_secs(1);

/// A message that was read.
pub(super) struct Read {
    pub(super) subject: String,
    pub(super) headers: Headers,
    pub(super) payload: Vec<u8>,
    pub(super) number: u64,
}

/// A part of a stream that is being read.
pub(super) struct Reading {
    read: Vec<Read>,
    /// The number of messages received, including unwanted ones.
    received: u64,
    most: usize,
    /// The number of the last wanted message.
    last: u64,
    firer: Firer<Result<Vec<Read>, ApiError>>,
}

/// A part of a stream to read: the options of the consumer, and where it ends.
pub(super) struct Part {
    pub(super) options: Map<String, Value>,
    pub(super) most: usize,
    pub(super) last: u64,
}

impl Connection {
    /// Reads a part of a stream, through a consumer that is deleted afterwards.
    pub(super) async fn read_part(self: &Rc<Self>, stream: &str, part: Part) -> Result<Vec<Read>, ApiError> {
        let number = self.number();
        let (sid, subject) = (format!("f{number}"), format!("{}.f.{number}", self.inbox));
        let (deferred, firer) = Deferred::new();
        let reading = Reading { read: Vec::new(), received: 0, most: part.most, last: part.last, firer };
        self.readings.borrow_mut().insert(number, reading);
        self.send_subscribe(&subject, "", &sid);
        let mut config = part.options;
        config.extend([
            ("deliver_subject".to_owned(), json!(subject)),
            ("ack_policy".to_owned(), json!("none")),
            ("max_deliver".to_owned(), json!(1)),
            ("replay_policy".to_owned(), json!("instant")),
            ("mem_storage".to_owned(), json!(true)),
            ("num_replicas".to_owned(), json!(1)),
        ]);
        let body = json!({ "stream_name": stream, "config": config });
        let result = match self.api(&format!("CONSUMER.CREATE.{stream}"), &body).await {
            Ok(consumer) => self.read_all(stream, number, &consumer, deferred).await,
            Err(error) => Err(error),
        };
        self.readings.borrow_mut().remove(&number);
        self.send_unsubscribe(&sid, None);
        result
    }

    /// Waits until a consumer has sent everything. Its state is requested repeatedly, because fewer messages than announced may
    /// be left when some are trimmed or expire meanwhile.
    async fn read_all(
        self: &Rc<Self>,
        stream: &str,
        number: u64,
        consumer: &Value,
        read: Deferred<Result<Vec<Read>, ApiError>>,
    ) -> Result<Vec<Read>, ApiError> {
        let name = consumer.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.end_if_all(number, consumer);
        let (there, what) = (Rc::downgrade(self), format!("CONSUMER.INFO.{stream}.{name}"));
        self.transport.spawn(async move |transport| {
            loop {
                transport.reactor().sleep(LOOK).await?;
                let Some(connection) = there.upgrade().filter(|connection| connection.readings.borrow().contains_key(&number))
                else {
                    return Ok(());
                };
                match connection.api(&what, &Value::Null).await {
                    Ok(consumer) => connection.end_if_all(number, &consumer),
                    Err(error) if error.is_passing() => {}
                    // The consumer is gone: the part is read again.
                    Err(_) => connection.end_reading(number, Some(ApiError::Unanswered(Unanswered::TimedOut))),
                }
            }
        });
        let read = read.await.unwrap_or(Err(ApiError::Unanswered(Unanswered::TimedOut)));
        // If this fails, the server deletes it some seconds later, because nobody is subscribed.
        self.request(&format!("$JS.API.CONSUMER.DELETE.{stream}.{name}").into(), &[], b"", |_| ());
        read
    }

    /// Ends a reading if the consumer has nothing more to send, and everything that it has sent has arrived.
    fn end_if_all(&self, number: u64, consumer: &Value) {
        let received = self.readings.borrow().get(&number).map(|reading| reading.received);
        let sent = consumer.pointer("/delivered/consumer_seq").and_then(Value::as_u64);
        if received.is_some() && received == sent && consumer.get("num_pending").and_then(Value::as_u64) == Some(0) {
            self.end_reading(number, None);
        }
    }

    /// A message of a reading has arrived.
    pub(super) fn read(self: &Rc<Self>, number: u64, head: &Head<'_>, headers: Headers, payload: &[u8]) {
        let Some(place) = head.reply.and_then(Place::parse) else { return };
        let is_next = {
            let mut readings = self.readings.borrow_mut();
            let Some(reading) = readings.get_mut(&number) else { return };
            reading.received += 1;
            if place.stream <= reading.last {
                reading.read.push(Read {
                    subject: head.subject.to_owned(),
                    headers,
                    payload: payload.to_vec(),
                    number: place.stream,
                });
            }
            let is_last = place.pending == 0 || place.stream >= reading.last || reading.read.len() >= reading.most;
            (reading.received == place.consumer, is_last)
        };
        match is_next {
            // A message is missing: the part is read again.
            (false, _) => self.end_reading(number, Some(ApiError::Unanswered(Unanswered::TimedOut))),
            (true, true) => self.end_reading(number, None),
            (true, false) => {}
        }
    }

    fn end_reading(&self, number: u64, error: Option<ApiError>) {
        let reading = self.readings.borrow_mut().remove(&number);
        if let Some(reading) = reading {
            reading.firer.callback(error.map_or(Ok(reading.read), Err));
        }
    }

    /// Reads stored messages of a topic.
    pub(super) async fn page(self: &Rc<Self>, topic: &Topic, from: Start, most: usize) -> Result<Page, ApiError> {
        let stream = self.streams.of_topic(topic);
        let info = match self.stream_info(&stream).await {
            // Nothing was ever stored.
            Err(error) if error.is_missing_stream() => return Ok(Page::default()),
            result => result?,
        };
        let (wanted, trimmed) = match from {
            Start::Last(count) => (info.last_seq.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX)) + 1, false),
            Start::After(after) if after.minor > info.last_seq => (1, true),
            Start::After(after) => (after.minor + 1, info.first_seq > after.minor + 1),
            Start::Oldest | Start::Next => (1, false),
        };
        let start = wanted.max(info.first_seq);
        if start > info.last_seq || most == 0 {
            return Ok(Page { messages: Vec::new(), trimmed });
        }
        let messages = self.range(&stream, start, info.last_seq, most).await?;
        let messages = messages.into_iter().map(|read| kept(topic, read)).collect();
        Ok(Page { messages, trimmed })
    }

    async fn range(self: &Rc<Self>, stream: &Stream, start: u64, last: u64, most: usize) -> Result<Vec<Read>, ApiError> {
        let options = [("deliver_policy".to_owned(), json!("by_start_sequence")), ("opt_start_seq".to_owned(), json!(start))];
        self.read_part(&stream.name, Part { options: options.into_iter().collect(), most, last }).await
    }

    /// Runs a task of this connection, and repeats it while its error is passing; fires with the result.
    pub(super) fn find_out<T, F>(self: &Rc<Self>, task: impl Fn(Rc<Self>) -> F + 'static) -> Deferred<T>
    where
        T: 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        let (deferred, firer) = Deferred::new();
        let connection = Rc::clone(self);
        self.transport.spawn(|_| async move {
            loop {
                match task(Rc::clone(&connection)).await {
                    Ok(value) => firer.callback(value),
                    Err(error) if error.is_passing() => {
                        log::warn!("JetStream is not available, trying again in {PAUSE:?}: {error}");
                        connection.pause().await;
                        continue;
                    }
                    Err(error) => firer.errback(EngineError::from(error)),
                }
                return Ok(());
            }
        });
        deferred.add_errback(|failure| {
            // A task ends with its connection.
            Err(failure.downcast_ref::<EngineError>().cloned().unwrap_or_else(not_there).into())
        })
    }
}

/// The error of a request without a connection.
pub(super) fn not_there() -> EngineError {
    EngineError::Lost("there was none for the request, or it was lost before the answer".to_owned())
}

fn kept(topic: &Topic, read: Read) -> Message {
    message(topic.clone(), read.headers, &read.payload).with_id(MessageId { major: 0, minor: read.number })
}
