//! The handles of presence.

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

/// A name that entered or left a topic, on this machine or another.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PresenceChange {
    /// This name is in the topic now.
    Entered(String),
    /// This name is no longer in the topic: it has left, or its process has not renewed it and it has expired.
    Left(String),
}

/// A name in a topic. It leaves when this is dropped.
#[must_use = "the name leaves the topic when this is dropped"]
pub struct Presence {
    core: Weak<Core>,
    topic: Topic,
    name: String,
}

impl Presence {
    /// Leaves the topic, as dropping does.
    pub fn leave(self) {}

    /// Returns the name.
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

/// A callback that is told which names enter and leave.
pub(crate) struct Watcher {
    /// `None` while it is being called.
    call: RefCell<Option<Box<Call>>>,
    /// The names that it has been told of.
    seen: RefCell<BTreeSet<String>>,
    has_ended: Cell<bool>,
}

impl Watcher {
    fn new(call: Box<Call>) -> Rc<Self> {
        Rc::new(Self { call: RefCell::new(Some(call)), seen: RefCell::default(), has_ended: Cell::new(false) })
    }

    /// Reports what has changed since the last call. Missing names are reported only if `is_complete`.
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
        // Taken out because it may do anything, even end itself.
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

/// A watch over a topic, made by [`Hub::watch`](crate::Hub::watch). Dropping it does not end the watch.
pub struct PresenceWatch {
    core: Weak<Core>,
    room: Weak<Room>,
    watcher: Weak<Watcher>,
}

impl PresenceWatch {
    /// Ends the watch: the watcher is not called again.
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

    /// Fires with the names in a topic, sorted.
    pub(crate) fn present(&self, topic: &Topic) -> Deferred<Vec<String>> {
        if self.is_closed() {
            return defer::fail(PublishError::Closed);
        }
        if !self.is_up() {
            return defer::fail(PublishError::Disconnected);
        }
        // Includes names that this hub has not announced yet.
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
