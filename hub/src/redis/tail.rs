//! The ends of streams: what is added to the topics that keep their messages.
//!
//! A connection of its own waits for entries, and then reads them together with the last one that was read before. If that one
//! is not there, others may have been trimmed away with it, and the hub is told: a hole is found for certain.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use crate::engine::{Interest, InterestId};
use crate::error::EngineError;
use crate::message::{Gap, MessageId};
use crate::topic::Topic;

use super::command::{Answer, Pending};
use super::link::Link;
use super::reply::Reply;
use super::session::Session;
use super::streams::{Entry, FIRST_BATCH, NOTHING, StreamInfo, answer, next_batch};

/// How long Redis waits for an entry, in milliseconds: it shows as well that it is still there.
const BLOCK: &[u8] = b"5000";

/// How long a frame may be: there may be an entry of each topic in it.
const MAX_WAKING_FRAME: usize = 64 * 1024 * 1024;

/// When to wake a connection again that was not waiting yet.
const WAKE_AGAIN: Duration = Duration::from_millis(20);

/// The connections that wait for entries: one, or in a cluster one for each topic, since a command asks one node.
#[derive(Default)]
pub(super) struct Tails {
    tails: RefCell<Vec<Rc<Tail>>>,
    by_id: RefCell<HashMap<InterestId, Topic>>,
}

struct Tail {
    link: RefCell<Option<Link>>,
    /// Its number at Redis.
    client: Cell<u64>,
    topics: RefCell<BTreeMap<Topic, Cursor>>,
    /// Those of which there is something to read, or may be.
    ready: RefCell<BTreeSet<Topic>>,
    waiting: Cell<bool>,
}

/// How far a topic has been read.
struct Cursor {
    at: MessageId,
    known: Known,
    wanted: Vec<(InterestId, MessageId)>,
    batch: usize,
}

/// How it is found out that nothing was trimmed away behind a position.
#[derive(Clone, Copy)]
enum Known {
    /// It is of an entry: which is still there then.
    Entry,
    /// It is of none, and so many had been removed by then: no more are now.
    Removed(u64),
}

/// Where a subscription begins.
struct Beginning {
    at: MessageId,
    known: Known,
    gap: Option<Gap>,
}

impl Beginning {
    fn new(after: Option<MessageId>, info: Option<&StreamInfo>, is_kept: bool) -> Self {
        let removed = |info: &StreamInfo| Known::Removed(info.removed.unwrap_or_default());
        match (after, info) {
            (None, None) => Self { at: NOTHING, known: Known::Removed(0), gap: None },
            (None, Some(info)) => {
                Self { at: info.last, known: if info.length > 0 { Known::Entry } else { removed(info) }, gap: None }
            }
            (Some(NOTHING), None) => Self { at: NOTHING, known: Known::Removed(0), gap: None },
            (Some(NOTHING), Some(info)) => {
                Self { at: NOTHING, known: removed(info), gap: info.has_removed().then_some(Gap::Trimmed { after: None }) }
            }
            (Some(_), None) => Self { at: NOTHING, known: Known::Removed(0), gap: Some(Gap::Reset) },
            (Some(after), Some(info)) if info.last < after => {
                let known = if info.length > 0 { Known::Entry } else { removed(info) };
                Self { at: info.last, known, gap: Some(Gap::Reset) }
            }
            (Some(after), Some(_)) if is_kept => Self { at: after, known: Known::Entry, gap: None },
            (Some(after), Some(info)) => Self { at: after, known: removed(info), gap: Some(Gap::Trimmed { after: Some(after) }) },
        }
    }
}

impl Tails {
    /// Takes their connections out: the session ends.
    pub(super) fn take_links(&self) -> Vec<Link> {
        let tails = self.tails.take();
        tails.iter().filter_map(|tail| tail.link.take()).collect()
    }
}

impl Session {
    pub(super) fn subscribe_stored(self: &Rc<Self>, id: InterestId, interest: &Interest) {
        let (session, after) = (Rc::clone(self), interest.after);
        let topic = interest.pattern.topic();
        if let Some(topic) = &topic {
            self.tails.by_id.borrow_mut().insert(id, topic.clone());
        }
        self.reactor.execute(async move {
            let begun = match &topic {
                Some(topic) => session.beginning(topic, after).await,
                None => Err(EngineError::Unsupported("a stream is one topic, not a pattern".to_owned())),
            };
            let is_wanted = topic.is_none() || session.tails.by_id.borrow().contains_key(&id);
            match (begun, topic) {
                _ if session.end_error().is_some() || !is_wanted => {}
                (Ok(beginning), Some(topic)) => session.follow(id, &topic, after, beginning),
                (Err(EngineError::Lost(error)), _) => session.end(&EngineError::Lost(error)),
                (Err(error), _) => {
                    session.tails.by_id.borrow_mut().remove(&id);
                    session.upstream.refused(id, &error.to_string());
                }
                (Ok(_), None) => {}
            }
        });
    }

