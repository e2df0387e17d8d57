//! JetStream: its streams and its API.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use torsade_protocols::Result;
use torsade_reactor::{Deferred, Firer};

use super::connection::{Connection, pairs};
use super::requests::Unanswered;
use crate::error::EngineError;
use crate::message::{MessageId, Publication};
use crate::topic::Topic;

/// How long to wait before trying again what the server cannot do now.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// The number of streams that a connection remembers before it forgets the idle ones.
const MOST_KNOWN: usize = 10_000;
/// The maximum length of a stream's name.
const MAX_NAME: usize = 255;
/// How long the server recognizes duplicates; its own default.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// How often in a row, with a [`PAUSE`] in between, a message may find no responder although its stream exists and has a leader.
const MOST_REFUSED: u32 = 10;

const STREAM_NOT_FOUND: u64 = 10_059;
const STREAM_NAME_IN_USE: u64 = 10_058;
const NOT_ENABLED: [u64; 2] = [10_039, 10_076];
/// What passes by itself although its code is not 503: too few nodes for the replicas, a stream or a consumer whose nodes are
/// away, a message that is being stored already, and too many messages at once.
const PASSING: [u64; 5] = [10_005, 10_118, 10_119, 10_158, 10_167];

/// Why a request to JetStream failed.
#[derive(Clone, Debug)]
pub(super) enum ApiError {
    /// There is no responder.
    Off,
    /// JetStream refused it, in its own words.
    Refused {
        code: u64,
        number: u64,
        text: String,
    },
    Unanswered(Unanswered),
}

impl ApiError {
    /// Returns whether the request may succeed a little later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Off => false,
            Self::Refused { code, number, .. } => PASSING.contains(number) || (*code == 503 && !NOT_ENABLED.contains(number)),
            Self::Unanswered(why) => matches!(why, Unanswered::TimedOut),
        }
    }

    pub(super) const fn is_missing_stream(&self) -> bool {
        matches!(self, Self::Refused { number: STREAM_NOT_FOUND, .. })
    }

    fn of(value: &Value) -> Option<Self> {
        let error = value.get("error")?;
        let number = |name: &str| error.get(name).and_then(Value::as_u64).unwrap_or_default();
        let text = error.get("description").and_then(Value::as_str).unwrap_or("no reason given").to_owned();
        Some(Self::Refused { code: number("code"), number: number("err_code"), text })
    }
}

impl From<ApiError> for EngineError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Unanswered(Unanswered::Lost(error)) => error,
            error => Self::Unsupported(error.to_string()),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("its JetStream is off: start nats-server with -js, and let this account use it"),
            Self::Refused { text, number, .. } => write!(f, "JetStream says: {text} ({number})"),
            Self::Unanswered(Unanswered::TimedOut) => f.write_str("JetStream does not answer"),
            Self::Unanswered(Unanswered::Denied(text)) => f.write_str(text),
            Self::Unanswered(Unanswered::Lost(error)) => error.fmt(f),
        }
    }
}

impl std::error::Error for ApiError {}

/// The state of a stream at the server.
#[derive(Debug)]
pub(super) struct StreamInfo {
    pub(super) created: String,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    config: Value,
}

impl StreamInfo {
    fn parse(mut value: Value) -> Option<Self> {
        let state = value.get("state")?;
        let number = |name: &str| state.get(name).and_then(Value::as_u64);
        let (first_seq, last_seq) = (number("first_seq")?, number("last_seq")?);
        let created = value.get("created")?.as_str()?.to_owned();
        // An empty stream has `first_seq` = `last_seq` + 1, or 0 if nothing was ever stored.
        Some(Self { created, first_seq: first_seq.max(1), last_seq, config: value.get_mut("config")?.take() })
    }
}

/// A stream that this connection stores in or reads.
pub(super) struct Stream {
    pub(super) name: String,
    /// The configuration with which it is created, without `max_msgs`.
    config: Value,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The greatest number of messages that anybody wants it to keep; 0 for a bucket, whose configuration has it.
    keep: u64,
    /// Whether it is known to exist.
    is_ready: bool,
    /// Whether a task is looking it up.
    is_sought: bool,
    /// The messages to store when it is ready, in order.
    waiting: VecDeque<Store>,
    /// How often in a row a message found no responder although the stream existed.
    refused: u32,
}

