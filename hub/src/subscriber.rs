//! Subscribers and subscriptions.

use std::fmt;
use std::rc::Weak;

use torsade_reactor::Result;

use crate::core::Core;
use crate::engine::InterestId;
use crate::message::{Gap, Message};

/// Receives the messages of a subscription. A closure `FnMut(&Message) -> Result` is a subscriber that ignores gaps.
///
/// Both methods are called from the loop, never from inside a method of the hub, and may use the hub freely. Errors and panics
/// are reported ([`report_error`](torsade_reactor::report_error)); the subscription continues.
pub trait Subscriber {
    /// Called for each message.
    ///
    /// # Errors
    /// Any error is reported.
    fn message_received(&mut self, message: &Message) -> Result;

    /// Called when messages may be missing between the last one and the next. The default logs it.
    ///
    /// # Errors
    /// Any error is reported.
    fn messages_missed(&mut self, gap: &Gap) -> Result {
        log::info!("a subscriber that ignores gaps has one: {gap}");
        Ok(())
    }
}

impl<F: FnMut(&Message) -> Result> Subscriber for F {
    fn message_received(&mut self, message: &Message) -> Result {
        self(message)
    }
}

/// The subscription of a subscriber or a member; a cheap handle. Dropping it does not end the subscription.
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

    /// Ends the subscription: nothing more is delivered, and the queue of a member is dropped. Has no effect if it has ended.
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
