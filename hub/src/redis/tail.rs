//! Subscriptions to stored topics: following what is added to their streams.
//!
//! After a stream was read, Redis reports its next change (`CLIENT TRACKING`), and it is read again, starting with the last entry
//! that was read before: if that is gone, others may have been trimmed with it, and a gap is reported. So a message costs the
//! same whatever the number of topics, and no topic needs a connection. With `XREAD BLOCK` every message costs a command that
//! names all topics, and in a cluster every topic a connection.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Deferred;

use crate::engine::InterestId;
use crate::error::EngineError;
use crate::message::{Gap, MessageId};
use crate::topic::Topic;

use super::command::Answered;
use super::cursor::{Cursor, NOTHING, Read, StreamInfo};
use super::session::Session;
use super::streams::{Entry, FIRST_BATCH, answer, next_batch};

/// How often all streams of a cluster are read in any case: a node that gives a slot away reports no change of keys that do not
/// exist.
const LOOK: Duration = Duration::from_secs(10);

/// A stream that was reported as changed so often in a row without a change is read at most once per [`LONGEST_PAUSE`]; before,
/// after a pause that doubles each time, from a millisecond on.
const MOST_IN_VAIN: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The topics that are followed.
#[derive(Default)]
pub(super) struct Tails {
    by_topic: RefCell<BTreeMap<Topic, Rc<Tail>>>,
    by_id: RefCell<HashMap<InterestId, Topic>>,
    /// Whether all of them are read from time to time.
    are_looked_at: Cell<bool>,
    /// Whether it was logged that streams are reported without a change.
    is_told: Cell<bool>,
}

/// A topic, and how far it has been read.
struct Tail {
    id: InterestId,
    topic: Topic,
    cursor: Cell<Cursor>,
    batch: Cell<usize>,
    /// Whether there may be entries that were not read, and whether a task is reading.
    is_stale: Cell<bool>,
    is_read: Cell<bool>,
    /// Whether its node was lost: it has to find its place in the stream again.
    must_begin: Cell<bool>,
    /// Whether it was reported as changed since it was read.
    is_reported: Cell<bool>,
    /// How often in a row it was reported without a change, when it was read last because of that, and whether it is to be read
    /// after a pause.
    in_vain: Cell<u32>,
    read_at: Cell<Duration>,
    is_put_off: Cell<bool>,
    has_ended: Cell<bool>,
}

/// The questions that a subscription begins with.
struct Beginning {
    after: Option<MessageId>,
    info: Deferred<Answered>,
    entry: Option<Deferred<Answered>>,
}

impl Tails {
    fn find(&self, name: &[u8]) -> Option<Rc<Tail>> {
        self.by_topic.borrow().get(std::str::from_utf8(name).ok()?).cloned()
    }

    fn all(&self) -> Vec<Rc<Tail>> {
        self.by_topic.borrow().values().cloned().collect()
    }

    fn remove(&self, id: InterestId) {
        let Some(topic) = self.by_id.borrow_mut().remove(&id) else { return };
        if let Some(tail) = self.by_topic.borrow_mut().remove(&topic) {
            tail.has_ended.set(true);
        }
    }
}

impl Session {
    pub(super) fn subscribe_stored(self: &Rc<Self>, id: InterestId, topic: &Topic, after: Option<MessageId>) {
        let tail = Rc::new(Tail {
            id,
            topic: topic.clone(),
            cursor: Cell::new(Cursor::begin(None, None, false).0),
            batch: Cell::new(FIRST_BATCH),
            is_stale: Cell::new(true),
            is_read: Cell::new(true),
            must_begin: Cell::new(false),
            is_reported: Cell::new(false),
            in_vain: Cell::new(0),
            read_at: Cell::default(),
            is_put_off: Cell::new(false),
            has_ended: Cell::new(false),
        });
        self.tails.by_id.borrow_mut().insert(id, topic.clone());
        self.tails.by_topic.borrow_mut().insert(topic.clone(), Rc::clone(&tail));
        if self.server.is_cluster && !self.tails.are_looked_at.replace(true) {
            self.look_again();
        }
        let session = Rc::clone(self);
        if let Some(said) = self.server.untracked.clone() {
            self.reactor.call_later(Duration::ZERO, move || session.tail_failed(&tail, &EngineError::Refused(said)));
            return;
        }
        // Sent at once, so that whatever is stored after this call comes; unless too many long answers are under way.
        let beginning = self.ask_beginning(&tail, after);
        self.reactor.execute(async move {
            match beginning.answered().await {
                _ if tail.has_ended.get() || session.end_error().is_some() => {}
                Ok((cursor, gap)) => {
                    tail.cursor.set(cursor);
                    session.upstream.subscribed(id, Some(after.unwrap_or(cursor.at)));
                    session.report_gap(&tail, gap);
                    session.read_on(&tail).await;
                }
                Err(error) => session.tail_failed(&tail, &error),
            }
        });
    }