/// A message to be stored.
struct Store {
    subject: Rc<str>,
    headers: Vec<(String, String)>,
    payload: Arc<[u8]>,
    firer: Firer<MessageId>,
}

/// The streams of a connection.
pub(super) struct Streams {
    by_subject: RefCell<HashMap<String, Rc<Stream>>>,
    /// On how many nodes of a cluster each is stored.
    replicas: u64,
}

impl Streams {
    pub(super) fn new(replicas: u64) -> Self {
        Self { by_subject: RefCell::default(), replicas }
    }

    /// Returns the stream of a topic.
    pub(super) fn of_topic(&self, topic: &Topic) -> Rc<Stream> {
        self.get(topic.as_str(), || {
            let config = json!({
                "name": stream_name(topic.as_str()), "subjects": [topic.as_str()], "retention": "limits", "storage": "file",
                "discard": "old", "num_replicas": self.replicas, "max_consumers": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
                "duplicate_window": nanoseconds(DUPLICATE_WINDOW),
            });
            (stream_name(topic.as_str()), config)
        })
    }

    /// Returns the stream of the bucket whose entries expire after `expiry`.
    pub(super) fn bucket(&self, name: &str, expiry: Duration) -> Rc<Stream> {
        let subjects = format!("$KV.{name}.>");
        self.get(&subjects, || {
            let stream = format!("KV_{name}");
            let config = json!({
                "name": stream, "subjects": [subjects], "retention": "limits", "storage": "file", "discard": "old",
                "num_replicas": self.replicas, "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_msg_size": -1,
                "max_msgs_per_subject": 1, "max_age": nanoseconds(expiry), "allow_rollup_hdrs": true, "deny_delete": true,
                "duplicate_window": nanoseconds(expiry.min(DUPLICATE_WINDOW)),
            });
            (stream, config)
        })
    }

    fn get(&self, subject: &str, make: impl FnOnce() -> (String, Value)) -> Rc<Stream> {
        if let Some(stream) = self.by_subject.borrow().get(subject) {
            return Rc::clone(stream);
        }
        let (name, config) = make();
        if self.by_subject.borrow().len() >= MOST_KNOWN {
            // A forgotten stream is looked up again when it is needed.
            self.by_subject.borrow_mut().retain(|_, stream| stream.is_busy());
        }
        let stream = Rc::new(Stream { name, config, state: RefCell::default() });
        self.by_subject.borrow_mut().insert(subject.to_owned(), Rc::clone(&stream));
        stream
    }

    /// The last subscription to a topic has ended.
    pub(super) fn forget(&self, topic: &Topic) {
        let mut streams = self.by_subject.borrow_mut();
        if streams.get(topic.as_str()).is_some_and(|stream| !stream.is_busy()) {
            streams.remove(topic.as_str());
        }
    }

    pub(super) fn fail_all(&self, error: &EngineError) {
        let streams: Vec<_> = self.by_subject.borrow().values().cloned().collect();
        streams.iter().for_each(|stream| stream.fail_waiting(error));
    }
}

impl Stream {
    fn is_busy(&self) -> bool {
        let state = self.state.borrow();
        state.is_sought || !state.waiting.is_empty()
    }

    fn fail_waiting(&self, error: &EngineError) {
        let waiting = std::mem::take(&mut self.state.borrow_mut().waiting);
        for store in waiting {
            store.firer.errback(error.clone());
        }
    }

    /// Asks for the stream to keep at least `keep` messages.
    pub(super) fn should_keep(&self, keep: u64) {
        let mut state = self.state.borrow_mut();
        if keep > state.keep {
            state.keep = keep;
            // The stream may have to be enlarged.
            state.is_ready = false;
        }
    }

    /// A message was not stored. Returns the error for the hub: `NotNow` if it may be stored after the stream was looked up
    /// again.
    fn refused(&self, error: ApiError) -> EngineError {
        let mut state = self.state.borrow_mut();
        let is_nobody = matches!(error, ApiError::Off);
        if is_nobody && state.is_ready {
            state.refused += 1;
        }
        if error.is_passing() || (is_nobody && state.refused <= MOST_REFUSED) {
            state.is_ready = false;
            EngineError::NotNow(if is_nobody {
                format!("nobody answers for the stream {}", self.name)
            } else {
                error.to_string()
            })
        } else {
            error.into()
        }
    }

