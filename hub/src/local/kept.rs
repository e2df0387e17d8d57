//! The messages that topics of a `local:` hub keep.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::engine::Start;
use crate::message::{Headers, MessageId, Publication};
use crate::topic::Topic;

/// The limit for the messages of all topics together, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// The approximate size of a record in addition to its payload.
const RECORD: usize = 160;

/// The approximate size of a topic in addition to its records.
const TOPIC: usize = 512;

/// A message that is being delivered or is stored.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) topic: Topic,
    pub(super) payload: Arc<[u8]>,
    pub(super) headers: Headers,
    pub(super) id: Option<MessageId>,
}

impl Record {
    pub(super) fn new(topic: &Topic, publication: &Publication, id: Option<MessageId>) -> Self {
        let headers = publication.headers().iter().cloned().collect();
        Self { topic: topic.clone(), payload: Arc::clone(publication.payload()), headers, id }
    }

    /// Returns its approximate size in bytes.
    pub(super) fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2 * size_of::<String>());
        self.payload.len() + headers.sum::<usize>() + RECORD
    }
}

/// The last messages of all stored topics, at most [`MAX_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Kept {
    topics: BTreeMap<Topic, Log>,
    /// The same topics, by the time (`clock`) of their last message.
    by_use: BTreeMap<u64, Topic>,
    bytes: usize,
    /// The number of messages stored so far.
    clock: u64,
    /// The greatest message number in any topic that has been removed: if such a topic is used again, its numbers continue from
    /// here.
    forgotten: u64,
}

/// The stored messages of a topic: at least one.
#[derive(Debug, Default)]
struct Log {
    records: VecDeque<Arc<Record>>,
    /// The number of the last message that was stored.
    last: u64,
    used: u64,
}

impl Kept {
    /// Returns the last id of a topic, after which a new subscription begins.
    pub(super) fn last(&self, topic: &Topic) -> MessageId {
        id(self.topics.get(topic).map_or(self.forgotten, |log| log.last))
    }

    /// Stores the message that `make` returns for its id.
    pub(super) fn store(&mut self, topic: &Topic, keep: u64, make: impl FnOnce(MessageId) -> Record) -> Arc<Record> {
        self.clock += 1;
        let (forgotten, bytes) = (self.forgotten, &mut self.bytes);
        let log = self.topics.entry(topic.clone()).or_insert_with(|| {
            *bytes += TOPIC;
            Log { last: forgotten, ..Log::default() }
        });
        self.by_use.remove(&log.used);
        self.by_use.insert(self.clock, topic.clone());
        log.used = self.clock;
        log.last += 1;
        let record = Arc::new(make(id(log.last)));
        self.bytes += record.size();
        log.records.push_back(Arc::clone(&record));
        while u64::try_from(log.records.len()).is_ok_and(|length| length > keep) {
            self.bytes -= log.records.pop_front().map_or(0, |oldest| oldest.size());
        }
        while self.bytes > MAX_BYTES && self.drop_some() {}
        record
    }

    /// Drops the oldest message of the least recently used topic, and the topic if that was its last.
    fn drop_some(&mut self) -> bool {
        let Some(entry) = self.by_use.first_entry() else { return false };
        let Some(log) = self.topics.get_mut(entry.get()) else { return false };
        self.bytes -= log.records.pop_front().map_or(0, |oldest| oldest.size());
        if log.records.is_empty() {
            self.bytes -= TOPIC;
            self.forgotten = self.forgotten.max(log.last);
            self.topics.remove(&entry.remove());
        }
        true
    }

    /// Returns at most `most` messages from a start on, and whether messages before them are no longer stored.
    pub(super) fn page(&self, topic: &Topic, from: Start, most: usize) -> (Vec<Arc<Record>>, bool) {
        let Some(log) = self.topics.get(topic) else {
            return (Vec::new(), matches!(from, Start::After(after) if after.minor != self.forgotten));
        };
        let first = log.records.front().and_then(|record| record.id).map_or(log.last + 1, |id| id.minor);
        let (skip, trimmed) = match from {
            Start::Next => return (Vec::new(), false),
            Start::Oldest => (0, false),
            Start::Last(count) => (log.records.len().saturating_sub(count), false),
            // An id of an earlier process: begins with the oldest message.
            Start::After(after) if after.minor > log.last => (0, true),
            Start::After(after) => {
                let next = after.minor.saturating_add(1);
                (usize::try_from(next.saturating_sub(first)).unwrap_or(usize::MAX), next < first)
            }
        };
        (log.records.iter().skip(skip).take(most).cloned().collect(), trimmed)
    }
}

const fn id(number: u64) -> MessageId {
    MessageId { major: 0, minor: number }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(kept: &mut Kept, topic: &Topic, keep: u64, length: usize) -> u64 {
        let publication = Publication::from(vec![b'x'; length]);
        kept.store(topic, keep, |id| Record::new(topic, &publication, Some(id))).id.unwrap().minor
    }

    fn numbers(page: (Vec<Arc<Record>>, bool)) -> (Vec<u64>, bool) {
        (page.0.iter().map(|record| record.id.unwrap().minor).collect(), page.1)
    }

    #[test]
    fn the_last_messages_are_kept_and_a_hole_is_known() {
        let (mut kept, topic) = (Kept::default(), "a".parse().unwrap());
        for _ in 0..10 {
            store(&mut kept, &topic, 4, 1);
        }
        assert_eq!(numbers(kept.page(&topic, Start::Oldest, 9)), (vec![7, 8, 9, 10], false));
        assert_eq!(numbers(kept.page(&topic, Start::Last(2), 9)), (vec![9, 10], false));
        assert_eq!(numbers(kept.page(&topic, Start::After(id(6)), 2)), (vec![7, 8], false));
        assert_eq!(numbers(kept.page(&topic, Start::After(id(5)), 9)), (vec![7, 8, 9, 10], true));
        assert_eq!(numbers(kept.page(&topic, Start::After(id(10)), 9)), (vec![], false));
    }

    #[test]
    fn all_topics_together_are_bounded_and_their_numbers_go_on() {
        let (mut kept, old, new) = (Kept::default(), "old".parse().unwrap(), "new".parse().unwrap());
        store(&mut kept, &old, 100, 1 << 20);
        for _ in 0..70 {
            store(&mut kept, &new, 100, 1 << 20);
        }
        assert!(kept.bytes <= MAX_BYTES);
        assert_eq!(numbers(kept.page(&old, Start::Oldest, 9)), (vec![], false));
        assert_eq!(store(&mut kept, &old, 100, 1), 2);
    }
    #[test]
    fn topics_without_number_are_bounded_and_their_ids_go_on() {
        let mut kept = Kept::default();
        let topic = |number: u32| number.to_string().parse::<Topic>().unwrap();
        assert_eq!([store(&mut kept, &topic(0), 9, 1), store(&mut kept, &topic(0), 9, 1)], [1, 2]);
        for number in 1..120_000 {
            store(&mut kept, &topic(number), 9, 1);
        }
        assert!(kept.topics.len() < 100_000 && kept.by_use.len() == kept.topics.len());
        assert_eq!(numbers(kept.page(&topic(0), Start::After(id(1)), 9)), (vec![], true), "it may have been trimmed");
        assert!(store(&mut kept, &topic(0), 9, 1) > 2);
    }
}
