//! From the messages that a topic keeps to a listener that begins with them, page by page.

use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Failure;

use super::{Core, later};
use crate::audience::Audience;
use crate::engine::{Page, Start};
use crate::error::EngineError;
use crate::listener::{Listener, Place, Target};
use crate::message::{Gap, Message};

/// How many kept messages a listener is brought at a time.
const PAGE: usize = 100;

impl Core {
    /// Brings up those who are behind, from the loop.
    pub(super) fn bring_up_later(self: &Rc<Self>, audience: &Rc<Audience>) {
        let audience = Rc::downgrade(audience);
        later(self, Duration::ZERO, move |core| {
            if let Some(audience) = audience.upgrade() {
                core.bring_up(&audience);
            }
        });
    }

    pub(super) fn bring_up(self: &Rc<Self>, audience: &Rc<Audience>) {
        for listener in audience.behind() {
            self.fetch(audience, &listener);
        }
    }

    /// Asks for the next page of a listener that is behind; nothing while the connection is down, since its return asks again.
    fn fetch(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        let (Place::Behind(start), Some(topic)) = (listener.place(), audience.interest.pattern.topic()) else { return };
        if !self.is_up() || !audience.is_subscribed.get() || !listener.begin_fetch() {
            return;
        }
        let (core, audience, fetched) = (Rc::downgrade(self), Rc::downgrade(audience), Rc::clone(listener));
        let page = self.engine.fetch(&topic, start, PAGE).add_both(move |page| {
            fetched.end_fetch();
            if let (Some(core), Some(audience)) = (core.upgrade(), audience.upgrade()) {
                core.fetched(&audience, &fetched, start, page);
            }
            Ok(())
        });
        page.detach();
    }

    fn fetched(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>, start: Start, page: Result<Page, Failure>) {
        let page = match page {
            Ok(page) => page,
            Err(error) if matches!(error.downcast_ref(), Some(EngineError::Lost(_) | EngineError::Unreachable(_))) => return,
            Err(error) => {
                // It gets what comes, at least.
                listener.tell(&Gap::Refused { why: error.to_string() });
                listener.caught_up();
                return;
            }
        };
        if listener.has_ended() || listener.place() != Place::Behind(start) {
            return;
        }
        if page.trimmed {
            let after = if let Start::After(id) = start { Some(id) } else { None };
            listener.tell(&Gap::Trimmed { after });
        }
        for message in &page.messages {
            listener.catch_up(audience, message, &self.counters);
        }
        let last = page.messages.last().and_then(Message::id);
        match last {
            Some(last) if Some(last) < audience.position.get() => {
                listener.came_to(last);
                self.fetch_when_it_has_room(audience, listener);
            }
            Some(last) => {
                listener.came_to(last);
                listener.caught_up();
            }
            None => listener.caught_up(),
        }
    }

    /// Asks for the next page once a member's connection takes it.
    fn fetch_when_it_has_room(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        let (weak, seeker) = (Rc::downgrade(audience), Rc::downgrade(listener));
        let next = move |core: &Rc<Self>| {
            if let (Some(audience), Some(listener)) = (weak.upgrade(), seeker.upgrade()) {
                core.fetch(&audience, &listener);
            }
        };
        match &listener.target {
            // In the next turn, so that others have theirs.
            Target::Function(_) => later(self, Duration::ZERO, next),
            Target::Member(member) => {
                let core = Rc::downgrade(self);
                let room = member.transport().when_drained().add_both(move |room| {
                    if let (Some(core), Ok(())) = (core.upgrade(), room) {
                        later(&core, Duration::ZERO, next);
                    }
                    Ok(())
                });
                room.detach();
            }
        }
    }
}
