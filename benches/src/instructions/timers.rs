//! Timers on a clock whose time stands still between turns: a hundred in each round.

use std::time::Duration;

use torsade::{Clock, DelayedCall, Result};

const TIMERS: usize = 100;

/// Between one and two minutes, in random order.
fn delay(number: usize) -> Duration {
    Duration::from_millis(60_000 + (number * 7919 % 60_000) as u64)
}

fn add(clock: &Clock) -> Vec<DelayedCall> {
    (0..TIMERS).map(|number| clock.call_later(delay(number), || {})).collect()
}

pub fn fire(rounds: usize) -> Result {
    let clock = Clock::new();
    for _ in 0..rounds {
        (0..TIMERS).for_each(|number| drop(clock.call_later(delay(number), || {})));
        clock.advance(Duration::from_secs(120));
    }
    Ok(())
}

/// Postpones each one, as a read does to an idle timeout: in a turn, where the clock is read once.
pub fn put_off(rounds: usize) -> Result {
    let clock = Clock::new();
    let calls = add(&clock);
    clock.call_later(Duration::ZERO, move || {
        for _ in 0..rounds {
            calls.iter().for_each(|call| call.reset(Duration::from_secs(120)).unwrap_or_default());
        }
    });
    clock.advance(Duration::ZERO);
    Ok(())
}

pub fn cancel(rounds: usize) -> Result {
    let clock = Clock::new();
    for _ in 0..rounds {
        add(&clock).iter().try_for_each(DelayedCall::cancel)?;
    }
    Ok(())
}
