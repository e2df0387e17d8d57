//! What is remembered of streams across connections.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::jetstream::StreamInfo;

/// What the engine has seen of each stream; a cheap handle. There is one entry for each stored topic that is subscribed to.
///
/// A server that has lost its disk creates a stream again, and one that was killed may have lost the last messages that it had
/// confirmed. Message numbers alone do not show this once others have stored enough messages again. So the engine remembers when
/// the stream was created, and when the last messages were stored.
#[derive(Clone, Default)]
pub(super) struct KnownStreams(Rc<RefCell<HashMap<String, Rc<RefCell<Known>>>>>);

/// The number of messages that are remembered per stream: more than a server confirms before it has written them.
const RECENT: usize = 512;

/// What was seen of one stream.
#[derive(Default)]
pub(super) struct Known {
    /// When it was created, as the server writes it.
    created: Option<String>,
    /// The numbers of the last messages, and when each was stored, in nanoseconds since 1970.
    recent: VecDeque<(u64, u64)>,
}

impl KnownStreams {
    pub(super) fn of(&self, stream: &str) -> Rc<RefCell<Known>> {
        Rc::clone(self.0.borrow_mut().entry(stream.to_owned()).or_default())
    }

    /// All topics have been subscribed to again on a new connection: forgets the others.
    pub(super) fn forget_others(&self) {
        self.0.borrow_mut().retain(|_, known| Rc::strong_count(known) > 1);
    }

    /// The topic is no longer subscribed to.
    pub(super) fn forget(&self, stream: &str) {
        self.0.borrow_mut().remove(stream);
    }
}

impl Known {
    /// Returns whether the stream was created at another time than the one that was seen.
    pub(super) fn is_another(&self, info: &StreamInfo) -> bool {
        self.created.as_ref().is_some_and(|created| *created != info.created)
    }

    /// Returns those of the last messages that the stream should still have: their numbers, and when each was stored.
    pub(super) fn recent(&self, info: &StreamInfo) -> Vec<(u64, u64)> {
        let kept = info.first_seq..=info.last_seq;
        self.recent.iter().filter(|(number, _)| kept.contains(number)).copied().collect()
    }

    /// Remembers the stream as it is now, and forgets messages after `after`, which it no longer has.
    pub(super) fn record_stream(&mut self, info: &StreamInfo, after: u64) {
        self.created = Some(info.created.clone());
        self.recent.retain(|(number, _)| *number <= after);
    }

    pub(super) fn record_message(&mut self, number: u64, time: u64) {
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
