//! The event loop.

pub(crate) mod delayed_call;
mod dispatch;
mod leftovers;
mod look_ups;
mod never_run;
mod observers;
mod other_threads;
pub(crate) mod reactor_handle;
pub(crate) mod signals;
pub(crate) mod source;
mod stopping;
pub(crate) mod system_event;
pub(crate) mod timer_queue;
mod turn;
#[cfg(unix)]
pub(crate) mod watch;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
pub use look_ups::TooManyLookUps;

use crate::backend::{Backend, Wakeups};
use crate::error::{ReactorError, Result};
use crate::event_log::{Event, Subject};
use crate::reactor::delayed_call::DelayedCall;
use crate::reactor::observers::Observers;
use crate::reactor::reactor_handle::ThreadCalls;
use crate::reactor::signals::SignalCalls;
use crate::reactor::source::SourceTable;
use crate::reactor::system_event::{Phase, SystemEvent, TriggerId, Triggers};
use crate::reactor::timer_queue::Timers;
use crate::reactor::turn::InTurn;
use crate::report::report_left_out;
use crate::worlds::os::Os;

/// The default time that [`Reactor::stop`] waits for connections to finish writing.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The state of a reactor. It advances from one variant to the next and never goes back, except that a crash, or a poll that
/// fails, makes it idle again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum RunState {
    Idle,
    Running,
    /// Stopping: the calls before shutdown have until this time.
    Preparing(Duration),
    /// Stopping: connections have until this time to finish writing.
    Finishing(Duration),
    Stopped,
}

/// Called with a value from another thread.
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
    /// A `BTreeMap` because there are few entries, looked up in every turn with tasks: comparing is cheaper than hashing.
    locals: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    run_state: Cell<RunState>,
    stop_requested: Cell<bool>,
    /// Whether a second signal has arrived: the stop no longer waits for anything.
    hurried: Cell<bool>,
    signals: SignalCalls,
    /// Whether `run` is running the loop and handles SIGINT and SIGTERM.
    stops_on_signals: Cell<bool>,
    stop_timeout: Cell<Duration>,
    /// The number of Deferreds that the shutdown waits for.
    before_shutdown: Rc<Cell<usize>>,
    turn: Cell<u64>,
    /// The number of sources called in step 6 of this turn.
    ready: Cell<usize>,
    observers: Observers,
    calls: Calls,
    /// Whether it has run or was iterated by hand.
    started: Cell<bool>,
}

/// One thread's event loop; a cheap handle that can be cloned and kept anywhere on that thread.
///
/// All interaction with the outside world begins here: `listen_tcp` and `connect_tcp` (from the `ReactorTcp` trait of the
/// `torsade` prelude), [`call_later`](Self::call_later), [`run`](Self::run). It is not `Send`; other threads use a
/// [`handle`](Self::handle).
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
#[doc(alias = "IReactorCore")]
#[doc(alias = "IReactorTime")]
#[derive(Clone)]
pub struct Reactor(Rc<Core>); // not `Send`: give other threads `reactor.handle()`

impl Reactor {
    /// Makes a reactor that uses the operating system's sockets and clock.
    ///
    /// A forked process has a copy of this reactor that shares its sockets. It may call nothing on it but
    /// [`disconnect_all`](Self::disconnect_all), which closes the copies and leaves this process's sockets alone;
    /// [`run`](Self::run) refuses to run the copy. The forked process can make a reactor of its own.
    ///
    /// # Errors
    /// Any system error, if it has no descriptors or memory left.
    pub fn new() -> io::Result<Self> {
        let reactor = Self::with_backend(Rc::new(Os::new()?));
        never_run::watch(&reactor);
        Ok(reactor)
    }

