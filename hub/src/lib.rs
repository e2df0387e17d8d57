//! Publish and subscribe by topic: in one process, in several through Redis, or through NATS; the same program for each.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead, if this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-hub/latest")]

mod audience;
mod broker_url;
mod config;
mod core;
mod encoding;
mod engine;
mod error;
mod hub;
mod listener;
mod local;
mod member;
mod message;
mod nats;
mod origins;
mod outbox;
mod presence;
mod redis;
mod settings;
mod stats;
mod subscriber;
mod topic;

pub use config::HubConfig;
pub use encoding::Encoding;
pub use engine::Start;
pub use error::{EngineError, HubError, PublishError, SubscribeError};
pub use hub::Hub;
pub use member::{Member, Overflow};
pub use message::{Gap, Message, MessageId, Publication};
pub use presence::{Presence, PresenceChange, PresenceWatch};
pub use settings::WhenDisconnected;
pub use stats::HubStats;
pub use subscriber::{Subscriber, Subscription};
pub use topic::{Pattern, Topic, TopicError};

/// For engines of one's own. Programs need none of it.
pub mod spi {
    pub use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Upstream};
}
