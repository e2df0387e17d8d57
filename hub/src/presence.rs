//! Who is in a topic, as programs say it and are told: the handles.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::{Rc, Weak};

use torsade_reactor::spi::{catch, drop_quietly};
use torsade_reactor::{Deferred, defer, report_error};

use crate::core::Core;
use crate::error::{PublishError, SubscribeError};
use crate::room::Room;
use crate::topic::Topic;

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

type Call = dyn FnMut(&PresenceChange);

/// Somebody who is told who comes and goes.
pub(crate) struct Watcher {
    /// None while it is being called.
    call: RefCell<Option<Box<Call>>>,
    /// Who is there, as it was told.
    seen: RefCell<BTreeSet<String>>,
    has_ended: Cell<bool>,
}

impl Watcher {
    fn new(call: Box<Call>) -> Rc<Self> {
        Rc::new(Self { call: RefCell::new(Some(call)), seen: RefCell::default(), has_ended: Cell::new(false) })
    }

    /// Reports what has changed since the last call; of names that are missing only if `is_complete`.
    pub(crate) fn show(&self, names: &BTreeSet<String>, is_complete: bool) {
        let before = self.seen.take();
        let now = if is_complete { names.clone() } else { names | &before };
        self.seen.replace(now.clone());
        let left = before.difference(&now).cloned().map(PresenceChange::Left);
        for change in left.chain(names.difference(&before).cloned().map(PresenceChange::Entered)) {
            self.tell(&change);
        }
    }

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
            core.unwatch(&room, &watcher);
            drop_quietly("a watcher of names", watcher);
        }
    }
}

impl fmt::Debug for PresenceWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceWatch").finish_non_exhaustive()
    }
}

impl Core {
    pub(crate) fn enter(self: &Rc<Self>, topic: Topic, name: String) -> Result<Presence, PublishError> {
        if self.has_begun_to_close() {
            return Err(PublishError::Closed);
        }
        let room = self.room(&topic);
        match room.add(&name) {
            Ok(true) => self.names_changed(&room),
            Ok(false) => {}
            Err(error) => {
                self.forget(&room);
                return Err(error);
            }
        }
        Ok(Presence { core: Rc::downgrade(self), topic, name })
    }

    fn leave(self: &Rc<Self>, topic: &Topic, name: &str) {
        if let Some(room) = self.known_room(topic).filter(|room| room.remove(name)) {
            self.names_changed(&room);
        }
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
        let own = self.known_room(topic).map(|room| room.own_names()).unwrap_or_default();
        self.names(topic).add_callback(|mut names| {
            names.extend(own);
            Ok(names.into_iter().collect())
        })
    }

    pub(crate) fn watch(self: &Rc<Self>, topic: &Topic, call: Box<Call>) -> Result<PresenceWatch, SubscribeError> {
        if self.has_begun_to_close() {
            return Err(SubscribeError::Closed);
        }
        let (room, watcher) = (self.room(topic), Watcher::new(call));
        self.look_for(&room, &watcher)?;
        Ok(PresenceWatch { core: Rc::downgrade(self), room: Rc::downgrade(&room), watcher: Rc::downgrade(&watcher) })
    }
}
