//! The settings of a hub.

use std::time::Duration;

use crate::topic::{Pattern, Topic};

/// What happens to messages that are published while the broker is unreachable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenDisconnected {
    /// They wait in a queue, and are refused when it has reached its [limit](crate::HubConfig::queue).
    #[default]
    Queue,
    /// They are refused, with [`PublishError::Disconnected`](crate::PublishError::Disconnected).
    Refuse,
    /// They are dropped, and [counted](crate::HubStats::dropped_disconnected).
    Drop,
}

/// The settings of a hub that do not depend on its engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The patterns of stored topics, and how many messages each topic keeps.
    pub(crate) replay: Vec<(Pattern, u64)>,
    pub(crate) when_disconnected: WhenDisconnected,
    pub(crate) queue_messages: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) max_payload: usize,
    pub(crate) presence_period: Duration,
    pub(crate) close_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replay: Vec::new(),
            when_disconnected: WhenDisconnected::default(),
            queue_messages: 1024,
            queue_bytes: 1 << 20,
            max_payload: 512 << 10,
            presence_period: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl Settings {
    /// Returns how many messages a topic keeps; `None` if it is not stored.
    pub(crate) fn keep(&self, topic: &Topic) -> Option<u64> {
        self.replay.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, keep)| *keep)
    }
}
