//! A clock advanced by a test.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;
use std::time::Duration;

use crate::reactor::Reactor;
use crate::report::report_error;

use super::script::HOST;
use super::sockets::HostBackend;
use super::world::World;

/// The most turns per step of time.
const TURNS: usize = 1000;

/// A running reactor in a world without sockets, whose time advances only by [`advance`](Self::advance).
///
/// For unit tests of anything that takes a reactor. The timers are those of a real reactor, so their order is the same.
/// Thread-pool jobs run in the next turn, on this thread. Look-ups, listening and connecting fail; for those use a
/// [`MemoryReactor`](crate::MemoryReactor), and for whole networks a simulation.
///
/// When dropped, it ends as by [`disconnect_all`](Reactor::disconnect_all), so that nothing of it remains in a long test run.
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
pub struct Clock {
    reactor: Reactor,
    world: Rc<World>,
}

impl Clock {
    /// A clock at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self::of(World::scripted(false))
    }

    /// The clock of a scripted world.
    pub(super) fn of(world: Rc<World>) -> Self {
        let reactor = Reactor::with_backend(Rc::new(HostBackend::new(Rc::clone(&world), HOST, Rc::default())));
        let started = reactor.start_running();
        debug_assert!(started.is_ok(), "a new reactor can be started");
        Self { reactor, world }
    }

    /// Advances the time and makes all due calls, including those that they schedule without a delay, until nothing is left to
    /// do.
    ///
    /// Tasks woken by that run too. Work that never ends, such as a [`LoopingCall`](crate::LoopingCall) with an interval of zero,
    /// is stopped after 1,000 turns, with a warning.
    ///
    /// As in Twisted, calls see the time at the end of the step: use small steps, or [`pump`](Self::pump).
    pub fn advance(&self, by: Duration) {
        self.world.jump(self.world.now().saturating_add(by));
        for _ in 0..TURNS {
            self.turn();
            if !self.reactor.wants_turn() && self.world.is_quiet(HOST) {
                return;
            }
        }
        log::warn!("after {TURNS} turns there is still something due: does a call always schedule another?");
    }

    /// Advances by each of `steps`, in order.
    pub fn pump(&self, steps: impl IntoIterator<Item = Duration>) {
        for step in steps {
            self.advance(step);
        }
    }

    /// Makes one turn of the reactor, without advancing the time.
    pub fn turn(&self) {
        self.world.let_happen();
        if let Err(error) = self.reactor.iterate(Some(Duration::ZERO)) {
            report_error("clock", format_args!("a clock cannot be moved from inside a callback: {error}"));
        }
    }

    /// The reactor of this clock.
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
        self.reactor.dismantle();
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("reactor", &self.reactor).field("now", &self.world.now()).finish()
    }
}
