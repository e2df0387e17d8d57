//! Who gets the messages of a topic.

use std::fmt;
use std::rc::Weak;

use torsade_reactor::Result;

use crate::core::Core;
use crate::engine::InterestId;
use crate::message::{Gap, Message};

/// Gets the messages of a subscription; a closure `FnMut(&Message) -> Result` is one that is not told of gaps.
///
/// Both callbacks come from the loop, never from inside a method of the hub, and may use the hub freely. What they return as an error, and a
/// panic, is reported ([`report_error`](torsade_reactor::report_error)); the subscription goes on.
pub trait Subscriber {
    /// A message came.
    ///
    /// # Errors
    /// Any error is reported.
    fn message_received(&mut self, message: &Message) -> Result;

    /// Messages are missing between the last one and the next. By default it is logged.
    ///
    /// # Errors
    /// Any error is reported.
    fn messages_missed(&mut self, gap: &Gap) -> Result {
        log::info!("a subscriber that is not interested in gaps has one: {gap}");
        Ok(())
    }
}

impl<F: FnMut(&Message) -> Result> Subscriber for F {
    fn message_received(&mut self, message: &Message) -> Result {
        self(message)
    }
}

/// A subscriber's or a member's place in a topic; a cheap handle. Dropping it changes nothing.
#[derive(Clone)]
pub struct Subscription {
    core: Weak<Core>,
    id: InterestId,
    key: usize,
    number: u64,
}

impl Subscription {
    pub(crate) const fn new(core: Weak<Core>, id: InterestId, key: usize, number: u64) -> Self {
        Self { core, id, key, number }
    }

    /// Ends it: nothing more is delivered, what waits for a member is dropped. Nothing if it has ended.
    pub fn unsubscribe(&self) {
        if let Some(core) = self.core.upgrade() {
            core.unsubscribe(self.id, self.key, self.number);
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("number", &self.number).finish_non_exhaustive()
    }
}