    async fn beginning(self: &Rc<Self>, topic: &Topic, after: Option<MessageId>) -> Result<Beginning, EngineError> {
        let key = topic.as_str().as_bytes();
        let info = self.call(key, &[b"XINFO", b"STREAM", key]);
        let asked = after.filter(|after| *after != NOTHING).map(|after| after.to_string());
        let entry = asked.map(|after| self.call(key, &[b"XRANGE", key, after.as_bytes(), after.as_bytes()]));
        let info = StreamInfo::new(answer(info).await)?;
        let is_kept = match entry {
            Some(entry) => !Entry::list(answer(entry).await?)?.is_empty(),
            None => false,
        };
        Ok(Beginning::new(after, info.as_ref(), is_kept))
    }

    fn follow(self: &Rc<Self>, id: InterestId, topic: &Topic, after: Option<MessageId>, beginning: Beginning) {
        let Beginning { at, known, gap } = beginning;
        let tail = self.tail_of(topic);
        {
            let mut topics = tail.topics.borrow_mut();
            let cursor =
                topics.entry(topic.clone()).or_insert_with(|| Cursor { at, known, wanted: Vec::new(), batch: FIRST_BATCH });
            cursor.wanted.push((id, at));
            if at < cursor.at {
                (cursor.at, cursor.known) = (at, known);
            }
            tail.ready.borrow_mut().insert(topic.clone());
        }
        self.upstream.subscribed(id, Some(after.unwrap_or(at)));
        if let Some(gap) = gap {
            self.upstream.missed(id, &gap);
        }
        self.wake(&tail, topic);
    }

    pub(super) fn unsubscribe_stored(&self, id: InterestId) {
        let Some(topic) = self.tails.by_id.borrow_mut().remove(&id) else { return };
        for tail in self.tails.tails.borrow().iter() {
            let mut topics = tail.topics.borrow_mut();
            let Some(cursor) = topics.get_mut(&topic) else { continue };
            cursor.wanted.retain(|(known, _)| *known != id);
            if cursor.wanted.is_empty() {
                topics.remove(&topic);
            }
        }
    }

    /// The connection that waits for entries of a topic; made if there is none.
    fn tail_of(self: &Rc<Self>, topic: &Topic) -> Rc<Tail> {
        let is_for = |tail: &Rc<Tail>| !self.server.is_cluster || tail.topics.borrow().contains_key(topic);
        if let Some(tail) = self.tails.tails.borrow().iter().find(|tail| is_for(tail)) {
            return Rc::clone(tail);
        }
        let tail = Rc::new(Tail {
            link: RefCell::default(),
            client: Cell::new(0),
            topics: RefCell::default(),
            ready: RefCell::default(),
            waiting: Cell::new(false),
        });
        self.tails.tails.borrow_mut().push(Rc::clone(&tail));
        let (session, of) = (Rc::downgrade(self), Rc::downgrade(&tail));
        let host = self.node_of(topic.as_str().as_bytes()).host().clone();
        let link = self.connect(&host, MAX_WAKING_FRAME, move |link, server| {
            let (Some(session), Some(tail)) = (session.upgrade(), of.upgrade()) else { return };
            link.open();
            tail.client.set(server.client);
            let link = link.clone();
            session.reactor.clone().execute(async move {
                let ran = session.run_tail(&tail, &link).await;
                session.tails.tails.borrow_mut().retain(|known| !Rc::ptr_eq(known, &tail));
                match ran {
                    Ok(()) => link.part(),
                    Err(EngineError::Refused(said) | EngineError::Unsupported(said)) => session.end(&EngineError::Lost(said)),
                    Err(error) => session.end(&error),
                }
            });
        });
        tail.link.replace(Some(link));
        tail
    }

    /// Has a connection look what it waits for.
    fn wake(self: &Rc<Self>, tail: &Rc<Tail>, topic: &Topic) {
        if !tail.waiting.get() || self.end_error().is_some() {
            return;
        }
        let key = topic.as_str().to_owned();
        let (session, tail, topic) = (Rc::downgrade(self), Rc::downgrade(tail), topic.clone());
        let client = tail.upgrade().map(|tail| tail.client.get().to_string()).unwrap_or_default();
        // It is not waiting yet if what it has asked is still on its way.
        let again = move |result: Result<Reply, EngineError>| {
            let Some(strong) = session.upgrade().filter(|_| result.is_ok_and(|reply| reply == Reply::Number(0))) else { return };
            strong.reactor.call_later(WAKE_AGAIN, move || {
                if let (Some(session), Some(tail)) = (session.upgrade(), tail.upgrade()) {
                    session.wake(&tail, &topic);
                }
            });
        };
        let node = self.node_of(key.as_bytes());
        node.send(&[b"CLIENT", b"UNBLOCK", client.as_bytes()], Pending::new(Answer::call(again)));
    }

