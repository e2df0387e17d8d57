//! Where subscribers, queues and the engine meet.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{Deferred, Failure, Firer, Phase, Reactor, SystemEvent, defer, report_error};

use crate::audience::{Audience, Listener, Place, Target};
use crate::engine::{Engine, Interest, InterestId, Page, Part, Start, Upstream};
use crate::error::{EngineError, PublishError, SubscribeError};
use crate::message::{Gap, Message, MessageId, Publication};
use crate::origins::origin;
use crate::outbox::{Outbox, Stored, Waiting};
use crate::presence::Presences;
use crate::settings::{Settings, WhenDisconnected};
use crate::stats::Counters;
use crate::subscriber::Subscription;
use crate::topic::{Pattern, Topic};

/// How many kept messages a listener is brought at a time.
const PAGE: usize = 100;

/// A hub, behind its handles.
///
/// Guaranteed: no borrow is held while a subscriber, or a Deferred of the user's, is called; the engine is asked for something only while it
/// is connected; each interest is one subscription at the engine, from its first listener to its last.
pub(crate) struct Core {
    pub(crate) reactor: Reactor,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) settings: Settings,
    /// Of this hub, and no other: 16 hexadecimal digits.
    pub(crate) name: String,
    pub(crate) counters: Rc<Counters>,
    pub(crate) presences: Presences,
    link: Cell<Link>,
    audiences: RefCell<Audiences>,
    outbox: RefCell<Outbox>,
    /// Of subscriptions, interests and stored publications.
    numbers: Cell<u64>,
    /// For the connection.
    waiting: RefCell<Vec<Firer<()>>>,
    /// For the end of the outbox, before it is closed.
    draining: RefCell<Vec<Firer<()>>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Link {
    Down,
    Up,
    Closed,
}

#[derive(Default)]
struct Audiences {
    by_interest: HashMap<(Pattern, Option<Rc<str>>), InterestId>,
    /// In order, so that a program does the same again in the same simulated network.
    by_id: BTreeMap<InterestId, Rc<Audience>>,
}

impl Core {
    /// Makes a hub on an engine, which begins to connect.
    pub(crate) fn open(reactor: &Reactor, engine: Box<dyn Engine>, settings: Settings) -> Rc<Self> {
        let outbox = RefCell::new(Outbox::new(settings.queue_messages, settings.queue_bytes));
        let core = Rc::new(Self {
            reactor: reactor.clone(),
            engine,
            settings,
            name: format!("{:016x}", reactor.random()),
            counters: Rc::default(),
            presences: Presences::default(),
            link: Cell::new(Link::Down),
            audiences: RefCell::default(),
            outbox,
            numbers: Cell::new(0),
            waiting: RefCell::default(),
            draining: RefCell::default(),
        });
        core.engine.start(reactor, Upstream::new(&core));
        let weak = Rc::downgrade(&core);
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || {
            if let Some(core) = weak.upgrade() {
                core.close().detach();
            }
        });
        core
    }

    /// A number that was not given yet.
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

    /// Fires once the broker is there.
    pub(crate) fn when_connected(&self) -> Deferred<()> {
        match self.link.get() {
            Link::Up => defer::succeed(()),
            Link::Closed => defer::fail(PublishError::Closed),
            Link::Down => {
                let (deferred, firer) = Deferred::new();
                self.waiting.borrow_mut().push(firer);
                deferred
            }
        }
    }
}

/// # Publishing
impl Core {
    pub(crate) fn publish(self: &Rc<Self>, topic: Topic, publication: Publication) -> Result<(), PublishError> {
        match self.settings.keep(&topic) {
            Some(keep) => self.store(topic, publication, keep, None),
            None => self.publish_live(topic, publication),
        }
        .inspect_err(|_| self.counters.refused.add(1))
    }

    pub(crate) fn publish_stored(self: &Rc<Self>, topic: Topic, publication: Publication) -> Deferred<MessageId> {
        let (deferred, firer) = Deferred::new();
        let Some(keep) = self.settings.keep(&topic) else {
            return defer::fail(PublishError::Unsupported("the topic keeps no messages: name it in HubConfig::replay"));
        };
        match self.store(topic, publication, keep, Some(firer)) {
            Ok(()) => deferred,
            Err(error) => {
                self.counters.refused.add(1);
                defer::fail(error)
            }
        }
    }

