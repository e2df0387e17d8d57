//! The queue of messages for the broker.

use std::collections::{BTreeSet, VecDeque};

use torsade_reactor::Firer;

use crate::message::{MessageId, Publication};
use crate::topic::Topic;

/// The approximate size of a publication in addition to its payload and headers.
const ENTRY: usize = 128;

/// Publications that wait to be sent, in order, and stored ones that the broker has not confirmed; with limits.
#[derive(Debug)]
pub(crate) struct Outbox {
    messages: usize,
    bytes: usize,
    held: usize,
    /// Not sent yet.
    waiting: VecDeque<Waiting>,
    /// Sent, in order, and not confirmed.
    unconfirmed: VecDeque<Stored>,
    /// How many of the unconfirmed the broker has put off.
    put_off: usize,
}

/// A publication in the queue.
#[derive(Debug)]
pub(crate) enum Waiting {
    /// A live message.
    Live(Topic, Publication),
    /// A message to be stored.
    Stored(Stored),
}

/// A message to be stored; it is sent until the broker has answered.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The number under which it was sent last, which goes with it: within a topic they ascend. None before it is sent.
    pub(crate) number: Option<u64>,
    pub(crate) topic: Topic,
    pub(crate) publication: Publication,
    pub(crate) keep: u64,
    /// Fired with its id, if the program has asked for that.
    pub(crate) firer: Option<Firer<MessageId>>,
    /// Whether the broker could not take it when it was asked.
    is_put_off: bool,
    /// Whether the broker has stored a later message of the topic.
    is_overtaken: bool,
}

impl Stored {
    pub(crate) const fn new(topic: Topic, publication: Publication, keep: u64, firer: Option<Firer<MessageId>>) -> Self {
        Self { number: None, topic, publication, keep, firer, is_put_off: false, is_overtaken: false }
    }
}

