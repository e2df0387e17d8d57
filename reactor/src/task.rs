//! Work on the loop: `async` tasks, delayed results, repeated calls, and long work in slices.
//!
//! The counterpart of Twisted's `twisted.internet.task`. The executor is the loop itself: a task that was woken, by this thread
//! or another, is polled once, in step 7 of the turn, or of the next one if that step has begun.

mod cooperator;
mod executor;
mod group;
mod looping_call;

pub use cooperator::{CooperativeTask, Cooperator, TaskError};
pub(crate) use executor::Tasks;
pub use group::TaskGroup;
pub use looping_call::LoopingCall;

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::defer::{CallbackResult, Deferred, DeferredHandle, Failure, Firer};
use crate::error::Result;
use crate::reactor::Reactor;
use crate::reactor::delayed_call::DelayedCall;

/// A future that runs on the loop; made by [`Reactor::spawn`].
///
/// Dropping it has no effect: the future runs to its end, and an error is logged. It can be awaited;
/// [`into_deferred`](Self::into_deferred) converts it to a Deferred, which takes callbacks.
pub struct Task<T: 'static>(Deferred<T>);

impl<T: 'static> Task<T> {
    pub(crate) const fn new(deferred: Deferred<T>) -> Self {
        Self(deferred)
    }

    /// Drops the future at whatever it awaits; the task then fails with `DeferredError::Cancelled`.
    ///
    /// A Deferred that it awaits is cancelled with it.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// A handle to cancel it.
    #[must_use]
    pub fn handle(&self) -> DeferredHandle {
        self.0.handle()
    }

    /// Converts it to a Deferred, which takes callbacks.
    pub fn into_deferred(self) -> Deferred<T> {
        self.0
    }
}

impl<T: 'static> Future for Task<T> {
    type Output = std::result::Result<T, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T: 'static> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Task").field(&self.0).finish()
    }
}

impl Reactor {
    /// Runs a future on the loop. It is first polled in this turn or the next, never during this call.
    ///
    /// It returns a `Result` or nothing. If it panics, only this task ends, with an error. An unhandled error is logged, with the
    /// location of this call. Tasks that are not done when the reactor has stopped are dropped.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::Clock;
    ///
    /// let clock = Clock::new();
    /// let reactor = clock.reactor().clone();
    /// let task = clock.spawn(async move {
    ///     reactor.sleep(Duration::from_secs(5)).await?;
    ///     Ok(reactor.now().as_secs())
    /// });
    /// clock.turn();
    /// clock.advance(Duration::from_secs(5));
    /// assert_eq!(task.into_deferred().into_result().expect("it is done").expect("without an error"), 5);
    /// ```
    #[doc(alias = "fromCoroutine")]
    #[doc(alias = "ensureDeferred")]
    #[doc(alias = "inlineCallbacks")]
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> Task<<F::Output as CallbackResult>::Value>
    where
        F: Future + 'static,
        F::Output: CallbackResult,
    {
        Task::new(executor::spawn(self, future))
    }

    /// Like [`spawn`](Self::spawn), for a future with a specific error type, such as `io::Error`.
    ///
    /// It is separate because if `spawn` took any error type, the compiler could not infer the one that `Ok(())` at the end of an
    /// `async` block leaves open.
    ///
    /// # Examples
    /// ```
    /// use std::io;
    /// use torsade::Clock;
    ///
    /// let clock = Clock::new();
    /// let task = clock.spawn_result(async { Err::<(), _>(io::Error::other("no such file")) });
    /// clock.turn();
    /// let error = task.into_deferred().into_result().expect("it is done").expect_err("it has failed");
    /// assert!(error.downcast_ref::<io::Error>().is_some());
    /// ```
    #[track_caller]
    pub fn spawn_result<T: 'static, E>(&self, future: impl Future<Output = std::result::Result<T, E>> + 'static) -> Task<T>
    where
        E: Into<Box<dyn Error>>,
    {
        self.spawn(async move { future.await.map_err(Into::into) })
    }

    /// Runs a future on the loop whose result is not needed: [`spawn`](Self::spawn) without the `Task`, and cheaper.
    ///
    /// For the executors of other libraries, such as hyper's. A panic ends the task, and is logged with the location of this
    /// call.
    #[track_caller]
    pub fn execute(&self, future: impl Future<Output = ()> + 'static) {
        executor::execute(self, future);
    }

    /// Runs the loop until `future` is done, then stops gracefully, and returns the future's result.
    ///
    /// # Errors
    /// The future's; those of [`run`](Self::run); [`TaskError::Stopped`] if the reactor was stopped first, for example by a
    /// signal.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let slept = reactor.sleep(Duration::from_millis(1));
    /// let answer = reactor.run_until(async move {
    ///     slept.await?;
    ///     Ok(42)
    /// })?;
    /// assert_eq!(answer, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn run_until<F>(&self, future: F) -> Result<<F::Output as CallbackResult>::Value>
    where
        F: Future + 'static,
        F::Output: CallbackResult,
    {
        // Before the task is spawned, which could otherwise stop a reactor that is already running.
        self.check_startable()?;
        let ended = Rc::new(RefCell::new(None));
        let (there, reactor) = (Rc::clone(&ended), self.clone());
        let task = self.spawn(future);
        let handle = task.handle();
        let reported = task.into_deferred().add_both(move |result| {
            // Once the reactor has stopped or crashed, an error only means that the task was dropped; a value still counts.
            if reactor.is_running() || result.is_ok() {
                there.replace(Some(result));
                // On an error it is already stopping.
                reactor.stop().ok();
            }
        });
        reported.detach();
        let run = self.run();
        // After a crash the task would otherwise continue when the reactor is run again, and stop that run.
        handle.cancel();
        run?;
        let ended = ended.take();
        Ok(ended.ok_or(TaskError::Stopped)??)
    }

    /// Returns a Deferred that fires after `delay`. Cancelling it removes the timer.
    #[track_caller]
    pub fn sleep(&self, delay: Duration) -> Deferred<()> {
        let timer = Rc::new(RefCell::new(None));
        let there = Rc::clone(&timer);
        let (deferred, firer) = Deferred::with_canceller(move |_: Firer<()>| {
            let timer: Option<DelayedCall> = there.take();
            if let Some(timer) = timer {
                timer.cancel().ok();
            }
        });
        timer.replace(Some(self.call_later(delay, move || firer.callback(()))));
        deferred
    }

    /// Calls `function` after `delay`, and returns a Deferred of its result. If that is cancelled first, `function` is not
    /// called.
    #[doc(alias = "deferLater")]
    #[track_caller]
    pub fn defer_later<R: CallbackResult>(&self, delay: Duration, function: impl FnOnce() -> R + 'static) -> Deferred<R::Value> {
        self.sleep(delay).add_callback(move |()| crate::defer::maybe_deferred(function))
    }
}

/// Makes a reactor and runs the loop for an `async` main function, until it returns or the reactor is stopped.
///
/// When returned from `main`, an error makes the exit code 1.
///
/// # Errors
/// See [`Reactor::run_until`] and [`Reactor::new`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::{Result, react};
///
/// fn main() -> Result {
///     react(|reactor| async move {
///         reactor.sleep(Duration::from_millis(1)).await?;
///         Ok(())
///     })
/// }
/// ```
#[track_caller]
pub fn react<M, F>(main: M) -> Result<<F::Output as CallbackResult>::Value>
where
    M: FnOnce(Reactor) -> F,
    F: Future + 'static,
    F::Output: CallbackResult,
{
    let reactor = Reactor::new()?;
    let future = main(reactor.clone());
    reactor.run_until(future)
}
