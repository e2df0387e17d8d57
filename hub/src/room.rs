//! The names in a topic: a hub announces its own to the broker, and looks up those of all hubs there.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_reactor::{Deferred, DelayedCall, Failure, defer, report_error};

use crate::core::{Core, later};
use crate::engine::Start;
use crate::error::{EngineError, PublishError, SubscribeError};
use crate::listener::Target;
use crate::message::{Gap, Message, Publication};
use crate::presence::Watcher;
use crate::subscriber::{Subscriber, Subscription};
use crate::topic::{Pattern, Topic};

/// The limit of names that one process may announce for a topic, in bytes.
const MAX_NAMES: usize = 256 << 10;

/// How long changes are collected before they are announced.
const GATHER: Duration = Duration::from_millis(50);

/// How long to wait, at most, before names are announced again that the broker could not take.
const AGAIN: Duration = Duration::from_secs(1);

/// How long after a reconnect the names of other processes may still be missing: twice the longest delay between attempts to
/// connect.
const RETURN: Duration = Duration::from_secs(4);

/// The rooms that this hub has names in, or watches.
#[derive(Default)]
pub(crate) struct Rooms {
    by_topic: RefCell<BTreeMap<Topic, Rc<Room>>>,
    /// The time until which missing names are not reported as left, because other processes may not have announced them again.
    returning_until: Cell<Duration>,
}

/// The presence of one topic.
pub(crate) struct Room {
    topic: Topic,
    /// This hub's names, and how often each has entered.
    own: RefCell<BTreeMap<String, usize>>,
    /// The bytes that they take when they are announced.
    own_bytes: Cell<usize>,
    /// Whether the broker may have an announcement of this hub.
    is_announced: Cell<bool>,
    /// Whether the other hubs must be notified of the next announcement, which is not necessary if it only renews the names.
    is_news: Cell<bool>,
    /// The time of the next announcement.
    announcing: RefCell<Option<DelayedCall>>,
    announcement: Asked,
    watchers: RefCell<Vec<Rc<Watcher>>>,
    /// Notifications of changes, while there are watchers.
    notices: RefCell<Option<Subscription>>,
    /// The time of the next look-up.
    looking: RefCell<Option<DelayedCall>>,
    look: Asked,
}

/// Allows one request to the broker at a time, so that requests do not pile up at a slow broker.
#[derive(Default)]
struct Asked {
    is_waiting: Cell<bool>,
    again: Cell<bool>,
}

impl Asked {
    /// Returns whether to send the request. If not, [`end`](Self::end) will say to send it again.
    fn begin(&self) -> bool {
        let is_waiting = self.is_waiting.replace(true);
        self.again.set(is_waiting);
        !is_waiting
    }

    /// The answer has arrived: returns whether to send the request again.
    fn end(&self) -> bool {
        self.is_waiting.set(false);
        self.again.take()
    }
}

impl Room {
    fn new(topic: Topic) -> Self {
        Self {
            topic,
            own: RefCell::default(),
            own_bytes: Cell::new(0),
            is_announced: Cell::new(false),
            is_news: Cell::new(false),
            announcing: RefCell::default(),
            announcement: Asked::default(),
            watchers: RefCell::default(),
            notices: RefCell::default(),
            looking: RefCell::default(),
            look: Asked::default(),
        }
    }

    /// Returns the topic on which hubs notify each other of changes.
    fn notice(&self) -> Topic {
        Topic::internal(&format!("presence.{}", self.topic))
    }

    /// Adds a name of this hub; returns whether it is new.
    pub(crate) fn add(&self, name: &str) -> Result<bool, PublishError> {
        let mut own = self.own.borrow_mut();
        if let Some(count) = own.get_mut(name) {
            *count += 1;
            return Ok(false);
        }
        let length = self.own_bytes.get() + size(name);
        if length > MAX_NAMES {
            return Err(PublishError::TooLong { length, limit: MAX_NAMES });
        }
        self.own_bytes.set(length);
        own.insert(name.to_owned(), 1);
        Ok(true)
    }

    /// Removes a name once; returns whether it has left, because nobody else here has entered it.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut own = self.own.borrow_mut();
        let Some(count) = own.get_mut(name) else { return false };
        *count -= 1;
        let is_gone = *count == 0;
        if is_gone {
            own.remove(name);
            self.own_bytes.set(self.own_bytes.get() - size(name));
        }
        is_gone
    }

    pub(crate) fn own_names(&self) -> Vec<String> {
        self.own.borrow().keys().cloned().collect()
    }
}

/// # The names of this hub
impl Core {
    pub(crate) fn room(&self, topic: &Topic) -> Rc<Room> {
        let mut rooms = self.rooms.by_topic.borrow_mut();
        Rc::clone(rooms.entry(topic.clone()).or_insert_with(|| Rc::new(Room::new(topic.clone()))))
    }