    pub(super) fn unsubscribe_stored(&self, id: InterestId) {
        self.tails.remove(id);
    }

    /// A key that was read has changed, or Redis has forgotten who has read it, because its tracking table was full. Reading such
    /// a key puts it back into the table in the place of another, so if all were read at once, this would go on without end. What
    /// is stored during a pause comes when it is over.
    pub(super) fn changed(self: &Rc<Self>, key: &[u8]) {
        let Some(tail) = self.tails.find(key) else { return };
        tail.is_reported.set(true);
        let wait = (tail.read_at.get() + tail.pause()).saturating_sub(self.reactor.now());
        if wait.is_zero() {
            return self.read_soon(&tail);
        }
        if tail.is_put_off.replace(true) {
            return;
        }
        let session = Rc::downgrade(self);
        self.reactor.call_later(wait, move || {
            tail.is_put_off.set(false);
            if let Some(session) = session.upgrade().filter(|session| session.end_error().is_none() && !tail.has_ended.get()) {
                session.read_soon(&tail);
            }
        });
    }

    /// A stream was read: notes whether it had changed, if it was reported as changed.
    fn record_change(&self, tail: &Tail, has_changed: bool) {
        let was_reported = tail.is_reported.take();
        if has_changed {
            tail.in_vain.set(0);
        } else if was_reported {
            tail.in_vain.set(MOST_IN_VAIN.min(tail.in_vain.get() + 1));
            tail.read_at.set(self.reactor.now());
        }
        if tail.in_vain.get() == MOST_IN_VAIN && !self.tails.is_told.replace(true) {
            log::warn!(
                "hub: Redis reports streams as changed that have not changed, such as {}. It probably has more keys to watch than its setting \
                 tracking-table-max-keys allows: increase it. Until then messages may come {LONGEST_PAUSE:?} late",
                tail.topic
            );
        }
    }

    /// Any key may have changed.
    pub(super) fn all_changed(self: &Rc<Self>) {
        self.tails.all().iter().for_each(|tail| self.read_soon(tail));
    }

    /// The node with these keys was lost: their streams are begun again after the last entry that was read, on whichever node has
    /// them then.
    pub(super) fn tails_lost(self: &Rc<Self>, is_lost: impl Fn(&[u8]) -> bool) {
        for tail in self.tails.all().iter().filter(|tail| is_lost(tail.topic.as_str().as_bytes())) {
            tail.must_begin.set(true);
            self.read_soon(tail);
        }
    }

    fn look_again(self: &Rc<Self>) {
        let session = Rc::downgrade(self);
        self.reactor.call_later(LOOK, move || {
            if let Some(session) = session.upgrade().filter(|session| session.end_error().is_none()) {
                session.all_changed();
                session.look_again();
            }
        });
    }

    /// Asks about a stream, and whether the entry at `after` is still there.
    fn ask_beginning(self: &Rc<Self>, tail: &Tail, after: Option<MessageId>) -> Beginning {
        let key = tail.topic.as_str().as_bytes();
        let info = self.ask(key, &[b"XINFO", b"STREAM", key]);
        let asked = after.filter(|after| *after != NOTHING).map(|after| after.to_string());
        let entry = asked.map(|after| self.ask(key, &[b"XRANGE", key, after.as_bytes(), after.as_bytes()]));
        Beginning { after, info, entry }
    }

