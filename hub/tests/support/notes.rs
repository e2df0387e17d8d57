//! A subscriber that records what it gets: payloads as text, gaps as `(their text)`.
//!
//! A suite takes this file by `#[path = "../support/notes.rs"] mod notes;`.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::hub::{Gap, Message, Subscriber};
use torsade::prelude::*;

/// What was written down.
pub type Seen = Rc<RefCell<Vec<String>>>;

/// The subscriber; clones write into one list.
#[derive(Clone, Default)]
pub struct Notes(pub Seen);

/// An empty list, and the subscriber that writes into it.
pub fn notes() -> (Seen, Notes) {
    let notes = Notes::default();
    (Rc::clone(&notes.0), notes)
}

impl Subscriber for Notes {
    fn message_received(&mut self, message: &Message) -> Result {
        self.0.borrow_mut().push(String::from_utf8_lossy(message.payload()).into_owned());
        Ok(())
    }

    fn messages_missed(&mut self, gap: &Gap) -> Result {
        self.0.borrow_mut().push(format!("({gap})"));
        Ok(())
    }
}
