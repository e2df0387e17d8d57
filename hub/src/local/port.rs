//! The inbox and the interests of one reactor of a `local:` hub.

use std::collections::{HashMap, VecDeque};
use std::rc::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use torsade_reactor::{Reactor, ReactorHandle};

use super::Delivery;
use super::kept::Record;
use crate::engine::{Interest, InterestId};
use crate::message::MessageId;
use crate::topic::{Pattern, Topic};

/// The interests of a reactor, and its inbox.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) inbox: Arc<Inbox>,
    /// The interests in each topic, and whether they want ids.
    topics: HashMap<Topic, Vec<(InterestId, bool)>>,
    /// The topic of each interest in `topics`.
    by_id: HashMap<InterestId, Topic>,
    patterns: Vec<(Pattern, InterestId)>,
    groups: Vec<(Arc<str>, Pattern, InterestId)>,
}

impl Port {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, topics: HashMap::new(), by_id: HashMap::new(), patterns: Vec::new(), groups: Vec::new() }
    }

    pub(super) fn add(&mut self, id: InterestId, interest: &Interest) {
        match (&interest.group, interest.pattern.topic()) {
            (Some(group), _) => self.groups.push((Arc::from(&**group), interest.pattern.clone(), id)),
            (None, Some(topic)) => {
                self.by_id.insert(id, topic.clone());
                self.topics.entry(topic).or_default().push((id, interest.is_stored()));
            }
            (None, None) => self.patterns.push((interest.pattern.clone(), id)),
        }
    }

    pub(super) fn remove(&mut self, id: InterestId) {
        if let Some(topic) = self.by_id.remove(&id) {
            if let Some(interests) = self.topics.get_mut(&topic) {
                interests.retain(|(known, _)| *known != id);
                if interests.is_empty() {
                    self.topics.remove(&topic);
                }
            }
            return;
        }
        self.patterns.retain(|(_, known)| *known != id);
        self.groups.retain(|(_, _, known)| *known != id);
    }

    /// Puts the message into the inbox once for each interest in it, except those of groups.
    pub(super) fn offer(&self, record: &Arc<Record>) {
        for (id, stored) in self.topics.get(&record.topic).into_iter().flatten() {
            self.inbox.put(Item::Message(*id, Arc::clone(record), record.id.filter(|_| *stored)));
        }
        for (pattern, id) in &self.patterns {
            if pattern.matches(&record.topic) {
                self.inbox.put(Item::Message(*id, Arc::clone(record), None));
            }
        }
    }

    /// Returns the groups that want messages of a topic.
    pub(super) fn groups(&self, topic: &Topic) -> impl Iterator<Item = (&Arc<str>, InterestId)> {
        self.groups.iter().filter(|(_, pattern, _)| pattern.matches(topic)).map(|(group, _, id)| (group, *id))
    }
}

/// An item of an inbox.
#[derive(Debug)]
pub(super) enum Item {
    Connected,
    Subscribed(InterestId, Option<MessageId>),
    /// A message, and the id that its subscribers get, if any.
    Message(InterestId, Arc<Record>, Option<MessageId>),
    /// How many messages were dropped here.
    Missed(InterestId, u64),
}

/// The queue of messages for one reactor, with limits: all reactors put messages in, its own loop takes them out.
#[derive(Debug)]
pub(super) struct Inbox {
    messages: usize,
    bytes: usize,
    queue: Mutex<Queue>,
    /// The length of the queue, readable without the lock.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// `None` before it is opened, and after it is closed.
    reactor: Option<ReactorHandle>,
    /// Whether the reactor has been woken for the items.
    is_told: bool,
}

/// The deliveries of a reactor: one for each hub that it has opened.
#[derive(Default)]
struct Deliveries(std::cell::RefCell<Vec<(Arc<Inbox>, Weak<Delivery>)>>);

impl Inbox {
    pub(super) fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes, queue: Mutex::default(), waiting: AtomicUsize::new(0) }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(self: &Arc<Self>, reactor: &Reactor, delivery: Weak<Delivery>) {
        reactor.local(|_| Deliveries::default()).0.borrow_mut().push((Arc::clone(self), delivery));
        self.lock().reactor = Some(reactor.handle());
    }

    /// Empties the inbox; later items are discarded.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.reactor = None;
        queue.items.clear();
    }

    /// Adds an item, and wakes the reactor if necessary. A message beyond the limits is dropped, and counted in an
    /// [`Item::Missed`].
    pub(super) fn put(self: &Arc<Self>, item: Item) {
        let mut queue = self.lock();
        if queue.reactor.is_none() {
            return;
        }
        queue.push(item, self.messages, self.bytes);
        self.waiting.store(queue.items.len(), Ordering::Relaxed);
        if !std::mem::replace(&mut queue.is_told, true)
            && let Some(reactor) = &queue.reactor
        {
            let inbox = Arc::clone(self);
            // Fails if the reactor has stopped.
            reactor.call_from_thread(move |reactor| inbox.deliver(reactor)).ok();
        }
    }

    pub(super) fn take(&self) -> Option<Item> {
        let mut queue = self.lock();
        let item = queue.items.pop_front();
        if let Some(Item::Message(_, record, _)) = &item {
            queue.bytes -= record.size();
        }
        self.waiting.store(queue.items.len(), Ordering::Relaxed);
        item
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    /// Returns whether the inbox is half full. This reactor then queues what it publishes, which leaves the other half to the
    /// others.
    pub(super) fn is_congested(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > self.messages / 2
    }

    /// On the reactor's thread: delivers the items, in this turn and the next ones.
    fn deliver(self: &Arc<Self>, reactor: &Reactor) {
        let deliveries = reactor.local(|_| Deliveries::default());
        deliveries.0.borrow_mut().retain(|(_, delivery)| delivery.strong_count() > 0);
        let delivery =
            deliveries.0.borrow().iter().find(|(inbox, _)| Arc::ptr_eq(inbox, self)).and_then(|(_, weak)| weak.upgrade());
        self.lock().is_told = false;
        let Some(delivery) = delivery else { return };
        if delivery.deliver() {
            self.again(reactor);
        }
    }

    /// Continues in the next turn.
    fn again(self: &Arc<Self>, reactor: &Reactor) {
        if !std::mem::replace(&mut self.lock().is_told, true) {
            let (inbox, handle) = (Arc::clone(self), reactor.handle());
            handle.call_from_thread(move |reactor| inbox.deliver(reactor)).ok();
        }
    }
}

impl Queue {
    fn push(&mut self, item: Item, messages: usize, bytes: usize) {
        let Item::Message(id, record, _) = &item else { return self.items.push_back(item) };
        let size = record.size();
        if self.items.len() < messages && (self.items.is_empty() || self.bytes + size <= bytes) {
            self.bytes += size;
            return self.items.push_back(item);
        }
        // Consecutive drops of one subscription share an item, so there are at most as many beyond the limit as interests.
        let id = *id;
        let last = self
            .items
            .iter_mut()
            .rev()
            .find(|item| matches!(item, Item::Missed(known, _) | Item::Message(known, ..) if *known == id));
        match last {
            Some(Item::Missed(_, dropped)) => *dropped += 1,
            _ => self.items.push_back(Item::Missed(id, 1)),
        }
    }
}
