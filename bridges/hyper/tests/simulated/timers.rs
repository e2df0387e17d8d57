//! hyper's sleeps are timers of the loop: on time, resettable, and gone when nobody waits for them.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use torsade::Clock;
use torsade::simulated::Simulation;
use torsade_hyper::TorsadeTimer;

use crate::SECOND;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A sleep that a test polls by hand.
struct Polled {
    sleep: Pin<Box<dyn Sleep>>,
    woken: Arc<Woken>,
}

impl Polled {
    fn new(sleep: Pin<Box<dyn Sleep>>) -> Self {
        Self { sleep, woken: Arc::default() }
    }

    fn is_over(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
    }

    /// How often it was woken since the last call.
    fn wakes(&self) -> u32 {
        self.woken.0.swap(0, Ordering::Relaxed)
    }
}

#[test]
fn a_sleep_of_a_day_takes_no_time_in_a_simulation_and_is_on_time() {
    let (begun, simulation) = (Instant::now(), Simulation::new(1));
    let host = simulation.host("10.0.0.1");
    let (timer, reactor, woken_at) = (TorsadeTimer::new(&host), host.reactor().clone(), Rc::new(Cell::new(None)));
    let told = Rc::clone(&woken_at);
    host.spawn(async move {
        timer.sleep(DAY).await;
        told.set(Some(reactor.now()));
    });
    simulation.run_until_idle().unwrap();
    assert_eq!(woken_at.get(), Some(DAY));
    assert!(begun.elapsed() < DAY / 10);
    host.assert_clean();
}

#[test]
fn its_instants_go_with_the_reactors_time_and_not_with_the_systems() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let before = timer.now();
    assert_eq!(timer.now(), before, "nothing moves by itself");
    clock.advance(DAY);
    assert_eq!(timer.now() - before, DAY);
    assert_eq!(timer.clone().now(), timer.now());
    let mut sleep = Polled::new(timer.sleep_until(before + DAY + SECOND));
    assert!(!sleep.is_over());
    clock.advance(SECOND);
    assert_eq!(sleep.wakes(), 1);
    assert!(sleep.is_over());
    // Times in the past, even before the reactor existed.
    assert!(Polled::new(timer.sleep_until(before)).is_over());
    assert!(Polled::new(timer.sleep_until(before.checked_sub(DAY).unwrap_or(before))).is_over());
    assert!(Polled::new(timer.sleep(Duration::ZERO)).is_over());
    clock.assert_clean();
}

#[test]
fn a_sleep_has_one_delayed_call_once_it_is_polled_and_none_when_it_is_over_or_dropped() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let mut sleep = Polled::new(timer.sleep(10 * SECOND));
    assert_eq!(clock.delayed_calls(), 0, "nobody waits for it");
    for second in 0..10 {
        // Polled early, repeatedly.
        assert!(!sleep.is_over() && !sleep.is_over(), "after {second} s");
        assert_eq!(clock.delayed_calls(), 1);
        assert_eq!(sleep.wakes(), 0, "after {second} s");
        clock.advance(SECOND);
    }
    assert_eq!(sleep.wakes(), 1);
    assert_eq!(clock.delayed_calls(), 0);
    assert!(sleep.is_over() && sleep.is_over());
    let mut others: Vec<Polled> = (1..=100).map(|seconds| Polled::new(timer.sleep(seconds * SECOND))).collect();
    assert!(!others.iter_mut().any(Polled::is_over));
    assert_eq!(clock.delayed_calls(), 100);
    drop(others);
    clock.assert_clean();
}

#[test]
fn the_last_who_polled_is_woken() {
    let clock = Clock::new();
    let mut sleep = Polled::new(TorsadeTimer::new(&clock).sleep(SECOND));
    assert!(!sleep.is_over());
    let first = std::mem::take(&mut sleep.woken);
    assert!(!sleep.is_over());
    clock.advance(SECOND);
    assert_eq!((first.0.load(Ordering::Relaxed), sleep.wakes()), (0, 1));
}

#[test]
fn a_sleep_that_is_moved_on_wakes_nobody_too_early_for_good() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let begun = timer.now();
    let mut sleep = Polled::new(timer.sleep(10 * SECOND));
    assert!(!sleep.is_over());
    // As hyper does for every request: the delayed call stays until it is due, and is moved then.
    for second in 1..=100 {
        clock.advance(SECOND);
        timer.reset(&mut sleep.sleep, begun + second * SECOND + 10 * SECOND);
        assert!(!sleep.is_over(), "after {second} s");
        assert_eq!(clock.delayed_calls(), 1);
    }
    assert!(sleep.wakes() <= 10, "woken more than once in its time");
    clock.advance(10 * SECOND);
    assert!(sleep.is_over());
    clock.assert_clean();
}

