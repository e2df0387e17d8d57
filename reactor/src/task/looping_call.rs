//! Repeated calls.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::TaskError;
use crate::defer::{CallbackResult, Deferred, Failure, Firer, maybe_deferred};
use crate::reactor::Reactor;
use crate::reactor::delayed_call::DelayedCall;

/// Calls a function at regular intervals; a cheap handle.
///
/// Calls are due at whole intervals from the start, however long a call takes; missed ones are skipped
/// ([`with_count`](Self::with_count) reports how many). If the function returns a Deferred, the next call waits for it. The first
/// error ends the calls. Like all callbacks, calls come from the loop, including the first, which Twisted makes inside `start`.
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
    /// Whether the function is called only if a whole interval has passed since its last call.
    counting: bool,
    schedule: RefCell<Schedule>,
    running: Cell<bool>,
}

/// When calls are due, and the firer for the end.
#[derive(Default)]
struct Schedule {
    interval: Duration,
    start: Duration,
    run_at_start: bool,
    last: Option<Duration>,
    call: Option<DelayedCall>,
    ended: Option<Firer<()>>,
}

impl LoopingCall {
    /// Makes a looping call of `function`; [`start`](Self::start) starts it.
    #[must_use]
    pub fn new<R: CallbackResult<Value = ()>>(reactor: &Reactor, mut function: impl FnMut() -> R + 'static) -> Self {
        Self::make(reactor, false, Box::new(move |_| maybe_deferred(&mut function)))
    }

    /// The same, with the number of intervals since the last call passed to the function.
    ///
    /// It is 1 unless calls were missed. If it would be 0, the function is not called.
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
            schedule: RefCell::default(),
            running: Cell::new(false),
        }))
    }

    /// Starts the loop. The first call is made in the next turn if `now`, otherwise after one interval.
    ///
    /// The Deferred fires when the loop is stopped, and fails with the function's error. With an interval of zero the function is
    /// called once every turn.
    ///
    /// # Errors
    /// [`TaskError::AlreadyRunning`], also after [`stop`](Self::stop) until a call under way has ended.
    #[track_caller]
    pub fn start(&self, interval: Duration, now: bool) -> Result<Deferred<()>, TaskError> {
        if self.0.schedule.borrow().ended.is_some() {
            return Err(TaskError::AlreadyRunning);
        }
        self.0.running.set(true);
        let (deferred, ended) = Deferred::new();
        let start = self.0.time();
        self.0.schedule.replace(Schedule { interval, start, run_at_start: now, last: None, call: None, ended: Some(ended) });
        if now {
            self.0.call_after(Duration::ZERO);
        } else {
            self.0.schedule_from(start);
        }
        Ok(deferred)
    }

    /// Stops the calls, and fires the Deferred that [`start`](Self::start) returned once a call under way has ended.
    ///
    /// # Errors
    /// [`TaskError::NotRunning`].
    pub fn stop(&self) -> Result<(), TaskError> {
        if !self.0.running.replace(false) {
            return Err(TaskError::NotRunning);
        }
        let call = self.0.schedule.borrow_mut().call.take();
        if let Some(call) = call {
            call.cancel().ok();
            self.0.end(Ok(()));
        }
        Ok(())
    }

    /// Restarts the interval: the next call is due one interval from now. Does nothing while a call waits for a Deferred.
    ///
    /// # Errors
    /// [`TaskError::NotRunning`].
    pub fn reset(&self) -> Result<(), TaskError> {
        if !self.0.running.get() {
            return Err(TaskError::NotRunning);
        }
        let call = self.0.schedule.borrow_mut().call.take();
        if let Some(call) = call {
            call.cancel().ok();
            let now = self.0.time();
            self.0.schedule.borrow_mut().start = now;
            self.0.schedule_from(now);
        }
        Ok(())
    }

    /// Returns whether it was started and neither stopped nor ended by an error.
    #[doc(alias = "running")]
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.running.get()
    }

    /// The interval of the last start.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.0.schedule.borrow().interval
    }
}

impl Loop {
    /// The current time, not that of the turn: the call itself may have taken long.
    fn time(&self) -> Duration {
        self.reactor.backend().now()
    }

    fn schedule_from(self: &Rc<Self>, when: Duration) {
        let delay = self.schedule.borrow().until_next(when);
        self.call_after(delay);
    }

    fn call_after(self: &Rc<Self>, delay: Duration) {
        let this = Rc::clone(self);
        let call = self.reactor.call_later(delay, move || this.call());
        self.schedule.borrow_mut().call = Some(call);
    }

    fn call(self: Rc<Self>) {
        let count = {
            let mut schedule = self.schedule.borrow_mut();
            schedule.call = None;
            schedule.count(self.reactor.now())
        };
        let result = if self.counting && count == 0 { crate::defer::succeed(()) } else { (self.function.borrow_mut())(count) };
        let reported = result.add_both(move |result| match result {
            Ok(()) if self.running.get() => self.schedule_from(self.time()),
            result => {
                self.running.set(false);
                self.end(result);
            }
        });
        reported.detach();
    }

    fn end(&self, result: Result<(), Failure>) {
        let ended = self.schedule.borrow_mut().ended.take();
        if let Some(ended) = ended {
            ended.fire(result);
        }
    }
}

impl Schedule {
    fn until_next(&self, when: Duration) -> Duration {
        if self.interval.is_zero() {
            return Duration::ZERO;
        }
        let into = (when.saturating_sub(self.start)).as_nanos() % self.interval.as_nanos();
        // Less than an interval, so it fits unless the interval is longer than 584 years.
        self.interval.saturating_sub(Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX)))
    }

    /// The number of intervals since the last call.
    fn count(&mut self, now: Duration) -> u64 {
        if self.interval.is_zero() {
            return 1;
        }
        // Times before a start that a reset has moved are negative, so that calls missed before it are counted.
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
