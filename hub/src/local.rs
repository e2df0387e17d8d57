//! The `local:` engine: one hub in one process, shared by one or more reactors.

mod kept;
mod port;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use torsade_protocols::SharedBytes;
use torsade_reactor::{Deferred, Reactor, defer};

use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Start, Upstream};
use crate::message::{Gap, Message, MessageId, Publication};
use crate::settings::Settings;
use crate::topic::Topic;
use kept::{Kept, Record};
use port::{Inbox, Item, Port};

/// What the reactors of one `local:` hub share.
#[derive(Debug, Default)]
pub(crate) struct LocalHub(Mutex<State>);

/// Guaranteed: each message is put into all inboxes under one lock, so that all reactors see the same order.
#[derive(Debug, Default)]
struct State {
    ports: Vec<Port>,
    kept: Kept,
    /// Presence announcements, by topic and process.
    announced: BTreeMap<(Topic, String), Vec<u8>>,
    /// Chooses the member of a group that gets the next message.
    turn: usize,
}

impl LocalHub {
    /// A poisoned lock is safe to use: each change touches one collection only.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reactor's part of a `local:` hub.
pub(crate) struct LocalEngine {
    hub: Arc<LocalHub>,
    inbox: Arc<Inbox>,
    /// Delivers from this reactor's loop.
    delivery: RefCell<Option<Rc<Delivery>>>,
    /// The process name of its announcements, which are removed when this is dropped.
    process: RefCell<Option<String>>,
}

/// Delivers the items of an inbox.
struct Delivery {
    upstream: Upstream,
    inbox: Arc<Inbox>,
}

/// The maximum number of items delivered in one turn.
const BATCH: usize = 256;

impl LocalEngine {
    pub(crate) fn new(hub: &Arc<LocalHub>, settings: &Settings) -> Self {
        Self {
            hub: Arc::clone(hub),
            inbox: Arc::new(Inbox::new(settings.queue_messages, settings.queue_bytes)),
            delivery: RefCell::default(),
            process: RefCell::default(),
        }
    }

    fn put(&self, item: Item) {
        self.inbox.put(item);
    }
}

impl State {
    /// Puts a message into the inboxes of all reactors that want it.
    fn spread(&mut self, record: &Arc<Record>) {
        for port in &mut self.ports {
            port.offer(record);
        }
        // One member of each group gets it, in rotation.
        let mut groups: BTreeMap<Arc<str>, Vec<(usize, InterestId)>> = BTreeMap::new();
        for (index, port) in self.ports.iter().enumerate() {
            for (group, id) in port.groups(&record.topic) {
                groups.entry(Arc::clone(group)).or_default().push((index, id));
            }
        }
        for members in groups.into_values() {
            self.turn = self.turn.wrapping_add(1);
            let (index, id) = members[self.turn % members.len()];
            self.ports[index].inbox.put(Item::Message(id, Arc::clone(record), None));
        }
    }
}

impl Engine for LocalEngine {
    fn start(&self, reactor: &Reactor, upstream: Upstream) {
        let delivery = Rc::new(Delivery { upstream, inbox: Arc::clone(&self.inbox) });
        self.delivery.replace(Some(Rc::clone(&delivery)));
        self.inbox.open(reactor, Rc::downgrade(&delivery));
        self.hub.lock().ports.push(Port::new(Arc::clone(&self.inbox)));
        self.put(Item::Connected);
    }

    fn lacks(&self, _part: Part) -> Option<&'static str> {
        None
    }

    fn subscribe(&self, id: InterestId, interest: &Interest) {
        let mut state = self.hub.lock();
        let topic = interest.pattern.topic().filter(|_| interest.is_stored());
        let position = topic.map(|topic| state.kept.last(&topic));
        if let Some(port) = state.ports.iter_mut().find(|port| Arc::ptr_eq(&port.inbox, &self.inbox)) {
            port.add(id, interest);
        }
        // Under the lock, so that it precedes the first message.
        self.put(Item::Subscribed(id, position));
    }

