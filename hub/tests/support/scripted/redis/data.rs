//! The data of the scripted broker.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

/// The time at which a simulation begins, since 1970: ids of streams and `TIME` say it.
pub(super) const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// How many entries a stream has in one node: `MAXLEN ~` removes whole ones.
const NODE: usize = 100;

pub(super) type Id = (u64, u64);

/// An id, and fields and values in turn.
pub(super) type Entry = (Id, Vec<Vec<u8>>);

/// Members with their scores, and when they expire.
type Set = (BTreeMap<Vec<u8>, f64>, Option<Duration>);

#[derive(Clone, Default)]
pub(super) struct Data {
    pub(super) streams: HashMap<Vec<u8>, Stream>,
    /// Values, and when they expire.
    pub(super) strings: HashMap<Vec<u8>, (Vec<u8>, Option<Duration>)>,
    pub(super) sets: HashMap<Vec<u8>, Set>,
}

#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) entries: VecDeque<Entry>,
    pub(super) last: Id,
    pub(super) added: u64,
}

impl Data {
    /// Removes what has expired.
    pub(super) fn expire(&mut self, now: Duration) {
        let is_alive = |expiry: &Option<Duration>| expiry.is_none_or(|expiry| expiry > now);
        self.strings.retain(|_, (_, expiry)| is_alive(expiry));
        self.sets.retain(|_, (members, expiry)| is_alive(expiry) && !members.is_empty());
    }

    pub(super) fn remove(&mut self, key: &[u8]) -> bool {
        self.streams.remove(key).is_some() | self.strings.remove(key).is_some() | self.sets.remove(key).is_some()
    }
}

impl Stream {
    /// Adds an entry with the next id.
    pub(super) fn add(&mut self, now: Duration, fields: Vec<Vec<u8>>) -> Id {
        let clock = u64::try_from((EPOCH + now).as_millis()).unwrap();
        let id = (clock, 0).max((self.last.0, self.last.1 + 1));
        self.entries.push_back((id, fields));
        self.last = id;
        self.added += 1;
        id
    }

    /// Keeps the last so many; if that is about, up to a node more.
    pub(super) fn trim(&mut self, keep: usize, about: bool) -> usize {
        let mut removed = 0;
        let step = if about { NODE } else { 1 };
        while self.entries.len() >= keep + step {
            self.entries.drain(..step);
            removed += step;
        }
        removed
    }

    /// Entries from one id to another, both included.
    pub(super) fn range(&self, from: Id, to: Id) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(move |(id, _)| (from..=to).contains(id))
    }
}

/// Whether a glob of Redis matches.
pub(super) fn glob_matches(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| glob_matches(rest, &text[at..])),
        [b'?', rest @ ..] => !text.is_empty() && glob_matches(rest, &text[1..]),
        [b'\\', literal, rest @ ..] | [literal, rest @ ..] => text.first() == Some(literal) && glob_matches(rest, &text[1..]),
    }
}
