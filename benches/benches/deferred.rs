//! Deferreds: making them, adding callbacks, firing, waiting.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use torsade::{Clock, Deferred, Firer, defer};

const CALLBACKS: [usize; 3] = [1, 10, 100];
const DEFERREDS: [usize; 2] = [10, 1000];

fn main() {
    divan::main();
}

/// A Deferred with this many callbacks, not fired yet.
fn chain(callbacks: usize) -> (Deferred<usize>, Firer<usize>) {
    let (deferred, firer) = Deferred::new();
    let add = |deferred: Deferred<usize>, _| deferred.add_callback(|value| Ok(black_box(value) + 1));
    ((0..callbacks).fold(deferred, add), firer)
}

/// Makes a Deferred and adds the callbacks.
#[divan::bench(args = CALLBACKS)]
fn make(bencher: Bencher<'_, '_>, callbacks: usize) {
    bencher.counter(ItemsCount::new(callbacks)).bench_local(|| chain(callbacks));
}

/// Runs the callbacks and takes the result.
#[divan::bench(args = CALLBACKS)]
fn fire(bencher: Bencher<'_, '_>, callbacks: usize) {
    bencher.counter(ItemsCount::new(callbacks)).with_inputs(|| chain(callbacks)).bench_local_values(|(deferred, firer)| {
        firer.callback(0);
        assert!(matches!(deferred.into_result(), Ok(Ok(count)) if count == callbacks));
    });
}

/// Waits for all of them, in the order in which they fire.
#[divan::bench(args = DEFERREDS)]
fn gather(bencher: Bencher<'_, '_>, count: usize) {
    let pairs = || (0..count).map(|_| Deferred::new()).unzip();
    bencher.counter(ItemsCount::new(count)).with_inputs(pairs).bench_local_values(
        |(deferreds, firers): (Vec<Deferred<usize>>, Vec<Firer<usize>>)| {
            let all = defer::gather_results(deferreds);
            firers.into_iter().enumerate().for_each(|(value, firer)| firer.callback(value));
            assert!(matches!(all.into_result(), Ok(Ok(values)) if values.len() == count));
        },
    );
}

/// A task that awaits them one after the other: each takes a turn of the reactor.
#[divan::bench]
fn await_in_a_task(bencher: Bencher<'_, '_>) {
    const AWAITED: usize = 100;
    let clock = Clock::new();
    bencher.counter(ItemsCount::new(AWAITED)).bench_local(|| {
        let (deferreds, firers): (Vec<Deferred<usize>>, Vec<Firer<usize>>) = (0..AWAITED).map(|_| Deferred::new()).unzip();
        let task = clock.spawn(async move {
            for deferred in deferreds {
                black_box(deferred.await?);
            }
            Ok(())
        });
        clock.turn();
        for firer in firers {
            firer.callback(1);
            clock.turn();
        }
        assert!(matches!(task.into_deferred().into_result(), Ok(Ok(()))));
    });
}
