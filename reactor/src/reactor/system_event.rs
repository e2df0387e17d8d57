//! Triggers: calls around the reactor's startup and shutdown.

/// When a trigger runs, relative to the event itself.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Phase {
    /// Before it happens: at shutdown, connections are still up, and what is written now is still sent.
    Before,
    /// While it happens.
    During,
    /// Once it has happened.
    After,
}

/// An event in the life of the reactor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SystemEvent {
    /// `run` begins.
    Startup,
    /// `stop` was called, or a signal asked for it.
    Shutdown,
}

/// Identifies a trigger, to remove it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TriggerId(u64);

struct Trigger {
    id: TriggerId,
    phase: Phase,
    event: SystemEvent,
    call: Box<dyn FnOnce()>,
}

/// The triggers in the order in which they were added.
#[derive(Default)]
pub(crate) struct Triggers {
    list: Vec<Trigger>,
    next: u64,
}

impl Triggers {
    pub(crate) fn add(&mut self, phase: Phase, event: SystemEvent, call: Box<dyn FnOnce()>) -> TriggerId {
        let id = TriggerId(self.next);
        self.next += 1;
        self.list.push(Trigger { id, phase, event, call });
        id
    }

    /// Removes a trigger. The caller drops it outside the borrow of the list, because that may lead back here.
    pub(crate) fn remove(&mut self, id: TriggerId) -> Option<Box<dyn FnOnce()>> {
        let index = self.list.iter().position(|trigger| trigger.id == id)?;
        Some(self.list.remove(index).call)
    }

    /// The calls of all triggers.
    pub(crate) fn into_calls(self) -> impl Iterator<Item = Box<dyn FnOnce()>> {
        self.list.into_iter().map(|trigger| trigger.call)
    }

    /// Takes the oldest trigger of this phase.
    pub(crate) fn take(&mut self, phase: Phase, event: SystemEvent) -> Option<Box<dyn FnOnce()>> {
        let index = self.list.iter().position(|trigger| trigger.phase == phase && trigger.event == event)?;
        Some(self.list.remove(index).call)
    }
}