    fn creation(&self) -> Value {
        let mut config = self.config.clone();
        if config.get("max_msgs").is_none() {
            config["max_msgs"] = json!(self.state.borrow().keep.max(1));
        }
        config
    }

    /// Returns the configuration with as many messages and replicas as are wanted; `None` if it has them already. A stream is
    /// only ever enlarged: others may want more.
    fn enlarged(&self, info: &StreamInfo) -> Option<Value> {
        let mut config = info.config.clone();
        let wanted = [("max_msgs", Some(self.state.borrow().keep)), ("num_replicas", self.config["num_replicas"].as_u64())];
        for (name, wanted) in wanted {
            // A limit of -1 is none.
            let has = config.get(name).and_then(Value::as_u64);
            if let (Some(has), Some(wanted)) = (has, wanted)
                && has < wanted
            {
                config[name] = json!(wanted);
            }
        }
        (config != info.config).then_some(config)
    }
}

impl Connection {
    /// Sends a request to JetStream's API.
    pub(super) async fn api(self: &Rc<Self>, what: &str, body: &Value) -> Result<Value, ApiError> {
        let (deferred, firer) = Deferred::new();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let subject = format!("$JS.API.{what}").into();
        self.request(&subject, &[], body.as_bytes(), move |answer| {
            firer.callback(match answer {
                Ok(answer) if answer.status == Some(503) => Err(ApiError::Off),
                Ok(answer) => serde_json::from_slice(answer.payload).map_err(|_| not_json()),
                Err(why) => Err(ApiError::Unanswered(why)),
            });
        });
        let value = deferred.await.unwrap_or_else(|failure| Err(lost(&failure.to_string())))?;
        ApiError::of(&value).map_or(Ok(value), Err)
    }

    /// Returns the state of a stream.
    pub(super) async fn stream_info(self: &Rc<Self>, stream: &Stream) -> Result<StreamInfo, ApiError> {
        let value = self.api(&format!("STREAM.INFO.{}", stream.name), &Value::Null).await?;
        // Without a leader any node answers, which may not have all messages.
        if value.get("cluster").is_some_and(|cluster| cluster.get("leader").is_none()) {
            return Err(ApiError::Refused { code: 503, number: 0, text: "the stream has no leader at the moment".to_owned() });
        }
        StreamInfo::parse(value).ok_or_else(not_json)
    }

    /// Creates the stream if it is missing, or enlarges it if necessary; returns its state.
    pub(super) async fn ensured(self: &Rc<Self>, stream: &Stream) -> Result<StreamInfo, ApiError> {
        if stream.name.len() > MAX_NAME {
            let text = format!("the topic has too many dots to be stored: the name of its stream would exceed {MAX_NAME} bytes");
            return Err(ApiError::Refused { code: 400, number: 0, text });
        }
        match self.stream_info(stream).await {
            Err(error) if error.is_missing_stream() => {
                match self.api(&format!("STREAM.CREATE.{}", stream.name), &stream.creation()).await {
                    Ok(value) => StreamInfo::parse(value).ok_or_else(not_json),
                    // Another client has just created it.
                    Err(ApiError::Refused { number: STREAM_NAME_IN_USE, .. }) => self.stream_info(stream).await,
                    Err(error) => Err(error),
                }
            }
            Ok(info) => {
                if let Some(config) = stream.enlarged(&info)
                    && let Err(error) = self.api(&format!("STREAM.UPDATE.{}", stream.name), &config).await
                {
                    log::warn!("the stream {} has fewer messages or replicas than it should: {error}", stream.name);
                }
                Ok(info)
            }
            error => error,
        }
    }

    /// The same, trying until the server can do it.
    pub(super) async fn ensured_at_last(self: &Rc<Self>, stream: &Stream) -> Result<StreamInfo, ApiError> {
        loop {
            match self.ensured(stream).await {
                Err(error) if error.is_passing() => {
                    log::warn!("the stream {} is not available, trying again in {PAUSE:?}: {error}", stream.name);
                    self.pause().await;
                }
                result => return result,
            }
        }
    }

