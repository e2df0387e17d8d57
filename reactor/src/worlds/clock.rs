//! Time that moves when a test says so.

use std::cell::{Cell, RefCell};
use std::io;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::backend::{Backend, Job, ListenOptions, Listener, Resolved, Stream, Wake, Wakeups};
use crate::reactor::Reactor;
use crate::report::report_error;
use crate::worlds::memory::Network;

/// Turns that one step of time may take.
const TURNS: usize = 1000;

/// A running reactor in a world without sockets, whose time only [`advance`](Self::advance) moves.
///
/// For unit tests of anything that takes a reactor. The timers are those of a real reactor, so that their order cannot
/// differ. Jobs for the thread pool run in the next turn, on this thread; no name can be looked up; listening and
/// connecting fail: for them there is a [`MemoryReactor`](crate::MemoryReactor), and for whole networks a simulation.
///
/// # Examples
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
/// use std::time::Duration;
/// use torsade::Clock;
///
/// let clock = Clock::new();
/// let called = Rc::new(Cell::new(false));
/// let there = called.clone();
/// clock.call_later(Duration::from_secs(2), move || there.set(true));
/// clock.advance(Duration::from_millis(1999));
/// assert!(!called.get());
/// clock.advance(Duration::from_millis(1));
/// assert!(called.get());
/// ```
#[derive(Debug)]
pub struct Clock {
    reactor: Reactor,
    backend: Rc<ClockBackend>,
}

impl Clock {
    /// A clock that stands at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::with_backend(ClockBackend::default())
    }

    /// A clock with sockets.
    pub(crate) fn with_network(network: Rc<Network>) -> Self {
        Self::with_backend(ClockBackend { network: Some(network), ..ClockBackend::default() })
    }

    fn with_backend(backend: ClockBackend) -> Self {
        let backend = Rc::new(backend);
        let reactor = Reactor::with_backend(Rc::<ClockBackend>::clone(&backend));
        let started = reactor.start_running();
        debug_assert!(started.is_ok(), "a new reactor can be started");
        Self { reactor, backend }
    }

    /// Moves time on and makes all calls that are due, also those that they schedule and that are due at once, until
    /// nothing is left to do.
    ///
    /// Tasks that are woken by that run as well. What always makes more work, such as a
    /// [`LoopingCall`](crate::LoopingCall) with an interval of zero, is left after 1,000 turns, with a warning.
    ///
    /// As in Twisted, the calls see the time at the end of the step: use small steps, or [`pump`](Self::pump).
    pub fn advance(&self, by: Duration) {
        self.backend.now.set(self.backend.now.get().saturating_add(by));
        for _ in 0..TURNS {
            self.turn();
            if !self.reactor.wants_turn() && self.backend.is_quiet() {
                return;
            }
        }
        log::warn!("after {TURNS} turns there is still something to be done at once: a call that always makes another?");
    }

    /// Advances by each of `steps`, in order.
    pub fn pump(&self, steps: impl IntoIterator<Item = Duration>) {
        for step in steps {
            self.advance(step);
        }
    }

    /// Makes one turn of the reactor, with no time passing.
    pub fn turn(&self) {
        for job in self.backend.jobs.take() {
            job();
        }
        if let Err(error) = self.reactor.iterate(Some(Duration::ZERO)) {
            report_error("clock", format_args!("a clock cannot be moved from inside a callback: {error}"));
        }
    }

    /// The reactor that goes by this clock.
    #[must_use]
    pub const fn reactor(&self) -> &Reactor {
        &self.reactor
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Clock {
    type Target = Reactor;

    fn deref(&self) -> &Reactor {
        &self.reactor
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.reactor.clear();
    }
}

#[derive(Default)]
struct ClockBackend {
    now: Cell<Duration>,
    jobs: RefCell<Vec<Job>>,
    random: Cell<u64>,
    network: Option<Rc<Network>>,
}

impl ClockBackend {
    fn is_quiet(&self) -> bool {
        self.jobs.borrow().is_empty() && !self.network.as_ref().is_some_and(|network| network.has_ready())
    }
}

impl std::fmt::Debug for ClockBackend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClockBackend").field("now", &self.now.get()).finish_non_exhaustive()
    }
}

impl Backend for ClockBackend {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn poll(&self, _timeout: Option<Duration>, wakeups: &mut Wakeups) -> io::Result<()> {
        if let Some(network) = &self.network {
            network.take_ready(&mut wakeups.ready);
        }
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(NoWake)
    }

    fn listen(&self, address: &Address, _options: ListenOptions) -> io::Result<Box<dyn Listener>> {
        self.network.as_ref().ok_or_else(no_network)?.listen(address.to_tcp()?)
    }

    fn connect(&self, address: &Address) -> io::Result<Box<dyn Stream>> {
        self.network.as_ref().ok_or_else(no_network)?.connect(address.to_tcp()?)
    }

    fn resolve(&self, name: String, resolved: Resolved) {
        let found = self.network.as_ref().ok_or_else(no_network).and_then(|network| network.look_up(&name));
        self.jobs.borrow_mut().push(Box::new(move || resolved(found)));
    }

    fn run_in_thread(&self, job: Job) {
        self.jobs.borrow_mut().push(job);
    }

    fn open_streams(&self) -> usize {
        self.network.as_ref().map_or(0, |network| network.open_streams())
    }

    fn descriptor_limit(&self) -> Option<usize> {
        None
    }

    fn random(&self) -> u64 {
        // Weyl's sequence: evenly spread, and the same in every run.
        self.random.set(self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.random.get()
    }

    fn watch_signals(&self, _watch: bool) -> io::Result<()> {
        Ok(())
    }
}

/// Nothing waits in a clock.
struct NoWake;

impl Wake for NoWake {
    fn wake(&self) {}
}

fn no_network() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "a clock has no network: use a simulation")
}
