//! What can go wrong.

use std::error::Error;
use std::fmt;

use torsade_reactor::Failure;

use crate::topic::TopicError;

/// Why a hub cannot be opened.
#[non_exhaustive]
pub enum HubError {
    /// The text names no engine, or not as that engine's is written.
    Address {
        /// The text, without its password.
        text: String,
        /// What is wrong with it, and how it is written.
        problem: String,
    },
    /// TLS is asked for, and this program was built without it: add the feature `tls`.
    Tls {
        /// What in it is wrong.
        problem: String,
    },
}

/// Why a subscription was not made.
#[non_exhaustive]
pub enum SubscribeError {
    /// The topic or pattern is none.
    Topic(TopicError),
    /// This engine cannot do it, for the reason that is said. Choose another engine, or do without.
    Unsupported(&'static str),
    /// The hub is closed.
    Closed,
}

/// Why a message was not published.
#[non_exhaustive]
pub enum PublishError {
    /// The topic is none.
    Topic(TopicError),
    /// The broker is not to be reached, and the hub [refuses](crate::WhenDisconnected::Refuse) what is published then. Publish it
    /// again later, or let the hub queue it.
    Disconnected,
    /// What waits for the broker has reached its [bound](crate::HubConfig::queue). Publish less, or later.
    Full,
    /// The message is longer than the broker takes, or than the hub's [limit](crate::HubConfig::max_payload).
    TooLong {
        /// Its length, in bytes.
        length: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A header's name or value cannot be sent: it has a line break in it, or the name is empty or has a colon.
    Header {
        /// The name.
        name: String,
    },
    /// This engine cannot do it, for the reason that is said. Choose another engine, or do without.
    Unsupported(&'static str),
    /// The hub is closed.
    Closed,
}

/// What an engine has to say of its connection.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum EngineError {
    /// The connection could not be made, for this reason. It is tried again.
    Unreachable(String),
    /// The connection was lost, for this reason. It is made again.
    Lost(String),
    /// The broker did not let us in (a password, a certificate, a right that is missing), in its own words. It is tried again.
    Refused(String),
    /// What came is not of the broker's protocol. The connection is closed and made again.
    Protocol(String),
    /// The broker is there and cannot do it just now, for this reason, such as while a NATS cluster elects the leader of a stream. The hub asks
    /// again.
    NotNow(String),
    /// What was asked cannot be done, in the broker's words, such as keeping messages where its JetStream is off.
    Unsupported(String),
}

impl fmt::Display for HubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { text, problem } => write!(f, "{text:?} names no hub: {problem}"),
            Self::Tls { problem } => write!(f, "no TLS to the broker: {problem}"),
        }
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the broker is not to be reached: publish it again later, or let the hub queue it"),
            Self::Full => f.write_str("as much waits for the broker as the hub's queue holds: publish less, or later"),
            Self::TooLong { length, limit } => write!(f, "a message of {length} bytes exceeds the limit of {limit}"),
            Self::Header { name } => {
                write!(f, "the header {name:?} cannot be sent: it is empty, or has a colon in its name or a line break in it")
            }
            Self::Unsupported(why) => f.write_str(why),
            Self::Closed => f.write_str("the hub is closed"),
        }
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "the broker is not to be reached: {why}"),
            Self::Lost(why) => write!(f, "the connection to the broker was lost: {why}"),
            Self::Refused(why) => write!(f, "the broker did not let us in: {why}"),
            Self::Protocol(why) => write!(f, "what came from the broker is not of its protocol: {why}"),
            Self::NotNow(why) => write!(f, "the broker cannot do it just now: {why}"),
            Self::Unsupported(why) => write!(f, "the broker cannot do it: {why}"),
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
    /// Whether something failed only because the connection is lost or cannot be made: it may be asked for again.
    pub(crate) fn is_loss(failure: &Failure) -> bool {
        matches!(failure.downcast_ref(), Some(Self::Lost(_) | Self::Unreachable(_)))
    }

    /// Whether it may be asked for again, now or when the connection is there again.
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
