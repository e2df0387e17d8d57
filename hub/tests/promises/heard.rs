//! What subscribers have received, and what must hold for it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use torsade::hub::{Gap, Message, MessageId, Subscriber};
use torsade::prelude::*;

/// One call to a subscriber.
#[derive(Clone, Debug)]
pub enum Event {
    Message(Message),
    Missed(Gap),
}

/// The message that a test publishes to find out whether a subscription has begun. It is not recorded.
pub const GREETING: &str = "are you there?";

/// A subscriber that records its calls; clones share the record.
#[derive(Clone, Default)]
pub struct Heard(Rc<RefCell<Vec<Event>>>, Rc<Cell<u64>>);

impl Heard {
    pub fn messages(&self) -> Vec<Message> {
        self.0
            .borrow()
            .iter()
            .filter_map(|event| if let Event::Message(message) = event { Some(message.clone()) } else { None })
            .collect()
    }

    pub fn payloads(&self) -> Vec<String> {
        self.messages().iter().map(text).collect()
    }

    /// Returns the record from the event with this number on.
    pub fn payloads_from(&self, first: usize) -> Vec<String> {
        let events = self.0.borrow();
        events[first.min(events.len())..]
            .iter()
            .filter_map(|event| if let Event::Message(message) = event { Some(text(message)) } else { None })
            .collect()
    }

    pub fn ids(&self) -> Vec<MessageId> {
        self.messages().iter().map(|message| message.id().expect("the topic keeps its messages")).collect()
    }

    pub fn gaps(&self) -> Vec<Gap> {
        self.0.borrow().iter().filter_map(|event| if let Event::Missed(gap) = event { Some(gap.clone()) } else { None }).collect()
    }

    /// Returns the number of greetings.
    pub fn greetings(&self) -> u64 {
        self.1.get()
    }

    pub fn count(&self) -> usize {
        self.0.borrow().iter().filter(|event| matches!(event, Event::Message(_))).count()
    }

    pub fn has(&self, payload: &str) -> bool {
        self.0
            .borrow()
            .iter()
            .any(|event| matches!(event, Event::Message(message) if message.payload()[..] == *payload.as_bytes()))
    }

    /// Returns messages and gaps as text, gaps as `(their text)`.
    pub fn course(&self) -> Vec<String> {
        let events = self.0.borrow();
        let text = |event: &Event| match event {
            Event::Message(message) => text(message),
            Event::Missed(gap) => format!("({gap})"),
        };
        events.iter().map(text).collect()
    }

    /// Asserts that no [numbered](numbered) message arrived twice or out of order, and that a gap was reported wherever one is
    /// missing.
    ///
    /// `published` has the number of each publisher's messages: if the last ones are missing, a gap must have been reported at
    /// the end.
    pub fn check(&self, who: &str, published: &HashMap<String, u64>) {
        for (publisher, count) in published {
            let seen = self.holes(who, publisher);
            let untold = seen.before + seen.between;
            assert_eq!(untold, 0, "{who} missed messages of {publisher} and was not told: {:?}", self.course());
            assert!(seen.next <= *count, "{who} heard {publisher} {}, which nobody published", seen.next);
            assert!(seen.next == *count || seen.told, "{who} heard {} of {count} of {publisher}, and was not told", seen.next);
        }
    }

    /// Returns how many of a publisher's messages are missing between its first and last one, where no gap was reported.
    pub fn untold(&self, who: &str, publisher: &str) -> u64 {
        self.holes(who, publisher).between
    }

    fn holes(&self, who: &str, publisher: &str) -> Seen {
        let mut seen = Seen::default();
        for event in self.0.borrow().iter() {
            let Event::Message(message) = event else {
                seen.told = true;
                continue;
            };
            let (whose, number) = read(message);
            if whose == publisher {
                assert!(number >= seen.next, "{who} heard {publisher} {number} out of order or twice: {} was next", seen.next);
                let missing = if seen.told { 0 } else { number - seen.next };
                if seen.next == 0 {
                    seen.before = missing;
                } else {
                    seen.between += missing;
                }
                (seen.next, seen.told) = (number + 1, false);
            }
        }
        seen
    }

    /// Asserts that each stored message of a publisher arrived once and in order: all `count`, or all from the first one that
    /// arrived.
    pub fn check_kept(&self, who: &str, publisher: &str, count: u64, from_the_first: bool) {
        let messages = self.messages();
        assert!(messages.windows(2).all(|pair| pair[0].id() < pair[1].id()), "{who} heard ids out of order");
        let numbers: Vec<_> =
            messages.iter().map(read).filter(|(whose, _)| whose == publisher).map(|(_, number)| number).collect();
        let first = if from_the_first { 0 } else { numbers.first().copied().unwrap_or(count) };
        let expected: Vec<_> = (first..count).collect();
        assert!(numbers == expected, "{who} heard of {publisher} {numbers:?}");
        assert!(self.gaps().is_empty(), "{who} was told of gaps: {:?}", self.gaps());
    }
}

/// What was received from a publisher.
#[derive(Default)]
struct Seen {
    /// The number of its next message.
    next: u64,
    /// How many messages are missing before the first, and how many later, where no gap was reported.
    before: u64,
    between: u64,
    /// Whether a gap was reported after the last message.
    told: bool,
}

impl Subscriber for Heard {
    fn message_received(&mut self, message: &Message) -> Result {
        if message.payload()[..] == *GREETING.as_bytes() {
            self.1.set(self.1.get() + 1);
        } else {
            self.0.borrow_mut().push(Event::Message(message.clone()));
        }
        Ok(())
    }

    fn messages_missed(&mut self, gap: &Gap) -> Result {
        self.0.borrow_mut().push(Event::Missed(gap.clone()));
        Ok(())
    }
}

/// The payload of a publisher's message with this number.
pub fn numbered(publisher: &str, number: u64) -> String {
    format!("{publisher} {number}")
}

/// Returns the publisher and the number of a message.
pub fn read(message: &Message) -> (String, u64) {
    let text = text(message);
    let (publisher, number) = text.split_once(' ').expect("a numbered message");
    (publisher.to_owned(), number.parse().expect("a number"))
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.payload()).into_owned()
}