    pub(crate) fn known_room(&self, topic: &Topic) -> Option<Rc<Room>> {
        self.rooms.by_topic.borrow().get(topic).cloned()
    }

    /// Drops a room that has neither names nor watchers here, nor anything to announce.
    pub(crate) fn forget(&self, room: &Rc<Room>) {
        let is_used = !room.own.borrow().is_empty() || !room.watchers.borrow().is_empty();
        let is_due = room.announcing.borrow().is_some() || room.announcement.is_waiting.get() || room.is_announced.get();
        if !is_used && !is_due {
            self.rooms.by_topic.borrow_mut().remove(&room.topic);
        }
    }

    /// Announces the names soon, and notifies the other hubs.
    pub(crate) fn names_changed(self: &Rc<Self>, room: &Rc<Room>) {
        room.is_news.set(true);
        self.announce_after(room, GATHER);
    }

    /// Returns the time after which announcements expire. With the time until the next look-up it is within the period.
    fn expiry(&self) -> Duration {
        self.settings.presence_period * 2 / 3
    }

    /// Announces the names within `delay`.
    fn announce_after(self: &Rc<Self>, room: &Rc<Room>, delay: Duration) {
        schedule(self, room, |room| &room.announcing, delay, Self::announce);
    }

    fn announce(self: &Rc<Self>, room: &Rc<Room>) {
        if !self.is_up() {
            // The reconnect announces all rooms.
            return self.forget(room);
        }
        let names = room.own_names();
        if names.is_empty() && !room.is_announced.get() {
            return self.forget(room);
        }
        if !room.announcement.begin() {
            return;
        }
        let is_news = room.is_news.take();
        let answer = if names.is_empty() {
            room.is_announced.set(false);
            self.engine.withdraw(&room.topic, &self.name)
        } else {
            room.is_announced.set(true);
            self.announce_after(room, self.expiry() / 3);
            self.engine.announce(&room.topic, &self.name, &to_json(&names), self.expiry())
        };
        let (core, weak) = (Rc::downgrade(self), Rc::downgrade(room));
        let told = answer.add_both(move |answer| {
            if let (Some(core), Some(room)) = (core.upgrade(), weak.upgrade()) {
                core.announced(&room, is_news, answer);
            }
            Ok(())
        });
        told.detach();
    }

    fn announced(self: &Rc<Self>, room: &Rc<Room>, is_news: bool, answer: Result<(), Failure>) {
        if room.announcement.end() {
            self.announce_after(room, Duration::ZERO);
        }
        match answer {
            Ok(()) if is_news && self.is_up() => self.engine.publish(&room.notice(), &Publication::from(&self.name)),
            Ok(()) => {}
            Err(error) => {
                room.is_news.set(room.is_news.get() || is_news);
                if EngineError::is_passing(&error) {
                    // The broker may still have these names or older ones. They are withdrawn or announced later.
                    room.is_announced.set(true);
                    self.announce_after(room, AGAIN.min(self.expiry() / 3));
                } else {
                    report_error("hub presence", format_args!("the names in {} cannot be announced: {error}", room.topic));
                }
            }
        }
        self.forget(room);
    }
}

/// # The names of all
impl Core {
    /// Asks the broker for the names in a topic.
    pub(crate) fn names(&self, topic: &Topic) -> Deferred<BTreeSet<String>> {
        self.engine.announced(topic).add_callback(|announced| {
            let names = announced.iter().filter_map(|(_, names)| serde_json::from_slice::<Vec<String>>(names).ok());
            Ok(names.flatten().collect())
        })
    }

    /// Adds a watcher, and looks up the names for it, now and after each change.
    pub(crate) fn look_for(self: &Rc<Self>, room: &Rc<Room>, watcher: &Rc<Watcher>) -> Result<(), SubscribeError> {
        room.watchers.borrow_mut().push(Rc::clone(watcher));
        if room.notices.borrow().is_none() {
            let told = Noticing { core: Rc::downgrade(self), room: Rc::downgrade(room) };
            let target = Target::Function(RefCell::new(Some(Box::new(told))));
            let subscription = self.subscribe(Pattern::from(room.notice()), None, target, Start::Next)?;
            room.notices.replace(Some(subscription));
        }
        self.look_after(room, Duration::ZERO);
        Ok(())
    }

    /// Removes a watcher; after the last one, the room is no longer looked up.
    pub(crate) fn unwatch(&self, room: &Rc<Room>, watcher: &Rc<Watcher>) {
        room.watchers.borrow_mut().retain(|known| !Rc::ptr_eq(known, watcher));
        if !room.watchers.borrow().is_empty() {
            return;
        }
        if let Some(notices) = room.notices.take() {
            notices.unsubscribe();
        }
        if let Some(looking) = room.looking.take() {
            looking.cancel().ok();
        }
        self.forget(room);
    }

