//! Subscriptions to live messages.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade_protocols::SharedBytes;

use super::wire::Headers;
use crate::engine::{InterestId, Upstream};
use crate::message::Message;
use crate::topic::{Pattern, Topic};

/// A subscription; its `sid` is its [`InterestId`].
pub(super) struct Subscription {
    id: InterestId,
    pattern: Pattern,
    /// The topic of the last message, which is the topic of every message if the pattern has no wildcards.
    topic: RefCell<Option<Topic>>,
    state: Cell<State>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    /// Sent to the server and not answered.
    Asked,
    /// The hub has been told that it has begun or is refused.
    Told,
}

impl Subscription {
    pub(super) fn new(id: InterestId, pattern: &Pattern) -> Rc<Self> {
        let topic = RefCell::new(pattern.topic());
        Rc::new(Self { id, pattern: pattern.clone(), topic, state: Cell::new(State::Asked) })
    }

    pub(super) const fn id(&self) -> InterestId {
        self.id
    }

    pub(super) fn subject(&self) -> &str {
        self.pattern.as_str()
    }

    pub(super) fn is_told(&self) -> bool {
        self.state.get() == State::Told
    }

    /// The subscription has begun at the server.
    pub(super) fn begun(&self, upstream: &Upstream) {
        if self.state.replace(State::Told) == State::Asked {
            upstream.subscribed(self.id, None);
        }
    }

    /// The server refuses the subscription.
    pub(super) fn refuse(&self, upstream: &Upstream, why: &str) {
        self.state.set(State::Told);
        upstream.refused(self.id, why);
    }

    /// The hub has ended the subscription.
    pub(super) fn end(&self) {
        self.state.set(State::Told);
    }

    pub(super) fn deliver(&self, upstream: &Upstream, subject: &str, headers: Headers, payload: &[u8]) {
        let Some(topic) = self.topic_of(subject) else {
            return log::debug!("ignoring a message on {subject:?}, which is not a topic");
        };
        // A message may arrive before the PONG.
        self.begun(upstream);
        upstream.message(self.id, &message(topic, headers, payload));
    }

    fn topic_of(&self, subject: &str) -> Option<Topic> {
        let mut known = self.topic.borrow_mut();
        if let Some(topic) = known.as_ref().filter(|topic| topic.as_str() == subject) {
            return Some(topic.clone());
        }
        let topic: Topic = subject.parse().ok()?;
        // The server's wildcards match its internal subjects, too.
        if !self.pattern.matches(&topic) {
            return None;
        }
        known.replace(topic.clone());
        Some(topic)
    }
}

/// Makes the hub's message.
pub(super) fn message(topic: Topic, headers: Headers, payload: &[u8]) -> Message {
    let message = Message::new(topic, SharedBytes::from(payload.to_vec()));
    if headers.fields.is_empty() { message } else { message.with_headers(headers.fields) }
}
