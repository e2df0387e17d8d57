//! Publish and subscribe by topic: within one process, or across processes through Redis or NATS, with the same program.
//!
//! A [`Hub`] is opened by its address: `local:`, `redis://HOST` or `nats://HOST`; [`HubConfig`] has the settings. Functions
//! [subscribe](Hub::subscribe) to topics, connections [join](Hub::join) them, and both [publish](Hub::publish). A [stored
//! topic](HubConfig::replay) keeps its last messages and replays them to subscribers that [ask for them](Hub::subscribe_from) or
//! were disconnected. [Presence](Hub::enter) says who is in a topic, on all machines.
//!
//! `manual::many_machines` of the `torsade` crate says what each engine promises, and what happens on each failure. The example
//! `cluster_chat` is a complete program, with configurations for its broker and its load balancer.
//!
//! # The path of a message
//! [`Hub::publish`] passes a message to the engine, or to the outbox while the broker is unreachable or slow; the engine sends it
//! to the broker. What arrives from the broker, including this hub's own messages, the engine passes to its
//! [`Upstream`](spi::Upstream). There, the audience of that subscription delivers it to its listeners, functions and members,
//! once they have caught up with the stored messages. A member's connection sends bytes that all members share, or puts them into
//! its own queue.

#![cfg_attr(docsrs, feature(doc_cfg))]
// The target of links from the other crates where this one is not documented beside them.
#![doc(html_root_url = "https://docs.rs/torsade-hub/latest")]

mod audience;
mod broker_url;
mod config;
mod core;
mod encoding;
mod engine;
mod error;
mod hosts;
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
mod room;
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

/// For writing your own engine. Other programs do not need it.
pub mod spi {
    pub use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Upstream};
}
