//! Recognizing messages that were stored twice.

use std::collections::{HashMap, VecDeque};

use crate::engine::ORIGIN;
use crate::message::Message;

/// The maximum number of publishers that are remembered for a topic; the one that was seen first is forgotten first.
const PUBLISHERS: usize = 1024;

/// The number of each publisher's last message, from the header [`ORIGIN`]. A message that was sent again may be stored twice,
/// with others in between; when the second is left out, each publisher's messages are in order.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    last: HashMap<Box<str>, u64>,
    /// In the order in which they were first seen.
    known: VecDeque<Box<str>>,
}

impl Origins {
    /// Returns whether the message is newer than its publisher's last one, or has no origin; remembers it.
    pub(crate) fn is_new(&mut self, message: &Message) -> bool {
        let Some((publisher, number)) = message.header(ORIGIN).and_then(parse) else { return true };
        if let Some(last) = self.last.get_mut(publisher) {
            let is_new = number > *last;
            *last = number.max(*last);
            return is_new;
        }
        if self.known.len() == PUBLISHERS
            && let Some(oldest) = self.known.pop_front()
        {
            self.last.remove(&oldest);
        }
        self.known.push_back(publisher.into());
        self.last.insert(publisher.into(), number);
        true
    }
}

/// Makes the header of a message: the hub's name, and the message's number.
pub(crate) fn origin(publisher: &str, number: u64) -> String {
    format!("{publisher}:{number}")
}

/// Parses the header. Returns `None` unless a hub has written it: other programs may use any form.
fn parse(origin: &str) -> Option<(&str, u64)> {
    let (publisher, number) = origin.split_once(':')?;
    let is_hub = publisher.len() == 16 && publisher.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((publisher, number.parse().ok()?)).filter(|_| is_hub)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(publisher: &str, number: u64) -> Message {
        let headers = [(ORIGIN.to_owned(), origin(publisher, number))];
        Message::new("a".parse().unwrap(), Vec::new().into()).with_headers(headers)
    }

    #[test]
    fn what_was_stored_twice_is_new_once() {
        let (one, other) = ("0123456789abcdef", "fedcba9876543210");
        let mut origins = Origins::default();
        let new = [(one, 1), (one, 2), (other, 1), (one, 1), (one, 2), (one, 3)]
            .map(|(who, number)| origins.is_new(&stored(who, number)));
        assert_eq!(new, [true, true, true, false, false, true]);
    }

    #[test]
    fn what_others_write_there_is_always_new() {
        let mut origins = Origins::default();
        let message =
            Message::new("a".parse().unwrap(), Vec::new().into()).with_headers([(ORIGIN.to_owned(), "order:7".to_owned())]);
        assert!(origins.is_new(&message) && origins.is_new(&message));
    }

    #[test]
    fn a_bounded_number_of_publishers_is_remembered() {
        let mut origins = Origins::default();
        for publisher in 0..5000 {
            origins.is_new(&stored(&format!("{publisher:016x}"), 1));
        }
        assert_eq!((origins.last.len(), origins.known.len()), (PUBLISHERS, PUBLISHERS));
    }
}
