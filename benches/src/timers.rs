//! What a million timers cost, in nanoseconds an operation, printed as one line of JSON.

use std::time::{Duration, Instant};

use torsade::Clock;
use torsade::prelude::*;

/// A delay in milliseconds that varies from timer to timer.
fn delay(number: usize) -> Duration {
    Duration::from_millis(1000 + (number * 7919 % 60_000) as u64)
}

fn nanoseconds(count: usize, work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn add(clock: &Clock, count: usize) -> Vec<DelayedCall> {
    (0..count).map(|number| clock.call_later(delay(number), || {})).collect()
}

pub fn run(count: usize) {
    let clock = Clock::new();
    let mut calls = Vec::new();
    let add_ns = nanoseconds(count, || calls = add(&clock, count));
    let reset_ns = nanoseconds(count, || {
        for (number, call) in calls.iter().enumerate() {
            assert_eq!(call.reset(delay(number) + Duration::from_secs(30)), Ok(()));
        }
    });
    let cancel_ns = nanoseconds(count, || {
        for call in &calls {
            assert_eq!(call.cancel(), Ok(()));
        }
    });
    let add_and_fire_ns = nanoseconds(count, || {
        drop(add(&clock, count));
        clock.advance(Duration::from_secs(120));
    });
    assert_eq!(clock.delayed_calls(), 0);
    println!(
        "{{\"n\": {count}, \"add_ns\": {add_ns:.1}, \"cancel_ns\": {cancel_ns:.1}, \"addfire_ns\": {add_and_fire_ns:.1}, \"reset_ns\": {reset_ns:.1}}}"
    );
}
