//! Telling a producer when to go on.

use std::rc::Rc;

use torsade_protocols::spi::Consumers;
use torsade_reactor::spi::drop_quietly;

use super::StreamConnection;
use super::state::{SharedProducer, State};

/// What a producer is told next.
#[derive(Clone, Copy)]
enum Call {
    Pause,
    Resume,
}

impl StreamConnection {
    /// Makes at most one call to the producer.
    pub(super) fn drive_producer(self: &Rc<Self>) {
        let next = self.state.borrow_mut().next_producer_call();
        let Some((producer, call)) = next else { return };
        let before = self.state.borrow().bytes_out;
        match call {
            Call::Pause => self.call_user("pause_producing", |transport| producer.borrow_mut().pause_producing(transport)),
            Call::Resume => self.call_user("resume_producing", |transport| producer.borrow_mut().resume_producing(transport)),
        }
        let mut state = self.state.borrow_mut();
        let dry_at = (state.bytes_out == before).then_some(before);
        // It may have been replaced in the call, by one that has not been asked yet.
        if let Some(registered) = state.producer_mut()
            && Rc::ptr_eq(&registered.producer, &producer)
        {
            registered.dry_at = dry_at;
        }
        drop(state);
        // This is its end if it was unregistered in the call.
        drop_quietly("a producer", producer);
    }

    /// Nothing more is read here: whoever has this connection as its producer need not wait for it.
    pub(super) fn leave_consumers(&self) {
        let consumers = self.state.borrow_mut().take_spent_consumers();
        if let Some(consumers) = consumers {
            consumers.leave();
        }
    }
}

impl State {
    pub(super) fn take_spent_consumers(&mut self) -> Option<Consumers> {
        if self.rare_if_any()?.consumers.is_empty() || !(self.is_closing() || self.read_ended || self.lost) {
            return None;
        }
        let rare = self.rare();
        let consumers = std::mem::take(&mut rare.consumers);
        if let Some(producer) = &mut rare.producer {
            producer.relayed |= producer.transport.is_some_and(|id| consumers.contains(id));
        }
        Some(consumers)
    }

    fn producer_mut(&mut self) -> Option<&mut super::state::RegisteredProducer> {
        if self.rare_if_any().is_some_and(|rare| rare.producer.is_some()) { self.rare().producer.as_mut() } else { None }
    }

    /// The producer is to be told something.
    pub(super) fn producer_is_due(&self) -> bool {
        self.due_producer_call().is_some()
    }

    fn due_producer_call(&self) -> Option<Call> {
        if self.lost || self.is_doomed() {
            return None;
        }
        let registered = self.rare_if_any()?.producer.as_ref()?;
        if !registered.streaming {
            return (self.unsent() == 0 && registered.dry_at != Some(self.bytes_out)).then_some(Call::Resume);
        }
        let congested = self.is_congested();
        (congested != registered.paused).then_some(if congested { Call::Pause } else { Call::Resume })
    }

    fn next_producer_call(&mut self) -> Option<(SharedProducer, Call)> {
        let call = self.due_producer_call()?;
        let registered = self.producer_mut()?;
        registered.paused = matches!(call, Call::Pause);
        Some((Rc::clone(&registered.producer), call))
    }
}
