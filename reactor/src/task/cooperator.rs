//! Long work in slices, between which the loop serves other events.
//!
//! A [`Work`] is in the queue exactly while it may step: not while it is paused, while it waits for the Deferred of its last
//! step, or after it has ended. A slice takes steps from the queue in turn until its time is up. So all work proceeds, however
//! much there is, no step is re-entered, and the loop is held up for one slice a turn, or for one step if that takes longer.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::defer::{CallbackResult, Deferred, Failure, Firer, Settled};
use crate::panic::catch;
use crate::reactor::Reactor;
use crate::report::drop_quietly;

/// How long all tasks together may run in one turn, as in Twisted.
const SLICE: Duration = Duration::from_millis(10);

/// The most steps in one turn: virtual time does not advance, so a slice would never end.
const STEPS: usize = 1000;

/// Runs iterators concurrently, one step of each after the other, for at most 10 ms (or 1,000 steps) a turn; a cheap handle.
///
/// A step is one item: nothing, a `Result`, or a Deferred, for which the task then waits. Connections are served between slices,
/// however much work there is.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use torsade::{Clock, Cooperator};
///
/// let clock = Clock::new();
/// let sum = Rc::new(Cell::new(0));
/// let there = sum.clone();
/// let task = Cooperator::of(clock.reactor()).cooperate((1..=4).map(move |number| there.set(there.get() + number)));
/// let done = task.when_done();
/// clock.turn();
/// assert!(done.into_result().expect("it is done").is_ok());
/// assert_eq!(sum.get(), 10);
/// ```
#[derive(Clone)]
pub struct Cooperator(Rc<Slices>);

struct Slices {
    reactor: Reactor,
    runnable: RefCell<VecDeque<Rc<Work>>>,
    scheduled: Cell<bool>,
}

/// An iterator that a [`Cooperator`] runs; a cheap handle.
#[derive(Clone)]
pub struct CooperativeTask(Rc<Work>);

/// Makes one step; `None` at the end.
type Steps = Box<dyn FnMut() -> Option<Settled<()>>>;

struct Work {
    cooperator: Rc<Slices>,
    steps: RefCell<Option<Steps>>,
    /// How many times the user has paused it.
    paused: Cell<u32>,
    /// Whether the Deferred of the last step has not fired yet.
    waits: Cell<bool>,
    queued: Cell<bool>,
    ended: RefCell<Option<Result<(), Failure>>>,
    waiting: RefCell<Vec<Firer<()>>>,
}

impl Cooperator {
    /// The cooperator of this reactor.
    #[must_use]
    pub fn of(reactor: &Reactor) -> Self {
        let slices = reactor.local(|reactor| Slices {
            reactor: reactor.clone(),
            runnable: RefCell::default(),
            scheduled: Cell::new(false),
        });
        Self(slices)
    }

    /// Starts to run `iterator` in the next turn.
    pub fn cooperate<I>(&self, iterator: I) -> CooperativeTask
    where
        I: IntoIterator<Item: CallbackResult<Value = ()>>,
        I::IntoIter: 'static,
    {
        let mut iterator = iterator.into_iter();
        let steps: Steps = Box::new(move || iterator.next().map(CallbackResult::settle));
        let work = Rc::new(Work {
            cooperator: Rc::clone(&self.0),
            steps: RefCell::new(Some(steps)),
            paused: Cell::new(0),
            waits: Cell::new(false),
            queued: Cell::new(false),
            ended: RefCell::default(),
            waiting: RefCell::default(),
        });
        work.queue();
        CooperativeTask(work)
    }

    /// Runs `iterator` and returns a Deferred that fires when it is done.
    #[track_caller]
    pub fn coiterate<I>(&self, iterator: I) -> Deferred<()>
    where
        I: IntoIterator<Item: CallbackResult<Value = ()>>,
        I::IntoIter: 'static,
    {
        self.cooperate(iterator).when_done()
    }
}

impl CooperativeTask {
    /// Returns a Deferred that fires when the iterator has ended; it fails with the error of a step, or with
    /// [`TaskError::Stopped`].
    #[doc(alias = "whenDone")]
    #[track_caller]
    pub fn when_done(&self) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        let ended = self.0.ended.borrow().clone();
        match ended {
            Some(result) => firer.fire(result),
            None => self.0.waiting.borrow_mut().push(firer),
        }
        deferred
    }

    /// Makes no further steps until [`resume`](Self::resume) has been called equally often.
    ///
    /// # Errors
    /// [`TaskError::Done`] if it has ended.
    pub fn pause(&self) -> Result<(), TaskError> {
        self.0.check_running()?;
        self.0.paused.set(self.0.paused.get() + 1);
        Ok(())
    }

    /// Ends a [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`TaskError::NotPaused`]; [`TaskError::Done`] if it has ended.
    pub fn resume(&self) -> Result<(), TaskError> {
        self.0.check_running()?;
        if self.0.paused.get() == 0 {
            return Err(TaskError::NotPaused);
        }
        self.0.paused.set(self.0.paused.get() - 1);
        self.0.queue();
        Ok(())
    }

    /// Drops the iterator; [`when_done`](Self::when_done) then fails with [`TaskError::Stopped`].
    ///
    /// # Errors
    /// [`TaskError::Done`] if it has already ended.
    pub fn stop(&self) -> Result<(), TaskError> {
        self.0.check_running()?;
        self.0.end(&Err(Failure::new(TaskError::Stopped)));
        Ok(())
    }
}

