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
pub use look_ups::{LookUp, TooManyLookUps};

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
use crate::report::tell_left_out;
use crate::worlds::os::Os;

/// How long [`Reactor::stop`] waits for connections to finish writing.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The life of a reactor. It goes from one variant to the next and never back, except that a crash, or a poll that fails, makes
/// it idle again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Life {
    Idle,
    Running,
    /// Stopping: the calls before shutdown have until the given time.
    Preparing(Duration),
    /// Stopping: connections have until the given time to finish writing.
    Finishing(Duration),
    Stopped,
}

/// What is called with a value from another thread.
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
    /// Few, and looked for in every turn with tasks: ordered, they are found without hashing.
    locals: RefCell<BTreeMap<TypeId, Rc<dyn Any>>>,
    life: Cell<Life>,
    stop_requested: Cell<bool>,
    /// A second signal has come: the stop waits for nothing.
    hurried: Cell<bool>,
    signals: SignalCalls,
    /// `run` turns the loop: SIGINT and SIGTERM are taken.
    stops_on_signals: Cell<bool>,
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
#[doc(alias = "IReactorCore")]
#[doc(alias = "IReactorTime")]
#[derive(Clone)]
pub struct Reactor(Rc<Core>); // not `Send`: give other threads `reactor.handle()`

impl Reactor {
    /// Makes a reactor on the operating system's sockets and clock.
    ///
    /// A process that is forked from this one has a copy of it with the same sockets, on which it may call nothing but
    /// [`disconnect_all`](Self::disconnect_all): that closes the copies and leaves this process's sockets alone.
    /// [`run`](Self::run) refuses to run such a copy. The new process can make its own reactor.
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
            life: Cell::new(Life::Idle),
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

    /// Turns the loop until [`stop`](Self::stop), [`crash`](Self::crash), SIGINT or SIGTERM ends it.
    ///
    /// The steps of one turn:
    ///
    /// 1. The clock is read.
    /// 2. Calls from other threads that are queued by now, in the order in which they were queued.
    /// 3. Delayed calls that are due at the time of step 1, by deadline and then in the order in which they were scheduled.
    ///    Those scheduled meanwhile wait for the next turn, even without a delay.
    /// 4. If a stop was asked for, it advances: see [`stop`](Self::stop).
    /// 5. The loop waits until a socket is ready or the next delayed call is due; not at all if anything is queued. After the
    ///    wait the clock is read when it is first asked for.
    /// 6. Every source that is ready is called once, first those that queued themselves in the last turn: a connection reads
    ///    at most one buffer, a port accepts a bounded number. A connection's output is written right after its callback.
    /// 7. Every task that was woken by now is polled once, and one that is woken meanwhile in the next turn.
    /// 8. Sources that others wrote to or closed in this turn are called: each writes its output, once for all of it.
    ///
    /// SIGINT or SIGTERM stops the reactor gracefully; a second signal, even within the same callback, ends every wait of the
    /// stop. If two signals have come and a callback does not return to the loop, which would take them, a third ends the
    /// process, by the signal's default action. Once `run` has returned, signals have that action again. A program
    /// that wants to do something else with one takes it by [`on_signal`](Self::on_signal).
    ///
    /// # Errors
    /// [`ReactorError::AlreadyRunning`], [`ReactorError::NotRestartable`], or an [`io::Error`] if the poll itself fails;
    /// errors of single connections never end the loop.
    pub fn run(&self) -> Result {
        self.check_startable()?;
        // Before startup, so that a signal that comes while the program starts stops it gracefully too.
        self.stop_on_signals(true)?;
        self.start();
        let mut result = Ok(());
        while result.is_ok() && self.is_running() {
            result = self.iterate(None);
        }
        if result.is_err() {
            self.0.life.set(Life::Idle);
        }
        self.stop_on_signals(false)?;
        tell_left_out();
        result
    }

    fn stop_on_signals(&self, stop: bool) -> io::Result<()> {
        self.0.stops_on_signals.set(stop);
        self.watch_signals().inspect_err(|_| self.0.stops_on_signals.set(false))
    }

    /// Fires the startup event without making a turn; for programs that then [`iterate`](Self::iterate) by hand.
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
        match self.0.life.get() {
            Life::Stopped => Err(ReactorError::NotRestartable),
            Life::Idle if !self.0.timers.in_turn.get() => Ok(()),
            _ => Err(ReactorError::AlreadyRunning),
        }
    }

    fn start(&self) {
        self.0.started.set(true);
        self.0.timers.refresh();
        // As in a turn: the triggers are callbacks, in which the reactor can be neither run, turned nor dismantled.
        self.0.timers.in_turn.set(true);
        self.fire(Phase::Before, SystemEvent::Startup);
        self.0.life.set(Life::Running);
        self.fire(Phase::During, SystemEvent::Startup);
        self.fire(Phase::After, SystemEvent::Startup);
        self.0.timers.in_turn.set(false);
        self.nudge();
    }

    /// Whether the loop is running: from startup to the end of shutdown.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.0.life.get(), Life::Running | Life::Preparing(_) | Life::Finishing(_))
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

    /// The number of this turn, counted from 1.
    #[must_use]
    pub fn turn_number(&self) -> u64 {
        self.0.turn.get()
    }

    /// How many sources step 6 of this turn calls, which is how many share the turn.
    #[must_use]
    pub fn ready_count(&self) -> usize {
        self.0.ready.get()
    }

    /// Calls `call` when the reactor starts or stops; triggers of one phase run in the order in which they were added.
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

    /// Calls `observer` just before every callback; it replaces the previous observer.
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

    /// As [`set_observer`](Self::set_observer), in addition to it: for the log of a simulation.
    pub(crate) fn set_recorder(&self, recorder: impl Fn(&Event) + 'static) {
        self.0.observers.set_recorder(recorder);
    }

    /// A random number, for jitter; in a simulated world it comes from the seed.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.0.backend.random()
    }

    /// The outside world this reactor runs in.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        &*self.0.backend
    }

    /// The value of type `T` that belongs to this reactor; `make` makes it when it is first asked for.
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
            .field("life", &self.0.life.get())
            .field("turn", &self.0.turn.get())
            .field("sources", &self.source_count())
            .field("delayed_calls", &self.delayed_calls())
            .finish_non_exhaustive()
    }
}
