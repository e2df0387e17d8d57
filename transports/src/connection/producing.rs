//! Telling a producer when to go on.

use std::rc::Rc;

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
        self.call_user(|transport| match call {
            Call::Pause => producer.borrow_mut().pause_producing(transport),
            Call::Resume => producer.borrow_mut().resume_producing(transport),
        });
        let mut state = self.state.borrow_mut();
        let silent = state.bytes_out == before;
        if let Some(registered) = state.producer_mut().filter(|registered| !registered.streaming) {
            registered.dry = silent;
        }
        drop(state);
        // A pull producer may have filled the output above the mark, and a push producer is told in the next turn.
        self.flush();
        let state = self.state.borrow();
        if state.producer_is_wanted() {
            self.wake(&state);
        }
    }
}

impl State {
    fn producer_mut(&mut self) -> Option<&mut super::state::RegisteredProducer> {
        if self.rare_if_any().is_some_and(|rare| rare.producer.is_some()) { self.rare().producer.as_mut() } else { None }
    }

    /// A pull producer is to be asked for more.
    pub(super) fn producer_is_wanted(&self) -> bool {
        let registered = self.rare_if_any().and_then(|rare| rare.producer.as_ref());
        !self.lost && self.output.is_empty() && registered.is_some_and(|registered| !registered.streaming && !registered.dry)
    }

    fn next_producer_call(&mut self) -> Option<(SharedProducer, Call)> {
        if self.lost || self.is_doomed() {
            return None;
        }
        let congested = self.is_congested();
        let wanted = self.producer_is_wanted();
        let registered = self.producer_mut()?;
        let call = if !registered.streaming {
            wanted.then_some(Call::Resume)?
        } else if congested == registered.paused {
            return None;
        } else {
            registered.paused = congested;
            if congested { Call::Pause } else { Call::Resume }
        };
        Some((Rc::clone(&registered.producer), call))
    }
}