    /// Makes a reactor with another backend.
    #[must_use]
    pub fn with_backend(backend: Rc<dyn Backend>) -> Self {
        let in_turn = InTurn::default();
        Self(Rc::new(Core {
            timers: Rc::new(Timers::new(Rc::clone(&backend), in_turn.clone())),
            sources: RefCell::default(),
            wakeups: RefCell::default(),
            thread_calls: Arc::new(ThreadCalls::new(backend.waker(), in_turn)),
            awaited: RefCell::default(),
            look_ups: Rc::default(),
            triggers: RefCell::default(),
            locals: RefCell::default(),
            run_state: Cell::new(RunState::Idle),
            stop_requested: Cell::new(false),
            hurried: Cell::new(false),
            signals: SignalCalls::default(),
            stops_on_signals: Cell::new(false),
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

    /// Runs the loop until [`stop`](Self::stop), [`crash`](Self::crash), SIGINT or SIGTERM ends it.
    ///
    /// The steps of one turn:
    ///
    /// 1. Read the clock.
    /// 2. Make the calls from other threads that are queued by now, in the order in which they were queued.
    /// 3. Make the delayed calls that are due at the time of step 1, ordered by deadline and then by when they were scheduled.
    ///    Calls scheduled meanwhile wait for the next turn, even without a delay.
    /// 4. Advance a requested stop: see [`stop`](Self::stop).
    /// 5. Wait until a socket is ready or the next delayed call is due; not at all if anything is queued. The clock is read again
    ///    when it is first needed after the wait.
    /// 6. Call every ready source once, starting with those that queued themselves in the last turn: a connection reads at most
    ///    one buffer, a port accepts a bounded number. A connection's output is written right after its callback.
    /// 7. Poll every task that was woken by now once. A task woken meanwhile is polled in the next turn.
    /// 8. Call sources that others wrote to or closed in this turn: each writes all its output at once.
    ///
    /// SIGINT or SIGTERM stops the reactor gracefully. A second signal, even during the same callback, ends all waiting of the
    /// stop. If a callback keeps the loop from handling signals, a third one ends the process by its default action. Once `run`
    /// has returned, signals have their default action again. To handle a signal differently, use [`on_signal`](Self::on_signal).
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`], [`ReactorError::NotRestartable`], or an [`io::Error`] if the poll itself fails. Errors
    /// of single connections never end the loop.
    pub fn run(&self) -> Result {
        self.check_startable()?;
        // Before startup, so that a signal during the program's start also stops it gracefully.
        self.stop_on_signals(true)?;
        self.start();
        let mut result = Ok(());
        while result.is_ok() && self.is_running() {
            result = self.iterate(None);
        }
        if result.is_err() {
            self.0.run_state.set(RunState::Idle);
        }
        self.stop_on_signals(false)?;
        report_left_out();
        result
    }

    fn stop_on_signals(&self, stop: bool) -> io::Result<()> {
        self.0.stops_on_signals.set(stop);
        self.watch_signals().inspect_err(|_| self.0.stops_on_signals.set(false))
    }

    /// Fires the startup event without making a turn; for programs that then call [`iterate`](Self::iterate) themselves.
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
        match self.0.run_state.get() {
            RunState::Stopped => Err(ReactorError::NotRestartable),
            RunState::Idle if !self.0.timers.in_turn.get() => Ok(()),
            _ => Err(ReactorError::AlreadyRunning),
        }
    }

    fn start(&self) {
        self.0.started.set(true);
        self.0.timers.refresh();
        // As in a turn: triggers are callbacks, in which the reactor can be neither run, iterated nor dismantled.
        self.0.timers.in_turn.set(true);
        self.fire(Phase::Before, SystemEvent::Startup);
        self.0.run_state.set(RunState::Running);
        self.fire(Phase::During, SystemEvent::Startup);
        self.fire(Phase::After, SystemEvent::Startup);
        self.0.timers.in_turn.set(false);
        self.nudge();
    }

    /// Returns whether the loop is running: from startup to the end of shutdown.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.0.run_state.get(), RunState::Running | RunState::Preparing(_) | RunState::Finishing(_))
    }

    /// Calls `call` as soon as the reactor runs: after startup, or in the next turn if it is already running.
    #[doc(alias = "callWhenRunning")]
    #[track_caller]
    pub fn call_when_running(&self, call: impl FnOnce() + 'static) {
        if self.is_running() {
            self.call_later(Duration::ZERO, call);
        } else {
            self.add_system_event_trigger(Phase::After, SystemEvent::Startup, call);
        }
    }

    /// Calls `call` once, after `delay`, in step 3 of a turn; never early, never inside this method.
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

    /// The number of delayed calls still to be made; for tests that check that nothing is left over.
    #[doc(alias = "getDelayedCalls")]
    #[must_use]
    pub fn delayed_calls(&self) -> usize {
        self.0.timers.queue.borrow().len()
    }

    /// The time since the reactor was made, on a clock that never goes back; read once or twice a turn.
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

    /// The number of sources that step 6 of this turn calls, and that share the turn.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.0.ready.get()
    }

    /// Calls `call` when the reactor starts or stops. Triggers of a phase run in the order in which they were added.
    ///
    /// A trigger runs once. A panic in it is logged, and the others still run.
    #[doc(alias = "addSystemEventTrigger")]
    pub fn add_system_event_trigger(&self, phase: Phase, event: SystemEvent, call: impl FnOnce() + 'static) -> TriggerId {
        self.0.triggers.borrow_mut().add(phase, event, Box::new(call))
    }

    /// Removes a trigger. Returns false if it has run or was removed before.
    #[doc(alias = "removeSystemEventTrigger")]
    pub fn remove_system_event_trigger(&self, id: TriggerId) -> bool {
        let removed = self.0.triggers.borrow_mut().remove(id);
        // Dropped outside the borrow, because what it holds may use the reactor.
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

    /// Calls `observer` just before every callback; replaces the previous observer.
    ///
    /// For logs, see [`event_log`](crate::event_log). It must not panic. It is dropped once the reactor has stopped.
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

    /// Like [`set_observer`](Self::set_observer), but independent of it: for the log of a simulation.
    pub(crate) fn set_recorder(&self, recorder: impl Fn(&Event) + 'static) {
        self.0.observers.set_recorder(recorder);
    }

    /// A random number, for jitter; in a simulated world it comes from the seed.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.backend.random()
    }

    /// The backend of this reactor.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// The value of type `T` that belongs to this reactor; made by `make` on first use.
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
            .field("run_state", &self.0.run_state.get())
            .field("turn", &self.0.turn.get())
            .field("sources", &self.source_count())
            .field("delayed_calls", &self.delayed_calls())
            .finish_non_exhaustive()
    }
}