    fn publish_live(self: &Rc<Self>, topic: Topic, publication: Publication) -> Result<(), PublishError> {
        if !publication.headers.is_empty()
            && let Some(lacks) = self.engine.lacks(Part::Headers)
        {
            return Err(PublishError::Unsupported(lacks));
        }
        if !self.admit(&publication)? {
            return Ok(());
        }
        if self.is_up() && self.outbox.borrow().is_clear() && !self.engine.is_congested() {
            self.send(Waiting::Live(topic, publication));
            return Ok(());
        }
        self.queue(Waiting::Live(topic, publication))
    }

    fn store(
        self: &Rc<Self>,
        topic: Topic,
        publication: Publication,
        keep: u64,
        firer: Option<Firer<MessageId>>,
    ) -> Result<(), PublishError> {
        if !self.admit(&publication)? {
            if let Some(firer) = firer {
                firer.errback(PublishError::Disconnected);
            }
            return Ok(());
        }
        let stored = Waiting::Stored(Stored { number: self.number(), topic, publication, keep, firer });
        if self.is_up() && self.outbox.borrow().is_clear() && !self.engine.is_congested() {
            // It is kept until it is confirmed, so there must be room for it.
            self.check_room(&stored)?;
            self.send(stored);
            return Ok(());
        }
        self.queue(stored)
    }

