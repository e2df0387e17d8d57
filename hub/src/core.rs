//! The hub behind its handles: it connects subscribers, queues and the engine.

mod catching_up;
mod publishing;
mod subscribing;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Deferred, DelayedCall, Firer, Reactor, TriggerId, defer, report_error};

use crate::audience::Audience;
use crate::engine::{Engine, Interest, InterestId, Upstream};
use crate::error::{EngineError, PublishError};
use crate::message::{Gap, Message, MessageId};
use crate::outbox::{Outbox, Stored, Waiting};
use crate::room::Rooms;
use crate::settings::Settings;
use crate::stats::Counters;
use crate::topic::Pattern;

/// The maximum number of Deferreds that wait for the connection.
const WAITING: usize = 10_000;

/// The state of a hub.
///
/// Guaranteed: no borrow is held while a subscriber or a Deferred of the program is called; the engine is used only while it is
/// connected; each interest has one subscription at the engine, from its first listener to its last.
pub(crate) struct Core {
    pub(crate) reactor: Reactor,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) settings: Settings,
    /// A unique name: 16 hexadecimal digits.
    pub(crate) name: String,
    pub(crate) counters: Rc<Counters>,
    pub(crate) rooms: Rooms,
    link: Cell<Link>,
    audiences: RefCell<Audiences>,
    outbox: RefCell<Outbox>,
    /// The last number given to a subscription, an interest or a stored publication.
    numbers: Cell<u64>,
    /// The topics with a warning, since the last login, that the broker refuses messages on them.
    told_refused: RefCell<BTreeSet<String>>,
    /// Fired when the hub is connected.
    waiting: RefCell<Vec<Firer<()>>>,
    /// Fired when the outbox is empty.
    draining: RefCell<Vec<Firer<()>>>,
    end: RefCell<End>,
    /// Closes the hub when the reactor stops.
    trigger: Cell<Option<TriggerId>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Down,
    Up,
    Closed,
}

/// The stages of closing.
#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    /// Closing has begun; these are fired at its end.
    Begun(Vec<Firer<()>>),
    Done,
}

#[derive(Default)]
struct Audiences {
    by_interest: HashMap<(Pattern, Option<Rc<str>>), InterestId>,
    /// Ordered, so that simulations are repeatable.
    by_id: BTreeMap<InterestId, Rc<Audience>>,
}

impl Core {
    /// Makes a hub on an engine, which starts to connect.
    pub(crate) fn open(reactor: &Reactor, engine: Box<dyn Engine>, settings: Settings) -> Rc<Self> {
        let outbox = RefCell::new(Outbox::new(settings.queue_messages, settings.queue_bytes));
        let core = Rc::new(Self {
            reactor: reactor.clone(),
            engine,
            settings,
            name: format!("{:016x}", reactor.random()),
            counters: Rc::default(),
            rooms: Rooms::default(),
            link: Cell::new(Link::Down),
            audiences: RefCell::default(),
            outbox,
            numbers: Cell::new(0),
            told_refused: RefCell::default(),
            waiting: RefCell::default(),
            draining: RefCell::default(),
            end: RefCell::default(),
            trigger: Cell::new(None),
        });
        core.engine.start(reactor, Upstream::new(&core));
        let weak = Rc::downgrade(&core);
        let trigger = reactor.before_shutdown(move || {
            let core = weak.upgrade();
            core.map_or_else(|| defer::succeed(()), |core| core.close())
        });
        core.trigger.set(Some(trigger));
        core
    }

    /// Returns a new number.
    pub(crate) fn number(&self) -> u64 {
        self.numbers.set(self.numbers.get() + 1);
        self.numbers.get()
    }

    pub(crate) fn is_up(&self) -> bool {
        self.link.get() == Link::Up
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.link.get() == Link::Closed
    }

    /// Returns whether closing has begun, finished or not.
    pub(crate) fn has_begun_to_close(&self) -> bool {
        !matches!(*self.end.borrow(), End::Open)
    }

    /// Fires when the hub is connected.
    pub(crate) fn when_connected(&self) -> Deferred<()> {
        match self.link.get() {
            Link::Up => defer::succeed(()),
            Link::Closed => defer::fail(PublishError::Closed),
            Link::Down => {
                let mut waiting = self.waiting.borrow_mut();
                // Drops those that have timed out or were cancelled.
                waiting.retain(|firer| !firer.is_called());
                if waiting.len() >= WAITING {
                    return defer::fail(PublishError::Full);
                }
                let (deferred, firer) = Deferred::new();
                waiting.push(firer);
                deferred
            }
        }
    }
}

