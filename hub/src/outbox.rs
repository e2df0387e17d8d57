//! What waits to be published.

use std::collections::VecDeque;

use torsade_reactor::Firer;

use crate::message::{MessageId, Publication};
use crate::topic::Topic;

/// What a publication takes beside its payload and headers, roughly.
const ENTRY: usize = 128;

/// Publications that wait for the broker, in order, and stored ones that it has not confirmed; in bounds.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: usize,
    bytes: usize,
    held: usize,
    /// Not handed to the engine yet.
    waiting: VecDeque<Waiting>,
    /// Asked of the engine, in order, and not answered.
    unconfirmed: VecDeque<Stored>,
}

/// A publication that waits.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// One that nobody keeps.
    Live(Topic, Publication),
    /// One that is to be stored.
    Stored(Stored),
}

/// A publication that is stored, and asked for again until the broker has answered.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Of those that this hub has stored; text of it goes with the message.
    pub(crate) number: u64,
    pub(crate) topic: Topic,
    pub(crate) publication: Publication,
    pub(crate) keep: u64,
    /// Who wants to know where it is.
    pub(crate) firer: Option<Firer<MessageId>>,
}

impl Outbox {
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes, held: 0, waiting: VecDeque::new(), unconfirmed: VecDeque::new() }
    }

    /// Whether there is room for one more of this size.
    pub(crate) fn has_room(&self, publication: &Publication) -> bool {
        self.waiting.len() + self.unconfirmed.len() < self.messages && self.held + size(publication) <= self.bytes
    }

    /// Whether nothing waits that has to go before others.
    pub(crate) fn is_clear(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether nothing waits, for the broker's answer neither.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.unconfirmed.is_empty()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.held += waiting.size();
        self.waiting.push_back(waiting);
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.held -= waiting.size();
        Some(waiting)
    }

    /// Keeps what is being stored until it is confirmed.
    pub(crate) fn sent(&mut self, stored: Stored) {
        self.held += size(&stored.publication);
        self.unconfirmed.push_back(stored);
    }

    /// Takes out what the broker has answered.
    pub(crate) fn answered(&mut self, number: u64) -> Option<Stored> {
        let index = self.unconfirmed.iter().position(|stored| stored.number == number)?;
        let stored = self.unconfirmed.remove(index)?;
        self.held -= size(&stored.publication);
        Some(stored)
    }

    /// The connection is lost: what was not confirmed is to be asked for again, before all else and in its order.
    pub(crate) fn take_back(&mut self) {
        while let Some(stored) = self.unconfirmed.pop_back() {
            self.waiting.push_front(Waiting::Stored(stored));
        }
    }
}

impl Waiting {
    fn size(&self) -> usize {
        match self {
            Self::Live(_, publication) => size(publication),
            Self::Stored(stored) => size(&stored.publication),
        }
    }
}

fn size(publication: &Publication) -> usize {
    let headers = publication.headers().iter().map(|(name, value)| name.len() + value.len() + ENTRY);
    publication.payload().len() + headers.sum::<usize>() + ENTRY
}
