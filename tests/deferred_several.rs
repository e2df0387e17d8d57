//! Several Deferreds at once: lists, races, locks, semaphores and queues.

use std::cell::Cell;
use std::rc::Rc;

use torsade::{Deferred, DeferredLock, DeferredQueue, DeferredSemaphore, FailureGroup, Firer, FirstError, QueueError, defer};

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
    assert_eq!(started.get(), 3, "an error lets the next one in as well");
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
fn a_queue_keeps_order_on_both_sides_and_its_bounds() {
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
