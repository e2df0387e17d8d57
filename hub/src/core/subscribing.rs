//! Subscribing and unsubscribing.

use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Deferred;

use super::{Core, later};
use crate::audience::Audience;
use crate::engine::{Interest, InterestId, Part, Start};
use crate::error::SubscribeError;
use crate::listener::{Listener, Target};
use crate::message::Gap;
use crate::subscriber::Subscription;
use crate::topic::Pattern;

impl Core {
    pub(crate) fn subscribe(
        self: &Rc<Self>,
        pattern: Pattern,
        group: Option<&str>,
        target: Target,
        start: Start,
    ) -> Result<Subscription, SubscribeError> {
        let keep = self.check_interest(&pattern, group, start)?;
        let start = if start == Start::Last(0) { Start::Next } else { start };
        let audience = self.audience(pattern, group.map(Rc::from), keep);
        let number = self.number();
        let (key, listener) = audience.add(Listener::new(number, target, start));
        let subscription = Subscription::new(Rc::downgrade(self), audience.id, key, number);
        if audience.is_subscribed.get() {
            self.bring_up_later(&audience);
        }
        if let Target::Member(member) = &listener.target {
            // The end of the connection ends the subscription, and the end of the subscription ends this task.
            let (ended, until) = Deferred::<()>::new();
            listener.fire_at_end(until);
            let leaving = Leaving(subscription.clone());
            member.transport().spawn(move |_| async move {
                let _leaving = leaving;
                ended.await.ok();
                Ok(())
            });
        }
        self.report_refused_later(&audience, &listener);
        Ok(subscription)
    }

    /// Tells a new listener that the broker has already refused its subscription, if it has.
    fn report_refused_later(self: &Rc<Self>, audience: &Audience, listener: &Rc<Listener>) {
        let Some(why) = audience.refused.borrow().clone() else { return };
        let listener = Rc::downgrade(listener);
        later(self, Duration::ZERO, move |core| {
            if let Some(listener) = listener.upgrade().filter(|listener| !listener.has_ended()) {
                listener.tell(&Gap::Refused { why }, &core.counters);
            }
        });
    }

    /// Checks a subscription; returns how many messages its topic keeps, if it is stored.
    fn check_interest(&self, pattern: &Pattern, group: Option<&str>, start: Start) -> Result<Option<u64>, SubscribeError> {
        if self.is_closed() {
            return Err(SubscribeError::Closed);
        }
        let topic = pattern.topic();
        let lacks = |part| self.engine.lacks(part).map_or(Ok(()), |lacks| Err(SubscribeError::Unsupported(lacks)));
        if topic.is_none() {
            lacks(Part::Wildcards)?;
        }
        if group.is_some() {
            lacks(Part::Groups)?;
        }
        // Patterns and groups get live messages only.
        let keep = topic.filter(|_| group.is_none()).and_then(|topic| self.settings.keep(&topic));
        if start != Start::Next && keep.is_none() {
            return Err(SubscribeError::Unsupported("only a stored topic (HubConfig::replay) can be replayed"));
        }
        Ok(keep)
    }

    /// Returns the audience for an interest; if it is new, subscribes at the engine.
    fn audience(&self, pattern: Pattern, group: Option<Rc<str>>, keep: Option<u64>) -> Rc<Audience> {
        let mut audiences = self.audiences.borrow_mut();
        let key = (pattern.clone(), group.clone());
        if let Some(audience) = audiences.by_interest.get(&key).and_then(|id| audiences.by_id.get(id)) {
            return Rc::clone(audience);
        }
        let id = InterestId(self.number());
        let audience = Rc::new(Audience::new(id, Interest { pattern, group, keep, after: None }));
        audiences.by_interest.insert(key, id);
        audiences.by_id.insert(id, Rc::clone(&audience));
        drop(audiences);
        if self.is_up() {
            self.engine.subscribe(id, &audience.interest);
        }
        audience
    }

    pub(crate) fn unsubscribe(&self, id: InterestId, key: usize, number: u64) {
        let Some(audience) = self.find(id) else { return };
        if !audience.remove(key, number) {
            return;
        }
        let mut audiences = self.audiences.borrow_mut();
        if audiences.by_id.remove(&id).is_none() {
            return;
        }
        audiences.by_interest.remove(&(audience.interest.pattern.clone(), audience.interest.group.clone()));
        drop(audiences);
        if self.is_up() {
            self.engine.unsubscribe(id);
        }
    }

    pub(super) fn find(&self, id: InterestId) -> Option<Rc<Audience>> {
        self.audiences.borrow().by_id.get(&id).cloned()
    }
}

/// Ends a member's subscription when it is dropped, right after its connection is lost.
struct Leaving(Subscription);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.unsubscribe();
    }
}