    /// Reads until nobody wants anything of it any more.
    async fn run_tail(self: &Rc<Self>, tail: &Tail, link: &Link) -> Result<(), EngineError> {
        loop {
            if let Some(error) = self.end_error() {
                return Err(error);
            }
            if tail.topics.borrow().is_empty() {
                return Ok(());
            }
            let ready = tail.ready.take();
            if ready.is_empty() {
                tail.wait(link).await?;
                continue;
            }
            let asked: Vec<_> = ready.into_iter().filter_map(|topic| tail.ask(link, topic)).collect();
            for Asked { topic, at, count, info, range } in asked {
                let info = match info {
                    Some(info) => StreamInfo::new(answer(info).await)?,
                    None => None,
                };
                let entries = Entry::list(answer(range).await?)?;
                self.deliver(tail, &topic, at, count, info.as_ref(), entries);
            }
        }
    }

    fn deliver(
        &self,
        tail: &Tail,
        topic: &Topic,
        at: MessageId,
        count: usize,
        info: Option<&StreamInfo>,
        mut entries: Vec<Entry>,
    ) {
        let (wanted, gap) = {
            let mut topics = tail.topics.borrow_mut();
            let Some(cursor) = topics.get_mut(topic) else { return };
            if cursor.at != at || entries.len() >= count {
                tail.ready.borrow_mut().insert(topic.clone());
            }
            if cursor.at != at {
                return;
            }
            cursor.batch = next_batch(count, entries.iter().map(Entry::bytes).sum());
            let is_whole = match cursor.known {
                Known::Entry => entries.first().is_some_and(|first| first.id == at),
                Known::Removed(before) => info.is_none_or(|info| info.removed.is_some_and(|removed| removed <= before)),
            };
            entries.retain(|entry| entry.id > at);
            let wanted = cursor.wanted.clone();
            match entries.last() {
                Some(last) => (cursor.at, cursor.known) = (last.id, Known::Entry),
                // It is told once.
                None if !is_whole => cursor.known = Known::Removed(info.and_then(|info| info.removed).unwrap_or(u64::MAX)),
                None => {}
            }
            for (_, from) in &mut cursor.wanted {
                *from = cursor.at.max(*from);
            }
            let after = (at != NOTHING).then_some(at);
            (wanted, (!is_whole).then_some(Gap::Trimmed { after }))
        };
        for (id, _) in wanted.iter().filter(|_| gap.is_some()) {
            if let Some(gap) = &gap {
                self.upstream.missed(*id, gap);
            }
        }
        for entry in entries {
            let message = entry.into_message(topic);
            for (id, from) in &wanted {
                if message.id().is_some_and(|at| at > *from) {
                    self.upstream.message(*id, &message);
                }
            }
        }
    }
}

/// What of a topic is being read.
struct Asked {
    topic: Topic,
    at: MessageId,
    count: usize,
    info: Option<torsade_reactor::Deferred<Reply>>,
    range: torsade_reactor::Deferred<Reply>,
}

impl Tail {
    /// Reads what a topic has from where it was read to.
    fn ask(&self, link: &Link, topic: Topic) -> Option<Asked> {
        let topics = self.topics.borrow();
        let cursor = topics.get(&topic)?;
        let (at, key, count) = (cursor.at, topic.as_str().as_bytes(), cursor.batch + 1);
        let info = matches!(cursor.known, Known::Removed(_)).then(|| link.call(&[b"XINFO", b"STREAM", key]));
        let (from, number) = (at.to_string(), count.to_string());
        let range = link.call(&[b"XRANGE", key, from.as_bytes(), b"+", b"COUNT", number.as_bytes()]);
        drop(topics);
        Some(Asked { topic, at, count, info, range })
    }

    /// Waits until a topic has something to read, or others are to be waited for.
    async fn wait(&self, link: &Link) -> Result<(), EngineError> {
        let reply = {
            let topics = self.topics.borrow();
            let places: Vec<_> = topics.iter().map(|(topic, cursor)| (topic.as_str(), cursor.at.to_string())).collect();
            let mut parts: Vec<&[u8]> = vec![b"XREAD", b"COUNT", b"1", b"BLOCK", BLOCK, b"STREAMS"];
            parts.extend(places.iter().map(|(key, _)| key.as_bytes()));
            parts.extend(places.iter().map(|(_, at)| at.as_bytes()));
            link.call(&parts)
        };
        self.waiting.set(true);
        let reply = answer(reply).await;
        self.waiting.set(false);
        let Reply::Map(streams) = reply? else { return Ok(()) };
        let topics = self.topics.borrow();
        let named = streams.iter().filter_map(|(key, _)| std::str::from_utf8(key.text()?).ok());
        let known = named.filter_map(|name| topics.get_key_value(name)).map(|(topic, _)| topic.clone());
        self.ready.borrow_mut().extend(known);
        Ok(())
    }
}
