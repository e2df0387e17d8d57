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

/// Topics that functions and connections publish on and subscribe to, in this process and in others; a cheap handle.
///
/// Which processes these are says the text that it was opened with: `local:`, `redis://HOST`, `nats://HOST`. See [`HubConfig`] for the
/// texts and the settings, and `manual::many_machines` of the `torsade` crate for what is promised.
///
/// No method calls a subscriber before it returns. The hub connects by itself, and again whenever the connection is lost; it lives as long as one of its
/// handles, and is closed when the reactor stops. Subscribers that keep a handle, as most do, keep it alive: [`close`](Self::close) ends that.
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
    /// Opens the hub that the text names, with [all settings](HubConfig) as they are unless set.
    ///
    /// # Errors
    /// [`HubError`]: the text names none.
    pub fn open(reactor: &Reactor, text: &str) -> Result<Self, HubError> {
        HubConfig::new(text)?.open(reactor)
    }

    pub(crate) fn with_engine(reactor: &Reactor, engine: Box<dyn Engine>, config: &HubConfig) -> Self {
        Self(Core::open(reactor, engine, config.settings.clone()))
    }

    /// Fires when the broker is there: at once if it is. Fails with [`PublishError::Closed`] if the hub is closed before, with
    /// [`Full`](PublishError::Full) if 10,000 wait already.
    pub fn when_connected(&self) -> Deferred<()> {
        self.0.when_connected()
    }

    /// Whether the broker is there.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_up()
    }

    /// Hands over what waits to be published and takes back the names that have [entered](Self::enter), for at most 5 s, drops all
    /// subscribers, and closes the connection; fires when that is done, or after 5 s more.
    ///
    /// No name can enter any more; from when it fires on, nothing can be published and nothing is delivered.
    pub fn close(&self) -> Deferred<()> {
        self.0.close()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> HubStats {
        self.0.counters.stats()
    }
}

/// # Publishing
impl Hub {
    /// Publishes a message on a topic: for all who are subscribed by then, wherever they are, this hub's own included.
    ///
    /// Messages of one hub on one topic come in order, each at most once. A topic that [keeps its messages](HubConfig::replay) stores it: it is asked
    /// for again until the broker has confirmed it, and comes to every subscriber at least once, in order all the same.
    ///
    /// # Errors
    /// [`PublishError`]. Nothing of it has been published then.
    pub fn publish(&self, topic: &str, publication: impl Into<Publication>) -> Result<(), PublishError> {
        self.0.publish(topic.parse()?, publication.into())
    }

    /// Publishes a message on a topic that [keeps its messages](HubConfig::replay), and says where it is once the broker has confirmed it.
    ///
    /// The Deferred fails with a [`PublishError`] if it is not even tried, with an [`EngineError`](crate::EngineError) if the broker refuses it.
    pub fn publish_stored(&self, topic: &str, publication: impl Into<Publication>) -> Deferred<MessageId> {
        match topic.parse() {
            Ok(topic) => self.0.publish_stored(topic, publication.into()),
            Err(error) => defer::fail(PublishError::Topic(error)),
        }
    }
}

/// # Subscribing
impl Hub {
    /// Has `subscriber` get the messages of a topic, or of all that match a [`Pattern`], from now on.
    ///
    /// While the broker is not to be reached it gets nothing, and is told of the [`Gap`](crate::Gap) once it is again. Those who subscribe to a pattern
    /// get the messages of topics that keep theirs as well, without ids and without a promise that none is missing.
    ///
    /// # Errors
    /// [`SubscribeError`].
    pub fn subscribe(&self, pattern: &str, subscriber: impl Subscriber + 'static) -> Result<Subscription, SubscribeError> {
        self.0.subscribe(pattern.parse()?, None, function(subscriber), Start::Next)
    }

    /// Has `subscriber` get the messages that a topic [keeps](HubConfig::replay), from `start`, and then those that are published.
    ///
    /// [`Start::Next`] begins when the broker has answered: what is stored before that, by this hub too, may or may not come. While the broker is
    /// away, a new subscriber to a topic that this hub has subscribed to before gets what the earlier subscribers get: everything since the
    /// broker went away. The other starts leave nothing out.
    ///
    /// # Errors
    /// [`SubscribeError`]; `Unsupported` if the topic keeps none.
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

    /// Has `subscriber` get its share of the messages: each goes to one of all who have named this group, on all machines.
    ///
    /// For work that is to be done once. A message for one who is gone is lost. Redis has no such groups.
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

    /// Has a connection get the messages of a topic, or of all that match a [`Pattern`], until it is lost.
    ///
    /// However many connections join with the same [`Encoding`](crate::Encoding), a message is encoded once. One that does not read costs its own bound:
    /// see [`Member`].
    ///
    /// # Errors
    /// [`SubscribeError`].
    ///
    /// # Examples
    /// ```
    /// use torsade::{hub::{Encoding, Hub, Member}, prelude::*};
    ///
    /// /// Hears what all say, whichever machine they are connected to.
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
/// Who is in a topic, on all machines. A process that ends without a word is out of it within the [period](HubConfig::presence_period).
impl Hub {
    /// Has a name be in a topic for as long as what this returns is kept.
    ///
    /// Whether another one has the name is not looked at: it is there once, for as long as one of them has it.
    ///
    /// # Errors
    /// [`PublishError::Topic`]; [`Closed`](PublishError::Closed); [`TooLong`](PublishError::TooLong) if all names of this process in the topic take more than 256 KiB.
    pub fn enter(&self, topic: &str, name: impl Into<String>) -> Result<Presence, PublishError> {
        self.0.enter(topic.parse()?, name.into())
    }

    /// Gives the names that are in a topic, in order.
    ///
    /// The Deferred fails with [`PublishError::Disconnected`] while the broker is not to be reached, or with an [`EngineError`](crate::EngineError).
    pub fn present(&self, topic: &str) -> Deferred<Vec<String>> {
        match topic.parse() {
            Ok(topic) => self.0.present(&topic),
            Err(error) => defer::fail(PublishError::Topic(error)),
        }
    }

    /// Has `watcher` called for each name that is in a topic now, and for each that comes or goes; from the loop.
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
