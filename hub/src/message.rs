//! What is published, and what comes of it.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use torsade_protocols::SharedBytes;

use crate::error::PublishError;
use crate::topic::Topic;

/// A message of a topic, as its subscribers get it; a cheap handle.
#[derive(Clone, Debug)]
pub struct Message {
    topic: Topic,
    payload: SharedBytes,
    headers: Headers,
    id: Option<MessageId>,
}

/// The names and values beside a payload, in order.
pub(crate) type Headers = Arc<[(String, String)]>;

impl Message {
    /// For engines: a message that has come.
    #[must_use]
    pub fn new(topic: Topic, payload: SharedBytes) -> Self {
        Self { topic, payload, headers: Arc::default(), id: None }
    }

    /// For engines: the names and values beside the payload.
    #[must_use]
    pub fn with_headers(self, headers: impl Into<Arc<[(String, String)]>>) -> Self {
        Self { headers: headers.into(), ..self }
    }

    /// For engines: where it is among those of its topic that are kept.
    #[must_use]
    pub fn with_id(self, id: MessageId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// The topic that it was published on.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// What was published.
    #[must_use]
    pub const fn payload(&self) -> &SharedBytes {
        &self.payload
    }

    /// The first value beside the payload that has this name, the case of its letters apart.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All names and values beside the payload, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Where it is among the messages of its topic; none if the topic keeps none.
    #[must_use]
    pub const fn id(&self) -> Option<MessageId> {
        self.id
    }
}

/// Where a message is among those of its topic, which [are kept](crate::HubConfig::replay): later ones are greater.
///
/// It is text for whoever keeps it, such as a client that comes back and asks for what came since. It means nothing in another
/// topic, or with another engine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// For engines: what counts first; 0 where the broker has one number.
    pub major: u64,
    /// For engines: what counts among those.
    pub minor: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for MessageId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (major, minor) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { major: major.parse()?, minor: minor.parse()? })
    }
}

/// What is published: a payload, and names and values beside it where the engine carries them.
///
/// Text and bytes are one without headers.
#[derive(Clone, Debug)]
pub struct Publication {
    pub(crate) payload: Arc<[u8]>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Publication {
    /// Adds a name and a value. Neither may have a line break in it, the name no colon: see
    /// [`PublishError::Header`](crate::PublishError::Header).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Whether it can be sent.
    pub(crate) fn check(&self, limit: usize) -> Result<(), PublishError> {
        let length = self.payload.len();
        if length > limit {
            return Err(PublishError::TooLong { length, limit });
        }
        let is_text = |text: &str| !text.contains(['\r', '\n', '\0']);
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        match self.headers.iter().find(|(name, value)| !is_name(name) || !is_text(value)) {
            Some((name, _)) => Err(PublishError::Header { name: name.clone() }),
            None => Ok(()),
        }
    }

    /// For engines: the payload.
    #[must_use]
    pub const fn payload(&self) -> &Arc<[u8]> {
        &self.payload
    }

    /// For engines: the names and values beside it.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

impl<T: AsRef<[u8]>> From<T> for Publication {
    fn from(payload: T) -> Self {
        Self { payload: payload.as_ref().into(), headers: Vec::new() }
    }
}

/// Messages that a subscriber did not get, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// The broker was not to be reached: what was published before it was again is lost. A topic that
    /// [keeps its messages](crate::HubConfig::replay) has no such gaps.
    Disconnected,
    /// The subscriber did not take its messages as fast as they came, and so many were dropped for it.
    Slow {
        /// How many.
        dropped: u64,
    },
    /// The topic keeps its last messages, and those that came next after `after` are not among them any more.
    Trimmed {
        /// The last that the subscriber has got; none if it wanted all.
        after: Option<MessageId>,
    },
    /// The broker has lost the messages that it had kept: their numbers begin again.
    Reset,
    /// The broker refuses the subscription: nothing comes.
    Refused {
        /// Why, in the broker's words.
        why: String,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("messages were missed while the broker was not to be reached"),
            Self::Slow { dropped: 1 } => f.write_str("one message was dropped, since they came faster than they were taken"),
            Self::Slow { dropped } => write!(f, "{dropped} messages were dropped, since they came faster than they were taken"),
            Self::Trimmed { after: Some(after) } => write!(f, "messages after {after} are not kept any more"),
            Self::Trimmed { after: None } => f.write_str("the first messages are not kept any more"),
            Self::Reset => f.write_str("the broker has lost the messages that it had kept"),
            Self::Refused { why } => write!(f, "the broker refuses the subscription: {why}"),
        }
    }
}
