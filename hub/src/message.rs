//! Messages, publications and gaps.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;

use torsade_protocols::SharedBytes;

use crate::error::PublishError;
use crate::topic::Topic;

/// A message as it is delivered to subscribers; a cheap handle.
#[derive(Clone, Debug)]
pub struct Message {
    topic: Topic,
    payload: SharedBytes,
    headers: Headers,
    id: Option<MessageId>,
}

/// Names and values, in order.
pub(crate) type Headers = Arc<[(String, String)]>;

impl Message {
    /// For engines: makes a message that has arrived.
    #[must_use]
    pub fn new(topic: Topic, payload: SharedBytes) -> Self {
        Self { topic, payload, headers: Arc::default(), id: None }
    }

    /// For engines: sets its headers.
    #[must_use]
    pub fn with_headers(self, headers: impl Into<Arc<[(String, String)]>>) -> Self {
        Self { headers: headers.into(), ..self }
    }

    /// For engines: sets its id, if its topic is stored.
    #[must_use]
    pub fn with_id(self, id: MessageId) -> Self {
        Self { id: Some(id), ..self }
    }

    /// Returns the topic that it was published on.
    #[must_use]
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Returns the bytes that were published.
    #[must_use]
    pub const fn payload(&self) -> &SharedBytes {
        &self.payload
    }

    /// Returns the value of the first header with this name, ignoring ASCII case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Returns all headers, as names and values, in order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Returns its position among the messages of its topic; `None` if the topic is not stored, or the subscription is to a
    /// pattern.
    #[must_use]
    pub const fn id(&self) -> Option<MessageId> {
        self.id
    }
}

/// The position of a message in a [stored topic](crate::HubConfig::replay): later messages have greater ids.
///
/// It can be written as text and parsed again, for example by a client that reconnects and asks for what it has missed. An id has
/// no meaning in another topic or with another engine.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MessageId {
    /// For engines: the part that is compared first; 0 if the broker's ids are single numbers.
    pub major: u64,
    /// For engines: the part that is compared second.
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

/// What is published: a payload, and headers if the engine supports them.
///
/// Text and bytes convert into a publication without headers.
#[derive(Clone, Debug)]
pub struct Publication {
    pub(crate) payload: Arc<[u8]>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Publication {
    /// Adds a header.
    ///
    /// The name must consist of one or more printable ASCII characters except space and `:`; the value must not contain a line
    /// break or a NUL. Otherwise publishing fails with [`PublishError::Header`](crate::PublishError::Header).
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Checks its length and its headers.
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

    /// For engines: returns the payload.
    #[must_use]
    pub const fn payload(&self) -> &Arc<[u8]> {
        &self.payload
    }

    /// For engines: returns the headers.
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

/// Why a subscriber may have missed messages.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Gap {
    /// The broker was unreachable, and messages that were published meanwhile are lost. [Stored topics](crate::HubConfig::replay)
    /// have no such gaps.
    Disconnected,
    /// Messages were dropped because they arrived faster than the subscriber took them.
    Slow {
        /// How many messages were dropped.
        dropped: u64,
    },
    /// The next messages after `after` are no longer stored.
    Trimmed {
        /// The last message that the subscriber got; `None` if it has got none.
        after: Option<MessageId>,
    },
    /// The broker lost its stored messages; ids start over.
    Reset,
    /// The broker refuses the subscription: no messages arrive. If it refuses only the replay, new messages are still delivered.
    Refused {
        /// The reason, as the broker gives it.
        why: String,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("messages were missed while the broker could not be reached"),
            Self::Slow { dropped: 1 } => f.write_str("one message was dropped: messages arrived faster than they were read"),
            Self::Slow { dropped } => write!(f, "{dropped} messages were dropped: they arrived faster than they were read"),
            Self::Trimmed { after: Some(after) } => write!(f, "messages after {after} are no longer stored"),
            Self::Trimmed { after: None } => f.write_str("the first messages are no longer stored"),
            Self::Reset => f.write_str("the broker has lost its stored messages"),
            Self::Refused { why } => write!(f, "the broker refuses the subscription: {why}"),
        }
    }
}
