//! What a million timers cost on a reactor, in nanoseconds of CPU per operation, printed as one line of JSON.
//!
//! The operations are those of the rig that drives this server: random delays, cancelled in a different order than added, and due
//! while timers are still being added.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade_bench::time;

/// A xorshift generator (Marsaglia 2003) that draws the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

fn nanoseconds(count: usize, work: impl FnOnce()) -> f64 {
    time(work) * 1e9 / count as f64
}

/// Timers due in one to two hours: added, then cancelled.
fn add_and_cancel(count: usize, random: &mut Random) -> Result<(f64, f64)> {
    let reactor = Reactor::new()?;
    let mut calls = Vec::with_capacity(count);
    let add = nanoseconds(count, || {
        for _ in 0..count {
            let delay = Duration::from_millis(3_600_000 + random.below(3_600_000));
            calls.push(reactor.call_later(delay, || {}));
        }
    });
    random.shuffle(&mut calls);
    let cancel = nanoseconds(count, || {
        for call in &calls {
            assert_eq!(call.cancel(), Ok(()));
        }
    });
    assert_eq!(reactor.delayed_calls(), 0);
    Ok((add, cancel))
}

/// Timers due within the next 100 ms: added, and waited for.
fn add_and_fire(count: usize, random: &mut Random) -> Result<f64> {
    let reactor = Reactor::new()?;
    let left = Rc::new(Cell::new(count));
    let mut result = Ok(());
    let each = nanoseconds(count, || {
        for _ in 0..count {
            let left = Rc::clone(&left);
            reactor.call_later(Duration::from_millis(random.below(100)), move || left.set(left.get() - 1));
        }
        result = reactor.start_running().map_err(Into::into);
        while left.get() > 0 && result.is_ok() {
            // Bounded, since nothing wakes it after the last call.
            result = reactor.iterate(Some(Duration::from_millis(1)));
        }
    });
    assert_eq!(left.get(), 0);
    result.map(|()| each)
}

/// The idle timeouts of 100,000 connections, postponed in random order by callbacks of one turn.
fn reset(count: usize, random: Random) -> Result<f64> {
    const CONNECTIONS: u64 = 100_000;
    let reactor = Reactor::new()?;
    let mut random = random;
    let timeouts: Vec<_> =
        (0..CONNECTIONS).map(|_| reactor.call_later(Duration::from_millis(29_000 + random.below(1000)), || {})).collect();
    let each = Rc::new(Cell::new(0.0));
    let there = Rc::clone(&each);
    reactor.call_later(Duration::ZERO, move || {
        there.set(nanoseconds(count, || {
            for _ in 0..count {
                let timeout = &timeouts[random.below(CONNECTIONS) as usize];
                assert_eq!(timeout.reset(Duration::from_secs(30)), Ok(()));
            }
        }));
    });
    reactor.iterate(Some(Duration::ZERO))?;
    Ok(each.get())
}

pub fn run(count: usize) -> Result {
    let mut random = Random(88_172_645_463_325_252);
    let (add, cancel) = add_and_cancel(count, &mut random)?;
    let add_and_fire = add_and_fire(count, &mut random)?;
    let reset = reset(count, random)?;
    println!(
        "{{\"name\": \"torsade\", \"n\": {count}, \"add_ns\": {add:.1}, \"cancel_ns\": {cancel:.1}, \"addfire_ns\": {add_and_fire:.1}, \
         \"reset_ns\": {reset:.1}}}"
    );
    Ok(())
}