    fn unsubscribe(&self, id: InterestId) {
        let mut state = self.hub.lock();
        if let Some(port) = state.ports.iter_mut().find(|port| Arc::ptr_eq(&port.inbox, &self.inbox)) {
            port.remove(id);
        }
    }

    fn publish(&self, topic: &Topic, publication: &Publication) {
        self.hub.lock().spread(&Arc::new(Record::new(topic, publication, None)));
    }

    fn store(&self, topic: &Topic, publication: &Publication, origin: &str, keep: u64) -> Deferred<MessageId> {
        let mut state = self.hub.lock();
        let origin = (ORIGIN.to_owned(), origin.to_owned());
        let record = state.kept.store(topic, keep, |id| {
            let mut record = Record::new(topic, publication, Some(id));
            record.headers = record.headers.iter().cloned().chain([origin]).collect();
            record
        });
        state.spread(&record);
        defer::succeed(record.id.unwrap_or(MessageId { major: 0, minor: 0 }))
    }

    fn fetch(&self, topic: &Topic, from: Start, most: usize) -> Deferred<Page> {
        let (records, trimmed) = self.hub.lock().kept.page(topic, from, most);
        defer::succeed(Page { messages: records.iter().map(|record| record.message()).collect(), trimmed })
    }

    fn announce(&self, topic: &Topic, process: &str, members: &[u8], _expiry: Duration) -> Deferred<()> {
        // Nothing needs to expire: all announcements end with the process.
        self.hub.lock().announced.insert((topic.clone(), process.to_owned()), members.to_vec());
        self.process.replace(Some(process.to_owned()));
        defer::succeed(())
    }

    fn withdraw(&self, topic: &Topic, process: &str) -> Deferred<()> {
        self.hub.lock().announced.remove(&(topic.clone(), process.to_owned()));
        defer::succeed(())
    }

    fn announced(&self, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>> {
        let state = self.hub.lock();
        let from_there = state.announced.range((topic.clone(), String::new())..);
        let of_topic = from_there.take_while(|((known, _), _)| known == topic);
        defer::succeed(of_topic.map(|((_, process), members)| (process.clone(), members.clone())).collect())
    }

    fn is_congested(&self) -> bool {
        self.inbox.is_congested()
    }

    fn close(&self) -> Deferred<()> {
        self.leave();
        defer::succeed(())
    }
}

impl LocalEngine {
    fn leave(&self) {
        let mut state = self.hub.lock();
        state.ports.retain(|port| !Arc::ptr_eq(&port.inbox, &self.inbox));
        if let Some(process) = self.process.take() {
            state.announced.retain(|(_, known), _| *known != process);
        }
        self.inbox.close();
    }
}

impl Drop for LocalEngine {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Delivery {
    /// Delivers up to [`BATCH`] items; returns whether there are more.
    fn deliver(&self) -> bool {
        for _ in 0..BATCH {
            let Some(item) = self.inbox.take() else { break };
            match item {
                Item::Connected => self.upstream.connected(),
                Item::Subscribed(id, position) => self.upstream.subscribed(id, position),
                Item::Message(id, record, None) => self.upstream.message(id, &record.message_without_id()),
                Item::Message(id, record, Some(_)) => self.upstream.message(id, &record.message()),
                Item::Missed(id, dropped) => self.upstream.missed(id, &Gap::Slow { dropped }),
            }
        }
        // In any case: the subscribers called above may have published so much that some of it is queued.
        if !self.inbox.is_congested() {
            self.upstream.writable();
        }
        !self.inbox.is_empty()
    }
}

impl Record {
    fn message_without_id(&self) -> Message {
        let payload = SharedBytes::new(Arc::clone(&self.payload));
        Message::new(self.topic.clone(), payload).with_headers(Arc::clone(&self.headers))
    }

    fn message(&self) -> Message {
        let message = self.message_without_id();
        match self.id {
            Some(id) => message.with_id(id),
            None => message,
        }
    }
}