impl Slices {
    fn schedule(self: &Rc<Self>) {
        if !self.runnable.borrow().is_empty() && !self.scheduled.replace(true) {
            let this = Rc::clone(self);
            self.reactor.call_later(Duration::ZERO, move || this.run());
        }
    }

    fn run(self: &Rc<Self>) {
        self.scheduled.set(false);
        let until = self.reactor.backend().now().saturating_add(SLICE);
        for _ in 0..STEPS {
            let next = self.runnable.borrow_mut().pop_front();
            let Some(work) = next else { break };
            work.queued.set(false);
            work.step();
            work.queue();
            if self.reactor.backend().now() >= until {
                break;
            }
        }
        self.schedule();
    }
}

impl Work {
    fn check_running(&self) -> Result<(), TaskError> {
        if self.ended.borrow().is_some() { Err(TaskError::Done) } else { Ok(()) }
    }

    fn queue(self: &Rc<Self>) {
        if self.may_step() && !self.queued.replace(true) {
            self.cooperator.runnable.borrow_mut().push_back(Rc::clone(self));
            self.cooperator.schedule();
        }
    }

    fn may_step(&self) -> bool {
        self.paused.get() == 0 && !self.waits.get() && self.ended.borrow().is_none()
    }

    fn step(self: &Rc<Self>) {
        if !self.may_step() {
            return;
        }
        // Taken out, because a step may stop its own task.
        let Some(mut steps) = self.steps.take() else { return };
        let stepped = catch(&mut steps);
        if self.ended.borrow().is_none() {
            self.steps.replace(Some(steps));
        }
        match stepped {
            Ok(Some(Settled::Now(Ok(())))) => {}
            Ok(Some(Settled::Now(Err(failure)))) => self.end(&Err(failure)),
            Ok(Some(Settled::Later(deferred))) => self.wait_for(deferred),
            Ok(None) => self.end(&Ok(())),
            Err(panic) => self.end(&Err(Failure::new(panic))),
        }
    }

    fn wait_for(self: &Rc<Self>, deferred: Deferred<()>) {
        self.waits.set(true);
        let work = Rc::clone(self);
        let reported = deferred.add_both(move |result| match result {
            Ok(()) => {
                work.waits.set(false);
                work.queue();
            }
            Err(failure) => work.end(&Err(failure)),
        });
        reported.detach();
    }

    fn end(&self, result: &Result<(), Failure>) {
        if self.ended.borrow().is_some() {
            return;
        }
        self.ended.replace(Some(result.clone()));
        let steps = self.steps.take();
        drop_quietly("a cooperative task", steps);
        let waiting = self.waiting.take();
        for firer in waiting {
            firer.fire(result.clone());
        }
    }
}

impl fmt::Debug for Cooperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cooperator").field("runnable", &self.0.runnable.borrow().len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for CooperativeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CooperativeTask")
            .field("paused", &self.0.paused.get())
            .field("ended", &self.0.ended.borrow().is_some())
            .finish_non_exhaustive()
    }
}

/// Misuse of a loop or task, or the reason why one ended.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum TaskError {
    /// A [`LoopingCall`](super::LoopingCall) was started while running. Stop it first.
    AlreadyRunning,
    /// The task has already ended.
    #[doc(alias = "TaskDone")]
    Done,
    /// A task that is not paused was resumed.
    NotPaused,
    /// A [`LoopingCall`](super::LoopingCall) that is not running was stopped or reset.
    NotRunning,
    /// The task was stopped before it was done; in [`run_until`](Reactor::run_until), the reactor was stopped.
    #[doc(alias = "TaskStopped")]
    Stopped,
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyRunning => "the looping call is already running: stop it before starting it again",
            Self::Done => "the task has already ended",
            Self::NotPaused => "the task is not paused",
            Self::NotRunning => "the looping call is not running: start it first",
            Self::Stopped => "it was stopped before it was complete",
        })
    }
}

crate::debug_as_display!(TaskError);

impl Error for TaskError {}
