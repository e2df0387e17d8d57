//! How the loop calls out.
//!
//! Every call of the loop goes through here. This guarantees that a panic ends only the source or call in which it happened, and
//! that a call that holds up the loop is reported by name. A source catches the panics of its protocol's callbacks itself; panics
//! of other user code, such as a factory or an error that panics when dropped, are caught here.

use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use super::Reactor;
use crate::backend::Token;
use crate::event_log::{Event, Subject};
use crate::panic::{Panic, catch, caught_within};
use crate::reactor::source::Source;
use crate::report::{drop_quietly, report_error};

/// The default time a call may take, as in asyncio's debug mode.
const SLOW: Duration = Duration::from_millis(100);

/// The current call, and how long it may take.
pub(super) struct Calls {
    /// The source being called.
    token: Cell<Option<Token>>,
    /// That source, if it has left the table during the call.
    left: RefCell<Option<Rc<dyn Source>>>,
    /// The callback being timed, if any.
    callback: Cell<Option<&'static str>>,
    slow: Cell<Duration>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { token: Cell::new(None), left: RefCell::default(), callback: Cell::new(None), slow: Cell::new(SLOW) }
    }
}

impl Reactor {
    /// Sets how long a callback may hold up the loop before it is reported; default 100 ms, `Duration::MAX` for never.
    ///
    /// The report, at level `error`, names the connection, the callback and the time, and is made when the callback has returned.
    /// Nothing else can happen on this thread meanwhile: use [`defer_to_thread`](Self::defer_to_thread) for blocking work and
    /// [`Cooperator`](crate::Cooperator) for long computations. In a simulated world callbacks take no time. From 50 ms on the
    /// time is that of Linux's coarse clock, which usually advances in steps of 4 ms.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::Reactor;
    ///
    /// let reactor = Reactor::new()?;
    /// reactor.set_slow_callback_duration(Duration::from_secs(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn set_slow_callback_duration(&self, duration: Duration) {
        self.0.calls.slow.set(duration);
        // Restart the measurement, with the clock for this limit.
        self.0.backend.lap(duration);
    }

    /// Makes a call for the source under `token`, from inside a call of another source or of a timer: a panic in it ends that
    /// source, and its time counts as that source's. Does nothing if the source has left the table.
    pub fn call_for(&self, token: Token, call: impl FnOnce(Rc<dyn Source>)) {
        let source = self.0.sources.borrow().get(token);
        if let Some(source) = source {
            if !self.is_in_turn() {
                // The time so far was not spent in a callback.
                self.begin_calls();
            }
            self.call_source(token, source, call);
        }
    }

    /// Calls a source.
    pub(super) fn call_source(&self, token: Token, source: Rc<dyn Source>, call: impl FnOnce(Rc<dyn Source>)) {
        self.call_timed(token, source, true, call);
    }

    /// Lets a source end the turn. If that makes no callback, its time may count towards the next one.
    pub(super) fn call_ending(&self, token: Token, source: Rc<dyn Source>, timed: bool) {
        self.call_timed(token, source, timed, Source::end_of_turn);
    }

    #[inline]
    fn call_timed(&self, token: Token, source: Rc<dyn Source>, timed: bool, call: impl FnOnce(Rc<dyn Source>)) {
        let calls = &self.0.calls;
        if calls.callback.get().is_some() {
            self.end_callback_before();
        }
        let outer = calls.token.replace(Some(token));
        let called = catch(|| {
            call(source);
            if timed || calls.callback.get().is_some() {
                self.end_callback();
            }
            if calls.left.borrow().is_some() {
                // Dropped within `catch`, since what it holds, such as a factory, may panic.
                drop(calls.left.take());
            }
        });
        calls.token.set(outer);
        if let Err(panic) = called {
            self.lose_source(token, panic);
        }
    }

    /// A source panicked outside its own catching: it must leave the table.
    #[cold]
    fn lose_source(&self, token: Token, panic: Panic) {
        self.0.calls.callback.set(None);
        drop_quietly("a connection or port", self.0.calls.left.take());
        let source = self.0.sources.borrow().get(token);
        let Some(source) = source else {
            return report_error("drop", format_args!("what a connection or port left behind {panic}"));
        };
        report_error("drop", format_args!("{}: what it dropped {panic}", source.describe()));
        if let Err(panic) = catch(move || source.panicked(panic)) {
            report_error("drop", format_args!("what it left behind {panic}"));
            let removed = self.0.sources.borrow_mut().remove(token);
            drop_quietly("a connection or port", removed);
        }
    }

    /// Removes a source from the table: it is not called any more.
    #[doc(alias = "removeReader")]
    #[doc(alias = "removeWriter")]
    pub fn remove_source(&self, token: Token) {
        let removed = self.0.sources.borrow_mut().remove(token);
        self.nudge();
        if self.0.calls.token.get() == Some(token) {
            // Kept until its call has ended, so that what it holds is dropped there.
            let before = self.0.calls.left.replace(removed);
            drop(before);
        } else {
            // Outside the borrow: dropping a source drops what it holds, which may lead back here.
            drop(removed);
        }
    }

    /// Makes a call that belongs to no source, with an event for the observer, and catches its panic.
    pub(super) fn dispatch(&self, what: &'static str, made: Option<Made>, subject: impl Fn() -> Subject, call: impl FnOnce()) {
        self.observe(|| Event::new(subject(), "called"));
        if !self.call(what, made, call) {
            self.observe(|| Event::new(subject(), "panicked"));
        }
    }

    /// Makes a call that belongs to no source, and catches its panic. Returns false if there was one.
    pub(crate) fn call(&self, what: &'static str, made: Option<Made>, call: impl FnOnce()) -> bool {
        let called = catch(call);
        if let Err(panic) = &called {
            report_error(what, format_args!("{} {panic}", described(what, made)));
        }
        let callback = self.0.calls.callback.take();
        if let Some(took) = self.0.backend.lap(self.0.calls.slow.get()) {
            report_slow(&described(what, made), callback, took);
        }
        called.is_ok()
    }

    /// Starts measuring: the time until now belongs to no callback.
    pub(super) fn begin_calls(&self) {
        self.0.backend.lap(Duration::MAX);
    }

    /// Notes that a callback is about to be made; its name is reported if it takes long.
    #[inline]
    pub fn record_callback(&self, callback: &'static str) {
        if self.0.calls.callback.get().is_some() {
            self.end_callback_before();
        }
        self.0.calls.callback.set(Some(callback));
    }

    /// Most calls of a source make one callback; the clock is only read between two.
    #[cold]
    fn end_callback_before(&self) {
        self.end_callback();
    }

    /// A callback of the current source has returned, or a call of the source in which it made none.
    fn end_callback(&self) {
        let callback = self.0.calls.callback.take();
        if let Some(took) = self.0.backend.lap(self.0.calls.slow.get()) {
            self.report_slow_source(callback, took);
        }
    }

    #[cold]
    fn report_slow_source(&self, callback: Option<&'static str>, took: Duration) {
        let calls = &self.0.calls;
        let source = calls.token.get().and_then(|token| self.0.sources.borrow().get(token));
        let source = source.or_else(|| calls.left.borrow().clone());
        report_slow(&source.map_or_else(String::new, |source| source.describe()), callback, took);
    }

    /// Tells the observers of a callback that is about to be made; for code that dispatches callbacks.
    ///
    /// Without observers `event` is not called, and the only cost is checking a flag.
    #[inline]
    pub fn observe(&self, event: impl FnOnce() -> Event) {
        if self.0.observers.are_set() {
            self.notify_observers(event);
        }
    }

    #[cold]
    fn notify_observers(&self, event: impl FnOnce() -> Event) {
        self.0.observers.tell(&Event { turn: self.0.turn.get(), time: self.now(), ..event() });
    }
}

/// Where a call was scheduled.
type Made = &'static Location<'static>;

fn described(what: &str, made: Option<Made>) -> String {
    made.map_or_else(|| what.to_owned(), |made| format!("{what} made at {made}"))
}

#[cold]
fn report_slow(whose: &str, callback: Option<&'static str>, took: Duration) {
    if caught_within(took) {
        // The panic was already reported, and it was printing its backtrace that took the time.
        return;
    }
    let callback = callback.map_or_else(String::new, |callback| format!(": {callback}"));
    report_error("slow callback", format_args!("{whose}{callback} held up the loop for {took:.1?}"));
}
