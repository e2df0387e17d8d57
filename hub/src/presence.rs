//! Who is in a topic, on all machines.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade_reactor::spi::{catch, drop_quietly};
use torsade_reactor::{Deferred, DelayedCall, Failure, defer, report_error};

use crate::core::Core;
use crate::engine::Start;
use crate::error::{EngineError, PublishError, SubscribeError};
use crate::listener::Target;
use crate::message::{Gap, Message, Publication};
use crate::subscriber::{Subscriber, Subscription};
use crate::topic::{Pattern, Topic};

/// How many bytes of names one process may announce for a topic.
const MAX_NAMES: usize = 256 << 10;

/// How long changes of a topic are gathered before they are announced.
const GATHER: Duration = Duration::from_millis(50);

/// Somebody who came into a topic, or went.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// Is there now: on this machine or another.
    Entered(String),
    /// Is there no longer: has left, or the process that announced it has not been heard of for a period.
    Left(String),
}

/// A name that is in a topic for as long as this is kept: dropping it, or [`leave`](Self::leave), takes the name back.
#[must_use = "the name leaves the topic when this is dropped"]
pub struct Presence {
    core: Weak<Core>,
    topic: Topic,
    name: String,
}

impl Presence {
    /// Takes the name back; as dropping does.
    pub fn leave(self) {}

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(core) = self.core.upgrade() {
            core.leave(&self.topic, &self.name);
        }
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presence").field("topic", &self.topic).field("name", &self.name).finish()
    }
}

/// The topics of which this hub announces names, or is told.
#[derive(Default)]
pub(crate) struct Presences(RefCell<BTreeMap<Topic, Rc<Room>>>);

type Call = dyn FnMut(&PresenceChange);

/// Somebody who is told who comes and goes.
struct Watcher {
    /// None while it is being called.
    call: RefCell<Option<Box<Call>>>,
    /// Who is there, as it was told.
    seen: RefCell<BTreeSet<String>>,
    has_ended: Cell<bool>,
}

/// Somebody's watch over a topic; made by [`Hub::watch`](crate::Hub::watch). Dropping it changes nothing.
pub struct PresenceWatch {
    core: Weak<Core>,
    room: Weak<Room>,
    watcher: Weak<Watcher>,
}

impl PresenceWatch {
    /// Ends it: nothing more is told.
    pub fn stop(&self) {
        if let (Some(core), Some(room), Some(watcher)) = (self.core.upgrade(), self.room.upgrade(), self.watcher.upgrade()) {
            watcher.has_ended.set(true);
            room.watchers.borrow_mut().retain(|known| !Rc::ptr_eq(known, &watcher));
            core.watched_less(&room);
            drop_quietly("a watcher of names", watcher);
        }
    }
}

impl fmt::Debug for PresenceWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceWatch").finish_non_exhaustive()
    }
}

/// The names in one topic.
struct Room {
    topic: Topic,
    /// This hub's, and how often each has entered.
    own: RefCell<BTreeMap<String, usize>>,
    /// How many bytes they take when they are announced.
    own_bytes: Cell<usize>,
    /// Whether there is something at the broker to take back.
    is_announced: Cell<bool>,
    /// For the next announcement, which is due at the latest then.
    announcing: RefCell<Option<DelayedCall>>,
    announcement: Asked,
    watchers: RefCell<Vec<Rc<Watcher>>>,
    /// Tells of changes, while there are watchers.
    notices: RefCell<Option<Subscription>>,
    /// For the next look, which is due at the latest then.
    looking: RefCell<Option<DelayedCall>>,
    look: Asked,
}

/// What is asked of the broker, once at a time: however slow it is, no more than one of each waits there.
#[derive(Default)]
struct Asked {
    is_waiting: Cell<bool>,
    again: Cell<bool>,
}

impl Asked {
    /// Says whether to ask. If not, it is to be asked again once the answer is there.
    fn begin(&self) -> bool {
        let is_waiting = self.is_waiting.replace(true);
        self.again.set(is_waiting);
        !is_waiting
    }

    /// The answer is there: says whether to ask again.
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
            announcing: RefCell::default(),
            announcement: Asked::default(),
            watchers: RefCell::default(),
            notices: RefCell::default(),
            looking: RefCell::default(),
            look: Asked::default(),
        }
    }

    /// The topic by which hubs tell each other that the names have changed.
    fn notice(&self) -> Topic {
        Topic::internal(&format!("presence.{}", self.topic))
    }
}

