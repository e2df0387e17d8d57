//! How a reactor ends: gracefully, at once, or without having run.
//!
//! A graceful stop advances in step 4 of a turn, and the loop keeps running while it waits:
//!
//! | state | done on entering it | advances |
//! ---|---|---|
//! | `Running`, asked to stop | nothing | in the next turn |
//! | `Preparing(until)` | triggers before shutdown are called | when the Deferreds of [`Reactor::before_shutdown`] have fired, or at `until` |
//! | `Finishing(until)` | sources are told to shut down | when no source is left, or at `until` |
//! | `Stopped` | sources are aborted; triggers during and after shutdown and queued thread calls are called | never |
//!
//! So each connection gets its `connection_lost` before the reactor has stopped, every trigger runs once, and no wait exceeds the
//! stop timeout. A second signal moves the deadline of every wait to now.

use std::cmp::Reverse;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::{Reactor, RunState};
use crate::defer::{CallbackResult, maybe_deferred};
use crate::error::ReactorError;
use crate::reactor::source::Source;
use crate::reactor::system_event::{Phase, SystemEvent, TriggerId};
use crate::report::drop_quietly;
use crate::report::report_error;

impl Reactor {
    /// Requests a graceful stop.
    ///
    /// Nothing happens before this returns. Then, from the loop:
    ///
    /// 1. Triggers before shutdown are called, and what [`before_shutdown`](Self::before_shutdown) began is waited for.
    /// 2. Ports stop accepting, and connections finish writing, for at most [`set_stop_timeout`](Self::set_stop_timeout) (default
    ///    5 s), while the loop keeps running.
    /// 3. What is left is aborted, and the log says how many.
    /// 4. Triggers during and after shutdown are called, and `run` returns.
    ///
    /// Every `connection_lost` has `Reason::ShuttingDown`.
    ///
    /// # Errors
    /// [`ReactorError::NotRunning`] if it is not running or is already stopping.
    pub fn stop(&self) -> Result<(), ReactorError> {
        if self.0.run_state.get() != RunState::Running || self.0.stop_requested.replace(true) {
            return Err(ReactorError::NotRunning);
        }
        self.nudge();
        Ok(())
    }

    /// Leaves the loop after this turn, without a shutdown event. Connections stay as they are, and the reactor can be run again.
    ///
    /// # Errors
    /// [`ReactorError::NotRunning`].
    pub fn crash(&self) -> Result<(), ReactorError> {
        if !self.is_running() {
            return Err(ReactorError::NotRunning);
        }
        self.0.stop_requested.set(false);
        self.0.hurried.set(false);
        self.0.run_state.set(RunState::Idle);
        Ok(())
    }

    /// Sets how long [`stop`](Self::stop) waits for connections to finish writing; default 5 s.
    pub fn set_stop_timeout(&self, timeout: Duration) {
        self.0.stop_timeout.set(timeout);
    }

