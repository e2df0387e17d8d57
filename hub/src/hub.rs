//! The handle of a hub.

use std::fmt;
use std::rc::Rc;

use torsade_reactor::{Deferred, Reactor, defer};

use crate::config::HubConfig;
use crate::core::Core;
use crate::engine::{Engine, Start};
use crate::error::{HubError, PublishError, SubscribeError};
use crate::listener::Target;
use crate::member::{Joined, Member};
use crate::message::{MessageId, Publication};
use crate::presence::{Presence, PresenceChange, PresenceWatch};
use crate::stats::HubStats;
use crate::subscriber::{Subscriber, Subscription};
use crate::topic::{Pattern, Topic};

/// Publishes messages to topics and delivers them to subscribers, in this process and in others; a cheap handle.
///
/// The address that it is opened with decides which processes share its topics: `local:`, `redis://HOST` or `nats://HOST`. See
/// [`HubConfig`] for addresses and settings, and `manual::many_machines` of the `torsade` crate for what is promised.
///
/// No method calls a subscriber before it returns. The hub connects by itself, and reconnects whenever the connection is lost. It
/// lives as long as one of its handles, and is closed when the reactor stops. Subscribers that hold a handle, as most do, keep
/// the hub alive until [`close`](Self::close).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::{hub::{Hub, Message}, prelude::*, simulated::Simulation};
///
/// let simulation = Simulation::new(1);
/// let hub = Hub::open(&simulation.host("10.0.0.1"), "local:")?;
/// hub.subscribe("room.*", |message: &Message| {
///     assert_eq!((message.topic().as_str(), &message.payload()[..]), ("room.lobby", &b"hello"[..]));
///     Ok(())
/// })?;
/// hub.publish("room.lobby", "hello")?;
/// simulation.run_for(Duration::from_secs(1))?;
/// assert_eq!(hub.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Hub(Rc<Core>);

/// # Opening and closing
impl Hub {
    /// Opens the hub at an address, with the default [settings](HubConfig).
    ///
    /// # Errors
    /// [`HubError`] if `text` is not the address of a hub.
    pub fn open(reactor: &Reactor, text: &str) -> Result<Self, HubError> {
        HubConfig::new(text)?.open(reactor)
    }

    pub(crate) fn with_engine(reactor: &Reactor, engine: Box<dyn Engine>, config: &HubConfig) -> Self {
        Self(Core::open(reactor, engine, config.settings.clone()))
    }

    /// Fires when the hub is connected to its broker, at once if it is already.
    ///
    /// Fails with [`PublishError::Closed`] if the hub is closed first, and with [`Full`](PublishError::Full) if 10,000 such
    /// Deferreds are waiting already.
    pub fn when_connected(&self) -> Deferred<()> {
        self.0.when_connected()
    }

    /// Returns whether the hub is connected to its broker.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_up()
    }

    /// Publishes what is queued, removes the names that have [entered](Self::enter), and closes the hub.
    ///
    /// Publishing and removing names may take 5 s. Then all subscribers are dropped and the connection is closed, which may take
    /// another 5 s. The Deferred fires when that is done. From the call on, no name can enter; once the Deferred has fired,
    /// nothing can be published and nothing is delivered.
    pub fn close(&self) -> Deferred<()> {
        self.0.close()
    }

    /// Returns counters of what the hub has done so far.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.0.counters.stats()
    }
}

/// # Publishing
impl Hub {
    /// Publishes a message to all current subscribers of a topic, in every process, this hub's own included.
    ///
    /// Messages that one hub publishes on one topic arrive in order, each at most once. If the topic is
    /// [stored](HubConfig::replay), the hub sends the message until the broker has confirmed it: every subscriber gets it at
    /// least once, still in order.
    ///
    /// # Errors
    /// [`PublishError`]. The message has not been published then.
    pub fn publish(&self, topic: &str, publication: impl Into<Publication>) -> Result<(), PublishError> {
        self.0.publish(topic.parse()?, publication.into())
    }

    /// Publishes a message on a [stored topic](HubConfig::replay); the Deferred fires with its id once the broker has confirmed
    /// it.
    ///
    /// The Deferred fails with a [`PublishError`] if the hub does not send the message, and with an
    /// [`EngineError`](crate::EngineError) if the broker refuses it.
    pub fn publish_stored(&self, topic: &str, publication: impl Into<Publication>) -> Deferred<MessageId> {
        match topic.parse() {
            Ok(topic) => self.0.publish_stored(topic, publication.into()),
            Err(error) => defer::fail(PublishError::Topic(error)),
        }
    }
}

