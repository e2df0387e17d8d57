//! What was seen of streams, across connections.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::jetstream::StreamInfo;

/// What the engine has seen of each stream; a cheap handle. It has an entry for each topic that is subscribed to with its messages kept,
/// and no more.
///
/// A server that has lost its disk begins a stream anew, and one that was killed may have lost the last messages that it had
/// confirmed. Others may have stored so many since that the numbers alone do not tell: so it is remembered when the stream was
/// made, and when the last message that came was stored.
#[derive(Clone, Default)]
pub(super) struct KnownStreams(Rc<RefCell<HashMap<String, Rc<RefCell<Known>>>>>);

/// What was seen of one stream.
#[derive(Default)]
pub(super) struct Known {
    /// When it was made, as the server writes it.
    created: Option<String>,
    /// The number of the last message that came, and when it was stored, in nanoseconds since 1970.
    last: Option<(u64, u64)>,
}

impl KnownStreams {
    pub(super) fn of(&self, stream: &str) -> Rc<RefCell<Known>> {
        Rc::clone(self.0.borrow_mut().entry(stream.to_owned()).or_default())
    }

    /// The topic is not subscribed to any more.
    pub(super) fn forget(&self, stream: &str) {
        self.0.borrow_mut().remove(stream);
    }
}

impl Known {
    /// Whether the stream, as it is now, is another than the one that was seen.
    pub(super) fn is_another(&self, info: &StreamInfo) -> bool {
        self.created.is_some() && !self.is_same(info)
    }

    /// Whether it is the one that was seen.
    pub(super) fn is_same(&self, info: &StreamInfo) -> bool {
        self.created.as_ref() == Some(&info.created)
    }

    /// When message `number` was stored, if it was the last that came.
    pub(super) fn time_of(&self, number: u64) -> Option<u64> {
        self.last.filter(|(last, _)| *last == number).map(|(_, time)| time)
    }

    pub(super) fn note_stream(&mut self, info: &StreamInfo) {
        if !self.is_same(info) {
            *self = Self { created: Some(info.created.clone()), last: None };
        }
    }

    /// It is the one that was seen, whenever it was made.
    pub(super) fn note_same(&mut self, info: &StreamInfo) {
        self.created = Some(info.created.clone());
    }

    pub(super) const fn note_message(&mut self, number: u64, time: u64) {
        self.last = Some((number, time));
    }
}
