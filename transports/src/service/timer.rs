//! A service that calls a function periodically.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{CallbackResult, Deferred, LoopingCall, Reactor, Result, Settled, defer, report_error};

use super::Service;

type Function = dyn FnMut() -> Settled<()>;

/// Calls a function at even intervals from its start to its stop, the first time right after the start.
///
/// The function's first error ends the calls, and is logged. A stop waits for the Deferred of a call that is under way.
pub struct TimerService {
    interval: Duration,
    function: Rc<RefCell<Function>>,
    running: RefCell<Option<(LoopingCall, Deferred<()>)>>,
}

impl TimerService {
    /// Makes a service that calls `function` every `interval`.
    #[must_use]
    pub fn new<R: CallbackResult<Value = ()>>(interval: Duration, mut function: impl FnMut() -> R + 'static) -> Self {
        let function = Rc::new(RefCell::new(move || function().settle()));
        Self { interval, function, running: RefCell::default() }
    }
}

impl Service for TimerService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        if self.running.borrow().is_some() {
            return Ok(());
        }
        let function = Rc::clone(&self.function);
        let looping = LoopingCall::new(reactor, move || (function.borrow_mut())());
        let name = self.name();
        let ended = looping.start(self.interval, true)?;
        let ended = ended.add_errback(move |failure| {
            report_error("timer service", format_args!("{name} failed and makes no more calls: {failure}"));
        });
        self.running.replace(Some((looping, ended)));
        Ok(())
    }

    fn stop_service(&self) -> Deferred<()> {
        let running = self.running.take();
        let Some((looping, ended)) = running else { return defer::succeed(()) };
        // An error means that it has ended by itself.
        looping.stop().ok();
        ended
    }

    fn name(&self) -> String {
        format!("the timer of {:?}", self.interval)
    }
}

impl fmt::Debug for TimerService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerService").field("interval", &self.interval).finish_non_exhaustive()
    }
}