#[test]
fn a_sleep_that_is_moved_on_and_not_polled_wakes_once_and_is_polled_again() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let mut sleep = timer.sleep(SECOND);
    let (there, moved) = (clock.reactor().clone(), timer.clone());
    let task = clock.spawn(async move {
        poll_fn(|context| {
            let poll = sleep.as_mut().poll(context);
            // Reset after the poll, so that the sleep itself is not polled again.
            if there.now() == Duration::ZERO {
                moved.reset(&mut sleep, moved.now() + 5 * SECOND);
            }
            poll
        })
        .await;
        Ok(there.now())
    });
    clock.turn();
    clock.pump([SECOND / 2; 20]);
    assert_eq!(task.into_deferred().into_result().expect("it is over").unwrap(), 5 * SECOND);
    clock.assert_clean();
}

#[test]
fn a_sleep_that_is_moved_forward_is_over_earlier_and_leaves_no_call() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let begun = timer.now();
    let mut sleep = Polled::new(timer.sleep(100 * SECOND));
    assert!(!sleep.is_over());
    timer.reset(&mut sleep.sleep, begun + 10 * SECOND);
    assert!(!sleep.is_over());
    assert_eq!(clock.delayed_calls(), 1);
    clock.advance(10 * SECOND);
    assert_eq!(sleep.wakes(), 1);
    assert!(sleep.is_over());
    // Moved to a time in the past, and polled for another reason.
    let mut sleep = Polled::new(timer.sleep(100 * SECOND));
    assert!(!sleep.is_over());
    timer.reset(&mut sleep.sleep, begun);
    assert!(sleep.is_over());
    assert_eq!(clock.delayed_calls(), 0, "it is over, and nothing is to be woken");
}

#[test]
fn a_sleep_that_was_over_can_be_used_again() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let mut sleep = Polled::new(timer.sleep(SECOND));
    for _ in 0..3 {
        assert!(!sleep.is_over());
        clock.advance(SECOND);
        assert!(sleep.is_over());
        let deadline = timer.now() + SECOND;
        timer.reset(&mut sleep.sleep, deadline);
    }
}

#[test]
fn another_timers_sleep_is_replaced() {
    let (clock, other) = (Clock::new(), Clock::new());
    let timer = TorsadeTimer::new(&clock);

    struct Never;

    impl Future for Never {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> std::task::Poll<()> {
            std::task::Poll::Pending
        }
    }

    impl Sleep for Never {}

    let mut sleep: Pin<Box<dyn Sleep>> = Box::pin(Never);
    timer.reset(&mut sleep, timer.now() + SECOND);
    let mut sleep = Polled::new(sleep);
    assert!(!sleep.is_over());
    clock.advance(SECOND);
    assert!(sleep.is_over());
    other.assert_clean();
}

#[test]
fn a_time_without_end_never_comes_and_is_no_error() {
    let clock = Clock::new();
    let mut sleep = Polled::new(TorsadeTimer::new(&clock).sleep(Duration::MAX));
    assert!(!sleep.is_over());
    clock.advance(1000 * DAY);
    assert!(!sleep.is_over());
}

#[test]
fn on_other_threads_it_panics_as_documented() {
    let clock = Clock::new();
    let timer = TorsadeTimer::new(&clock);
    let elsewhere = |used: fn(&TorsadeTimer)| thread::scope(|scope| scope.spawn(|| used(&timer)).join());
    // It may be moved there, as hyper requires.
    elsewhere(|_| ()).unwrap();
    let asked: [fn(&TorsadeTimer); 3] =
        [|timer| assert!(timer.now() > Instant::now()), |timer| drop(timer.sleep(SECOND)), |timer| drop(timer.clone())];
    for used in asked {
        elsewhere(used).unwrap_err();
    }
    let mut sleep = timer.sleep(SECOND);
    let polled =
        thread::scope(|scope| scope.spawn(|| sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()).join());
    polled.unwrap_err();
    assert!(!Polled::new(sleep).is_over(), "it is unchanged here");
}
