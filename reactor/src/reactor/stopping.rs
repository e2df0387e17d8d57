//! How a reactor ends: in order, at once, or without ever having run.

use std::cmp::Reverse;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use super::{Reactor, Stage};
use crate::backend::Signal;
use crate::defer::{CallbackResult, maybe_deferred};
use crate::error::ReactorError;
use crate::event_log::{Event, Subject};
use crate::panic::drop_quietly;
use crate::reactor::source::Source;
use crate::reactor::system_event::{Phase, SystemEvent, TriggerId};
use crate::report::report_error;

impl Reactor {
    /// Asks for an orderly stop.
    ///
    /// Nothing happens before this returns. Then, from the loop: triggers before shutdown, and what
    /// [`before_shutdown`](Self::before_shutdown) waits for; ports stop accepting and
    /// connections finish writing what was written, for at most [`set_stop_timeout`](Self::set_stop_timeout) (5 s), while
    /// the loop goes on turning; what is left is aborted, and the log says how many; every `connection_lost` comes with
    /// `Reason::ShuttingDown`; triggers during and after shutdown; `run` returns.
    ///
    /// # Errors
    /// [`ReactorError::NotRunning`] if it is not running or is stopping already.
    pub fn stop(&self) -> Result<(), ReactorError> {
        if self.0.stage.get() != Stage::Running || self.0.stop_requested.replace(true) {
            return Err(ReactorError::NotRunning);
        }
        self.nudge();
        Ok(())
    }

    /// Leaves the loop after this turn, with no shutdown event; connections stay as they are, and it can be run again.
    ///
    /// # Errors
    /// [`ReactorError::NotRunning`].
    pub fn crash(&self) -> Result<(), ReactorError> {
        if !self.is_running() {
            return Err(ReactorError::NotRunning);
        }
        self.0.stop_requested.set(false);
        self.0.hurried.set(false);
        self.0.stage.set(Stage::Idle);
        Ok(())
    }

    /// Sets how long [`stop`](Self::stop) waits for connections to finish writing; 5 seconds unless set.
    pub fn set_stop_timeout(&self, timeout: Duration) {
        self.0.stop_timeout.set(timeout);
    }

