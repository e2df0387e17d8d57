//! The event loop.

pub(crate) mod delayed_call;
mod dispatch;
mod leftovers;
mod look_ups;
mod never_run;
mod observers;
mod other_threads;
pub(crate) mod reactor_handle;
pub(crate) mod source;
mod stopping;
pub(crate) mod system_event;
pub(crate) mod timer_queue;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use dispatch::Calls;
pub use leftovers::Leftovers;
use look_ups::LookUps;
pub use look_ups::{LookUp, TooManyLookUps};

use crate::backend::{Backend, Wakeups};
use crate::error::{ReactorError, Result};
use crate::event_log::{Event, Subject};
use crate::reactor::delayed_call::DelayedCall;
use crate::reactor::observers::Observers;
use crate::reactor::reactor_handle::ThreadCalls;
use crate::reactor::source::{Source, SourceTable};
use crate::reactor::system_event::{Phase, SystemEvent, TriggerId, Triggers};
use crate::reactor::timer_queue::Timers;
use crate::report::tell_left_out;
use crate::worlds::os::Os;

/// How long [`Reactor::stop`] waits for connections to finish writing.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the reactor stands in its life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Idle,
    Running,
    /// Stopping: what was asked for before shutdown ends, until the given time.
    Preparing(Duration),
    /// Stopping: connections finish until the given time.
    Finishing(Duration),
    Stopped,
}

/// What waits for a value from another thread.
type Awaited = Box<dyn FnOnce(Box<dyn Any>)>;

struct Core {
    backend: Rc<dyn Backend>,
    timers: Rc<Timers>,
    sources: RefCell<SourceTable>,
    wakeups: RefCell<Wakeups>,
    thread_calls: Arc<ThreadCalls>,
    awaited: RefCell<Slab<Awaited>>,
    look_ups: Rc<LookUps>,
    triggers: RefCell<Triggers>,
    locals: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    stage: Cell<Stage>,
    stop_requested: Cell<bool>,
    /// A second signal came: the stop waits for nothing.
    hurried: Cell<bool>,
    stop_timeout: Cell<Duration>,
    /// Deferreds that the shutdown waits for.
    before_shutdown: Rc<Cell<usize>>,
    turn: Cell<u64>,
    /// How many sources are called in step 6 of this turn.
    ready: Cell<usize>,
    observers: Observers,
    calls: Calls,
    /// It has run, or was turned by hand.
    started: Cell<bool>,
}

/// One thread's event loop; a cheap handle that can be cloned and kept anywhere on that thread.
///
/// Everything a program does with the outside world begins here: `listen_tcp` and `connect_tcp` (from the `ReactorTcp`
/// trait of the `torsade` prelude), [`call_later`](Self::call_later), [`run`](Self::run). It is not `Send`; other
/// threads use a [`handle`](Self::handle).
///
/// No method calls a user's callback before it returns: callbacks come from the loop.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::prelude::*;
///
/// fn main() -> Result {
///     let reactor = Reactor::new()?;
///     let stopper = reactor.clone();
///     reactor.call_later(Duration::from_millis(5), move || stopper.stop().expect("it runs"));
///     reactor.run()
/// }
/// ```
#[derive(Clone)]
pub struct Reactor(Rc<Core>); // not `Send`: give other threads `reactor.handle()`

impl Reactor {
    /// Makes a reactor on the operating system's sockets and clock.
    ///
    /// A process that is forked from this one has a copy of it with the same sockets, and must not use it but for
    /// [`disconnect_all`](Self::disconnect_all), which closes the copies and leaves this process's alone; [`run`](Self::run)
    /// refuses there. It can make one of its own.
    ///
    /// # Errors
    /// When the system has no descriptors or memory left for the poll.
    pub fn new() -> io::Result<Self> {
        let reactor = Self::with_backend(Rc::new(Os::new()?));
        never_run::watch(&reactor);
        Ok(reactor)
    }

