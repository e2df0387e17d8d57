//! The ends of streams: what is added to the topics that keep their messages.
//!
//! A connection of its own waits for entries, and then reads them together with the last one that was read before. If that one
//! is not there, others may have been trimmed away with it, and the hub is told: a hole is found for certain.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Deferred;

use crate::engine::{Interest, InterestId};
use crate::error::EngineError;
use crate::message::{Gap, MessageId};
use crate::topic::Topic;

use super::command::{Answer, Answered, Pending};
use super::cursor::{Cursor, NOTHING, Read, StreamInfo};
use super::link::Link;
use super::reply::Reply;
use super::session::Session;
use super::streams::{Entry, FIRST_BATCH, answer, next_batch};

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
    topics: RefCell<BTreeMap<Topic, Followed>>,
    /// Those of which there is something to read, or may be.
    ready: RefCell<BTreeSet<Topic>>,
    waiting: Cell<bool>,
}

/// A topic, how far it has been read, and for whom.
struct Followed {
    cursor: Cursor,
    /// Each with the last that it has got.
    wanted: Vec<(InterestId, MessageId)>,
    batch: usize,
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
        // Asked at once: what is stored after this call is to come.
        let begun = topic.as_ref().map(|topic| {
            self.tails.by_id.borrow_mut().insert(id, topic.clone());
            self.beginning(topic, after)
        });
        self.reactor.execute(async move {
            let begun = match begun {
                Some(begun) => begun.await,
                None => Err(EngineError::Unsupported("a stream is one topic, not a pattern".to_owned())),
            };
            let is_wanted = topic.is_none() || session.tails.by_id.borrow().contains_key(&id);
            match (begun, topic) {
                _ if session.end_error().is_some() || !is_wanted => {}
                (Ok((cursor, gap)), Some(topic)) => session.follow(id, &topic, after, cursor, gap),
                (Err(EngineError::Lost(error)), _) => session.end(&EngineError::Lost(error)),
                (Err(error), _) => {
                    session.tails.by_id.borrow_mut().remove(&id);
                    session.upstream.refused(id, &error.to_string());
                }
                (Ok(_), None) => {}
            }
        });
    }

    /// Asks where a subscription begins.
    fn beginning(
        self: &Rc<Self>,
        topic: &Topic,
        after: Option<MessageId>,
    ) -> impl Future<Output = Result<(Cursor, Option<Gap>), EngineError>> + use<> {
        let key = topic.as_str().as_bytes();
        let info = self.call(key, &[b"XINFO", b"STREAM", key]);
        let asked = after.filter(|after| *after != NOTHING).map(|after| after.to_string());
        let entry = asked.map(|after| self.call(key, &[b"XRANGE", key, after.as_bytes(), after.as_bytes()]));
        async move {
            let info = StreamInfo::new(answer(info).await)?;
            let is_kept = match entry {
                Some(entry) => !Entry::list(answer(entry).await?)?.is_empty(),
                None => false,
            };
            Ok(Cursor::begin(after, info, is_kept))
        }
    }

    fn follow(self: &Rc<Self>, id: InterestId, topic: &Topic, after: Option<MessageId>, cursor: Cursor, gap: Option<Gap>) {
        let tail = self.tail_of(topic);
        {
            let mut topics = tail.topics.borrow_mut();
            let followed =
                topics.entry(topic.clone()).or_insert_with(|| Followed { cursor, wanted: Vec::new(), batch: FIRST_BATCH });
            followed.wanted.push((id, cursor.at));
            if cursor.at < followed.cursor.at {
                followed.cursor = cursor;
            }
            tail.ready.borrow_mut().insert(topic.clone());
        }
        let at = cursor.at;
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
            let Some(followed) = topics.get_mut(&topic) else { continue };
            followed.wanted.retain(|(known, _)| *known != id);
            if followed.wanted.is_empty() {
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
                    Err(EngineError::Refused(said) | EngineError::Unsupported(said)) => {
                        session.link_lost(&link, &EngineError::Lost(said));
                    }
                    Err(error) => session.link_lost(&link, &error),
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
        let again = move |result: Answered| {
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
            let asked: Vec<_> = tail.ready.take().into_iter().filter_map(|topic| tail.ask(link, topic)).collect();
            for Asked { topic, cursor, count, info, range } in asked {
                let (entries, mut info) = (Entry::list(answer(range).await?)?, info);
                let read = Read::of(&entries, cursor.at);
                if info.is_none() && cursor.is_unsure(read) {
                    info = Some(link.call(&[b"XINFO", b"STREAM", topic.as_str().as_bytes()]));
                }
                let info = match info {
                    Some(info) => StreamInfo::new(answer(info).await)?,
                    None => None,
                };
                self.deliver(tail, &topic, &cursor, count, read, info, entries);
            }
            tail.wait(link).await?;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all of them are one answer")]
    fn deliver(
        &self,
        tail: &Tail,
        topic: &Topic,
        from: &Cursor,
        count: usize,
        read: Read,
        info: Option<StreamInfo>,
        mut entries: Vec<Entry>,
    ) {
        let (wanted, gap) = {
            let mut topics = tail.topics.borrow_mut();
            let Some(followed) = topics.get_mut(topic) else { return };
            if followed.cursor != *from || entries.len() >= count {
                tail.ready.borrow_mut().insert(topic.clone());
            }
            if followed.cursor != *from {
                return;
            }
            followed.batch = next_batch(count, entries.iter().map(Entry::bytes).sum());
            let gap = followed.cursor.advance(read, info);
            entries.retain(|entry| entry.id > from.at);
            let wanted = followed.wanted.clone();
            for (_, at) in &mut followed.wanted {
                *at = if gap == Some(Gap::Reset) { followed.cursor.at } else { followed.cursor.at.max(*at) };
            }
            (wanted, gap)
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
    cursor: Cursor,
    count: usize,
    info: Option<Deferred<Answered>>,
    range: Deferred<Answered>,
}

impl Read {
    fn of(entries: &[Entry], at: MessageId) -> Self {
        let count = entries.iter().filter(|entry| entry.id > at).count() as u64;
        Self { first: entries.first().map(|entry| entry.id), last: entries.last().map(|entry| entry.id), count }
    }
}

impl Tail {
    /// Reads what a topic has from where it was read to.
    fn ask(&self, link: &Link, topic: Topic) -> Option<Asked> {
        let topics = self.topics.borrow();
        let followed = topics.get(&topic)?;
        let (cursor, key, count) = (followed.cursor, topic.as_str().as_bytes(), followed.batch + 1);
        let (from, number) = (cursor.at.to_string(), count.to_string());
        let range = link.call(&[b"XRANGE", key, from.as_bytes(), b"+", b"COUNT", number.as_bytes()]);
        let info = cursor.wants_info().then(|| link.call(&[b"XINFO", b"STREAM", key]));
        drop(topics);
        Some(Asked { topic, cursor, count, info, range })
    }

    /// Waits until a topic has something to read, or others are to be waited for. If some have already, it is only looked at the others.
    async fn wait(&self, link: &Link) -> Result<(), EngineError> {
        let reply = {
            let (topics, ready) = (self.topics.borrow(), self.ready.borrow());
            let others = topics.iter().filter(|(topic, _)| !ready.contains(*topic));
            let places: Vec<_> = others.map(|(topic, followed)| (topic.as_str(), followed.cursor.at.to_string())).collect();
            if places.is_empty() {
                return Ok(());
            }
            let mut parts: Vec<&[u8]> = vec![b"XREAD", b"COUNT", b"1"];
            if ready.is_empty() {
                parts.extend([&b"BLOCK"[..], BLOCK]);
            }
            parts.push(b"STREAMS");
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
