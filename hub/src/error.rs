//! Errors.

use std::error::Error;
use std::fmt;

use torsade_reactor::Failure;

use crate::topic::TopicError;

/// Why a hub cannot be opened.
#[non_exhaustive]
pub enum HubError {
    /// The address does not name an engine, or is malformed.
    Address {
        /// The address, without its password.
        text: String,
        /// What is wrong with it, and how to write it.
        problem: String,
    },
    /// TLS to the broker cannot be set up: the program was built without the feature `tls`, or its certificates cannot be read.
    Tls {
        /// What is wrong.
        problem: String,
    },
}

/// Why a subscription could not be made.
#[non_exhaustive]
pub enum SubscribeError {
    /// The text is not a topic or a pattern.
    Topic(TopicError),
    /// The engine or the topic does not support this, for this reason.
    Unsupported(&'static str),
    /// The hub is closed.
    Closed,
}

/// Why a message was not published.
#[non_exhaustive]
pub enum PublishError {
    /// The text is not a topic.
    Topic(TopicError),
    /// The broker is unreachable, and the hub is set to [refuse](crate::WhenDisconnected::Refuse) messages then. Publish again
    /// later, or let the hub queue them.
    Disconnected,
    /// The queue for the broker has reached its [limit](crate::HubConfig::queue). Publish less, or later.
    Full,
    /// The message exceeds the limit of the broker or of the [hub](crate::HubConfig::max_payload).
    TooLong {
        /// Its length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A header cannot be sent: see [`Publication::header`](crate::Publication::header) for what is allowed.
    Header {
        /// The name of the header.
        name: String,
    },
    /// The engine or the topic does not support this, for this reason.
    Unsupported(&'static str),
    /// The hub is closed.
    Closed,
}

/// What went wrong between an engine and its broker.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum EngineError {
    /// The connection could not be made, for this reason. The engine tries again.
    Unreachable(String),
    /// The connection was lost, for this reason. The engine reconnects.
    Lost(String),
    /// The broker refused the login or a command (wrong password, bad certificate, missing permission), in its own words. The
    /// engine tries to log in again.
    Refused(String),
    /// The broker violated its protocol. The engine closes the connection and reconnects.
    Protocol(String),
    /// The broker cannot do it at the moment, in its own words: for example while a NATS cluster elects the leader of a stream.
    /// The hub tries again.
    NotNow(String),
    /// The broker does not support it, in its own words: for example storing messages while JetStream is off.
    Unsupported(String),
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text, problem } => write!(f, "{text:?} is not the address of a hub: {problem}"),
            Self::Tls { problem } => write!(f, "TLS to the broker cannot be set up: {problem}"),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the broker cannot be reached: publish it again later, or let the hub queue it"),
            Self::Full => f.write_str("the hub's queue for the broker is full: publish less, or later"),
            Self::TooLong { length, limit } => write!(f, "a message of {length} bytes exceeds the limit of {limit}"),
            Self::Header { name } => {
                write!(
                    f,
                    "the header {name:?} cannot be sent: its name must be printable ASCII without spaces and colons, its value must have no line break"
                )
            }
            Self::Unsupported(why) => f.write_str(why),
            Self::Closed => f.write_str("the hub is closed"),
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the broker cannot be reached: {why}"),
            Self::Lost(why) => write!(f, "the connection to the broker was lost: {why}"),
            Self::Refused(why) => write!(f, "the broker refused: {why}"),
            Self::Protocol(why) => write!(f, "the broker violated its protocol: {why}"),
            Self::NotNow(why) => write!(f, "the broker cannot do it now: {why}"),
            Self::Unsupported(why) => write!(f, "the broker does not support this: {why}"),
        }
    }
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::Unsupported(why) => f.write_str(why),
            Self::Closed => f.write_str("the hub is closed"),
        }
    }
}

impl EngineError {
    /// Returns whether a request failed only because the connection was lost or could not be made, so that it can be repeated.
    pub(crate) fn is_loss(failure: &Failure) -> bool {
        matches!(failure.downcast_ref(), Some(Self::Lost(_) | Self::Unreachable(_)))
    }

    /// Returns whether a request can be repeated, now or after a reconnect.
    pub(crate) fn is_passing(failure: &Failure) -> bool {
        Self::is_loss(failure) || matches!(failure.downcast_ref(), Some(Self::NotNow(_)))
    }
}

torsade_reactor::debug_as_display!(HubError);
torsade_reactor::debug_as_display!(SubscribeError);
torsade_reactor::debug_as_display!(PublishError);
torsade_reactor::debug_as_display!(EngineError);

impl Error for HubError {}
impl Error for EngineError {}

impl Error for PublishError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Topic(error) => Some(error),
            _ => None,
        }
    }
}

impl Error for SubscribeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Topic(error) => Some(error),
            _ => None,
        }
    }
}

impl From<TopicError> for SubscribeError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}

impl From<TopicError> for PublishError {
    fn from(error: TopicError) -> Self {
        Self::Topic(error)
    }
}
