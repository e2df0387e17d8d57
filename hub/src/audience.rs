//! Those who want the same messages.

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

/// All listeners of one interest: one subscription at the engine, whatever their number.
///
/// Guaranteed: a listener that is [live](Place::Live) has got, or was told that it missed, every message up to the audience's position; one that is behind
/// gets what is kept first, and is live once it has come up to that.
pub(crate) struct Audience {
    pub(crate) id: InterestId,
    pub(crate) interest: Interest,
    /// Whether the engine has begun the subscription on this connection.
    pub(crate) is_subscribed: Cell<bool>,
    /// Why the broker has refused the subscription on this connection, if it has.
    pub(crate) refused: RefCell<Option<String>>,
    /// The last stored message that was delivered, or after which the subscription began.
    pub(crate) position: Cell<Option<MessageId>>,
    listeners: RefCell<Slab<Rc<Listener>>>,
    origins: RefCell<Origins>,
    /// Of a group: whose turn is next.
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

    /// Takes in a listener, and gives the key that it has here.
    pub(crate) fn add(&self, listener: Listener) -> (usize, Rc<Listener>) {
        let listener = Rc::new(listener);
        if self.is_subscribed.get() {
            listener.begin();
        }
        (self.listeners.borrow_mut().insert(Rc::clone(&listener)), listener)
    }

    /// Lets a listener go; says whether it was the last. It may drop the user's own things, so nothing may be borrowed.
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

    /// The subscription has begun on this connection. Those who were live before it was lost are told of the gap, unless the topic
    /// keeps its messages.
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

    /// Those who are behind, to be brought up.
    pub(crate) fn behind(&self) -> Vec<Rc<Listener>> {
        let is_behind = |listener: &&Rc<Listener>| matches!(listener.place(), Place::Behind(_));
        self.listeners.borrow().iter().map(|(_, listener)| listener).filter(is_behind).cloned().collect()
    }

    /// Delivers a message of the subscription to all who are live.
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

    /// Whose turn it is among those of a group here.
    fn next_of_group(&self) -> Option<Rc<Listener>> {
        let listeners = self.listeners.borrow();
        let index = self.turn.replace(self.turn.get().wrapping_add(1)) % listeners.len().max(1);
        listeners.iter().nth(index).map(|(_, listener)| Rc::clone(listener))
    }

    /// Remembers whose a message is that a listener got from those that are kept, so that it is not delivered again as a later one.
    pub(crate) fn remember(&self, message: &Message) {
        if message.id() <= self.position.get() {
            self.origins.borrow_mut().is_new(message);
        }
    }

    /// Tells all who are live of missing messages.
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

    /// The connection is lost.
    pub(crate) fn disconnected(&self) {
        self.is_subscribed.set(false);
        self.refused.take();
    }

    /// The broker refuses the subscription, or has ended it.
    pub(crate) fn refuse(&self, why: &str, counters: &Rc<Counters>) {
        self.is_subscribed.set(false);
        self.refused.replace(Some(why.to_owned()));
        self.missed(&Gap::Refused { why: why.to_owned() }, counters);
    }

    /// Ends all subscriptions.
    pub(crate) fn clear(&self) {
        for listener in std::mem::take(&mut *self.listeners.borrow_mut()) {
            listener.1.end();
            drop_quietly("a subscriber", listener);
        }
    }

    fn any(&self, is: impl Fn(&Listener) -> bool) -> bool {
        self.listeners.borrow().iter().any(|(_, listener)| is(listener))
    }

    /// Calls with each listener that is here now and still is when its turn comes; callbacks may subscribe and unsubscribe.
    fn each(&self, mut call: impl FnMut(&Rc<Listener>)) {
        // One that comes meanwhile may take the place of one that went, and is served as well: it is live already.
        let places = self.listeners.borrow().capacity();
        for key in 0..places {
            let listener = self.listeners.borrow().get(key).cloned();
            if let Some(listener) = listener {
                call(&listener);
            }
        }
    }
}
