//! Timers of a reactor whose time stands still. Times are for all timers together, items per second for one.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use torsade::{Clock, DelayedCall};

const COUNTS: [usize; 3] = [100, 10_000, 100_000];

fn main() {
    divan::main();
}

/// Between one and two minutes, in random order.
fn delay(number: usize) -> Duration {
    Duration::from_millis(60_000 + (number * 7919 % 60_000) as u64)
}

fn add_all(clock: &Clock, count: usize) -> Vec<DelayedCall> {
    (0..count).map(|number| clock.call_later(delay(number), || {})).collect()
}

/// A clock with this many timers, none of which is due yet.
fn waiting(count: usize) -> (Clock, Vec<DelayedCall>) {
    let clock = Clock::new();
    let calls = add_all(&clock, count);
    (clock, calls)
}

#[divan::bench(args = COUNTS)]
fn add(bencher: Bencher<'_, '_>, count: usize) {
    bencher.counter(ItemsCount::new(count)).with_inputs(Clock::new).bench_local_values(|clock| {
        let calls = add_all(&clock, count);
        (clock, calls)
    });
}

#[divan::bench(args = COUNTS)]
fn cancel(bencher: Bencher<'_, '_>, count: usize) {
    bencher.counter(ItemsCount::new(count)).with_inputs(|| waiting(count)).bench_local_refs(|(_, calls)| {
        calls.iter().for_each(|call| call.cancel().expect("it waits"));
    });
}

/// What a read does to an idle timeout: it postpones it, inside a turn, where the clock is read once.
#[divan::bench(args = COUNTS)]
fn reset(bencher: Bencher<'_, '_>, count: usize) {
    let in_a_turn = move || {
        let (clock, calls) = waiting(count);
        let put_off = move || calls.iter().for_each(|call| call.reset(Duration::from_secs(120)).expect("it waits"));
        clock.call_later(Duration::ZERO, put_off);
        clock
    };
    bencher.counter(ItemsCount::new(count)).with_inputs(in_a_turn).bench_local_refs(|clock| clock.advance(Duration::ZERO));
}

/// All fire in one turn, as after a stall.
#[divan::bench(args = COUNTS)]
fn fire(bencher: Bencher<'_, '_>, count: usize) {
    bencher.counter(ItemsCount::new(count)).with_inputs(|| waiting(count)).bench_local_refs(|(clock, _)| {
        clock.advance(Duration::from_secs(120));
        assert_eq!(clock.delayed_calls(), 0);
    });
}
