//! Messages that a stream keeps, read once.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use torsade_protocols::Result;
use torsade_reactor::{Deferred, Firer};

use super::connection::Connection;
use super::jetstream::{ApiError, Stream, nanoseconds};
use super::requests::Unanswered;
use super::subscription::message;
use super::wire::{Head, Headers, Place};
use crate::engine::{Page, Start};
use crate::error::EngineError;
use crate::message::{Message, MessageId};
use crate::topic::Topic;

/// After so long without another message the server says that there is none.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// How long a reading may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A message as it came.
pub(super) struct Read {
    pub(super) subject: String,
    pub(super) headers: Headers,
    pub(super) payload: Vec<u8>,
    pub(super) number: u64,
}

/// What has come of a part of a stream so far.
pub(super) struct Reading {
    read: Vec<Read>,
    most: usize,
    /// The number of the last message that is wanted.
    last: u64,
    firer: Firer<Vec<Read>>,
}

/// Which part of a stream is read: the server's options for a consumer, and where it ends.
pub(super) struct Part {
    pub(super) options: Map<String, Value>,
    pub(super) most: usize,
    pub(super) last: u64,
}

impl Connection {
    /// Reads a part of a stream, by a consumer that is deleted afterwards.
    pub(super) async fn read_part(self: &Rc<Self>, stream: &str, part: Part) -> Result<Vec<Read>, ApiError> {
        let number = self.number();
        let (sid, subject) = (format!("f{number}"), format!("{}.f.{number}", self.inbox));
        let (deferred, firer) = Deferred::new();
        let reading = Reading { read: Vec::new(), most: part.most, last: part.last, firer };
        self.readings.borrow_mut().insert(number, reading);
        self.send_subscribe(&subject, "", &sid);
        let mut config = part.options;
        config.extend([
            ("deliver_subject".to_owned(), json!(subject)),
            ("ack_policy".to_owned(), json!("none")),
            ("max_deliver".to_owned(), json!(1)),
            ("replay_policy".to_owned(), json!("instant")),
            ("idle_heartbeat".to_owned(), json!(nanoseconds(HEARTBEAT))),
            ("mem_storage".to_owned(), json!(true)),
            ("num_replicas".to_owned(), json!(1)),
        ]);
        let body = json!({ "stream_name": stream, "config": config });
        let result = match self.api(&format!("CONSUMER.CREATE.{stream}"), &body).await {
            Ok(consumer) => {
                // The consumer may have nothing to send, and then says nothing.
                if consumer.get("num_pending").and_then(Value::as_u64) == Some(0)
                    && consumer.pointer("/delivered/consumer_seq").and_then(Value::as_u64) == Some(0)
                {
                    self.end_reading_if(number, |reading| reading.read.is_empty());
                }
                let read = deferred.add_timeout(TIMEOUT, self.transport.reactor()).await;
                if let Some(name) = consumer.get("name").and_then(Value::as_str) {
                    let subject = format!("$JS.API.CONSUMER.DELETE.{stream}.{name}").into();
                    // Should it fail, the server deletes it some seconds later, since nobody listens.
                    self.request(&subject, &[], b"", |_| ());
                }
                read.map_err(|_| ApiError::Unanswered(Unanswered::TimedOut))
            }
            Err(error) => Err(error),
        };
        self.readings.borrow_mut().remove(&number);
        self.send_unsubscribe(&sid, None);
        result
    }

    /// Something came of a reading.
    pub(super) fn read(self: &Rc<Self>, number: u64, head: &Head<'_>, headers: Headers, payload: &[u8]) {
        let Some(place) = head.reply.and_then(Place::parse) else {
            // The server has nothing more to send.
            return if headers.status == Some(100) {
                self.end_reading_if(number, |_| true)
            };
        };
        let is_last = {
            let mut readings = self.readings.borrow_mut();
            let Some(reading) = readings.get_mut(&number) else { return };
            if place.stream <= reading.last {
                reading.read.push(Read {
                    subject: head.subject.to_owned(),
                    headers,
                    payload: payload.to_vec(),
                    number: place.stream,
                });
            }
            place.pending == 0 || place.stream >= reading.last || reading.read.len() >= reading.most
        };
        if is_last {
            self.end_reading_if(number, |_| true);
        }
    }

    fn end_reading_if(&self, number: u64, is_over: impl Fn(&Reading) -> bool) {
        let reading = {
            let mut readings = self.readings.borrow_mut();
            if !readings.get(&number).is_some_and(is_over) {
                return;
            }
            readings.remove(&number)
        };
        if let Some(reading) = reading {
            reading.firer.callback(reading.read);
        }
    }

    /// Reads messages that a topic keeps.
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

    /// Gives a Deferred for what a task of this connection finds out.
    pub(super) fn find_out<T, F>(self: &Rc<Self>, task: impl FnOnce(Rc<Self>) -> F + 'static) -> Deferred<T>
    where
        T: 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        let (deferred, firer) = Deferred::new();
        let connection = Rc::clone(self);
        self.transport.spawn(|_| async move {
            match task(connection).await {
                Ok(value) => firer.callback(value),
                Err(error) => firer.errback(EngineError::from(error)),
            }
            Ok(())
        });
        deferred.add_errback(|failure| {
            // A task ends with its connection.
            Err(failure.downcast_ref::<EngineError>().cloned().unwrap_or_else(not_there).into())
        })
    }
}

/// For what is asked without a connection.
pub(super) fn not_there() -> EngineError {
    EngineError::Lost("it was asked for while there was none, or the connection was lost before the answer".to_owned())
}

fn kept(topic: &Topic, read: Read) -> Message {
    message(topic.clone(), read.headers, &read.payload).with_id(MessageId { major: 0, minor: read.number })
}