impl Core {
    pub(crate) fn enter(self: &Rc<Self>, topic: Topic, name: String) -> Result<Presence, PublishError> {
        if self.is_closed() {
            return Err(PublishError::Closed);
        }
        let room = self.room(&topic);
        let is_new = !room.own.borrow().contains_key(&name);
        let bytes = room.own_bytes.get() + if is_new { size(&name) } else { 0 };
        if bytes > MAX_NAMES {
            self.forget(&room);
            return Err(PublishError::TooLong { length: bytes, limit: MAX_NAMES });
        }
        let count = {
            let mut own = room.own.borrow_mut();
            let count = own.entry(name.clone()).or_default();
            *count += 1;
            *count
        };
        if count == 1 {
            room.own_bytes.set(bytes);
            self.announce_after(&room, GATHER);
        }
        Ok(Presence { core: Rc::downgrade(self), topic, name })
    }

    fn leave(self: &Rc<Self>, topic: &Topic, name: &str) {
        let Some(room) = self.presences.0.borrow().get(topic).cloned() else { return };
        {
            let mut own = room.own.borrow_mut();
            let Some(count) = own.get_mut(name) else { return };
            *count -= 1;
            if *count > 0 {
                return;
            }
            own.remove(name);
        }
        room.own_bytes.set(room.own_bytes.get().saturating_sub(size(name)));
        self.announce_after(&room, GATHER);
    }

    /// The names in a topic, in order.
    pub(crate) fn present(&self, topic: &Topic) -> Deferred<Vec<String>> {
        if self.is_closed() {
            return defer::fail(PublishError::Closed);
        }
        if !self.is_up() {
            return defer::fail(PublishError::Disconnected);
        }
        // What this hub has not announced yet is known here all the same.
        let room = self.presences.0.borrow().get(topic).cloned();
        let own: Vec<_> = room.iter().flat_map(|room| room.own.borrow().keys().cloned().collect::<Vec<_>>()).collect();
        self.names(topic).add_callback(|mut names| {
            names.extend(own);
            Ok(names.into_iter().collect())
        })
    }

    fn names(&self, topic: &Topic) -> Deferred<BTreeSet<String>> {
        self.engine.announced(topic).add_callback(|announced| {
            let names = announced.iter().filter_map(|(_, names)| serde_json::from_slice::<Vec<String>>(names).ok());
            Ok(names.flatten().collect())
        })
    }

    pub(crate) fn watch(self: &Rc<Self>, topic: &Topic, call: Box<Call>) -> Result<PresenceWatch, SubscribeError> {
        if self.is_closed() {
            return Err(SubscribeError::Closed);
        }
        let room = self.room(topic);
        let watcher = Watcher { call: RefCell::new(Some(call)), seen: RefCell::default(), has_ended: Cell::new(false) };
        let watcher = Rc::new(watcher);
        room.watchers.borrow_mut().push(Rc::clone(&watcher));
        if room.notices.borrow().is_none() {
            let told = Noticing { core: Rc::downgrade(self), room: Rc::downgrade(&room) };
            let target = Target::Function(RefCell::new(Some(Box::new(told))));
            let subscription = self.subscribe(Pattern::from(room.notice()), None, target, Start::Next)?;
            room.notices.replace(Some(subscription));
        }
        self.look_after(&room, Duration::ZERO);
        Ok(PresenceWatch { core: Rc::downgrade(self), room: Rc::downgrade(&room), watcher: Rc::downgrade(&watcher) })
    }

