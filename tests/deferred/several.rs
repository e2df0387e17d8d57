//! Several Deferreds at once: lists, races, locks, semaphores and queues.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use torsade::{
    Clock, Deferred, DeferredLock, DeferredQueue, DeferredSemaphore, FailureGroup, Firer, FirstError, QueueError, defer,
};

fn result_of<T: std::fmt::Debug>(deferred: Deferred<T>) -> Result<T, String> {
    deferred.into_result().expect("it has a result").map_err(|failure| failure.to_string())
}

fn several<T>(count: usize) -> (Vec<Deferred<T>>, Vec<Option<Firer<T>>>) {
    (0..count).map(|_| Deferred::new()).map(|(deferred, firer)| (deferred, Some(firer))).unzip()
}

#[test]
fn a_list_gives_all_results_in_its_own_order() {
    let (deferreds, mut firers) = several::<u32>(3);
    let list = defer::deferred_list(deferreds);
    firers[2].take().expect("unused").callback(2);
    firers[0].take().expect("unused").errback("zero");
    let list = list.into_result().expect_err("one is missing");
    firers[1].take().expect("unused").callback(1);
    let results = result_of(list).expect("a list never fails");
    let results: Vec<_> = results.into_iter().map(|result| result.map_err(|failure| failure.to_string())).collect();
    assert_eq!(results, [Err("zero".into()), Ok(1), Ok(2)]);
    assert!(result_of(defer::deferred_list::<u32>([])).expect("an empty list fires").is_empty());
}

#[test]
fn gather_results_fails_with_the_first_error_and_its_place() {
    let (deferreds, mut firers) = several::<u32>(3);
    let gathered = defer::gather_results(deferreds);
    firers[0].take().expect("unused").callback(0);
    firers[2].take().expect("unused").errback("two");
    let failure = gathered.into_result().expect("it has failed").expect_err("with an error");
    let first = failure.downcast_ref::<FirstError>().expect("it says which");
    assert_eq!((first.index, first.failure.to_string()), (2, "two".to_owned()));
}

#[test]
fn cancelling_a_list_cancels_all_of_it() {
    let (deferreds, firers) = several::<u32>(3);
    let gathered = defer::gather_results(deferreds);
    gathered.cancel();
    assert!(firers.iter().flatten().all(Firer::is_called));
    assert!(result_of(gathered).expect_err("it failed").contains("was cancelled"));
}

#[test]
fn a_race_is_won_by_the_first_value_and_the_others_are_cancelled() {
    let (deferreds, mut firers) = several::<u32>(3);
    let race = defer::race(deferreds);
    firers[0].take().expect("unused").errback("out");
    firers[2].take().expect("unused").callback(22);
    assert_eq!(result_of(race), Ok((2, 22)));
    assert!(firers[1].take().expect("unused").is_called());
}

