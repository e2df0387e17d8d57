//! Catching up: a listener that is behind fetches stored messages, page by page.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::Failure;

use super::{Core, later};
use crate::audience::Audience;
use crate::engine::{Page, Start};
use crate::error::EngineError;
use crate::listener::{Listener, Place, Target};
use crate::message::{Gap, Message, MessageId};

/// The number of stored messages that are fetched, and delivered, at a time.
const PAGE: usize = 100;

/// The maximum for [`Start::Last`], whose messages are fetched all at once.
const MOST: usize = 10_000;

impl Core {
    /// Lets the listeners that are behind catch up, from the loop.
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

    /// Fetches the next page for a listener that is behind. While the hub is disconnected this does nothing: the reconnect calls
    /// it again.
    fn fetch(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        let (Place::Behind(start), Some(topic)) = (listener.place(), audience.interest.pattern.topic()) else { return };
        if listener.has_ended() || !self.is_up() || !audience.is_subscribed.get() || !listener.begin_fetch() {
            return;
        }
        let most = if let Start::Last(count) = start { count.min(MOST) } else { PAGE };
        let reached = audience.position.get();
        let (core, audience, fetched) = (Rc::downgrade(self), Rc::downgrade(audience), Rc::clone(listener));
        let page = self.engine.fetch(&topic, start, most).add_both(move |page| {
            if let (Some(core), Some(audience)) = (core.upgrade(), audience.upgrade()) {
                core.fetched(&audience, &fetched, start, reached, page);
            }
            Ok(())
        });
        page.detach();
    }

    /// A page has arrived. `reached` is the audience's position when it was requested.
    fn fetched(
        self: &Rc<Self>,
        audience: &Rc<Audience>,
        listener: &Rc<Listener>,
        start: Start,
        reached: Option<MessageId>,
        page: Result<Page, Failure>,
    ) {
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                listener.end_fetch();
                if !EngineError::is_loss(&error) {
                    // It still gets new messages.
                    listener.tell(&Gap::Refused { why: error.to_string() }, &self.counters);
                    listener.caught_up();
                }
                return;
            }
        };
        if page.trimmed && !listener.is_stale() {
            let after = if let Start::After(id) = start { Some(id) } else { None };
            listener.tell(&Gap::Trimmed { after }, &self.counters);
        }
        if page.messages.is_empty() && audience.position.get() > reached {
            // The audience has got messages since, which may have been stored after the broker read this page.
            return self.fetch_next(audience, listener);
        }
        self.bring(audience, listener, page.messages.into());
    }

    /// Delivers fetched messages until a member's connection is full, so that at most one of them is queued; then continues with
    /// the rest, or with the next page.
    fn bring(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>, mut fetched: VecDeque<Message>) {
        if listener.is_stale() {
            // The broker has lost these messages meanwhile: starts over.
            listener.end_fetch();
            return self.fetch(audience, listener);
        }
        let mut last = None;
        for _ in 0..PAGE {
            if listener.has_ended() {
                return;
            }
            if last.is_some() && !listener.has_room() {
                break;
            }
            let Some(message) = fetched.pop_front() else { break };
            listener.catch_up(audience, &message, &self.counters);
            last = message.id();
        }
        let Some(last) = last else {
            listener.end_fetch();
            return listener.caught_up();
        };
        listener.came_to(last);
        if !fetched.is_empty() {
            let next = move |core: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>| {
                core.bring(audience, listener, fetched);
            };
            return self.when_it_has_room(audience, listener, next);
        }
        if Some(last) < audience.position.get() {
            self.fetch_next(audience, listener);
        } else {
            listener.end_fetch();
            listener.caught_up();
        }
    }

    /// Fetches the next page once there is room for it. Until then no other fetch begins for this listener.
    fn fetch_next(self: &Rc<Self>, audience: &Rc<Audience>, listener: &Rc<Listener>) {
        self.when_it_has_room(audience, listener, |core, audience, listener| {
            listener.end_fetch();
            core.fetch(audience, listener);
        });
    }

    /// Calls `go_on` in another turn; for a member, after its connection has sent everything.
    fn when_it_has_room(
        self: &Rc<Self>,
        audience: &Rc<Audience>,
        listener: &Rc<Listener>,
        go_on: impl FnOnce(&Rc<Self>, &Rc<Audience>, &Rc<Listener>) + 'static,
    ) {
        let (weak, seeker) = (Rc::downgrade(audience), Rc::downgrade(listener));
        let next = move |core: &Rc<Self>| {
            if let (Some(audience), Some(listener)) = (weak.upgrade(), seeker.upgrade()) {
                go_on(core, &audience, &listener);
            }
        };
        match &listener.target {
            Target::Function(_) => drop(later(self, Duration::ZERO, next)),
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