/// # Subscribing
impl Hub {
    /// Subscribes to a topic, or to all topics that match a [`Pattern`], from now on.
    ///
    /// While the broker is unreachable, `subscriber` gets nothing; it is told of the [`Gap`](crate::Gap) after the reconnect. A
    /// pattern matches stored topics too, but their messages then have no ids, and some may be missing.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(&self, pattern: &str, subscriber: impl Subscriber + 'static) -> Result<Subscription, SubscribeError> {
        self.0.subscribe(pattern.parse()?, None, function(subscriber), Start::Next)
    }

    /// Subscribes to a [stored topic](HubConfig::replay): replays its messages from `start` on, then delivers new ones.
    ///
    /// [`Start::Next`] takes effect when the broker answers: messages stored before that, even by this hub, may or may not be
    /// delivered. If the broker is unreachable and this hub already has a subscription to the topic, the new subscriber gets
    /// everything that the others missed since the connection was lost. The other starts leave nothing out.
    ///
    /// # Errors
    /// [`SubscribeError`]; `Unsupported` if the topic is not stored.
    ///
    /// # Examples
    /// ```
    /// use std::{cell::RefCell, rc::Rc, time::Duration};
    /// use torsade::{hub::{HubConfig, Message, Start}, prelude::*, simulated::Simulation};
    ///
    /// let simulation = Simulation::new(1);
    /// let hub = HubConfig::new("local:")?.replay("log.>", 1000)?.open(&simulation.host("10.0.0.1"))?;
    /// for text in ["one", "two", "three"] {
    ///     hub.publish("log.all", text)?;
    /// }
    /// simulation.run_for(Duration::from_secs(1))?;
    ///
    /// let seen = Rc::new(RefCell::new(Vec::new()));
    /// let sink = Rc::clone(&seen);
    /// hub.subscribe_from("log.all", Start::Last(2), move |message: &Message| {
    ///     sink.borrow_mut().push(message.payload().to_vec());
    ///     Ok(())
    /// })?;
    /// simulation.run_for(Duration::from_secs(1))?;
    /// assert_eq!(*seen.borrow(), [b"two".to_vec(), b"three".to_vec()]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subscribe_from(
        &self,
        topic: &str,
        start: Start,
        subscriber: impl Subscriber + 'static,
    ) -> Result<Subscription, SubscribeError> {
        self.0.subscribe(topic.parse::<Topic>()?.into(), None, function(subscriber), start)
    }

    /// Subscribes as a member of a group: each message goes to one member of the group, across all machines.
    ///
    /// Use it for work that must be done once. A message that goes to a member which has just died is lost. Redis has no such
    /// groups.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe_in_group(
        &self,
        pattern: &str,
        group: &str,
        subscriber: impl Subscriber + 'static,
    ) -> Result<Subscription, SubscribeError> {
        let group: Topic = group.parse()?;
        self.0.subscribe(pattern.parse()?, Some(group.as_str()), function(subscriber), Start::Next)
    }

    /// Sends a connection the messages of a topic, or of all topics that match a [`Pattern`], until the connection is lost.
    ///
    /// A message is encoded once for all connections that join with the same [`Encoding`](crate::Encoding). A connection that
    /// does not read uses up its own queue limit only: see [`Member`].
    ///
    /// # Errors
    /// [`SubscribeError`].
    ///
    /// # Examples
    /// ```
    /// use torsade::{hub::{Encoding, Hub, Member}, prelude::*};
    ///
    /// /// Sends each line to everyone in the lobby, whichever machine they are connected to.
    /// struct Chat {
    ///     hub: Hub,
    ///     lines: Encoding,
    /// }
    ///
    /// impl LineProtocol for Chat {
    ///     fn connection_made(&mut self, transport: &LineTransport) -> Result {
    ///         self.hub.join("room.lobby", Member::new(transport, &self.lines))?;
    ///         Ok(())
    ///     }
    ///
    ///     fn line_received(&mut self, _transport: &LineTransport, line: &[u8]) -> Result {
    ///         Ok(self.hub.publish("room.lobby", line)?)
    ///     }
    /// }
    /// ```
    pub fn join(&self, pattern: &str, member: Member) -> Result<Subscription, SubscribeError> {
        let pattern: Pattern = pattern.parse()?;
        let start = member.start;
        self.0.subscribe(pattern, None, Target::Member(Rc::new(Joined::new(member))), start)
    }
}

/// # Presence
/// Who is in a topic, on all machines. The names of a process that crashes expire within the
/// [period](HubConfig::presence_period).
impl Hub {
    /// Adds a name to a topic until the returned [`Presence`] is dropped.
    ///
    /// Names need not be unique: a name that several have entered is listed once, until the last of them has left.
    ///
    /// # Errors
    /// [`PublishError::Topic`]; [`Closed`](PublishError::Closed); [`TooLong`](PublishError::TooLong) if the names of this process
    /// in the topic would take more than 256 KiB.
    pub fn enter(&self, topic: &str, name: impl Into<String>) -> Result<Presence, PublishError> {
        self.0.enter(topic.parse()?, name.into())
    }

    /// Fires with the names that are in a topic, sorted.
    ///
    /// The Deferred fails with [`PublishError::Disconnected`] while the broker is unreachable, or with an
    /// [`EngineError`](crate::EngineError).
    pub fn present(&self, topic: &str) -> Deferred<Vec<String>> {
        match topic.parse() {
            Ok(topic) => self.0.present(&topic),
            Err(error) => defer::fail(PublishError::Topic(error)),
        }
    }

    /// Calls `watcher`, from the loop, for each name that is in a topic now, and for each that enters or leaves later.
    ///
    /// After a reconnect, names that are missing are reported as left once their processes have had 4 s, or a shorter
    /// [period](crate::HubConfig::presence_period), to announce them again.
    ///
    /// # Errors
    /// [`SubscribeError::Topic`]; [`Closed`](SubscribeError::Closed).
    pub fn watch(&self, topic: &str, watcher: impl FnMut(&PresenceChange) + 'static) -> Result<PresenceWatch, SubscribeError> {
        self.0.watch(&topic.parse()?, Box::new(watcher))
    }
}

fn function(subscriber: impl Subscriber + 'static) -> Target {
    Target::Function(std::cell::RefCell::new(Some(Box::new(subscriber))))
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hub").field(&self.0).finish()
    }
}
