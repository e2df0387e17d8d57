//! What all sides of one scenario share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Faults;

use super::side::Side;

/// A side, as others see it. It stays borrowed during calls on its transport, which must not call back.
pub type SharedSide = Rc<RefCell<Side>>;

/// A host's program.
pub struct Home {
    pub reactor: Reactor,
    /// Delayed calls of the scenario that are still due.
    pub timers: Cell<usize>,
    pub stopping: Cell<bool>,
}

pub struct World {
    pub homes: Vec<Home>,
    /// The client's side of the n-th pair at 2n, the server's at 2n + 1.
    pub sides: RefCell<Vec<SharedSide>>,
    /// The faults found.
    problems: RefCell<Vec<String>>,
    /// Nothing is delayed on this network.
    pub calm: bool,
    /// Roughly the longest time that a byte takes on this network.
    pub byte_time: Duration,
    /// How many more actions are allowed.
    pub actions: Cell<u32>,
    /// The most bytes of one write.
    pub write_size: u64,
    /// How likely each action is, as in `action::ACTIONS`.
    pub weights: Vec<u32>,
    /// Counts callbacks and delayed calls: everything done in one of them happens together.
    pub tick: Cell<u64>,
    /// The programs only finish what they have begun.
    pub passive: Cell<bool>,
    pub ending: Cell<bool>,
    /// Actions are printed.
    pub traced: bool,
    pub partitions: Cell<u64>,
}

impl World {
    pub fn new(reactors: Vec<Reactor>, faults: &Faults, actions: u32, write_size: u64, weights: Vec<u32>) -> Rc<Self> {
        let home = |reactor| Home { reactor, timers: Cell::default(), stopping: Cell::default() };
        Rc::new(Self {
            homes: reactors.into_iter().map(home).collect(),
            sides: RefCell::default(),
            problems: RefCell::default(),
            calm: *faults == Faults::calm(),
            byte_time: byte_time(faults),
            actions: Cell::new(actions),
            write_size,
            weights,
            tick: Cell::new(0),
            passive: Cell::new(false),
            ending: Cell::new(false),
            traced: std::env::var_os("TORSADE_SEED").is_some(),
            partitions: Cell::new(0),
        })
    }

    pub fn side(&self, number: usize) -> SharedSide {
        Rc::clone(&self.sides.borrow()[number])
    }

    pub fn next_tick(&self) {
        self.tick.set(self.tick.get() + 1);
    }

    pub fn complain(&self, problem: String) {
        self.problems.borrow_mut().push(problem);
    }

    pub fn has_problem(&self) -> bool {
        !self.problems.borrow().is_empty()
    }

    /// The faults found so far, as an error.
    pub fn verdict(&self) -> Result<(), String> {
        let problems = self.problems.borrow();
        if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
    }

    /// Calls `call` later on one of the homes.
    pub fn later(self: &Rc<Self>, home: usize, wait: Duration, call: impl FnOnce() + 'static) {
        let timers = &self.homes[home].timers;
        timers.set(timers.get() + 1);
        let world = Rc::clone(self);
        self.homes[home].reactor.call_later(wait, move || {
            let timers = &world.homes[home].timers;
            timers.set(timers.get() - 1);
            world.next_tick();
            call();
        });
    }
}

/// Buffers may hold a single byte. Then each byte waits until the one before it has arrived, for writes that take nothing, for
/// retransmissions, and for a slow reader. Twice the average of that, and at least a second.
pub fn byte_time(faults: &Faults) -> Duration {
    let latency = faults.latency.end().mul_f64(1.0 + 1.0 / (1.0 - faults.short_write));
    let again = (*faults.retransmission.end() + *faults.latency.end()).mul_f64(faults.loss / (1.0 - faults.loss));
    let slow = Duration::from_secs(1) / faults.slow_bandwidth.max(1) as u32;
    (2 * (latency + again + slow)).max(Duration::from_secs(1))
}
