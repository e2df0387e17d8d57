//! One turn of the loop, whose steps [`Reactor::run`] lists.
//!
//! Guarantees of a turn:
//!
//! - **No turn is made within a turn**, so no callback is called inside another, and every step sees the state that the step
//!   before left: [`Reactor::iterate`] refuses.
//! - **Each step does what was queued when it began**; what its callbacks queue waits for the next turn. So no timer, thread or
//!   source can starve the others.
//! - **The loop never sleeps while something is queued**, and never past the next deadline ([`Reactor::next_deadline`]). What
//!   other threads queue wakes it.
//! - **Nothing is borrowed during a callback**, which may use the reactor in any way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Reactor, RunState};
use crate::error::{ReactorError, Result};
use crate::event_log::Subject;
use crate::task::Tasks;

/// How many sources that end the turn without a callback share one reading of the clock: most only write to a socket.
const LAP: usize = 64;

/// Whether the reactor's thread is in a turn, which checks for queued work before it sleeps.
///
/// It is set and read on that thread only; handles on other threads have it but do not read it.
#[derive(Clone, Default)]
pub(crate) struct InTurn(Arc<AtomicBool>);

impl InTurn {
    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, in_turn: bool) {
        self.0.store(in_turn, Ordering::Relaxed);
    }
}

impl Reactor {
    /// Makes one turn, waiting at most `max_wait`; with `None`, until there is something to do.
    ///
    /// A reactor that is not running ([`start_running`](Self::start_running)) does not wait: continue while
    /// [`is_running`](Self::is_running).
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`] inside a callback; an [`io::Error`] if the poll fails.
    pub fn iterate(&self, max_wait: Option<Duration>) -> Result {
        if self.0.timers.in_turn.get() {
            return Err(ReactorError::AlreadyRunning.into());
        }
        self.0.timers.in_turn.set(true);
        let result = self.turn(max_wait);
        self.0.timers.in_turn.set(false);
        self.0.backend.nudge();
        Ok(result?)
    }

    fn turn(&self, max_wait: Option<Duration>) -> io::Result<()> {
        self.0.turn.set(self.0.turn.get() + 1);
        self.run_thread_calls();
        self.run_due_calls();
        if self.0.run_state.get() != RunState::Running || self.0.stop_requested.get() {
            self.advance_stop();
            if !self.is_running() {
                return Ok(());
            }
        }
        self.wait(max_wait)?;
        let ready = self.0.sources.borrow().ready_count();
        self.0.ready.set(ready);
        for _ in 0..ready {
            let next = self.0.sources.borrow_mut().next_ready();
            if let Some((token, source, ready)) = next {
                self.call_source(token, source, |source| source.ready(ready));
            }
        }
        if self.0.thread_calls.take_tasks_woken() {
            self.run_tasks(ready > 0);
        }
        if self.0.sources.borrow().ending_count() > 0 {
            self.end_sources();
        }
        Ok(())
    }

    /// Step 8. Not inlined, because most turns have nothing to do here.
    #[inline(never)]
    fn end_sources(&self) {
        let mut ending = self.0.sources.borrow_mut().take_ending();
        for (number, token) in ending.drain(..).enumerate() {
            let source = self.0.sources.borrow_mut().next_ending(token);
            if let Some(source) = source {
                self.call_ending(token, source, number % LAP == LAP - 1);
            }
        }
        self.0.sources.borrow_mut().give_ending(ending);
    }

    /// Polls the tasks that were woken by now; `timed` if the last call has ended just now. Not inlined, because many programs
    /// have no tasks.
    #[inline(never)]
    pub(super) fn run_tasks(&self, timed: bool) {
        if !timed {
            self.begin_calls();
        }
        Tasks::of(self).run_woken(self);
    }

    fn run_due_calls(&self) {
        let before = {
            let queue = self.0.timers.queue.borrow();
            if queue.len() == 0 {
                return;
            }
            queue.next_sequence()
        };
        let now = self.0.timers.refresh();
        self.begin_calls();
        loop {
            let due = self.0.timers.queue.borrow_mut().pop_due(now, before);
            let Some((sequence, made, call)) = due else { break };
            self.dispatch("a delayed call", made, || Subject::Timer { sequence }, call);
        }
    }

    fn wait(&self, max_wait: Option<Duration>) -> io::Result<()> {
        let timeout = self.time_to_wait(max_wait);
        let mut wakeups = self.0.wakeups.borrow_mut();
        self.0.backend.poll(timeout, &mut wakeups)?;
        self.0.timers.expire();
        let mut sources = self.0.sources.borrow_mut();
        for (token, ready) in wakeups.ready.drain(..) {
            sources.mark_ready(token, ready);
        }
        drop(sources);
        if !wakeups.signals.is_empty() {
            let signals = std::mem::take(&mut wakeups.signals);
            drop(wakeups);
            signals.into_iter().for_each(|signal| self.take_signal(signal));
        }
        Ok(())
    }

    fn time_to_wait(&self, max_wait: Option<Duration>) -> Option<Duration> {
        if self.is_queued() {
            return Some(Duration::ZERO);
        }
        if self.0.run_state.get() == RunState::Running && self.0.timers.queue.borrow().len() == 0 {
            return max_wait;
        }
        let Some(deadline) = self.next_deadline() else { return max_wait };
        // Read the clock again: the callbacks of this turn may have taken long.
        let until = deadline.saturating_sub(self.0.timers.refresh());
        Some(max_wait.map_or(until, |wait| wait.min(until)))
    }

    /// Returns whether something is queued for the next turn, which must then not wait.
    pub(crate) fn is_queued(&self) -> bool {
        let sources = self.0.sources.borrow();
        let prepared = matches!(self.0.run_state.get(), RunState::Preparing(_)) && self.0.before_shutdown.get() == 0;
        sources.ready_count() + sources.ending_count() > 0
            || self.0.thread_calls.waiting()
            || self.0.thread_calls.tasks_woken()
            || self.0.stop_requested.get()
            || prepared
    }

    /// Tells the backend that something was queued; not needed within a turn, which checks anyway.
    pub(super) fn nudge(&self) {
        if !self.0.timers.in_turn.get() {
            self.0.backend.nudge();
        }
    }

    /// Returns whether a turn now would do something even if no socket is ready.
    pub(crate) fn wants_turn(&self) -> bool {
        let finished = matches!(self.0.run_state.get(), RunState::Finishing(_)) && self.0.sources.borrow().len() == 0;
        finished || self.is_queued() || self.next_deadline().is_some_and(|deadline| deadline <= self.0.backend.now())
    }

    /// When the reactor next has to check for something to do, on the clock of [`now`](Self::now).
    ///
    /// Never later than the next delayed call is due; earlier if that call was postponed.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let call = self.0.timers.queue.borrow_mut().next_deadline();
        let finishing = match self.0.run_state.get() {
            RunState::Preparing(until) | RunState::Finishing(until) => Some(until),
            _ => None,
        };
        [call, finishing].into_iter().flatten().min()
    }
}