    /// Returns whether the reactor is stopping or has stopped. It then neither connects nor listens.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        matches!(self.0.run_state.get(), RunState::Preparing(_) | RunState::Finishing(_) | RunState::Stopped)
    }

    pub(super) fn advance_stop(&self) {
        match self.0.run_state.get() {
            RunState::Running if self.0.stop_requested.get() => {
                self.fire(Phase::Before, SystemEvent::Shutdown);
                if !self.0.stop_requested.replace(false) {
                    // A trigger crashed the reactor, which also ends the stop.
                    return;
                }
                self.0.run_state.set(RunState::Preparing(self.stop_deadline()));
                self.advance_stop();
            }
            RunState::Preparing(until) => {
                let waiting = self.0.before_shutdown.get();
                if waiting == 0 || self.0.timers.refresh() >= until {
                    if waiting > 0 {
                        log::warn!(
                            "stopping: {waiting} of the calls before shutdown had no result in time; set_stop_timeout gives \
                             them longer"
                        );
                    }
                    self.0.run_state.set(RunState::Finishing(self.stop_deadline()));
                    self.call_all_sources(Source::shut_down);
                    self.advance_stop();
                }
            }
            RunState::Finishing(until) => {
                let left = self.0.sources.borrow().len();
                if left == 0 || self.0.timers.refresh() >= until {
                    self.end_stop(left);
                }
            }
            RunState::Idle | RunState::Running | RunState::Stopped => {}
        }
    }

    /// The deadline of a wait that begins now.
    fn stop_deadline(&self) -> Duration {
        if self.0.hurried.get() { Duration::ZERO } else { self.0.timers.refresh().saturating_add(self.0.stop_timeout.get()) }
    }

    pub(super) fn end_stop(&self, left: usize) {
        if left > 0 {
            log::warn!("stopping: {left} connections did not finish in time and are aborted; set_stop_timeout gives them longer");
        }
        self.call_all_sources(Source::abort);
        self.fire(Phase::During, SystemEvent::Shutdown);
        self.fire(Phase::After, SystemEvent::Shutdown);
        // From here on calls from threads are refused; every accepted one is made.
        for call in self.0.thread_calls.close() {
            self.run_thread_call(call);
        }
        if self.0.thread_calls.take_tasks_woken() {
            self.run_tasks(false);
        }
        self.0.run_state.set(RunState::Stopped);
        self.clear();
    }

    /// Ends a reactor that is not running: connections are aborted, ports closed, delayed calls dropped.
    ///
    /// Everything in a reactor holds it, so one that is dropped without having been [stopped](Self::stop) would keep its sockets
    /// open. After `stop` there is nothing to do. The reactor cannot be run again.
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`] while it runs, for example in a callback: use [`stop`](Self::stop).
    #[doc(alias = "removeAll")]
    #[doc(alias = "disconnectAll")]
    pub fn disconnect_all(&self) -> Result<(), ReactorError> {
        if self.is_running() || self.0.timers.in_turn.get() {
            return Err(ReactorError::AlreadyRunning);
        }
        self.dismantle();
        Ok(())
    }

    /// Ends the reactor in any state: connections are aborted, and everything it holds is dropped.
    pub(crate) fn dismantle(&self) {
        // During a panic no user code is called: it may be what panicked.
        if self.0.run_state.get() != RunState::Stopped && !thread::panicking() {
            self.call_all_sources(Source::abort);
        }
        self.discard();
    }

    /// Ends the reactor as if its process were gone: drops everything and calls nothing.
    pub(crate) fn discard(&self) {
        self.0.run_state.set(RunState::Stopped);
        self.clear();
    }

    /// Returns whether the sources were told to end: none is added any more.
    #[cfg(unix)]
    pub(super) fn is_ending(&self) -> bool {
        matches!(self.0.run_state.get(), RunState::Finishing(_) | RunState::Stopped)
    }

    /// Returns whether it has stopped for good.
    pub(crate) fn has_stopped(&self) -> bool {
        self.0.run_state.get() == RunState::Stopped
    }

    /// Returns whether one of its callbacks is running.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.0.timers.in_turn.get()
    }

    /// Drops everything that may hold this reactor, to break cycles.
    pub(crate) fn clear(&self) {
        let (calls, jobs) = (self.0.thread_calls.close(), self.0.awaited.borrow().len() + self.0.look_ups.asked_for());
        if calls.len() + jobs > 0 {
            log::warn!("dropped with the reactor: {} calls from threads, the results of {jobs} jobs", calls.len());
        }
        // One at a time, because a panic during unwinding would abort the process.
        calls.into_iter().for_each(|call| drop_quietly("a call from a thread", call));
        self.0.timers.queue.take().into_runs().for_each(|call| drop_quietly("a delayed call", call));
        self.0.awaited.take().into_iter().for_each(|(_, done)| drop_quietly("what waited for a job", done));
        self.0.look_ups.clear();
        self.0.signals.take().into_iter().for_each(|call| drop_quietly("a call for a signal", call));
        if let Err(error) = self.watch_signals() {
            log::debug!("restoring the signals failed: {error}");
        }
        self.0.triggers.take().into_calls().for_each(|call| drop_quietly("a system event trigger", call));
        self.0.locals.take().into_values().for_each(|value| drop_quietly("what belongs to the reactor", value));
        let sources = self.0.sources.take().all();
        sources.into_iter().for_each(|(_, source)| drop_quietly("a connection or port", source));
        self.0.observers.clear();
    }

    /// Calls sources from youngest to oldest: one on top of another, such as TLS over a transport, is called before the one
    /// below. A source that leaves the table before its turn is not called.
    fn call_all_sources(&self, call: fn(Rc<dyn Source>)) {
        self.begin_calls();
        let mut tokens: Vec<_> = self.0.sources.borrow().all().into_iter().map(|(token, _)| token).collect();
        // The upper half of a token is its generation.
        tokens.sort_by_key(|token| Reverse(token.to_usize()));
        for token in tokens {
            self.call_for(token, call);
        }
    }

    /// Calls `call` before shutdown, and makes the shutdown wait for its result, for at most the [stop
    /// timeout](Self::set_stop_timeout).
    ///
    /// Meanwhile connections are still up, and the loop runs. Such calls are made in the order in which they were added, and are
    /// waited for together. An error is logged. If a task has to finish something before connections are told to close, return a
    /// Deferred that waits for it: waking the task is not enough.
    #[doc(alias = "addSystemEventTrigger")]
    pub fn before_shutdown<R: CallbackResult<Value = ()>>(&self, call: impl FnOnce() -> R + 'static) -> TriggerId {
        let waiting = Rc::clone(&self.0.before_shutdown);
        self.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || {
            waiting.set(waiting.get() + 1);
            let reported = maybe_deferred(call).add_both(move |result| {
                waiting.set(waiting.get() - 1);
                if let Err(failure) = result {
                    report_error("before_shutdown", format_args!("a call before shutdown failed: {failure}"));
                }
            });
            reported.detach();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Ready, Signal};
    use crate::defer::Deferred;
    use crate::worlds::simulated::clock::Clock;

    /// A connection that never finishes.
    struct Stuck;

    impl Source for Stuck {
        fn ready(self: Rc<Self>, _: Ready) {}
        fn end_of_turn(self: Rc<Self>) {}
        fn shut_down(self: Rc<Self>) {}
        fn abort(self: Rc<Self>) {}
    }

    #[test]
    fn a_second_signal_ends_every_wait() {
        let clock = Clock::new();
        let reactor = clock.reactor();
        let (never, _firer) = Deferred::<()>::new();
        reactor.add_source(Rc::new(Stuck));
        reactor.before_shutdown(move || never);
        reactor.take_signal(Signal::Terminate);
        clock.advance(Duration::ZERO);
        assert!(reactor.is_running(), "it waits for the call before shutdown");
        reactor.take_signal(Signal::Terminate);
        clock.advance(Duration::ZERO);
        assert!(!reactor.is_running());
    }

    #[test]
    fn two_signals_that_come_at_once_end_every_wait_too() {
        for signals in [[Signal::Interrupt; 2], [Signal::Interrupt, Signal::Terminate]] {
            let clock = Clock::new();
            let reactor = clock.reactor();
            let (never, _firer) = Deferred::<()>::new();
            reactor.add_source(Rc::new(Stuck));
            reactor.before_shutdown(move || never);
            signals.into_iter().for_each(|signal| reactor.take_signal(signal));
            clock.advance(Duration::ZERO);
            assert!(!reactor.is_running(), "{signals:?}");
        }
    }
}
