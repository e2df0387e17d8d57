//! What was seen of streams, across connections.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::jetstream::StreamInfo;

/// What the engine has seen of each stream; a cheap handle. It has an entry for each topic that is subscribed to with its messages kept,
/// and no more.
///
/// A server that has lost its disk begins a stream anew, and one that was killed may have lost the last messages that it had
/// confirmed. Others may have stored so many since that the numbers alone do not tell: so it is remembered when the stream was
/// made, and when the last messages that came were stored.
#[derive(Clone, Default)]
pub(super) struct KnownStreams(Rc<RefCell<HashMap<String, Rc<RefCell<Known>>>>>);

/// How many messages of a stream are remembered: more than a server confirms before it has written them.
const RECENT: usize = 512;

/// What was seen of one stream.
#[derive(Default)]
pub(super) struct Known {
    /// When it was made, as the server writes it.
    created: Option<String>,
    /// The numbers of the last messages that came, and when each was stored, in nanoseconds since 1970.
    recent: VecDeque<(u64, u64)>,
}

impl KnownStreams {
    pub(super) fn of(&self, stream: &str) -> Rc<RefCell<Known>> {
        Rc::clone(self.0.borrow_mut().entry(stream.to_owned()).or_default())
    }

    /// All topics are subscribed to again on a new connection: forgets those that are not.
    pub(super) fn forget_others(&self) {
        self.0.borrow_mut().retain(|_, known| Rc::strong_count(known) > 1);
    }

    /// The topic is not subscribed to any more.
    pub(super) fn forget(&self, stream: &str) {
        self.0.borrow_mut().remove(stream);
    }
}

impl Known {
    /// Whether the stream, as it is now, was made at another time than the one that was seen.
    pub(super) fn is_another(&self, info: &StreamInfo) -> bool {
        self.created.as_ref().is_some_and(|created| *created != info.created)
    }

    /// Those of the last messages that the stream should still have: their numbers, and when each was stored.
    pub(super) fn recent(&self, info: &StreamInfo) -> Vec<(u64, u64)> {
        let kept = info.first_seq..=info.last_seq;
        self.recent.iter().filter(|(number, _)| kept.contains(number)).copied().collect()
    }

    /// This is the stream now, of which what came after message `after` is not what we have seen.
    pub(super) fn note_stream(&mut self, info: &StreamInfo, after: u64) {
        self.created = Some(info.created.clone());
        self.recent.retain(|(number, _)| *number <= after);
    }

    pub(super) fn note_message(&mut self, number: u64, time: u64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((number, time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_left_while_there_was_no_connection_is_forgotten() {
        let known = KnownStreams::default();
        let held = known.of("still");
        drop(known.of("left"));
        known.forget_others();
        assert_eq!(known.0.borrow().keys().collect::<Vec<_>>(), ["still"]);
        drop(held);
    }
}
