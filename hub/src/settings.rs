//! What a hub is told when it is opened.

use std::time::Duration;

use crate::topic::{Pattern, Topic};

/// What becomes of what is published while the broker is not to be reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenDisconnected {
    /// It waits, within the [bound](crate::HubConfig::queue); beyond that it is refused.
    #[default]
    Queue,
    /// It is refused, with [`PublishError::Disconnected`](crate::PublishError::Disconnected).
    Refuse,
    /// It is dropped, and [counted](crate::HubStats::dropped_disconnected).
    Drop,
}

/// The settings of a hub that do not depend on its engine.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The topics that keep their messages, and how many.
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
    /// How many of its messages a topic keeps; none if it keeps none.
    pub(crate) fn keep(&self, topic: &Topic) -> Option<u64> {
        self.replay.iter().find(|(pattern, _)| pattern.matches(topic)).map(|(_, keep)| *keep)
    }
}
