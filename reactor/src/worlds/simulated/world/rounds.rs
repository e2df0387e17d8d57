//! Rounds of turns, and the time between them.

use std::cmp::Reverse;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::World;
use crate::reactor::Reactor;
use crate::worlds::simulated::error::SimulationError;
use crate::worlds::simulated::sockets::Flag;
use crate::worlds::simulated::traffic::Step;

/// The maximum number of turns without time passing.
const INSTANT_LIMIT: u64 = 100_000;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::worlds::simulated) enum Ended {
    Done,
    Idle,
    Time,
}

impl World {
    /// Runs until `done` returns true, until the time `until`, or until nothing is left to happen.
    pub(in crate::worlds::simulated) fn run(
        &self,
        until: Option<Duration>,
        mut done: impl FnMut() -> bool,
    ) -> Result<Ended, SimulationError> {
        let _running = self.begin()?;
        loop {
            if done() {
                return Ok(Ended::Done);
            }
            self.check_limits()?;
            if self.round(None)? {
                continue;
            }
            match (self.next_time(), until) {
                (Some(next), Some(until)) if next > until => {
                    self.jump(until);
                    return Ok(Ended::Time);
                }
                (Some(next), _) => self.jump(next),
                (None, _) => return Ok(Ended::Idle),
            }
        }
    }

    /// Waits for one reactor that is run by itself: the rest of the world continues until that reactor has something to do.
    pub(in crate::worlds::simulated) fn advance_for(
        &self,
        host: usize,
        timeout: Option<Duration>,
        woken: &Flag,
    ) -> io::Result<()> {
        let _running = self.begin().map_err(io::Error::other)?;
        let until = timeout.map(|timeout| self.now().saturating_add(timeout));
        while !self.is_runnable(host) && !woken.is_set() && until.is_none_or(|until| self.now() < until) {
            self.check_limits().map_err(io::Error::other)?;
            if self.round(Some(host)).map_err(io::Error::other)? || self.is_runnable(host) {
                continue;
            }
            let next = [self.next_time(), until].into_iter().flatten().min();
            self.jump(next.ok_or_else(|| io::Error::other(SimulationError::Idle { report: self.report() }))?);
        }
        Ok(())
    }

