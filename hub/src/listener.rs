//! A subscriber or a member within an audience.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade_reactor::spi::{catch, drop_quietly};
use torsade_reactor::{Firer, Result, report_error};

use crate::audience::Audience;
use crate::encoding::Encoded;
use crate::engine::Start;
use crate::member::Joined;
use crate::message::{Gap, Message, MessageId};
use crate::origins::Origins;
use crate::stats::Counters;
use crate::subscriber::Subscriber;

/// A subscriber or a member, and its position among the stored messages.
pub(crate) struct Listener {
    /// Unique within the hub; keys of the audience are reused, numbers are not.
    pub(crate) number: u64,
    pub(crate) target: Target,
    place: Cell<Place>,
    /// The last stored message that it has fetched. The audience may still be before it.
    ahead: Cell<Option<MessageId>>,
    /// While it is behind: the origins of the messages that it has fetched.
    origins: RefCell<Origins>,
    /// While it is behind: whether a page is being fetched or delivered.
    is_fetching: Cell<bool>,
    /// Whether the broker has lost its messages since that page was requested.
    is_stale: Cell<bool>,
    has_ended: Cell<bool>,
    /// For a member: ends the task that waits for the end of its connection.
    leaving: Cell<Option<Firer<()>>>,
}

pub(crate) enum Target {
    /// `None` while it is being called.
    Function(RefCell<Option<Box<dyn Subscriber>>>),
    Member(Rc<Joined>),
}

/// How a listener gets its messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Not yet: the subscription has not begun.
    New,
    /// By fetching stored messages, from here on.
    Behind(Start),
    /// As they arrive.
    Live,
}

impl Listener {
    pub(crate) fn new(number: u64, target: Target, start: Start) -> Self {
        let place = if start == Start::Next { Place::New } else { Place::Behind(start) };
        Self {
            number,
            target,
            place: Cell::new(place),
            ahead: Cell::new(None),
            origins: RefCell::default(),
            is_fetching: Cell::new(false),
            is_stale: Cell::new(false),
            has_ended: Cell::new(false),
            leaving: Cell::new(None),
        }
    }

    pub(crate) fn place(&self) -> Place {
        self.place.get()
    }

    pub(crate) fn is_live(&self) -> bool {
        self.place.get() == Place::Live
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    pub(crate) fn end(&self) {
        self.has_ended.set(true);
        if let Some(leaving) = self.leaving.take() {
            leaving.callback(());
        }
    }

    /// Fires `leaving` when the listener ends.
    pub(crate) fn fire_at_end(&self, leaving: Firer<()>) {
        self.leaving.set(Some(leaving));
    }

    /// Returns whether it takes more messages without queueing them.
    pub(crate) fn has_room(&self) -> bool {
        match &self.target {
            Target::Member(member) => member.has_room(),
            Target::Function(_) => true,
        }
    }

    /// The subscription has begun: a new listener becomes live.
    pub(crate) fn begin(&self) {
        if self.place.get() == Place::New {
            self.place.set(Place::Live);
        }
    }

    /// The broker has lost its stored messages, and ids start over.
    pub(crate) fn begin_anew(&self) {
        self.ahead.set(None);
        self.is_stale.set(self.is_fetching.get());
        if let Place::Behind(_) = self.place.get() {
            self.place.set(Place::Behind(Start::Oldest));
        }
    }

    /// Returns whether it has fetched this message already.
    pub(crate) fn has_got(&self, message: &Message) -> bool {
        self.ahead.get().is_some_and(|ahead| message.id().is_some_and(|id| id <= ahead))
    }

    /// Returns whether a page may be fetched now, and marks it as being fetched.
    pub(crate) fn begin_fetch(&self) -> bool {
        let begins = !self.is_fetching.replace(true);
        if begins {
            self.is_stale.set(false);
        }
        begins
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale.get()
    }

    pub(crate) fn end_fetch(&self) {
        self.is_fetching.set(false);
    }

    /// Delivers a stored message that was fetched.
    pub(crate) fn catch_up(&self, audience: &Audience, message: &Message, counters: &Rc<Counters>) {
        audience.remember(message);
        if self.origins.borrow_mut().is_new(message) {
            self.deliver(&mut Encoded::new(message), counters);
        } else {
            counters.duplicates.add(1);
        }
    }

    /// It has got all stored messages up to this one.
    pub(crate) fn came_to(&self, id: MessageId) {
        self.place.set(Place::Behind(Start::After(id)));
        self.ahead.set(Some(id));
    }

    /// It has reached the audience's position, and becomes live.
    pub(crate) fn caught_up(&self) {
        self.origins.take();
        self.place.set(Place::Live);
    }

    pub(crate) fn deliver(&self, encoded: &mut Encoded<'_>, counters: &Rc<Counters>) {
        match &self.target {
            Target::Member(member) => member.deliver(encoded, counters),
            Target::Function(function) => {
                // Messages between hubs are not counted.
                counters.delivered.add(u64::from(!encoded.message().topic().is_internal()));
                self.call(function, |subscriber| subscriber.message_received(encoded.message()));
            }
        }
    }

    pub(crate) fn tell(&self, gap: &Gap, counters: &Rc<Counters>) {
        match &self.target {
            Target::Member(member) => member.tell(gap, counters),
            Target::Function(function) => self.call(function, |subscriber| subscriber.messages_missed(gap)),
        }
    }

    fn call(&self, function: &RefCell<Option<Box<dyn Subscriber>>>, call: impl FnOnce(&mut dyn Subscriber) -> Result) {
        let Some(mut subscriber) = function.take() else { return };
        match catch(|| call(&mut *subscriber)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => report_error("hub", format_args!("a subscriber failed: {error}")),
            Err(panic) => report_error("hub", format_args!("a subscriber {panic}")),
        }
        if self.has_ended.get() {
            drop_quietly("a subscriber", subscriber);
        } else {
            function.replace(Some(subscriber));
        }
    }
}
