//! Publishing: from the program to the engine or the outbox.

use std::rc::Rc;

use torsade_reactor::{Deferred, Failure, Firer, defer};

use super::{Core, Link};
use crate::engine::Part;
use crate::error::{EngineError, PublishError};
use crate::message::{MessageId, Publication};
use crate::origins::origin;
use crate::outbox::{Stored, Waiting};
use crate::settings::WhenDisconnected;
use crate::topic::Topic;

/// The maximum number of topics per login with a warning that the broker refuses messages on them.
const MOST_TOLD: usize = 100;

impl Core {
    pub(crate) fn publish(self: &Rc<Self>, topic: Topic, publication: Publication) -> Result<(), PublishError> {
        match self.settings.keep(&topic) {
            Some(keep) => self.store(topic, publication, keep, None),
            None => self.publish_live(topic, publication),
        }
        .inspect_err(|_| self.counters.refused.add(1))
    }

    pub(crate) fn publish_stored(self: &Rc<Self>, topic: Topic, publication: Publication) -> Deferred<MessageId> {
        let (deferred, firer) = Deferred::new();
        let Some(keep) = self.settings.keep(&topic) else {
            return defer::fail(PublishError::Unsupported("the topic is not stored: name it in HubConfig::replay"));
        };
        match self.store(topic, publication, keep, Some(firer)) {
            Ok(()) => deferred,
            Err(error) => {
                self.counters.refused.add(1);
                defer::fail(error)
            }
        }
    }

    fn publish_live(self: &Rc<Self>, topic: Topic, publication: Publication) -> Result<(), PublishError> {
        if !publication.headers.is_empty()
            && let Some(lacks) = self.engine.lacks(Part::Headers)
        {
            return Err(PublishError::Unsupported(lacks));
        }
        if !self.admit(&publication)? {
            return Ok(());
        }
        self.hand_over(Waiting::Live(topic, publication))
    }

    fn store(
        self: &Rc<Self>,
        topic: Topic,
        publication: Publication,
        keep: u64,
        firer: Option<Firer<MessageId>>,
    ) -> Result<(), PublishError> {
        if !self.admit(&publication)? {
            if let Some(firer) = firer {
                firer.errback(PublishError::Disconnected);
            }
            return Ok(());
        }
        self.hand_over(Waiting::Stored(Stored::new(topic, publication, keep, firer)))
    }

    /// Checks a publication; returns false if it is to be dropped because the broker is unreachable.
    fn admit(&self, publication: &Publication) -> Result<bool, PublishError> {
        publication.check(self.settings.max_payload.min(self.engine.max_payload()))?;
        match (self.link.get(), self.settings.when_disconnected) {
            (Link::Closed, _) => Err(PublishError::Closed),
            (Link::Down, WhenDisconnected::Refuse) => Err(PublishError::Disconnected),
            (Link::Down, WhenDisconnected::Drop) => {
                self.counters.dropped_disconnected.add(1);
                Ok(false)
            }
            _ => Ok(true),
        }
    }

    /// Sends a publication, or puts it into the outbox if the engine cannot take it now.
    fn hand_over(self: &Rc<Self>, waiting: Waiting) -> Result<(), PublishError> {
        let is_clear = self.is_up() && self.outbox.borrow().is_clear() && !self.engine.is_congested();
        // A stored publication stays in the outbox until it is confirmed, so it needs room in any case.
        let needs_room = !is_clear || matches!(waiting, Waiting::Stored(_));
        if needs_room && !self.outbox.borrow().has_room(&waiting) {
            return Err(PublishError::Full);
        }
        if is_clear {
            self.send(waiting);
        } else {
            self.outbox.borrow_mut().push(waiting);
        }
        Ok(())
    }

    /// Passes a publication to the engine.
    fn send(self: &Rc<Self>, waiting: Waiting) {
        match waiting {
            Waiting::Live(topic, publication) => {
                self.counters.published.add(1);
                self.engine.publish(&topic, &publication);
            }
            Waiting::Stored(mut stored) => {
                let number = *stored.number.get_or_insert_with(|| self.number());
                let origin = origin(&self.name, number);
                let answer = self.engine.store(&stored.topic, &stored.publication, &origin, stored.keep);
                self.outbox.borrow_mut().sent(stored);
                let core = Rc::downgrade(self);
                let told = answer.add_both(move |answer| {
                    if let Some(core) = core.upgrade() {
                        core.stored(number, answer);
                    }
                    Ok(())
                });
                told.detach();
            }
        }
    }

    fn stored(self: &Rc<Self>, number: u64, answer: Result<MessageId, Failure>) {
        let error = match answer {
            Ok(id) => {
                let stored = self.outbox.borrow_mut().confirmed(number);
                self.counters.published.add(1);
                if let Some(firer) = stored.and_then(|stored| stored.firer) {
                    firer.callback(id);
                }
                return self.go_on();
            }
            Err(failure) => failure,
        };
        if EngineError::is_loss(&error) {
            // It stays in the outbox, and is sent again.
            return;
        }
        if let Some(EngineError::NotNow(why)) = error.downcast_ref() {
            log::info!("hub: a message will be stored later: {why}");
            self.outbox.borrow_mut().put_off(number);
            return self.go_on();
        }
        let Some(stored) = self.outbox.borrow_mut().refused(number) else { return };
        match stored.firer {
            Some(firer) => {
                self.counters.refused.add(1);
                firer.fire(Err(error));
            }
            None => self.publication_refused(stored.topic.as_str(), &error.to_string()),
        }
        self.go_on();
    }

    /// An answer has arrived: sends what was put off, if it may be sent now.
    fn go_on(self: &Rc<Self>) {
        let goes_on = self.outbox.borrow_mut().resume();
        if goes_on { self.send_waiting() } else { self.drained() }
    }

    /// The broker has refused a publication without a Deferred: it is counted, and logged once per topic and login.
    pub(crate) fn publication_refused(&self, topic: &str, why: &str) {
        if !Topic::is_internal_name(topic) {
            self.counters.refused.add(1);
        }
        let mut told = self.told_refused.borrow_mut();
        if told.len() < MOST_TOLD && told.insert(topic.to_owned()) {
            log::warn!(
                "hub: the broker refuses messages on {topic}: {why}. If a permission is missing, give it to the user that the hub logs in as"
            );
        }
    }

    /// Sends what is in the outbox, until the engine is congested.
    pub(super) fn send_waiting(self: &Rc<Self>) {
        while self.is_up() && !self.engine.is_congested() {
            let Some(waiting) = self.outbox.borrow_mut().pop() else { break };
            self.send(waiting);
        }
        self.drained();
    }

    /// Fires when the outbox is empty; at once if the hub is disconnected.
    pub(super) fn when_drained(&self) -> Deferred<()> {
        if !self.is_up() || self.outbox.borrow().is_empty() {
            return defer::succeed(());
        }
        let (drained, firer) = Deferred::new();
        self.draining.borrow_mut().push(firer);
        drained
    }

    /// Fires the Deferreds of [`when_drained`](Self::when_drained) if the outbox is empty.
    fn drained(&self) {
        if self.outbox.borrow().is_empty() {
            for firer in self.draining.take() {
                firer.callback(());
            }
        }
    }
}