    /// Waits for [`PAUSE`].
    pub(super) async fn pause(&self) {
        // Fails only when the reactor ends, which ends this task as well.
        drop(self.transport.reactor().sleep(PAUSE).await);
    }

    /// Stores a message in a stream.
    pub(super) fn store(
        self: &Rc<Self>,
        stream: &Rc<Stream>,
        subject: &str,
        publication: &Publication,
        more: Option<(&str, &str)>,
    ) -> Deferred<MessageId> {
        let (deferred, firer) = Deferred::new();
        let mut headers = publication.headers().to_vec();
        headers.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let store = Store { subject: subject.into(), headers, payload: Arc::clone(publication.payload()), firer };
        if let Err(why) = self.check_length(&pairs(&store.headers), &store.payload) {
            store.firer.errback(EngineError::Unsupported(why));
        } else if stream.state.borrow().is_ready {
            self.store_now(stream, store);
        } else {
            stream.state.borrow_mut().waiting.push_back(store);
            self.seek(stream);
        }
        deferred
    }

    /// Looks up a stream, creates it if it is missing, and stores the messages that wait for it.
    fn seek(self: &Rc<Self>, stream: &Rc<Stream>) {
        if std::mem::replace(&mut stream.state.borrow_mut().is_sought, true) {
            return;
        }
        let (connection, stream) = (Rc::clone(self), Rc::clone(stream));
        self.transport.spawn(async move |_| {
            if stream.state.borrow().refused > 1 {
                // The stream existed, and had no responder: it may have no leader yet.
                connection.pause().await;
            }
            let result = connection.ensured_at_last(&stream).await;
            stream.state.borrow_mut().is_sought = false;
            match result {
                Ok(_) => connection.store_waiting(&stream),
                Err(error) => stream.fail_waiting(&error.into()),
            }
            Ok(())
        });
    }

    fn store_waiting(self: &Rc<Self>, stream: &Rc<Stream>) {
        stream.state.borrow_mut().is_ready = true;
        loop {
            let first = stream.state.borrow_mut().waiting.pop_front();
            let Some(store) = first else { return };
            self.store_now(stream, store);
        }
    }

    fn store_now(self: &Rc<Self>, stream: &Rc<Stream>, store: Store) {
        let (stream, Store { subject, headers, payload, firer }) = (Rc::clone(stream), store);
        self.request(&subject, &pairs(&headers), &payload, move |answer| {
            let result = match answer {
                Ok(answer) if answer.status == Some(503) => Err(ApiError::Off),
                Ok(answer) => stored(answer.payload),
                Err(why) => Err(ApiError::Unanswered(why)),
            };
            match result {
                Ok(place) => {
                    stream.state.borrow_mut().refused = 0;
                    firer.callback(MessageId { major: 0, minor: place });
                }
                Err(error) => firer.errback(stream.refused(error)),
            }
        });
    }
}

/// Returns the number of a stored message.
fn stored(answer: &[u8]) -> Result<u64, ApiError> {
    let value: Value = serde_json::from_slice(answer).map_err(|_| not_json())?;
    match ApiError::of(&value) {
        Some(error) => Err(error),
        None => value.get("seq").and_then(Value::as_u64).ok_or_else(not_json),
    }
}

fn not_json() -> ApiError {
    ApiError::Refused { code: 500, number: 0, text: "an answer that is not in its format".to_owned() }
}

fn lost(why: &str) -> ApiError {
    ApiError::Unanswered(Unanswered::Lost(EngineError::Lost(why.to_owned())))
}

/// Returns the name of a topic's stream, unique for each topic.
pub(super) fn stream_name(topic: &str) -> String {
    let mut name = String::with_capacity(topic.len() + 8);
    for character in topic.chars() {
        match character {
            '_' => name.push_str("__"),
            '.' => name.push_str("_-"),
            // The server uses the name as a directory name.
            '/' => name.push_str("_s"),
            '\\' => name.push_str("_b"),
            other => name.push(other),
        }
    }
    name
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