impl Outbox {
    pub(crate) fn new(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes, held: 0, waiting: VecDeque::new(), unconfirmed: VecDeque::new(), put_off: 0 }
    }

    /// Returns whether the limits allow one more.
    pub(crate) fn has_room(&self, waiting: &Waiting) -> bool {
        self.waiting.len() + self.unconfirmed.len() < self.messages && self.held + waiting.size() <= self.bytes
    }

    /// Returns whether a new message may be sent at once, without overtaking others.
    pub(crate) fn is_clear(&self) -> bool {
        self.waiting.is_empty() && self.put_off == 0
    }

    /// Returns whether nothing waits to be sent or confirmed.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.unconfirmed.is_empty()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.held += waiting.size();
        self.waiting.push_back(waiting);
    }

    /// Takes out the next message to send; `None` while any is put off.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        if self.put_off > 0 {
            return None;
        }
        let waiting = self.waiting.pop_front()?;
        self.held -= waiting.size();
        Some(waiting)
    }

    /// Keeps a message that was sent until it is confirmed.
    pub(crate) fn sent(&mut self, stored: Stored) {
        self.held += size(&stored.publication);
        self.unconfirmed.push_back(stored);
    }

    /// Takes out a message that the broker has confirmed.
    pub(crate) fn confirmed(&mut self, number: u64) -> Option<Stored> {
        let (index, stored) = self.answered(number)?;
        let earlier = self.unconfirmed.iter_mut().take(index).filter(|other| other.topic == stored.topic);
        earlier.for_each(|other| other.is_overtaken = true);
        Some(stored)
    }

    /// Takes out a message that the broker has refused.
    pub(crate) fn refused(&mut self, number: u64) -> Option<Stored> {
        self.answered(number).map(|(_, stored)| stored)
    }

    fn answered(&mut self, number: u64) -> Option<(usize, Stored)> {
        let index = self.unconfirmed.iter().position(|stored| stored.number == Some(number))?;
        let stored = self.unconfirmed.remove(index)?;
        self.held -= size(&stored.publication);
        Some((index, stored))
    }

    /// The broker cannot store this message now: nothing more is sent until [`resume`](Self::resume).
    pub(crate) fn put_off(&mut self, number: u64) {
        if let Some(stored) = self.unconfirmed.iter_mut().find(|stored| stored.number == Some(number)) {
            stored.is_put_off = true;
            self.put_off += 1;
        }
    }

    /// Puts the messages that were put off back to the front of the queue, topic by topic, once the broker has answered all
    /// others of the topic: only then is it known which of them it has. Says whether sending goes on.
    pub(crate) fn resume(&mut self) -> bool {
        let was_held_up = self.put_off > 0;
        while let Some(topic) = self.unconfirmed.iter().find(|stored| stored.is_put_off).map(|stored| stored.topic.clone()) {
            if self.unconfirmed.iter().any(|stored| stored.topic == topic && !stored.is_put_off) {
                return false;
            }
            let (back, rest) = std::mem::take(&mut self.unconfirmed).into_iter().partition(|stored| stored.topic == topic);
            self.unconfirmed = rest;
            self.wait_again(back);
        }
        was_held_up
    }

    /// The connection is lost: puts unconfirmed messages back to the front of the queue, in their order.
    pub(crate) fn take_back(&mut self) {
        let back = std::mem::take(&mut self.unconfirmed);
        self.wait_again(back);
    }

    /// Puts these back to the front of the queue, in their order. One that was overtaken is to be sent under a new number, and so
    /// is everything of its topic behind it: subscribers leave out numbers that do not ascend.
    fn wait_again(&mut self, back: VecDeque<Stored>) {
        let mut overtaken = BTreeSet::new();
        let mut again = Vec::with_capacity(back.len());
        for mut stored in back {
            if stored.is_overtaken || overtaken.contains(&stored.topic) {
                overtaken.insert(stored.topic.clone());
                stored.number = None;
            }
            self.put_off -= usize::from(stored.is_put_off);
            (stored.is_put_off, stored.is_overtaken) = (false, false);
            again.push(stored);
        }
        for stored in again.into_iter().rev() {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(topic: &str, number: u64) -> Stored {
        Stored { number: Some(number), ..Stored::new(topic.parse().unwrap(), Publication::from(number.to_string()), 1, None) }
    }

    /// Ten messages, from 0 on, that were sent on two topics in turn.
    fn outbox() -> Outbox {
        let mut outbox = Outbox::new(100, 1 << 20);
        (0..10).for_each(|number| outbox.sent(stored(if number % 2 == 0 { "even" } else { "odd" }, number)));
        outbox
    }

    /// The payloads of the messages that are sent next, and whether under new numbers.
    fn handed_over(outbox: &mut Outbox) -> Vec<(String, bool)> {
        let next = std::iter::from_fn(|| outbox.pop()).filter_map(|waiting| match waiting {
            Waiting::Stored(stored) => Some(stored),
            Waiting::Live(..) => None,
        });
        next.map(|stored| (String::from_utf8_lossy(stored.publication.payload()).into_owned(), stored.number.is_none())).collect()
    }

    #[test]
    fn what_is_put_off_holds_up_all_until_the_others_of_its_topic_are_answered() {
        let mut outbox = outbox();
        outbox.push(Waiting::Stored(stored("odd", 10)));
        outbox.put_off(4);
        assert!(!outbox.resume() && outbox.pop().is_none() && !outbox.is_clear());
        outbox.put_off(8);
        for number in [0, 2] {
            outbox.confirmed(number).unwrap();
        }
        assert!(!outbox.resume(), "6 may be there yet");
        outbox.refused(6).unwrap();
        assert!(outbox.resume());
        let next = [("4", false), ("8", false), ("10", false)].map(|(text, is_new)| (text.to_owned(), is_new));
        assert_eq!(handed_over(&mut outbox), next);
    }

    #[test]
    fn what_was_overtaken_and_all_of_its_topic_behind_it_goes_out_under_a_new_number() {
        let mut outbox = outbox();
        outbox.put_off(2);
        outbox.confirmed(4).unwrap();
        outbox.confirmed(5).unwrap();
        outbox.take_back();
        let next = handed_over(&mut outbox);
        let new: Vec<_> = next.iter().filter(|(_, is_new)| *is_new).map(|(text, _)| text.as_str()).collect();
        let all: Vec<_> = next.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(all, ["0", "1", "2", "3", "6", "7", "8", "9"]);
        assert_eq!(new, all, "both topics had earlier ones that were not confirmed");
    }

    #[test]
    fn what_was_not_overtaken_keeps_its_number() {
        let mut outbox = outbox();
        outbox.confirmed(0).unwrap();
        outbox.confirmed(1).unwrap();
        outbox.take_back();
        assert!(handed_over(&mut outbox).iter().all(|(_, is_new)| !is_new));
        assert_eq!(outbox.held, 0);
    }
}