    /// Reads a stream from the loop; if a task reads it already, that reads once more.
    fn read_soon(self: &Rc<Self>, tail: &Rc<Tail>) {
        tail.is_stale.set(true);
        if !tail.is_read.replace(true) {
            let (session, tail) = (Rc::clone(self), Rc::clone(tail));
            self.reactor.execute(async move { session.read_on(&tail).await });
        }
    }

    /// Reads a stream until no change is known that was not read.
    async fn read_on(self: &Rc<Self>, tail: &Rc<Tail>) {
        while tail.is_stale.replace(false) {
            let read = if tail.must_begin.replace(false) { self.begin_again(tail).await } else { self.read(tail).await };
            if tail.has_ended.get() || self.end_error().is_some() {
                return;
            }
            if let Err(error) = read {
                return self.tail_failed(tail, &error);
            }
        }
        tail.is_read.set(false);
    }

    async fn begin_again(self: &Rc<Self>, tail: &Tail) -> Result<(), EngineError> {
        let at = tail.cursor.get().at;
        let (cursor, gap) = self.ask_beginning(tail, Some(at)).answered().await?;
        tail.cursor.set(cursor);
        tail.is_stale.set(true);
        self.report_gap(tail, gap);
        Ok(())
    }

    /// Reads one batch after the last entry that was read.
    async fn read(self: &Rc<Self>, tail: &Tail) -> Result<(), EngineError> {
        let (mut cursor, key, count) = (tail.cursor.get(), tail.topic.as_str().as_bytes(), tail.batch.get() + 1);
        let (from, number) = (cursor.at.to_string(), count.to_string());
        let range = self.ask(key, &[b"XRANGE", key, from.as_bytes(), b"+", b"COUNT", number.as_bytes()]);
        let mut info = cursor.wants_info().then(|| self.ask(key, &[b"XINFO", b"STREAM", key]));
        let entries = Entry::list(answer(range).await?)?;
        let read = Read::of(&entries, cursor.at);
        if info.is_none() && cursor.is_unsure(read) {
            info = Some(self.ask(key, &[b"XINFO", b"STREAM", key]));
        }
        let info = match info {
            Some(info) => StreamInfo::new(answer(info).await)?,
            None => None,
        };
        if tail.has_ended.get() || tail.must_begin.get() || self.end_error().is_some() {
            return Ok(());
        }
        if entries.len() >= count {
            tail.is_stale.set(true);
        }
        tail.batch.set(next_batch(count, entries.iter().map(Entry::bytes).sum()));
        let gap = cursor.advance(read, info);
        let before = tail.cursor.replace(cursor).at;
        self.record_change(tail, gap.is_some() || cursor.at != before);
        self.report_gap(tail, gap);
        for entry in entries.into_iter().filter(|entry| entry.id > before) {
            self.upstream.message(tail.id, &entry.into_message(&tail.topic));
        }
        Ok(())
    }

    fn report_gap(&self, tail: &Tail, gap: Option<Gap>) {
        if let Some(gap) = gap {
            self.upstream.missed(tail.id, &gap);
        }
    }

    /// A stream cannot be read, for instance because its key now has another type: ends this topic.
    fn tail_failed(&self, tail: &Tail, error: &EngineError) {
        if !tail.has_ended.get() && self.end_error().is_none() {
            self.tails.remove(tail.id);
            self.upstream.refused(tail.id, &error.to_string());
        }
    }
}

impl Tail {
    /// How long after it was read in vain it is read again.
    fn pause(&self) -> Duration {
        match self.in_vain.get() {
            0 => Duration::ZERO,
            times => LONGEST_PAUSE.min(Duration::from_millis(1 << times.min(MOST_IN_VAIN))),
        }
    }
}

impl Beginning {
    async fn answered(self) -> Result<(Cursor, Option<Gap>), EngineError> {
        let info = StreamInfo::new(answer(self.info).await)?;
        let is_kept = match self.entry {
            Some(entry) => !Entry::list(answer(entry).await?)?.is_empty(),
            None => false,
        };
        Ok(Cursor::begin(self.after, info, is_kept))
    }
}

impl Read {
    fn of(entries: &[Entry], at: MessageId) -> Self {
        let count = entries.iter().filter(|entry| entry.id > at).count() as u64;
        Self { first: entries.first().map(|entry| entry.id), last: entries.last().map(|entry| entry.id), count }
    }
}
