//! The interface between the hub and what carries its messages.

use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_protocols::Reason;
use torsade_reactor::{Deferred, Reactor};

use crate::core::Core;
use crate::error::EngineError;
use crate::message::{Gap, Message, MessageId, Publication};
use crate::topic::{Pattern, Topic};

/// A connection to a broker, or to what takes its place, as a [`Hub`](crate::Hub) uses it.
///
/// An engine maintains a connection and speaks the broker's protocol. It keeps no state across connections: the hub has the
/// subscribers and the queues, and subscribes again after each [`Upstream::connected`]. An engine calls its [`Upstream`] only
/// from the loop, never from inside one of these methods.
pub trait Engine {
    /// Connects, and reconnects whenever the connection fails or is lost, until the engine is closed. Called once, before all
    /// else.
    fn start(&self, reactor: &Reactor, upstream: Upstream);

    /// Returns `None` if the engine has an optional part, or else the text of the error, such as "Redis has no queue groups".
    fn lacks(&self, part: Part) -> Option<&'static str>;

    /// Returns the maximum length of a payload, in bytes, if the broker has announced one; the hub refuses longer payloads.
    fn max_payload(&self) -> usize {
        usize::MAX
    }

    /// Subscribes. Called only while connected. The engine answers with [`Upstream::subscribed`] or [`Upstream::refused`], and
    /// reports messages and gaps under `id`.
    fn subscribe(&self, id: InterestId, interest: &Interest);

    /// Ends a subscription. Called only while connected. The hub drops messages that still arrive.
    fn unsubscribe(&self, id: InterestId);

    /// Sends a message that is not stored, in the order of the calls. Called only while connected and not congested. If the
    /// broker refuses the message, the engine calls [`Upstream::publication_refused`].
    fn publish(&self, topic: &Topic, publication: &Publication);

    /// Stores a message in its topic, which keeps the last `keep`, in the order of the calls. Called only while connected.
    ///
    /// The Deferred fires with the id of the message. `origin` is stored with it, as the header [`ORIGIN`]: if the connection is
    /// lost before the answer, the hub stores the message again, and recognizes duplicates by this header. The Deferred fails if
    /// the connection is lost or the broker refuses the message. After [`EngineError::NotNow`] the hub tries again once all calls
    /// for the topic are answered.
    fn store(&self, topic: &Topic, publication: &Publication, origin: &str, keep: u64) -> Deferred<MessageId>;

    /// Fires with at most `most` stored messages of a topic, with their ids, in order. Called only while connected.
    ///
    /// `from` is never [`Start::Next`]. For [`Start::Last`], `most` is its number, or 10,000 if that is less.
    fn fetch(&self, topic: &Topic, from: Start, most: usize) -> Deferred<Page>;

    /// Announces to the broker which names `process` has in a topic. The announcement expires after `expiry` unless it is
    /// renewed.
    fn announce(&self, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()>;

    /// Removes an announcement.
    fn withdraw(&self, topic: &Topic, process: &str) -> Deferred<()>;

    /// Fires with the announcements for a topic that have not expired: the name of each process, and its `members`.
    fn announced(&self, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>>;

    /// Returns whether the hub should queue messages for now, because too many wait to be sent. The engine calls
    /// [`Upstream::writable`] when the hub can continue.
    fn is_congested(&self) -> bool;

    /// Sends what is waiting, then closes the connection for good; fires when that is done.
    fn close(&self) -> Deferred<()>;
}

/// The header by which hubs recognize a message that was stored twice; a NATS server also uses it, to discard the second.
pub const ORIGIN: &str = "Nats-Msg-Id";

/// Optional parts of an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// Patterns with `*` or `>`.
    Wildcards,
    /// Groups of subscribers, of which one gets each message.
    Groups,
    /// Headers of messages that are not stored.
    Headers,
}

/// The number of a subscription between the hub and its engine; never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterestId(pub u64);

/// What the hub asks its engine for in a subscription.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Interest {
    /// The topics.
    pub pattern: Pattern,
    /// The group: each message goes to one of its subscribers.
    pub group: Option<Rc<str>>,
    /// How many messages the topic keeps, if it is stored: then each message has its id, none is left out, and gaps are reported.
    pub keep: Option<u64>,
    /// The message of a stored topic to begin after; `None` to begin with the next that is published.
    pub after: Option<MessageId>,
}

/// Where a subscriber begins in a [stored topic](crate::HubConfig::replay).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// With the next message that is published.
    Next,
    /// With the last stored messages, this many or as many as there are, at most 10,000.
    Last(usize),
    /// After this message. If the next ones are no longer stored, it begins with the oldest stored message and reports a [`Gap`].
    After(MessageId),
    /// With the oldest stored message.
    Oldest,
}

/// Consecutive stored messages of a topic.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "engines make it")]
pub struct Page {
    /// The messages, oldest first; empty if there are none from the start that was asked for.
    pub messages: Vec<Message>,
    /// Whether messages between [`Start::After`] and these may have been trimmed.
    pub trimmed: bool,
}

/// Where an engine reports to its hub; a cheap handle. It does nothing once the hub is gone.
#[derive(Clone)]
pub struct Upstream(Weak<Core>);

impl Upstream {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        Self(Rc::downgrade(core))
    }

    /// The engine is connected and logged in.
    pub fn connected(&self) {
        self.with(Core::connected);
    }

    /// The connection was lost or could not be made. `unconfirmed` messages that were published over it may not have arrived.
    pub fn disconnected(&self, error: EngineError, unconfirmed: u64) {
        self.with(|core| core.disconnected(error, unconfirmed));
    }

    /// `count` published messages may not have arrived, though the engine is still connected: a part of the broker was lost.
    pub fn unconfirmed(&self, count: u64) {
        self.with(|core| core.counters.unconfirmed.add(count));
    }

    /// A subscription has begun. For a stored topic, `position` is the message after which it begins: the one that was asked for,
    /// or else the last that was ever stored (0-0 if none was).
    pub fn subscribed(&self, id: InterestId, position: Option<MessageId>) {
        self.with(|core| core.subscribed(id, position));
    }

    /// The broker refused a subscription, or ended it.
    pub fn refused(&self, id: InterestId, why: &str) {
        self.with(|core| core.refused(id, why));
    }

    /// A message has arrived.
    pub fn message(&self, id: InterestId, message: &Message) {
        self.with(|core| core.message(id, message));
    }

    /// Messages of a subscription are missing before the next one.
    pub fn missed(&self, id: InterestId, gap: &Gap) {
        self.with(|core| core.missed(id, gap));
    }

    /// The broker refused a message that was [published](Engine::publish) on `topic`. Called once for each message.
    pub fn publication_refused(&self, topic: &str, why: &str) {
        self.with(|core| core.publication_refused(topic, why));
    }

    /// The engine is no longer congested.
    pub fn writable(&self) {
        self.with(Core::writable);
    }

    fn with(&self, tell: impl FnOnce(&Rc<Core>)) {
        if let Some(core) = self.0.upgrade() {
            tell(&core);
        }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

impl Interest {
    /// Returns whether the topic is stored.
    pub(crate) const fn is_stored(&self) -> bool {
        self.keep.is_some()
    }

    /// For tests of engines: asks for the live messages of `pattern`.
    #[must_use]
    pub const fn live(pattern: Pattern) -> Self {
        Self { pattern, group: None, keep: None, after: None }
    }
}

impl From<&Reason> for EngineError {
    fn from(reason: &Reason) -> Self {
        Self::Lost(reason.to_string())
    }
}
