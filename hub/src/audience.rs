//! Listeners that share a subscription.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slab::Slab;
use torsade_reactor::spi::drop_quietly;

use crate::encoding::Encoded;
use crate::engine::{Interest, InterestId};
use crate::listener::{Listener, Place};
use crate::message::{Gap, Message, MessageId};
use crate::origins::Origins;
use crate::stats::Counters;

/// All listeners with the same interest; they share one subscription at the engine.
///
/// Guaranteed: a [live](Place::Live) listener has got every message up to the audience's position, or was told of the gap. A listener that
/// is behind gets stored messages first, and becomes live when it reaches that position.
pub(crate) struct Audience {
    pub(crate) id: InterestId,
    pub(crate) interest: Interest,
    /// Whether the subscription has begun on the current connection.
    pub(crate) is_subscribed: Cell<bool>,
    /// Why the broker refused the subscription on the current connection, if it did.
    pub(crate) refused: RefCell<Option<String>>,
    /// The last stored message that was delivered, or the one after which the subscription began.
    pub(crate) position: Cell<Option<MessageId>>,
    listeners: RefCell<Slab<Rc<Listener>>>,
    origins: RefCell<Origins>,
    /// Chooses the listener that gets the next message of a group.
    turn: Cell<usize>,
}

impl Audience {
    pub(crate) fn new(id: InterestId, interest: Interest) -> Self {
        Self {
            id,
            interest,
            is_subscribed: Cell::new(false),
            refused: RefCell::default(),
            position: Cell::new(None),
            listeners: RefCell::default(),
            origins: RefCell::default(),
            turn: Cell::new(0),
        }
    }

    /// Adds a listener; returns its key.
    pub(crate) fn add(&self, listener: Listener) -> (usize, Rc<Listener>) {
        let listener = Rc::new(listener);
        if self.is_subscribed.get() {
            listener.begin();
        }
        (self.listeners.borrow_mut().insert(Rc::clone(&listener)), listener)
    }

    /// Removes a listener; returns whether none is left. This may drop values of the program, so nothing may be borrowed.
    pub(crate) fn remove(&self, key: usize, number: u64) -> bool {
        let removed = {
            let mut listeners = self.listeners.borrow_mut();
            let is_here = listeners.get(key).is_some_and(|listener| listener.number == number);
            is_here.then(|| listeners.remove(key))
        };
        if let Some(listener) = removed {
            listener.end();
            drop_quietly("a subscriber", listener);
        }
        self.is_empty()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.listeners.borrow().is_empty()
    }

    /// The subscription has begun on the current connection. Unless the topic is stored, listeners that were live on the previous
    /// one are told of the gap.
    pub(crate) fn subscribed(&self, position: Option<MessageId>, counters: &Rc<Counters>) {
        self.is_subscribed.set(true);
        self.refused.take();
        if self.interest.is_stored() && self.position.get().is_none() {
            self.position.set(position);
        }
        if !self.interest.is_stored() && self.any(Listener::is_live) {
            counters.gaps.add(1);
            self.each(|listener| {
                if listener.is_live() {
                    listener.tell(&Gap::Disconnected, counters);
                }
            });
        }
        self.each(|listener| listener.begin());
    }

    /// Returns the listeners that are behind.
    pub(crate) fn behind(&self) -> Vec<Rc<Listener>> {
        let is_behind = |listener: &&Rc<Listener>| matches!(listener.place(), Place::Behind(_));
        self.listeners.borrow().iter().map(|(_, listener)| listener).filter(is_behind).cloned().collect()
    }

    /// Delivers a message to all live listeners; to one of them if this is a group.
    pub(crate) fn deliver(&self, message: &Message, counters: &Rc<Counters>) {
        if let (true, Some(id)) = (self.interest.is_stored(), message.id()) {
            if self.position.get().is_some_and(|position| id <= position) {
                return;
            }
            self.position.set(Some(id));
            if !self.origins.borrow_mut().is_new(message) {
                counters.duplicates.add(1);
                return;
            }
        }
        let mut encoded = Encoded::new(message);
        if self.interest.group.is_some() {
            if let Some(listener) = self.next_of_group() {
                listener.deliver(&mut encoded, counters);
            }
            return;
        }
        self.each(|listener| {
            if listener.is_live() && !listener.has_got(message) {
                listener.deliver(&mut encoded, counters);
            }
        });
    }

    /// Returns the listener that gets the next message of a group, in rotation.
    fn next_of_group(&self) -> Option<Rc<Listener>> {
        let listeners = self.listeners.borrow();
        let index = self.turn.replace(self.turn.get().wrapping_add(1)) % listeners.len().max(1);
        listeners.iter().nth(index).map(|(_, listener)| Rc::clone(listener))
    }

    /// Records the origin of a stored message that a listener has fetched, so that a duplicate of it is recognized.
    pub(crate) fn remember(&self, message: &Message) {
        if message.id() <= self.position.get() {
            self.origins.borrow_mut().is_new(message);
        }
    }

    /// Tells listeners of a gap: the live ones, or all of them if the subscription is refused or the stored messages are lost.
    pub(crate) fn missed(&self, gap: &Gap, counters: &Rc<Counters>) {
        counters.gaps.add(1);
        if *gap == Gap::Reset {
            self.position.set(Some(MessageId { major: 0, minor: 0 }));
            self.origins.take();
        }
        self.each(|listener| {
            if *gap == Gap::Reset {
                listener.begin_anew();
            }
            if listener.is_live() || matches!(gap, Gap::Refused { .. } | Gap::Reset) {
                listener.tell(gap, counters);
            }
        });
    }

    pub(crate) fn disconnected(&self) {
        self.is_subscribed.set(false);
        self.refused.take();
    }

    /// The broker has refused or ended the subscription.
    pub(crate) fn refuse(&self, why: &str, counters: &Rc<Counters>) {
        self.is_subscribed.set(false);
        self.refused.replace(Some(why.to_owned()));
        self.missed(&Gap::Refused { why: why.to_owned() }, counters);
    }

    /// Ends and drops all listeners.
    pub(crate) fn clear(&self) {
        for listener in std::mem::take(&mut *self.listeners.borrow_mut()) {
            listener.1.end();
            drop_quietly("a subscriber", listener);
        }
    }

    fn any(&self, is: impl Fn(&Listener) -> bool) -> bool {
        self.listeners.borrow().iter().any(|(_, listener)| is(listener))
    }

    /// Calls `call` with each listener that is still here when its turn comes; callbacks may subscribe and unsubscribe.
    fn each(&self, mut call: impl FnMut(&Rc<Listener>)) {
        // A listener that is added meanwhile may take a free slot, and is called as well: it is live already.
        let places = self.listeners.borrow().capacity();
        for key in 0..places {
            let listener = self.listeners.borrow().get(key).cloned();
            if let Some(listener) = listener {
                call(&listener);
            }
        }
    }
}