    /// Whether it waits for the calls before shutdown, finishes its connections, or has stopped. Nothing new is connected
    /// or listened to then.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        matches!(self.0.stage.get(), Stage::Preparing(_) | Stage::Finishing(_) | Stage::Stopped)
    }

    pub(super) fn advance_stop(&self) {
        match self.0.stage.get() {
            Stage::Running if self.0.stop_requested.get() => {
                self.fire(Phase::Before, SystemEvent::Shutdown);
                if !self.0.stop_requested.replace(false) {
                    // A trigger has crashed the reactor, which is the end of its stop as well.
                    return;
                }
                self.0.stage.set(Stage::Preparing(self.stop_deadline()));
                self.advance_stop();
            }
            Stage::Preparing(until) => {
                let waiting = self.0.before_shutdown.get();
                if waiting == 0 || self.0.timers.refresh() >= until {
                    if waiting > 0 {
                        log::warn!("stopping: {waiting} of the calls before shutdown have no result in time");
                    }
                    self.0.stage.set(Stage::Finishing(self.stop_deadline()));
                    self.call_all_sources(Source::shut_down);
                    self.advance_stop();
                }
            }
            Stage::Finishing(until) => {
                let left = self.0.sources.borrow().len();
                if left == 0 || self.0.timers.refresh() >= until {
                    self.end_stop(left);
                }
            }
            Stage::Idle | Stage::Running | Stage::Stopped => {}
        }
    }

    /// Until when the wait that begins now may take.
    fn stop_deadline(&self) -> Duration {
        if self.0.hurried.get() { Duration::ZERO } else { self.0.timers.refresh().saturating_add(self.0.stop_timeout.get()) }
    }

    pub(super) fn end_stop(&self, left: usize) {
        if left > 0 {
            log::warn!("stopping: {left} connections did not finish in time and are aborted");
        }
        self.call_all_sources(Source::abort);
        self.fire(Phase::During, SystemEvent::Shutdown);
        self.fire(Phase::After, SystemEvent::Shutdown);
        // From here on no call from a thread is taken, so that every one that was is made.
        for call in self.0.thread_calls.close() {
            self.run_thread_call(call);
        }
        self.0.stage.set(Stage::Stopped);
        self.clear();
    }

    /// Ends a reactor that does not run: connections are aborted, ports closed, delayed calls dropped.
    ///
    /// What belongs to a reactor holds it, so one that is dropped without having been [stopped](Self::stop) would keep
    /// its sockets open. After `stop` there is nothing left to do. It cannot be run again.
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`] while it runs, from a callback for instance: use [`stop`](Self::stop).
    #[doc(alias = "disconnectAll")]
    pub fn disconnect_all(&self) -> Result<(), ReactorError> {
        if self.is_running() || self.0.timers.in_turn.get() {
            return Err(ReactorError::AlreadyRunning);
        }
        self.dismantle();
        Ok(())
    }

    /// Ends the reactor wherever it stands: connections are aborted, and nothing that it holds is left.
    pub(crate) fn dismantle(&self) {
        // During a panic no more of the program's code is run: it may be what panicked.
        if self.0.stage.get() != Stage::Stopped && !thread::panicking() {
            self.call_all_sources(Source::abort);
        }
        self.discard();
    }

    /// Ends the reactor as if its process were gone: nothing is called any more, only dropped.
    pub(crate) fn discard(&self) {
        self.0.stage.set(Stage::Stopped);
        self.clear();
    }

    /// Whether it has stopped for good.
    pub(crate) fn has_stopped(&self) -> bool {
        self.0.stage.get() == Stage::Stopped
    }

    /// Whether one of its callbacks is running.
    pub(crate) fn is_in_turn(&self) -> bool {
        self.0.timers.in_turn.get()
    }

    /// Drops everything that may hold this reactor, so that nothing keeps itself alive.
    pub(crate) fn clear(&self) {
        let (calls, jobs) = (self.0.thread_calls.close(), self.0.awaited.borrow().len() + self.0.look_ups.asked_for());
        if calls.len() + jobs > 0 {
            log::warn!("dropped with the reactor: {} calls from threads, the results of {jobs} jobs", calls.len());
        }
        // One by one: a second panic while the first unwinds would abort the process.
        calls.into_iter().for_each(|call| drop_quietly("a call from a thread", call));
        self.0.timers.queue.take().into_runs().for_each(|call| drop_quietly("a delayed call", call));
        self.0.awaited.take().into_iter().for_each(|(_, done)| drop_quietly("what waited for a job", done));
        self.0.look_ups.clear();
        self.0.triggers.take().into_calls().for_each(|call| drop_quietly("a system event trigger", call));
        self.0.locals.take().into_values().for_each(|value| drop_quietly("what belongs to the reactor", value));
        let sources = self.0.sources.take().all();
        sources.into_iter().for_each(|(_, source)| drop_quietly("a connection or port", source));
        self.0.observers.clear();
    }

    /// Calls the youngest first, so that a source which stands on another, as TLS over a transport does, is called before that.
    fn call_all_sources(&self, call: fn(Rc<dyn Source>)) {
        self.begin_calls();
        let mut sources = self.0.sources.borrow().all();
        // The greater part of a token is its generation.
        sources.sort_by_key(|(token, _)| Reverse(token.to_usize()));
        for (token, source) in sources {
            self.call_source(token, source, call);
        }
    }

    pub(super) fn take_signal(&self, signal: Signal) {
        self.observe(|| Event::new(Subject::Reactor, "signal").with_reason(format!("{signal:?}")));
        let stopping = self.0.stop_requested.get();
        match self.0.stage.get() {
            Stage::Running if !stopping => {
                log::info!("received {signal:?}: stopping");
                self.0.stop_requested.set(true);
            }
            Stage::Running => self.hurry(signal),
            Stage::Preparing(_) => {
                self.hurry(signal);
                self.0.stage.set(Stage::Preparing(Duration::ZERO));
            }
            Stage::Finishing(_) => {
                self.hurry(signal);
                self.0.stage.set(Stage::Finishing(Duration::ZERO));
            }
            Stage::Idle | Stage::Stopped => {}
        }
    }

    /// The stop is to wait for nothing more, neither now nor in a wait that has not begun.
    fn hurry(&self, signal: Signal) {
        log::info!("received {signal:?} again: stopping at once");
        self.0.hurried.set(true);
    }

    /// Has `call` made before shutdown, and the shutdown wait for its result, at most the
    /// [stop timeout](Self::set_stop_timeout).
    ///
    /// Connections still stand, and the loop turns, while it waits. Such calls begin in the order in which they were added, and
    /// wait side by side. An error is logged.
    #[doc(alias = "addSystemEventTrigger")]
    pub fn before_shutdown<R: CallbackResult<Value = ()>>(&self, call: impl FnOnce() -> R + 'static) -> TriggerId {
        let waiting = Rc::clone(&self.0.before_shutdown);
        self.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || {
            waiting.set(waiting.get() + 1);
            let told = maybe_deferred(call).add_both(move |result| {
                waiting.set(waiting.get() - 1);
                if let Err(failure) = result {
                    report_error("before_shutdown", format_args!("a call before shutdown failed: {failure}"));
                }
            });
            told.detach();
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Ready;
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