    /// Makes a reactor on another outside world.
    #[must_use]
    pub fn with_backend(backend: Rc<dyn Backend>) -> Self {
        Self(Rc::new(Core {
            timers: Rc::new(Timers::new(Rc::clone(&backend))),
            sources: RefCell::default(),
            wakeups: RefCell::default(),
            thread_calls: Arc::new(ThreadCalls::new(backend.waker())),
            awaited: RefCell::default(),
            look_ups: Rc::default(),
            triggers: RefCell::default(),
            locals: RefCell::default(),
            stage: Cell::new(Stage::Idle),
            stop_requested: Cell::new(false),
            hurried: Cell::new(false),
            stop_timeout: Cell::new(STOP_TIMEOUT),
            before_shutdown: Rc::default(),
            turn: Cell::new(0),
            ready: Cell::new(0),
            observers: Observers::default(),
            calls: Calls::default(),
            started: Cell::new(false),
            backend,
        }))
    }

    /// Turns the loop until [`stop`](Self::stop), [`crash`](Self::crash), SIGINT or SIGTERM ends it.
    ///
    /// The steps of one turn:
    ///
    /// 1. The clock is read.
    /// 2. Calls from other threads that are queued by now, in their order.
    /// 3. Delayed calls that are due at the time of step 1, by (deadline, order of making). Those made meanwhile wait for
    ///    the next turn, also with no delay.
    /// 4. If a stop was asked for, it advances: see [`stop`](Self::stop).
    /// 5. The wait, until a socket is ready or the next delayed call is due; none if anything is queued. The clock is read when
    ///    it is first asked for after it.
    /// 6. Every source that is ready, once, those first that queued themselves in the last turn: a connection reads at
    ///    most one buffer, a port accepts a bounded number. A connection's output is written right after its callback.
    /// 7. Sources that others wrote to or closed in this turn: their output is written, once for all of it.
    ///
    /// SIGINT or SIGTERM is an orderly stop; the second one, also within the same callback, ends every wait of the stop. If two
    /// are there and a callback has not returned for the loop to take them, the third ends the process, by the signal's default
    /// action. Once `run` has returned, signals have that action again.
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`], [`ReactorError::NotRestartable`], or an [`io::Error`] if the poll itself fails;
    /// errors of single connections never end the loop.
    pub fn run(&self) -> Result {
        self.check_startable()?;
        // Before startup, so that a signal that comes while the program starts is an orderly stop too.
        self.0.backend.watch_signals(true)?;
        self.start();
        let mut result = Ok(());
        while result.is_ok() && self.is_running() {
            result = self.iterate(None);
        }
        if result.is_err() {
            self.0.stage.set(Stage::Idle);
        }
        self.0.backend.watch_signals(false)?;
        tell_left_out();
        result
    }

    /// Fires the startup event, without turning; for those who then [`iterate`](Self::iterate) by hand.
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`] and [`ReactorError::NotRestartable`].
    #[doc(alias = "startRunning")]
    pub fn start_running(&self) -> Result<(), ReactorError> {
        self.check_startable()?;
        self.start();
        Ok(())
    }

    pub(crate) fn check_startable(&self) -> Result<(), ReactorError> {
        match self.0.stage.get() {
            Stage::Stopped => Err(ReactorError::NotRestartable),
            Stage::Idle if !self.0.timers.in_turn.get() => Ok(()),
            _ => Err(ReactorError::AlreadyRunning),
        }
    }

    fn start(&self) {
        self.0.started.set(true);
        self.0.timers.refresh();
        // As in a turn: the triggers are callbacks, which cannot start or end the reactor or turn it.
        self.0.timers.in_turn.set(true);
        self.fire(Phase::Before, SystemEvent::Startup);
        self.0.stage.set(Stage::Running);
        self.fire(Phase::During, SystemEvent::Startup);
        self.fire(Phase::After, SystemEvent::Startup);
        self.0.timers.in_turn.set(false);
        self.nudge();
    }

    /// Makes one turn, waiting at most `max_wait` (none: until there is something to do).
    ///
    /// Unless it is running ([`start_running`](Self::start_running)) it waits for nothing: go on while
    /// [`is_running`](Self::is_running).
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`] inside a callback; an [`io::Error`] if the poll fails.
    pub fn iterate(&self, max_wait: Option<Duration>) -> Result {
        if self.0.timers.in_turn.replace(true) {
            return Err(ReactorError::AlreadyRunning.into());
        }
        let result = self.turn(max_wait);
        self.0.timers.in_turn.set(false);
        self.nudge();
        Ok(result?)
    }

    fn turn(&self, max_wait: Option<Duration>) -> io::Result<()> {
        self.0.turn.set(self.0.turn.get() + 1);
        self.run_thread_calls();
        self.run_due_calls();
        if self.0.stage.get() != Stage::Running || self.0.stop_requested.get() {
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
        let ending = self.0.sources.borrow().ending_count();
        for _ in 0..ending {
            let next = self.0.sources.borrow_mut().next_ending();
            if let Some((token, source)) = next {
                self.call_source(token, source, Source::end_of_turn);
            }
        }
        Ok(())
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
            wakeups.signals.drain(..).for_each(|signal| self.take_signal(signal));
        }
        Ok(())
    }

    fn time_to_wait(&self, max_wait: Option<Duration>) -> Option<Duration> {
        if self.is_queued() {
            return Some(Duration::ZERO);
        }
        if self.0.stage.get() == Stage::Running && self.0.timers.queue.borrow().len() == 0 {
            return max_wait;
        }
        let Some(deadline) = self.next_deadline() else { return max_wait };
        // The clock again: the callbacks of this turn may have taken long.
        let until = deadline.saturating_sub(self.0.timers.refresh());
        Some(max_wait.map_or(until, |wait| wait.min(until)))
    }

    /// Whether something waits for the next turn, whatever the time.
    pub(crate) fn is_queued(&self) -> bool {
        let sources = self.0.sources.borrow();
        let prepared = matches!(self.0.stage.get(), Stage::Preparing(_)) && self.0.before_shutdown.get() == 0;
        sources.ready_count() + sources.ending_count() > 0
            || self.0.thread_calls.waiting()
            || self.0.stop_requested.get()
            || prepared
    }

    /// Tells the backend that something was queued, where its own turn does not see it anyway.
    fn nudge(&self) {
        if !self.0.timers.in_turn.get() {
            self.0.backend.nudge();
        }
    }

    /// Whether a turn now would do something even if no socket is ready.
    pub(crate) fn wants_turn(&self) -> bool {
        let finished = matches!(self.0.stage.get(), Stage::Finishing(_)) && self.0.sources.borrow().len() == 0;
        finished || self.is_queued() || self.next_deadline().is_some_and(|deadline| deadline <= self.0.backend.now())
    }

    /// When the reactor next looks for something to do by itself, on the clock of [`now`](Self::now).
    ///
    /// Never later than the next delayed call is due; sooner if that one was put off.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let call = self.0.timers.queue.borrow_mut().next_deadline();
        let finishing = match self.0.stage.get() {
            Stage::Preparing(until) | Stage::Finishing(until) => Some(until),
            _ => None,
        };
        [call, finishing].into_iter().flatten().min()
    }

    /// Whether the loop turns: from startup to the end of shutdown.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.0.stage.get(), Stage::Running | Stage::Preparing(_) | Stage::Finishing(_))
    }

    /// Calls `call` as soon as the reactor runs: after startup, or in the next turn if it runs already.
    #[doc(alias = "callWhenRunning")]
    #[track_caller]
    pub fn call_when_running(&self, call: impl FnOnce() + 'static) {
        if self.is_running() {
            self.call_later(Duration::ZERO, call);
        } else {
            self.add_system_event_trigger(Phase::After, SystemEvent::Startup, call);
        }
    }

    /// Calls `call` once, `delay` from now, in step 3 of a turn; never early, never inside this method.
    ///
    /// Calls with the same deadline are made in the order in which they were scheduled. A panic in `call` is logged.
    #[doc(alias = "callLater")]
    #[track_caller]
    pub fn call_later(&self, delay: Duration, call: impl FnOnce() + 'static) -> DelayedCall {
        let deadline = self.0.backend.now().saturating_add(delay);
        let id = self.0.timers.queue.borrow_mut().insert(deadline, Location::caller(), Box::new(call));
        self.nudge();
        DelayedCall::new(Rc::clone(&self.0.timers), id)
    }

    /// How many delayed calls are still to be made; for tests that want to leave nothing behind.
    #[doc(alias = "getDelayedCalls")]
    #[must_use]
    pub fn delayed_calls(&self) -> usize {
        self.0.timers.queue.borrow().len()
    }

    /// The time since the reactor was made, by a clock that never goes back; read once or twice a turn.
    #[doc(alias = "seconds")]
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.timers.now()
    }

    /// The number of this turn, counting from 1.
    #[must_use]
    pub fn turn_number(&self) -> u64 {
        self.0.turn.get()
    }

    /// How many sources step 6 of this turn calls: they share the turn.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.0.ready.get()
    }

    /// Has `call` made when the reactor starts or stops; triggers of one phase run in the order in which they were added.
    ///
    /// A trigger runs once. A panic in it is logged, and the others still run.
    #[doc(alias = "addSystemEventTrigger")]
    pub fn add_system_event_trigger(&self, phase: Phase, event: SystemEvent, call: impl FnOnce() + 'static) -> TriggerId {
        self.0.triggers.borrow_mut().add(phase, event, Box::new(call))
    }

    /// Takes a trigger back; false if it has run or was removed before.
    #[doc(alias = "removeSystemEventTrigger")]
    pub fn remove_system_event_trigger(&self, id: TriggerId) -> bool {
        let removed = self.0.triggers.borrow_mut().remove(id);
        // Dropped outside the borrow: what it holds may use the reactor.
        removed.is_some()
    }

    fn fire(&self, phase: Phase, event: SystemEvent) {
        loop {
            let trigger = self.0.triggers.borrow_mut().take(phase, event);
            let Some(call) = trigger else { break };
            self.begin_calls();
            self.dispatch("a system event trigger", None, || Subject::Trigger { phase, event }, call);
        }
    }

    /// Has `observer` told of every callback just before it is made, in place of the observer before it.
    ///
    /// For logs, see [`event_log`](crate::event_log). It must not panic. It is dropped when the reactor has stopped.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use torsade::prelude::*;
    ///
    /// fn main() -> Result {
    ///     let reactor = Reactor::new()?;
    ///     reactor.set_observer(|event| eprintln!("- {event}"));
    ///     let stopper = reactor.clone();
    ///     reactor.call_later(Duration::ZERO, move || stopper.stop().expect("it runs"));
    ///     reactor.run()
    /// }
    /// ```
    pub fn set_observer(&self, observer: impl Fn(&Event) + 'static) {
        self.0.observers.set_observer(observer);
    }

    /// As [`set_observer`](Self::set_observer), beside it: for the log of a simulation.
    pub(crate) fn set_recorder(&self, recorder: impl Fn(&Event) + 'static) {
        self.0.observers.set_recorder(recorder);
    }

    /// A random number, for jitter; drawn from the seed in a simulated world.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.backend.random()
    }

    /// The outside world this reactor runs in.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// The value of type `T` that belongs to this reactor, made by `make` when it is first asked for.
    pub fn local<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        let known = self.0.locals.borrow().get(&TypeId::of::<T>()).cloned();
        if let Some(Ok(value)) = known.map(Rc::downcast) {
            return value;
        }
        let value = Rc::new(make(self));
        self.0.locals.borrow_mut().insert(TypeId::of::<T>(), Rc::<T>::clone(&value));
        value
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor")
            .field("stage", &self.0.stage.get())
            .field("turn", &self.0.turn.get())
            .field("sources", &self.source_count())
            .field("delayed_calls", &self.delayed_calls())
            .finish_non_exhaustive()
    }
}