    /// Whether a publication may go on; false if it is dropped, as it was asked for.
    fn admit(&self, publication: &Publication) -> Result<bool, PublishError> {
        publication.check(self.settings.max_payload)?;
        match (self.link.get(), self.settings.when_disconnected) {
            (Link::Closed, _) => Err(PublishError::Closed),
            (Link::Down, WhenDisconnected::Refuse) => Err(PublishError::Disconnected),
            (Link::Down, WhenDisconnected::Drop) => {
                self.counters.dropped_disconnected.add(1);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    fn check_room(&self, waiting: &Waiting) -> Result<(), PublishError> {
        let publication = match waiting {
            Waiting::Live(_, publication) => publication,
            Waiting::Stored(stored) => &stored.publication,
        };
        if self.outbox.borrow().has_room(publication) { Ok(()) } else { Err(PublishError::Full) }
    }

    fn queue(&self, waiting: Waiting) -> Result<(), PublishError> {
        self.check_room(&waiting)?;
        self.outbox.borrow_mut().push(waiting);
        Ok(())
    }

    /// Hands a publication to the engine.
    fn send(self: &Rc<Self>, waiting: Waiting) {
        match waiting {
            Waiting::Live(topic, publication) => {
                self.counters.published.add(1);
                self.engine.publish(&topic, &publication);
            }
            Waiting::Stored(stored) => {
                let (number, origin) = (stored.number, origin(&self.name, stored.number));
                let answer = self.engine.store(&stored.topic, &stored.publication, &origin, stored.keep);
                self.outbox.borrow_mut().sent(stored);
                let core = Rc::downgrade(self);
                let told = answer.add_both(move |answer| {
                    if let Some(core) = core.upgrade() {
                        core.stored(number, answer);
                    }
                    Ok(())
                });
                told.detach();
            }
        }
    }

    fn stored(self: &Rc<Self>, number: u64, answer: Result<MessageId, Failure>) {
        let error = match answer {
            Ok(id) => {
                let stored = self.outbox.borrow_mut().answered(number);
                self.counters.published.add(1);
                if let Some(firer) = stored.and_then(|stored| stored.firer) {
                    firer.callback(id);
                }
                self.drained();
                return;
            }
            Err(failure) => failure,
        };
        if matches!(error.downcast_ref(), Some(EngineError::Lost(_) | EngineError::Unreachable(_))) {
            // It stays, and is asked for again.
            return;
        }
        let Some(stored) = self.outbox.borrow_mut().answered(number) else { return };
        self.counters.refused.add(1);
        match stored.firer {
            Some(firer) => firer.fire(Err(error)),
            None => report_error("hub", format_args!("a message of {} was not stored: {error}", stored.topic)),
        }
        self.drained();
    }

    /// Hands over what waits, as far as the engine takes it.
    fn send_waiting(self: &Rc<Self>) {
        while self.is_up() && !self.engine.is_congested() {
            let Some(waiting) = self.outbox.borrow_mut().pop() else { break };
            self.send(waiting);
        }
        self.drained();
    }

    /// Tells those who wait for the end of the outbox.
    fn drained(&self) {
        if self.outbox.borrow().is_empty() {
            for firer in self.draining.take() {
                firer.callback(());
            }
        }
    }
}

/// # Subscribing
impl Core {
    pub(crate) fn subscribe(
        self: &Rc<Self>,
        pattern: Pattern,
        group: Option<&str>,
        target: Target,
        start: Start,
    ) -> Result<Subscription, SubscribeError> {
        let stored = self.check_interest(&pattern, group, start)?;
        let audience = self.audience(pattern, group.map(Rc::from), stored);
        let number = self.number();
        let (key, listener) = audience.add(Listener::new(number, target, start));
        let subscription = Subscription::new(Rc::downgrade(self), audience.id, key, number);
        if audience.is_subscribed.get() {
            self.bring_up_later(&audience);
        }
        if let Target::Member(member) = &listener.target {
            // Its connection's end is the end of it.
            let leaving = Leaving(subscription.clone());
            member.transport().spawn(move |_| async move {
                let _leaving = leaving;
                std::future::pending::<()>().await;
                Ok(())
            });
        }
        Ok(subscription)
    }

    /// Whether the topics keep their messages.
    fn check_interest(&self, pattern: &Pattern, group: Option<&str>, start: Start) -> Result<bool, SubscribeError> {
        if self.is_closed() {
            return Err(SubscribeError::Closed);
        }
        let topic = pattern.topic();
        let lacks = |part| self.engine.lacks(part).map_or(Ok(()), |lacks| Err(SubscribeError::Unsupported(lacks)));
        if topic.is_none() {
            lacks(Part::Wildcards)?;
        }
        if group.is_some() {
            lacks(Part::Groups)?;
        }
        // Subscribers of patterns and of groups get what is published, as it comes.
        let stored = group.is_none() && topic.is_some_and(|topic| self.settings.keep(&topic).is_some());
        if start != Start::Next && !stored {
            return Err(SubscribeError::Unsupported("only a topic that keeps its messages (HubConfig::replay) has a start"));
        }
        Ok(stored)
    }

    /// Those who have this interest, which the engine is told of if they are the first.
    fn audience(&self, pattern: Pattern, group: Option<Rc<str>>, stored: bool) -> Rc<Audience> {
        let mut audiences = self.audiences.borrow_mut();
        let key = (pattern.clone(), group.clone());
        if let Some(audience) = audiences.by_interest.get(&key).and_then(|id| audiences.by_id.get(id)) {
            return Rc::clone(audience);
        }
        let id = InterestId(self.number());
        let audience = Rc::new(Audience::new(id, Interest { pattern, group, stored, after: None }));
        audiences.by_interest.insert(key, id);
        audiences.by_id.insert(id, Rc::clone(&audience));
        drop(audiences);
        if self.is_up() {
            self.engine.subscribe(id, &audience.interest);
        }
        audience
    }

    pub(crate) fn unsubscribe(&self, id: InterestId, key: usize, number: u64) {
        let Some(audience) = self.find(id) else { return };
        if !audience.remove(key, number) {
            return;
        }
        let mut audiences = self.audiences.borrow_mut();
        if audiences.by_id.remove(&id).is_none() {
            return;
        }
        audiences.by_interest.remove(&(audience.interest.pattern.clone(), audience.interest.group.clone()));
        drop(audiences);
        if self.is_up() {
            self.engine.unsubscribe(id);
        }
    }

    fn find(&self, id: InterestId) -> Option<Rc<Audience>> {
        self.audiences.borrow().by_id.get(&id).cloned()
    }
}

/// # What is kept
impl Core {
    /// Brings up those who are behind, from the loop.
    fn bring_up_later(self: &Rc<Self>, audience: &Rc<Audience>) {
        let audience = Rc::downgrade(audience);
        later(self, Duration::ZERO, move |core| {
            if let Some(audience) = audience.upgrade() {
                core.bring_up(&audience);
            }
        });
    }

    fn bring_up(self: &Rc<Self>, audience: &Rc<Audience>) {
        for listener in audience.behind() {
            self.fetch(audience, &listener);
        }
    }

    /// Asks for the next page of a listener that is behind; nothing while the connection is down, since its return asks again.
    fn fetch(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        let (Place::Behind(start), Some(topic)) = (listener.place(), audience.interest.pattern.topic()) else { return };
        if !self.is_up() || !audience.is_subscribed.get() || !listener.begin_fetch() {
            return;
        }
        let (core, audience, fetched) = (Rc::downgrade(self), Rc::downgrade(audience), Rc::clone(listener));
        let page = self.engine.fetch(&topic, start, PAGE).add_both(move |page| {
            fetched.end_fetch();
            if let (Some(core), Some(audience)) = (core.upgrade(), audience.upgrade()) {
                core.fetched(&audience, &fetched, start, page);
            }
            Ok(())
        });
        page.detach();
    }

    fn fetched(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>, start: Start, page: Result<Page, Failure>) {
        let page = match page {
            Ok(page) => page,
            Err(error) if matches!(error.downcast_ref(), Some(EngineError::Lost(_) | EngineError::Unreachable(_))) => return,
            Err(error) => {
                // It gets what comes, at least.
                listener.tell(&Gap::Refused { why: error.to_string() });
                listener.is_live();
                return;
            }
        };
        if listener.has_ended() || listener.place() != Place::Behind(start) {
            return;
        }
        if page.trimmed {
            let after = if let Start::After(id) = start { Some(id) } else { None };
            listener.tell(&Gap::Trimmed { after });
        }
        for message in &page.messages {
            listener.catch_up(audience, message, &self.counters);
        }
        let last = page.messages.last().and_then(Message::id);
        match last {
            Some(last) if Some(last) < audience.position.get() => {
                listener.came_to(last);
                self.fetch_when_it_has_room(audience, listener);
            }
            Some(last) => {
                listener.came_to(last);
                listener.is_live();
            }
            None => listener.is_live(),
        }
    }

    /// Asks for the next page once a member's connection takes it.
    fn fetch_when_it_has_room(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        let (weak, seeker) = (Rc::downgrade(audience), Rc::downgrade(listener));
        let next = move |core: &Rc<Self>| {
            if let (Some(audience), Some(listener)) = (weak.upgrade(), seeker.upgrade()) {
                core.fetch(&audience, &listener);
            }
        };
        match &listener.target {
            // In the next turn, so that others have theirs.
            Target::Function(_) => later(self, Duration::ZERO, next),
            Target::Member(member) => {
                let core = Rc::downgrade(self);
                let room = member.transport().when_drained().add_both(move |room| {
                    if let (Some(core), Ok(())) = (core.upgrade(), room) {
                        later(&core, Duration::ZERO, next);
                    }
                    Ok(())
                });
                room.detach();
            }
        }
    }
}

/// # What the engine says
impl Core {
    pub(crate) fn connected(self: &Rc<Self>) {
        if self.is_closed() || self.link.replace(Link::Up) == Link::Up {
            return;
        }
        let audiences: Vec<_> = self.audiences.borrow().by_id.values().cloned().collect();
        for audience in audiences {
            let after = audience.position.get();
            self.engine.subscribe(audience.id, &Interest { after, ..audience.interest.clone() });
        }
        self.send_waiting();
        self.presences_connected();
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
            audience.is_subscribed.set(false);
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
            audience.missed(&Gap::Refused { why: why.to_owned() }, &self.counters);
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

/// # The end
impl Core {
    /// Publishes what waits while the broker is there, closes the connection, and lets all subscribers go.
    pub(crate) fn close(self: &Rc<Self>) -> Deferred<()> {
        if self.is_closed() {
            return defer::succeed(());
        }
        let (drained, firer) = Deferred::new();
        let withdrawn = self.presences_closed();
        if self.is_up() && !self.outbox.borrow().is_empty() {
            self.draining.borrow_mut().push(firer);
        } else {
            firer.callback(());
        }
        let core = Rc::clone(self);
        let drained = drained.add_timeout(self.settings.close_timeout, &self.reactor);
        drained.add_both(move |_| withdrawn).add_both(move |_| core.finish())
    }

    fn finish(self: &Rc<Self>) -> Deferred<()> {
        if self.link.replace(Link::Closed) == Link::Closed {
            return defer::succeed(());
        }
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
            log::warn!("hub: closed with {lost} publications that the broker has not confirmed");
            self.counters.dropped_disconnected.add(lost);
        }
        self.engine.close()
    }
}

/// Ends a member's subscription when it is dropped, which is right after its connection is lost.
struct Leaving(Subscription);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.unsubscribe();
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("name", &self.name).field("link", &self.link.get()).finish_non_exhaustive()
    }
}

/// Runs `call` with the core from the loop, if it is still there.
pub(crate) fn later(core: &Rc<Core>, delay: Duration, call: impl FnOnce(&Rc<Core>) + 'static) {
    let weak = Rc::downgrade(core);
    core.reactor.call_later(delay, move || {
        if let Some(core) = weak.upgrade() {
            call(&core);
        }
    });
}
