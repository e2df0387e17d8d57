//! The handle of a timer.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::error::TimerError;
use crate::reactor::timer_queue::{CallId, Timers};

/// A call scheduled by [`Reactor::call_later`](crate::Reactor::call_later).
///
/// Dropping this handle has no effect: the call is still made.
#[doc(alias = "IDelayedCall")]
pub struct DelayedCall {
    timers: Rc<Timers>,
    id: CallId,
    cancelled: Cell<bool>,
}

impl DelayedCall {
    pub(crate) fn new(timers: Rc<Timers>, id: CallId) -> Self {
        Self { timers, id, cancelled: Cell::new(false) }
    }

    /// Cancels the call, in amortised O(1).
    ///
    /// # Errors
    /// [`TimerError::AlreadyCalled`], also inside the call itself; [`TimerError::AlreadyCancelled`].
    pub fn cancel(&self) -> Result<(), TimerError> {
        let call = self.timers.queue.borrow_mut().remove(self.id).ok_or_else(|| self.misuse())?;
        self.cancelled.set(true);
        // Dropped outside the borrow, because what the call holds may use the reactor.
        drop(call);
        Ok(())
    }

    /// Reschedules the call to `delay` after the beginning of this turn, sooner or later than before.
    ///
    /// Postponing a call costs next to nothing, so an idle timeout can be reset at every read.
    ///
    /// # Errors
    /// See [`DelayedCall::cancel`].
    pub fn reset(&self, delay: Duration) -> Result<(), TimerError> {
        self.move_to(self.timers.now().saturating_add(delay))
    }

    /// Postpones the call by `extra`.
    ///
    /// # Errors
    /// See [`DelayedCall::cancel`].
    pub fn delay(&self, extra: Duration) -> Result<(), TimerError> {
        let due = self.time().ok_or_else(|| self.misuse())?;
        self.move_to(due.saturating_add(extra))
    }

    /// When the call is due, on the clock of [`Reactor::now`](crate::Reactor::now); `None` once it is no longer active.
    #[doc(alias = "getTime")]
    #[must_use]
    pub fn time(&self) -> Option<Duration> {
        self.timers.queue.borrow().deadline(self.id)
    }

    /// Returns whether the call is still to be made.
    #[must_use]
    pub fn active(&self) -> bool {
        self.time().is_some()
    }

    fn move_to(&self, deadline: Duration) -> Result<(), TimerError> {
        if self.timers.queue.borrow_mut().set_deadline(self.id, deadline) {
            self.timers.nudge();
            Ok(())
        } else {
            Err(self.misuse())
        }
    }

    fn misuse(&self) -> TimerError {
        if self.cancelled.get() { TimerError::AlreadyCancelled } else { TimerError::AlreadyCalled }
    }
}

impl fmt::Debug for DelayedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelayedCall").field("due", &self.time()).finish_non_exhaustive()
    }
}