    /// Looks up the names within `delay`, if there are watchers.
    fn look_after(self: &Rc<Self>, room: &Rc<Room>, delay: Duration) {
        if !room.watchers.borrow().is_empty() {
            schedule(self, room, |room| &room.looking, delay, Self::look);
        }
    }

    fn look(self: &Rc<Self>, room: &Rc<Room>) {
        // Finds names that have expired, of which there is no notification.
        self.look_after(room, self.settings.presence_period / 3);
        if !self.is_up() || !room.look.begin() {
            return;
        }
        let (core, weak) = (Rc::downgrade(self), Rc::downgrade(room));
        let looked = self.names(&room.topic).add_both(move |names| {
            let (Some(core), Some(room)) = (core.upgrade(), weak.upgrade()) else { return Ok(()) };
            if room.look.end() {
                core.look_after(&room, Duration::ZERO);
            }
            match names {
                Ok(names) => {
                    let returning = core.rooms.returning_until.get().saturating_sub(core.reactor.now());
                    if !returning.is_zero() {
                        core.look_after(&room, returning);
                    }
                    let watchers = room.watchers.borrow().clone();
                    watchers.iter().for_each(|watcher| watcher.show(&names, returning.is_zero()));
                }
                Err(error) if EngineError::is_loss(&error) => {}
                Err(error) => {
                    report_error("hub presence", format_args!("the names in {} cannot be looked up: {error}", room.topic))
                }
            }
            Ok(())
        });
        looked.detach();
    }
}

/// # The connection
impl Core {
    /// The hub has reconnected, and the broker may have lost all announcements.
    pub(crate) fn rooms_connected(self: &Rc<Self>) {
        // Not at the first connection: no watcher has been told of a name before it.
        if self.counters.stats().connections_lost > 0 {
            self.rooms.returning_until.set(self.reactor.now() + RETURN.min(self.settings.presence_period));
        }
        let rooms: Vec<_> = self.rooms.by_topic.borrow().values().cloned().collect();
        for room in rooms {
            if !room.own.borrow().is_empty() || room.is_announced.get() {
                room.is_news.set(true);
                self.announce_after(&room, Duration::ZERO);
            }
            self.look_after(&room, Duration::ZERO);
        }
    }

    /// Withdraws all names; fires when the broker has done so.
    pub(crate) fn rooms_closed(&self) -> Deferred<()> {
        let rooms = self.rooms.by_topic.take();
        let mut withdrawn = defer::succeed(());
        for room in rooms.into_values() {
            for call in [room.announcing.take(), room.looking.take()].into_iter().flatten() {
                call.cancel().ok();
            }
            if self.is_up() && room.is_announced.get() {
                let answer = self.engine.withdraw(&room.topic, &self.name);
                withdrawn = withdrawn.add_both(move |_| answer);
                self.engine.publish(&room.notice(), &Publication::from(&self.name));
            }
        }
        withdrawn
    }
}

/// Looks up the names of a room when other hubs notify of a change.
struct Noticing {
    core: Weak<Core>,
    room: Weak<Room>,
}

impl Noticing {
    fn look(&self) {
        if let (Some(core), Some(room)) = (self.core.upgrade(), self.room.upgrade()) {
            core.look_after(&room, Duration::ZERO);
        }
    }
}

impl Subscriber for Noticing {
    fn message_received(&mut self, _message: &Message) -> torsade_reactor::Result {
        self.look();
        Ok(())
    }

    fn messages_missed(&mut self, _gap: &Gap) -> torsade_reactor::Result {
        self.look();
        Ok(())
    }
}

/// Schedules `call` for a room within `delay`, unless `slot` has an earlier call already.
fn schedule(
    core: &Rc<Core>,
    room: &Rc<Room>,
    slot: fn(&Room) -> &RefCell<Option<DelayedCall>>,
    delay: Duration,
    call: fn(&Rc<Core>, &Rc<Room>),
) {
    let due = core.reactor.now() + delay;
    if slot(room).borrow().as_ref().is_some_and(|call| call.time().is_some_and(|at| at <= due)) {
        return;
    }
    let weak = Rc::downgrade(room);
    let next = later(core, delay, move |core| {
        if let Some(room) = weak.upgrade() {
            slot(&room).take();
            call(core, &room);
        }
    });
    if let Some(before) = slot(room).replace(Some(next)) {
        before.cancel().ok();
    }
}

/// Returns the bytes that a name takes when it is announced.
fn size(name: &str) -> usize {
    serde_json::Value::from(name).to_string().len() + 1
}

fn to_json(names: &[String]) -> Vec<u8> {
    serde_json::Value::from(names).to_string().into_bytes()
}