    fn begin(&self) -> Result<Running<'_>, SimulationError> {
        if self.running.replace(true) {
            return Err(SimulationError::Nested);
        }
        self.turns.set(0);
        self.turns_now.set(0);
        // For anything done between runs.
        self.network.borrow_mut().stir_all();
        Ok(Running(self))
    }

    pub(in crate::worlds::simulated) fn jump(&self, to: Duration) {
        if to > self.now() {
            self.clock.set(to);
            self.turns_now.set(0);
        }
    }

    fn check_limits(&self) -> Result<(), SimulationError> {
        if self.turns.get() > self.turn_limit.get() {
            return Err(SimulationError::TurnLimit { turns: self.turns.get(), report: self.report() });
        }
        if self.turns_now.get() > INSTANT_LIMIT {
            return Err(SimulationError::Spinning { turns: self.turns_now.get(), report: self.report() });
        }
        Ok(())
    }

    /// Performs what is due, then makes one turn on every host that has something to do. Returns whether there was anything.
    fn round(&self, but: Option<usize>) -> Result<bool, SimulationError> {
        self.start_programs(but)?;
        let happened = self.let_happen();
        let mut runnable = self.runnable.take();
        self.find_runnable(but, &mut runnable);
        // Which host comes first is random too.
        let first = self.network.borrow_mut().rng.below(runnable.len() as u64);
        runnable.rotate_left(usize::try_from(first).unwrap_or(0));
        let mut turns = 0;
        for host in &runnable {
            if let Some(reactor) = self.reactor(*host).filter(Reactor::is_running) {
                let turned = reactor.iterate(Some(Duration::ZERO));
                turned.map_err(|error| SimulationError::Turn { host: self.name(*host), problem: error.to_string() })?;
                self.network.borrow_mut().stir(*host);
                self.record_stop(*host, &reactor);
                turns += 1;
            }
        }
        self.runnable.replace(runnable);
        self.turns.set(self.turns.get() + turns);
        self.turns_now.set(self.turns_now.get() + turns);
        Ok(happened || turns > 0)
    }

    pub(in crate::worlds::simulated) fn let_happen(&self) -> bool {
        let mut happened = false;
        loop {
            let step = self.network.borrow_mut().step();
            match step {
                Step::Call(call) => call(),
                Step::Done => {}
                Step::Nothing => return happened,
            }
            happened = true;
        }
    }

    /// Starts the reactors made since the last round; each is started once.
    fn start_programs(&self, but: Option<usize>) -> Result<(), SimulationError> {
        loop {
            let next = self.unstarted.borrow_mut().pop_front();
            let Some((place, reactor)) = next.and_then(|place| Some((place, self.reactor(place)?))) else { return Ok(()) };
            if Some(place) != but && !reactor.is_running() && !reactor.is_stopping() {
                let result = reactor.start_running();
                result.map_err(|error| SimulationError::Turn { host: self.name(place), problem: error.to_string() })?;
            }
        }
    }

    fn is_runnable(&self, host: usize) -> bool {
        let programs = self.programs.borrow();
        let running = programs.get(host).filter(|program| program.reactor.is_running());
        running.is_some_and(|program| program.reactor.wants_turn() || self.network.borrow().has_ready(host))
    }

    /// Checks the hosts that may have something to do, and puts the deadlines of the idle ones into the calendar.
    fn find_runnable(&self, but: Option<usize>, runnable: &mut Vec<usize>) {
        if self.called.swap(false, Ordering::AcqRel) {
            self.network.borrow_mut().stir_all();
        }
        while let Some((_, host)) = self.first_planned().filter(|(deadline, _)| *deadline <= self.now()) {
            self.unplan();
            self.network.borrow_mut().stir(host);
        }
        self.network.borrow_mut().take_stirred(runnable);
        runnable.retain(|host| {
            let now = Some(*host) != but && self.is_runnable(*host);
            if !now {
                self.plan(*host);
            }
            now
        });
    }

    fn plan(&self, host: usize) {
        let mut programs = self.programs.borrow_mut();
        let Some(program) = programs.get_mut(host).filter(|program| program.reactor.is_running()) else { return };
        let deadline = program.reactor.next_deadline();
        if let Some(deadline) = deadline.filter(|_| program.planned != deadline) {
            program.planned = Some(deadline);
            self.calendar.borrow_mut().push(Reverse((deadline, host)));
        }
    }

    fn first_planned(&self) -> Option<(Duration, usize)> {
        self.calendar.borrow().peek().map(|Reverse(first)| *first)
    }

    fn unplan(&self) {
        let Some(Reverse((deadline, host))) = self.calendar.borrow_mut().pop() else { return };
        if let Some(program) = self.programs.borrow_mut().get_mut(host).filter(|program| program.planned == Some(deadline)) {
            program.planned = None;
        }
    }

    /// When the next event is due, in the network or in a program.
    fn next_time(&self) -> Option<Duration> {
        let network = self.network.borrow_mut().next_time();
        [self.next_deadline(), network].into_iter().flatten().min()
    }

    /// The first deadline in the calendar that is still valid.
    fn next_deadline(&self) -> Option<Duration> {
        loop {
            let (deadline, host) = self.first_planned()?;
            let reactor = self.reactor(host).filter(Reactor::is_running);
            if reactor.and_then(|reactor| reactor.next_deadline()) == Some(deadline) {
                return Some(deadline);
            }
            self.unplan();
            self.plan(host);
        }
    }
}

/// Marks the world as running until dropped.
struct Running<'a>(&'a World);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(false);
    }
}