/// # Reports of the engine
impl Core {
    pub(crate) fn connected(self: &Rc<Self>) {
        if self.is_closed() || self.link.replace(Link::Up) == Link::Up {
            return;
        }
        self.told_refused.take();
        let audiences: Vec<_> = self.audiences.borrow().by_id.values().cloned().collect();
        for audience in audiences {
            let after = audience.position.get();
            self.engine.subscribe(audience.id, &Interest { after, ..audience.interest.clone() });
        }
        self.send_waiting();
        self.rooms_connected();
        for firer in self.waiting.take() {
            firer.callback(());
        }
    }

    pub(crate) fn disconnected(self: &Rc<Self>, error: EngineError, unconfirmed: u64) {
        if self.is_closed() {
            return;
        }
        log::warn!("hub: {error}");
        self.link.set(Link::Down);
        self.counters.connections_lost.add(1);
        self.counters.unconfirmed.add(unconfirmed);
        self.outbox.borrow_mut().take_back();
        for audience in self.audiences.borrow().by_id.values() {
            audience.disconnected();
        }
    }

    pub(crate) fn subscribed(self: &Rc<Self>, id: InterestId, position: Option<MessageId>) {
        if let Some(audience) = self.find(id) {
            audience.subscribed(position, &self.counters);
            self.bring_up(&audience);
        }
    }

    pub(crate) fn refused(self: &Rc<Self>, id: InterestId, why: &str) {
        if let Some(audience) = self.find(id) {
            report_error("hub", format_args!("the broker refuses the subscription to {}: {why}", audience.interest.pattern));
            audience.refuse(why, &self.counters);
        }
    }

    pub(crate) fn message(self: &Rc<Self>, id: InterestId, message: &Message) {
        if let Some(audience) = self.find(id) {
            audience.deliver(message, &self.counters);
        }
    }

    pub(crate) fn missed(self: &Rc<Self>, id: InterestId, gap: &Gap) {
        if let Some(audience) = self.find(id) {
            audience.missed(gap, &self.counters);
        }
    }

    pub(crate) fn writable(self: &Rc<Self>) {
        self.send_waiting();
    }
}

/// # Closing
impl Core {
    /// Publishes what is queued and withdraws the names if the hub is connected, drops all subscribers, and closes the
    /// connection.
    pub(crate) fn close(self: &Rc<Self>) -> Deferred<()> {
        let (closed, firer) = Deferred::new();
        match &mut *self.end.borrow_mut() {
            End::Done => return defer::succeed(()),
            End::Begun(waiting) => {
                waiting.push(firer);
                return closed;
            }
            open @ End::Open => *open = End::Begun(vec![firer]),
        }
        // Both run at the same time.
        let withdrawn = self.rooms_closed().add_timeout(self.settings.close_timeout, &self.reactor);
        let drained = self.when_drained().add_timeout(self.settings.close_timeout, &self.reactor);
        let (core, finishing) = (Rc::clone(self), Rc::clone(self));
        let finished = drained.add_both(move |_| withdrawn).add_both(move |_| finishing.finish()).add_both(move |_| {
            if let End::Begun(waiting) = core.end.replace(End::Done) {
                waiting.into_iter().for_each(|firer| firer.callback(()));
            }
            Ok(())
        });
        finished.detach();
        closed
    }

    fn finish(self: &Rc<Self>) -> Deferred<()> {
        self.link.set(Link::Closed);
        let audiences = std::mem::take(&mut *self.audiences.borrow_mut());
        for audience in audiences.by_id.into_values() {
            audience.clear();
        }
        for firer in self.waiting.take() {
            firer.errback(PublishError::Closed);
        }
        let mut lost = 0;
        self.outbox.borrow_mut().take_back();
        loop {
            let Some(waiting) = self.outbox.borrow_mut().pop() else { break };
            lost += 1;
            if let Waiting::Stored(Stored { firer: Some(firer), .. }) = waiting {
                firer.errback(PublishError::Closed);
            }
        }
        if lost > 0 {
            log::warn!("hub: closed with {lost} messages that the broker had not confirmed");
            self.counters.dropped_disconnected.add(lost);
        }
        self.engine.close().add_timeout(self.settings.close_timeout, &self.reactor).add_both(|_| Ok(()))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        if let Some(trigger) = self.trigger.take() {
            self.reactor.remove_system_event_trigger(trigger);
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("name", &self.name).field("link", &self.link.get()).finish_non_exhaustive()
    }
}

/// Calls `call` from the loop after `delay`, if the core still exists then.
pub(crate) fn later(core: &Rc<Core>, delay: Duration, call: impl FnOnce(&Rc<Core>) + 'static) -> DelayedCall {
    let weak = Rc::downgrade(core);
    core.reactor.call_later(delay, move || {
        if let Some(core) = weak.upgrade() {
            call(&core);
        }
    })
}
