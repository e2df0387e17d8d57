//! What carries the messages between processes.

use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_protocols::Reason;
use torsade_reactor::{Deferred, Reactor};

use crate::core::Core;
use crate::error::EngineError;
use crate::message::{Gap, Message, MessageId, Publication};
use crate::topic::{Pattern, Topic};

/// A broker, or what takes its place, as a [`Hub`](crate::Hub) sees it.
///
/// An engine keeps a connection and speaks its protocol; it remembers nothing across connections. The hub has the subscribers, the
/// queues, and what is to be said again once the connection is there: after each [`Upstream::connected`] it asks for every
/// subscription anew. Nothing of an engine calls its [`Upstream`] from inside one of these methods: only from the loop.
pub trait Engine {
    /// Begins to connect, and goes on whenever the connection fails or is lost, until it is closed. Called once, first of all.
    fn start(&self, reactor: &Reactor, upstream: Upstream);

    /// What of the optional parts this engine lacks, as the rest of a sentence such as "Redis has no queue groups"; none if it has it.
    fn lacks(&self, part: Part) -> Option<&'static str>;

    /// How long a payload the broker takes, in bytes, as far as it has said; the hub refuses longer ones.
    fn max_payload(&self) -> usize {
        usize::MAX
    }

    /// Subscribes while connected; [`Upstream::subscribed`] or [`Upstream::refused`] answers, and whatever comes after it carries `id`.
    fn subscribe(&self, id: InterestId, interest: &Interest);

    /// Ends a subscription while connected. Messages that come after it are dropped by the hub.
    fn unsubscribe(&self, id: InterestId);

    /// Sends a message that nobody keeps, while connected and not congested, after all before it. If the broker refuses it,
    /// that is told to [`Upstream::publication_refused`].
    fn publish(&self, topic: &Topic, publication: &Publication);

    /// Adds a message to those that its topic keeps, the last `keep` of them, while connected; gives where it is.
    ///
    /// Calls are carried out in their order. `origin` goes with the message, as the header [`ORIGIN`]: the hub tells by it what was stored twice, since
    /// it asks again when the connection was lost before the answer. It fails when the connection is lost, or the broker refuses. If it
    /// fails with [`EngineError::NotNow`], the hub asks again once all other calls for the topic are answered.
    fn store(&self, topic: &Topic, publication: &Publication, origin: &str, keep: u64) -> Deferred<MessageId>;

    /// Gives at most `most` messages that a topic keeps, with their ids, in order, while connected. Never asked with [`Start::Next`], nor for fewer
    /// than [`Start::Last`] says.
    fn fetch(&self, topic: &Topic, from: Start, most: usize) -> Deferred<Page>;

    /// Tells the broker who is in a topic on the side of `process`, for as long as `expiry` unless it is told again.
    fn announce(&self, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()>;

    /// Takes back what was announced.
    fn withdraw(&self, topic: &Topic, process: &str) -> Deferred<()>;

    /// Gives what each process has announced for a topic and has not expired: its name, and its members.
    fn announced(&self, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>>;

    /// Whether so much waits to be sent that the hub should keep the rest; then [`Upstream::writable`] tells when to go on.
    fn is_congested(&self) -> bool;

    /// Sends what waits to be sent, and closes the connection for good; fires when that is done.
    fn close(&self) -> Deferred<()>;
}

/// The header by which the hub tells a message that was stored twice. On NATS the server looks at it as well.
pub const ORIGIN: &str = "Nats-Msg-Id";

/// Parts that not every engine has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Part {
    /// Patterns with `*` or `>`.
    Wildcards,
    /// Subscribers of which each message goes to one.
    Groups,
    /// Headers of messages that are not kept.
    Headers,
}

/// A number by which the hub and its engine name a subscription; never given twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct InterestId(pub u64);

/// What a subscription of the hub at its engine is for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Interest {
    /// The topics.
    pub pattern: Pattern,
    /// Each message goes to one of all subscribers that name this group.
    pub group: Option<Rc<str>>,
    /// How many messages the topic keeps, if it does: then each comes with its id, none is left out, and a hole is told.
    pub keep: Option<u64>,
    /// After which message to begin, where the topic keeps its messages; none to begin with the next that is published.
    pub after: Option<MessageId>,
}

/// Where to begin among the messages that a topic keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// With the next that is published.
    Next,
    /// With the last so many, at most 10,000; fewer if there are fewer.
    Last(usize),
    /// After this one; with the oldest that is kept if this is not any more, which is told as a [`Gap`].
    After(MessageId),
    /// With the oldest that is kept.
    Oldest,
}

/// Messages that a topic keeps, one after the other.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "engines make it")]
pub struct Page {
    /// The messages, oldest first; none if there is none after the start that was asked for.
    pub messages: Vec<Message>,
    /// Whether some between [`Start::After`] and these may have been kept once and are not any more.
    pub trimmed: bool,
}

/// Where an engine tells what has happened; a cheap handle. After its hub is gone it does nothing.
#[derive(Clone)]
pub struct Upstream(Weak<Core>);

impl Upstream {
    pub(crate) fn new(core: &Rc<Core>) -> Self {
        Self(Rc::downgrade(core))
    }

    /// The broker is there and has let us in.
    pub fn connected(&self) {
        self.with(Core::connected);
    }

    /// The connection is lost, or could not be made. Of what was published since it was there, so many messages may not have
    /// arrived.
    pub fn disconnected(&self, error: EngineError, unconfirmed: u64) {
        self.with(|core| core.disconnected(error, unconfirmed));
    }

    /// So many messages that were published may not have arrived, though the broker is there: a part of it was lost.
    pub fn unconfirmed(&self, count: u64) {
        self.with(|core| core.counters.unconfirmed.add(count));
    }

    /// A subscription has begun. Where the topic keeps its messages: after which one, which is what was asked for, or else the last that
    /// was ever stored; 0-0 if none was.
    pub fn subscribed(&self, id: InterestId, position: Option<MessageId>) {
        self.with(|core| core.subscribed(id, position));
    }

    /// The broker refuses a subscription, or ends it.
    pub fn refused(&self, id: InterestId, why: &str) {
        self.with(|core| core.refused(id, why));
    }

    /// A message has come.
    pub fn message(&self, id: InterestId, message: &Message) {
        self.with(|core| core.message(id, message));
    }

    /// Messages of a subscription are missing before the next that comes.
    pub fn missed(&self, id: InterestId, gap: &Gap) {
        self.with(|core| core.missed(id, gap));
    }

    /// The broker does not take a message that was [published](Engine::publish) on `topic`. Once for each of them.
    pub fn publication_refused(&self, topic: &str, why: &str) {
        self.with(|core| core.publication_refused(topic, why));
    }

    /// It is no longer congested.
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
    /// Whether the topic keeps its messages.
    pub(crate) const fn is_stored(&self) -> bool {
        self.keep.is_some()
    }

    /// For engines' tests: live messages of `pattern`.
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
