//! Publish and subscribe by topic: in one process, in several through Redis, or through NATS; the same program for each.

#![cfg_attr(docsrs, feature(doc_cfg))]
// Where links from the other crates lead, if this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-hub/latest")]

mod broker_url;
mod core;
mod engine;
mod error;
mod message;
mod redis;
mod topic;

pub use engine::Start;
pub use error::{EngineError, HubError, PublishError};
pub use message::{Gap, Message, MessageId, Publication};
pub use topic::{Pattern, Topic, TopicError};

/// For engines of one's own. Programs need none of it.
pub mod spi {
    pub use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Upstream};
}
