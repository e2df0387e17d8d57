//! Publish and subscribe by topic: in one process, in several through Redis, or through NATS; the same program for each.
//!
//! A [`Hub`] is opened by text, `local:`, `redis://HOST` or `nats://HOST`; [`HubConfig`] has the settings. Functions
//! [subscribe](Hub::subscribe), connections [join](Hub::join), anybody [publishes](Hub::publish). A topic may
//! [keep its last messages](HubConfig::replay), for those who [begin with them](Hub::subscribe_from) and those who were cut off. Who is in a topic, on all
//! machines, is its [presence](Hub::enter).
//!
//! What is promised, by which engine, and what happens when something fails is in `manual::many_machines` of the `torsade` crate; the
//! example `cluster_chat` is a whole program, with the files for its broker and its load balancer.
//!
//! # The way of a message
//! [`Hub::publish`] hands it to the engine, or to the outbox while the broker is away or behind. The engine sends it as its protocol has it. What comes from the
//! broker, this hub's own messages as well, the engine tells its [`Upstream`](spi::Upstream): there the audience of that subscription gives it to each of its listeners, a
//! function or a member, once they are up to date with what the topic keeps. A member's connection sends bytes that all members share, or has
//! them wait in its own queue.

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

/// For engines of one's own. Programs need none of it.
pub mod spi {
    pub use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Upstream};
}
