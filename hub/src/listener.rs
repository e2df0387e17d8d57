//! Somebody who gets messages, and how far it has got.

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

/// A subscriber, and how far it has got.
pub(crate) struct Listener {
    /// Of all subscriptions of the hub; slots are used again, numbers are not.
    pub(crate) number: u64,
    pub(crate) target: Target,
    place: Cell<Place>,
    /// The last message that it has got from those that are kept, while the subscription may not have come so far.
    ahead: Cell<Option<MessageId>>,
    /// While it is behind: whose messages it has got.
    origins: RefCell<Origins>,
    /// While it is behind: whether a page is on its way.
    is_fetching: Cell<bool>,
    /// Whether what is on its way is of messages that the broker has lost since.
    is_stale: Cell<bool>,
    has_ended: Cell<bool>,
    /// Of a member: ends the task that waits for the end of its connection.
    leaving: Cell<Option<Firer<()>>>,
}

pub(crate) enum Target {
    /// None while it is being called.
    Function(RefCell<Option<Box<dyn Subscriber>>>),
    Member(Rc<Joined>),
}

/// Where a listener is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Its subscription has not begun.
    New,
    /// It gets what is kept, from here on.
    Behind(Start),
    /// It gets what comes.
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

    /// Has `leaving` fire when it ends.
    pub(crate) fn fire_at_end(&self, leaving: Firer<()>) {
        self.leaving.set(Some(leaving));
    }

    /// Whether it takes more without a queue.
    pub(crate) fn has_room(&self) -> bool {
        match &self.target {
            Target::Member(member) => member.has_room(),
            Target::Function(_) => true,
        }
    }

    /// Its subscription has begun: it gets what comes, unless it is to have what is kept first.
    pub(crate) fn begin(&self) {
        if self.place.get() == Place::New {
            self.place.set(Place::Live);
        }
    }

    /// What was kept is lost, and its numbers begin again.
    pub(crate) fn begin_anew(&self) {
        self.ahead.set(None);
        self.is_stale.set(self.is_fetching.get());
        if let Place::Behind(_) = self.place.get() {
            self.place.set(Place::Behind(Start::Oldest));
        }
    }

    /// Whether it got the message among those that are kept.
    pub(crate) fn has_got(&self, message: &Message) -> bool {
        self.ahead.get().is_some_and(|ahead| message.id().is_some_and(|id| id <= ahead))
    }

    /// Says whether a page may be asked for, which is then on its way.
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

    /// Delivers a message of those that are kept.
    pub(crate) fn catch_up(&self, audience: &Audience, message: &Message, counters: &Rc<Counters>) {
        audience.remember(message);
        if self.origins.borrow_mut().is_new(message) {
            self.deliver(&mut Encoded::new(message), counters);
        } else {
            counters.duplicates.add(1);
        }
    }

    /// It has got everything that is kept up to this.
    pub(crate) fn came_to(&self, id: MessageId) {
        self.place.set(Place::Behind(Start::After(id)));
        self.ahead.set(Some(id));
    }

    /// It has come up to the subscription.
    pub(crate) fn caught_up(&self) {
        self.origins.take();
        self.place.set(Place::Live);
    }

    pub(crate) fn deliver(&self, encoded: &mut Encoded<'_>, counters: &Rc<Counters>) {
        match &self.target {
            Target::Member(member) => member.deliver(encoded, counters),
            Target::Function(function) => {
                // What hubs tell each other is not the program's.
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
