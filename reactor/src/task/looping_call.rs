//! A call that is made again and again.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::TaskError;
use crate::defer::{CallbackResult, Deferred, Failure, Firer, maybe_deferred};
use crate::reactor::Reactor;
use crate::reactor::delayed_call::DelayedCall;

/// Calls a function at even intervals; a cheap handle.
///
/// It keeps the phase of its start, however long a call takes, and skips the times that it missed
/// ([`with_count`](Self::with_count) says how many). If the function returns a Deferred, the next call waits for it.
/// Its first error ends the loop. As with every callback, calls come from the loop, the first one too: in Twisted that
/// one is made inside `start`.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use torsade::{Clock, LoopingCall};
///
/// let clock = Clock::new();
/// let calls = Rc::new(Cell::new(0));
/// let there = calls.clone();
/// let looping = LoopingCall::new(clock.reactor(), move || there.set(there.get() + 1));
/// let ended = looping.start(Duration::from_secs(10), true)?;
/// clock.pump([Duration::ZERO, Duration::from_secs(10), Duration::from_secs(10)]);
/// assert_eq!(calls.get(), 3);
/// looping.stop()?;
/// assert!(ended.into_result().expect("it has ended").is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct LoopingCall(Rc<Loop>);

type Function = Box<dyn FnMut(u64) -> Deferred<()>>;

struct Loop {
    reactor: Reactor,
    function: RefCell<Function>,
    /// Not called when no whole interval has passed since the last call.
    counting: bool,
    state: RefCell<State>,
    running: Cell<bool>,
}

#[derive(Default)]
struct State {
    interval: Duration,
    start: Duration,
    run_at_start: bool,
    last: Option<Duration>,
    call: Option<DelayedCall>,
    ended: Option<Firer<()>>,
}

impl LoopingCall {
    /// Makes a loop around `function`; [`start`](Self::start) starts it.
    #[must_use]
    pub fn new<R: CallbackResult<Value = ()>>(reactor: &Reactor, mut function: impl FnMut() -> R + 'static) -> Self {
        Self::make(reactor, false, Box::new(move |_| maybe_deferred(&mut function)))
    }

    /// The same with a function that is told how many intervals have passed since its last call.
    ///
    /// 1, unless calls were missed. When none has passed it is not called.
    #[doc(alias = "withCount")]
    #[must_use]
    pub fn with_count<R: CallbackResult<Value = ()>>(reactor: &Reactor, mut function: impl FnMut(u64) -> R + 'static) -> Self {
        Self::make(reactor, true, Box::new(move |count| maybe_deferred(|| function(count))))
    }

    fn make(reactor: &Reactor, counting: bool, function: Function) -> Self {
        Self(Rc::new(Loop {
            reactor: reactor.clone(),
            function: RefCell::new(function),
            counting,
            state: RefCell::default(),
            running: Cell::new(false),
        }))
    }

    /// Starts the loop: the first call is made in the next turn if `now`, else after one interval.
    ///
    /// The Deferred fires when the loop is stopped, and fails with the function's error. An interval of zero calls the
    /// function once every turn.
    ///
    /// # Errors
    /// [`TaskError::AlreadyRunning`], also after a [`stop`](Self::stop) until the call that was under way has ended.
    #[track_caller]
    pub fn start(&self, interval: Duration, now: bool) -> Result<Deferred<()>, TaskError> {
        if self.0.state.borrow().ended.is_some() {
            return Err(TaskError::AlreadyRunning);
        }
        self.0.running.set(true);
        let (deferred, ended) = Deferred::new();
        let start = self.0.time();
        self.0.state.replace(State { interval, start, run_at_start: now, last: None, call: None, ended: Some(ended) });
        if now {
            self.0.call_after(Duration::ZERO);
        } else {
            self.0.schedule_from(start);
        }
        Ok(deferred)
    }

    /// Stops the loop, and fires what [`start`](Self::start) has given; after the Deferred that a call waits for.
    ///
    /// # Errors
    /// [`TaskError::NotRunning`].
    pub fn stop(&self) -> Result<(), TaskError> {
        if !self.0.running.replace(false) {
            return Err(TaskError::NotRunning);
        }
        let call = self.0.state.borrow_mut().call.take();
        if let Some(call) = call {
            call.cancel().ok();
            self.0.end(Ok(()));
        }
        Ok(())
    }

    /// Begins a new interval now: the next call comes one interval from now. Nothing while a call waits.
    ///
    /// # Errors
    /// [`TaskError::NotRunning`].
    pub fn reset(&self) -> Result<(), TaskError> {
        if !self.0.running.get() {
            return Err(TaskError::NotRunning);
        }
        let call = self.0.state.borrow_mut().call.take();
        if let Some(call) = call {
            call.cancel().ok();
            let now = self.0.time();
            self.0.state.borrow_mut().start = now;
            self.0.schedule_from(now);
        }
        Ok(())
    }

    /// Whether it was started and neither stopped nor ended by an error.
    #[doc(alias = "running")]
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.running.get()
    }

    /// The interval it was last started with.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.0.state.borrow().interval
    }
}

impl Loop {
    /// The time, not that of the turn: the call itself may have taken long.
    fn time(&self) -> Duration {
        self.reactor.backend().now()
    }

    fn schedule_from(self: &Rc<Self>, when: Duration) {
        let delay = self.state.borrow().until_next(when);
        self.call_after(delay);
    }

    fn call_after(self: &Rc<Self>, delay: Duration) {
        let this = Rc::clone(self);
        let call = self.reactor.call_later(delay, move || this.call());
        self.state.borrow_mut().call = Some(call);
    }

    fn call(self: Rc<Self>) {
        let count = {
            let mut state = self.state.borrow_mut();
            state.call = None;
            state.count(self.reactor.now())
        };
        let result = if self.counting && count == 0 { crate::defer::succeed(()) } else { (self.function.borrow_mut())(count) };
        let told = result.add_both(move |result| match result {
            Ok(()) if self.running.get() => self.schedule_from(self.time()),
            result => {
                self.running.set(false);
                self.end(result);
            }
        });
        told.detach();
    }

    fn end(&self, result: Result<(), Failure>) {
        let ended = self.state.borrow_mut().ended.take();
        if let Some(ended) = ended {
            ended.fire(result);
        }
    }
}

impl State {
    fn until_next(&self, when: Duration) -> Duration {
        if self.interval.is_zero() {
            return Duration::ZERO;
        }
        let into = (when.saturating_sub(self.start)).as_nanos() % self.interval.as_nanos();
        // It is less than an interval, and every Duration of less than 584 years fits.
        self.interval.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX)))
    }

    /// How many intervals have passed since the last call.
    fn count(&mut self, now: Duration) -> u64 {
        if self.interval.is_zero() {
            return 1;
        }
        // Times before a reset's new start count backwards: what was missed before it is not forgotten.
        let interval = self.interval.as_nanos();
        let slot = |time: Duration| match time.checked_sub(self.start) {
            Some(since) => (since.as_nanos() / interval).cast_signed(),
            None => -((self.start - time).as_nanos() / interval).cast_signed(),
        };
        // The call at the start counts as one that was due.
        let last = self.last.map_or_else(|| -i128::from(self.run_at_start), slot);
        let passed = u64::try_from(slot(now) - last).unwrap_or(0);
        if passed > 0 {
            self.last = Some(now);
        }
        passed
    }
}

impl fmt::Debug for LoopingCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopingCall")
            .field("interval", &self.interval())
            .field("running", &self.is_running())
            .finish_non_exhaustive()
    }
}