#[test]
fn a_race_that_all_lose_fails_with_all_errors() {
    let race = defer::race([defer::fail::<u32>("a"), defer::fail("b")]);
    let failure = race.into_result().expect("it has failed").expect_err("with an error");
    let group = failure.downcast_ref::<FailureGroup>().expect("of all");
    assert_eq!(group.failures.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn a_lock_lets_in_one_after_the_other_and_forgets_those_who_cancel() {
    let lock = DeferredLock::new();
    let first = lock.acquire().into_result().expect("it is free").expect("that cannot fail");
    let second = lock.acquire();
    let third = lock.acquire();
    second.cancel();
    first.release();
    assert!(lock.locked());
    let permit = third.into_result().expect("it is its turn").expect("that cannot fail");
    drop(permit);
    assert!(!lock.locked());
    assert_eq!(result_of(second.add_callback(drop)), Err("the Deferred was cancelled".into()));
}

#[test]
fn a_semaphore_runs_as_many_as_it_has_tokens() {
    let semaphore = DeferredSemaphore::new(2);
    let (works, mut firers) = several::<()>(3);
    let started = Rc::new(Cell::new(0));
    let run = |work| {
        let started = started.clone();
        semaphore.run(move || {
            started.set(started.get() + 1);
            work
        })
    };
    let runs: Vec<Deferred<()>> = works.into_iter().map(run).collect();
    assert_eq!((started.get(), semaphore.tokens()), (2, 0));
    firers[1].take().expect("unused").errback("failed");
    assert_eq!(started.get(), 3, "an error also lets the next one in");
    drop(firers);
    assert_eq!(semaphore.tokens(), 2);
    assert!(runs.into_iter().all(|run| result_of(run).is_err()));
}

#[test]
fn a_hundred_thousand_who_wait_for_a_lock_do_not_recurse() {
    let lock = DeferredLock::new();
    let count = Rc::new(Cell::new(0));
    let first = lock.acquire();
    for _ in 0..100_000 {
        let count = count.clone();
        lock.run(move || count.set(count.get() + 1)).detach();
    }
    drop(first);
    assert_eq!(count.get(), 100_000);
}

#[test]
fn a_queue_keeps_order_on_both_sides_and_its_limits() {
    let queue = DeferredQueue::new(2, 2);
    let (a, b) = (queue.get(), queue.get());
    assert_eq!(result_of(queue.get()), Err(QueueError::Underflow.to_string()));
    a.cancel();
    queue.put(1).expect("one waits");
    assert_eq!(result_of(b), Ok(1));
    queue.put(2).expect("there is room");
    queue.put(3).expect("there is room");
    assert_eq!(queue.put(4), Err(QueueError::Overflow));
    assert_eq!(result_of(queue.get()), Ok(2));
    assert_eq!(result_of(queue.get()), Ok(3));
    assert!(a.into_result().expect("it has a result").is_err());
}

/// A task that waits for a value, on a clock that has already polled it.
fn waiting(clock: &Clock, value: Deferred<u32>) -> Deferred<u32> {
    let task = clock.spawn(async move { Ok(value.await?) }).into_deferred();
    clock.turn();
    task
}

/// Takes the expected error of a cancelled task.
fn cancelled(task: Deferred<u32>) {
    task.cancel();
    assert!(result_of(task).is_err());
}

#[test]
fn values_handed_to_tasks_that_are_cancelled_before_they_run_are_kept_in_their_old_places() {
    for order in [[0, 1], [1, 0]] {
        let (clock, queue) = (Clock::new(), DeferredQueue::new(3, 3));
        let mut tasks: Vec<_> = (0..3).map(|_| Some(waiting(&clock, queue.get()))).collect();
        (1..=4).for_each(|value| queue.put(value).expect("three wait, and one is kept"));
        for place in order {
            cancelled(tasks[place].take().expect("it is cancelled once"));
        }
        assert_eq!(queue.len(), 3);
        clock.turn();
        assert_eq!(tasks.pop().flatten().map(result_of), Some(Ok(3)), "the task that was not cancelled");
        assert_eq!([1, 2, 4].map(|_| result_of(queue.get()).expect("it is kept")), [1, 2, 4]);
    }
}

#[test]
fn a_value_that_comes_back_goes_to_the_one_that_has_waited_longest() {
    let (clock, queue) = (Clock::new(), DeferredQueue::new(0, 9));
    let (first, second, third) = (waiting(&clock, queue.get()), waiting(&clock, queue.get()), queue.get());
    let first_value = Rc::new(Cell::new(0));
    let there = first_value.clone();
    let second = second.add_callback(move |value| there.set(value));
    queue.put(1).expect("three wait");
    cancelled(first);
    clock.turn();
    assert_eq!((result_of(second), first_value.get()), (Ok(()), 1));
    queue.put(2).expect("one waits");
    assert_eq!(result_of(third), Ok(2));
}

/// A task waits, the queue gets the one value, and the task is cancelled before it runs.
#[track_caller]
fn comes_back<R: 'static>(value: impl FnOnce(&Clock, Deferred<u32>) -> Deferred<R>) {
    let (clock, queue) = (Clock::new(), DeferredQueue::new(1, 1));
    let value = value(&clock, queue.get());
    clock.turn();
    let task = clock.spawn(async move { value.await.map(drop).map_err(Into::into) }).into_deferred();
    clock.turn();
    queue.put(7).expect("one waits");
    assert!(queue.is_empty(), "it was handed out");
    task.cancel();
    assert!(result_of(task).is_err());
    assert_eq!(queue.len(), 1);
    assert_eq!(result_of(queue.get()), Ok(7));
}

#[test]
fn a_value_that_nobody_has_taken_comes_back_whatever_has_handed_it_on() {
    comes_back(|_, value| value);
    comes_back(|clock, value| value.add_timeout(Duration::from_secs(1), clock.reactor()));
    comes_back(|_, value| value.add_errback(|_| Ok(0)));
    comes_back(|_, value| defer::succeed(()).add_callback(move |()| value));
    comes_back(|clock, value| clock.spawn(std::future::ready(value)).into_deferred());
    comes_back(|_, value| defer::race([Deferred::new().0, value]));
    comes_back(|_, value| defer::gather_results([defer::succeed(1), value]));
    comes_back(|_, value| defer::deferred_list([defer::succeed(1), value, defer::fail("not this one")]));
    comes_back(|_, value| {
        let (chained, firer) = Deferred::new();
        value.chain_deferred(firer);
        chained
    });
}

#[test]
fn a_value_that_is_there_is_not_taken_by_those_who_never_ask_for_it() {
    let (clock, queue) = (Clock::new(), DeferredQueue::new(2, 2));
    queue.put(1).expect("there is room");
    drop(queue.get());
    assert_eq!(queue.len(), 1, "it was not awaited");
    let there = queue.get();
    let task = clock.spawn(async move {
        pending::<()>().await;
        Ok(there.await?)
    });
    clock.turn();
    cancelled(task.into_deferred());
    assert_eq!(queue.len(), 1, "the task waited for something else");
    let (other, winner) = (DeferredQueue::new(1, 1), DeferredQueue::new(1, 1));
    winner.put(2).expect("there is room");
    other.put(3).expect("there is room");
    assert_eq!(result_of(defer::race([winner.get(), other.get(), queue.get()])), Ok((0, 2)));
    assert_eq!((other.len(), queue.len()), (1, 1), "they lost the race");
    assert!(result_of(defer::gather_results([queue.get(), defer::fail("broken"), other.get()])).is_err());
    assert_eq!((other.len(), queue.len()), (1, 1), "there was an error");
    assert_eq!(result_of(queue.get()), Ok(1));
}

#[test]
fn whoever_waits_and_is_dropped_leaves_the_queue_and_the_semaphore() {
    let (clock, queue) = (Clock::new(), DeferredQueue::new(1, 1));
    drop(queue.get());
    drop(queue.get().add_timeout(Duration::from_secs(1), clock.reactor()));
    queue.get().detach();
    assert_eq!(clock.delayed_calls(), 0);
    let value = queue.get();
    queue.put(1).expect("one waits");
    assert_eq!(result_of(value), Ok(1), "the others gave up their places to it");

    let semaphore = DeferredSemaphore::new(1);
    let (held, waits) = (semaphore.acquire(), semaphore.acquire());
    drop(semaphore.acquire());
    assert!(format!("{semaphore:?}").contains("waiting: 1"), "{semaphore:?}");
    drop(held);
    assert!(result_of(waits).is_ok());
}

#[test]
fn a_value_that_a_hundred_thousand_do_not_take_does_not_recurse() {
    let queue = DeferredQueue::new(1, 100_000);
    for _ in 0..100_000 {
        queue.get().add_errback(|_| Ok(0)).detach();
    }
    queue.put(1).expect("many wait");
    assert_eq!(queue.len(), 1);
}