    /// A watcher has stopped: the last one ends the looking.
    fn watched_less(&self, room: &Rc<Room>) {
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

    fn room(&self, topic: &Topic) -> Rc<Room> {
        let mut rooms = self.presences.0.borrow_mut();
        Rc::clone(rooms.entry(topic.clone()).or_insert_with(|| Rc::new(Room::new(topic.clone()))))
    }

    /// Announcements expire after this. With the time until the next look it is within the period.
    fn expiry(&self) -> Duration {
        self.settings.presence_period * 2 / 3
    }

    /// Announces the names within `delay`.
    fn announce_after(self: &Rc<Self>, room: &Rc<Room>, delay: Duration) {
        let weak = Rc::downgrade(room);
        schedule(self, &room.announcing, delay, move |core| {
            if let Some(room) = weak.upgrade() {
                room.announcing.take();
                core.announce(&room);
            }
        });
    }

    fn announce(self: &Rc<Self>, room: &Rc<Room>) {
        if !self.is_up() {
            // The broker's return announces all.
            return self.forget(room);
        }
        let names: Vec<_> = room.own.borrow().keys().cloned().collect();
        if names.is_empty() && !room.is_announced.get() {
            return self.forget(room);
        }
        if !room.announcement.begin() {
            return;
        }
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
                core.announced(&room, answer);
            }
            Ok(())
        });
        told.detach();
    }

    fn announced(self: &Rc<Self>, room: &Rc<Room>, answer: Result<(), Failure>) {
        if room.announcement.end() {
            self.announce_after(room, Duration::ZERO);
        }
        match answer {
            Ok(()) if self.is_up() => self.engine.publish(&room.notice(), &Publication::from(&self.name)),
            Ok(()) => {}
            // It may be there still, and is taken back or announced when the broker is there again.
            Err(error) if EngineError::is_loss(&error) => room.is_announced.set(true),
            Err(error) => report_error("hub presence", format_args!("who is in {} cannot be told: {error}", room.topic)),
        }
        self.forget(room);
    }

    /// Lets go of a topic that has neither names nor watchers here.
    fn forget(&self, room: &Rc<Room>) {
        let is_used = !room.own.borrow().is_empty() || !room.watchers.borrow().is_empty();
        let is_due = room.announcing.borrow().is_some() || room.announcement.is_waiting.get() || room.is_announced.get();
        if !is_used && !is_due {
            self.presences.0.borrow_mut().remove(&room.topic);
        }
    }

    /// Looks who is there within `delay`.
    fn look_after(self: &Rc<Self>, room: &Rc<Room>, delay: Duration) {
        let weak = Rc::downgrade(room);
        schedule(self, &room.looking, delay, move |core| {
            if let Some(room) = weak.upgrade() {
                room.looking.take();
                core.look(&room);
            }
        });
    }

    fn look(self: &Rc<Self>, room: &Rc<Room>) {
        self.look_after(room, self.settings.presence_period / 3);
        if !self.is_up() || !room.look.begin() {
            return;
        }
        let (core, weak) = (Rc::downgrade(self), Rc::downgrade(room));
        let looked = self.names(&room.topic).add_both(move |names| {
            let (Some(core), Some(room)) = (core.upgrade(), weak.upgrade()) else { return Ok(()) };
            if room.look.end() && !room.watchers.borrow().is_empty() {
                core.look_after(&room, Duration::ZERO);
            }
            match names {
                Ok(names) => room.show(&names),
                Err(error) if EngineError::is_loss(&error) => {}
                Err(error) => report_error("hub presence", format_args!("who is in {} is not known: {error}", room.topic)),
            }
            Ok(())
        });
        looked.detach();
    }

    /// The broker is there again, and may have lost everything.
    pub(crate) fn presences_connected(self: &Rc<Self>) {
        let rooms: Vec<_> = self.presences.0.borrow().values().cloned().collect();
        for room in rooms {
            if !room.own.borrow().is_empty() || room.is_announced.get() {
                self.announce_after(&room, Duration::ZERO);
            }
            if !room.watchers.borrow().is_empty() {
                self.look_after(&room, Duration::ZERO);
            }
        }
    }

    /// Takes back all names; fires when the broker has done so.
    pub(crate) fn presences_closed(&self) -> Deferred<()> {
        let rooms = self.presences.0.take();
        let is_up = self.is_up();
        let mut withdrawn = defer::succeed(());
        for room in rooms.into_values() {
            for call in [room.announcing.take(), room.looking.take()].into_iter().flatten() {
                call.cancel().ok();
            }
            if is_up && room.is_announced.get() {
                let answer = self.engine.withdraw(&room.topic, &self.name);
                withdrawn = withdrawn.add_both(move |_| answer);
            }
            if is_up {
                self.engine.publish(&room.notice(), &Publication::from(&self.name));
            }
        }
        withdrawn
    }
}

impl Room {
    /// Tells the watchers what has changed.
    fn show(&self, names: &BTreeSet<String>) {
        let watchers = self.watchers.borrow().clone();
        for watcher in watchers {
            let before = watcher.seen.replace(names.clone());
            let left = before.difference(names).cloned().map(PresenceChange::Left);
            for change in left.chain(names.difference(&before).cloned().map(PresenceChange::Entered)) {
                watcher.tell(&change);
            }
        }
    }
}

impl Watcher {
    fn tell(&self, change: &PresenceChange) {
        // Taken out, since it may do anything, and end itself.
        let Some(mut call) = self.call.take() else { return };
        if let Err(panic) = catch(|| call(change)) {
            report_error("hub presence", format_args!("a watcher of names {panic}"));
        }
        if self.has_ended.get() {
            drop_quietly("a watcher of names", call);
        } else {
            self.call.replace(Some(call));
        }
    }
}

/// Hears that the names of a topic have changed.
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

/// Has `call` made within `delay`: sooner if that was asked for before.
fn schedule(core: &Rc<Core>, slot: &RefCell<Option<DelayedCall>>, delay: Duration, call: impl FnOnce(&Rc<Core>) + 'static) {
    let due = core.reactor.now() + delay;
    if slot.borrow().as_ref().is_some_and(|call| call.time().is_some_and(|at| at <= due)) {
        return;
    }
    let weak = Rc::downgrade(core);
    let next = core.reactor.call_later(delay, move || {
        if let Some(core) = weak.upgrade() {
            call(&core);
        }
    });
    if let Some(before) = slot.replace(Some(next)) {
        before.cancel().ok();
    }
}

/// How many bytes a name takes when it is announced.
fn size(name: &str) -> usize {
    serde_json::Value::from(name).to_string().len() + 1
}

fn to_json(names: &[String]) -> Vec<u8> {
    serde_json::Value::from(names).to_string().into_bytes()
}
