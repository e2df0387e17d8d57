//! A single Deferred: order, errors, pauses, cancelling, timeouts, and what is logged.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::logged::{warnings, watch};
use torsade::{Clock, Deferred, DeferredError, Failure, FirstError, QueueError, defer};

/// What happened, in order.
#[derive(Clone, Default)]
struct Trace(Rc<RefCell<Vec<String>>>);

impl Trace {
    fn note(&self, what: impl ToString) {
        self.0.borrow_mut().push(what.to_string());
    }

    #[track_caller]
    fn expect(&self, expected: &[&str]) {
        assert_eq!(self.0.take(), expected);
    }
}

fn result_of<T: std::fmt::Debug>(deferred: Deferred<T>) -> Result<T, String> {
    deferred.into_result().expect("it has a result").map_err(|failure| failure.to_string())
}

/// The warnings and errors that this thread logged while `run` ran.
fn logged(run: impl FnOnce()) -> Vec<String> {
    watch();
    run();
    warnings()
}

#[test]
fn callbacks_run_inside_callback_in_the_order_they_were_added() {
    let trace = Trace::default();
    let (deferred, firer) = Deferred::<u32>::new();
    let (first, second) = (trace.clone(), trace.clone());
    let deferred = deferred
        .add_callback(move |value| {
            first.note(format!("first {value}"));
            Ok(value + 1)
        })
        .add_callback(move |value| second.note(format!("second {value}")));
    trace.expect(&[]);
    firer.callback(1);
    trace.expect(&["first 1", "second 2"]);
    assert_eq!(result_of(deferred), Ok(()));
}

#[test]
fn a_callback_added_after_firing_runs_at_once() {
    let trace = Trace::default();
    let there = trace.clone();
    let deferred = defer::succeed(7).add_callback(move |value: i32| there.note(value));
    trace.expect(&["7"]);
    assert_eq!(result_of(deferred), Ok(()));
}

#[test]
fn an_error_passes_by_callbacks_and_an_errback_makes_it_a_value_again() {
    let trace = Trace::default();
    let (never, caught) = (trace.clone(), trace.clone());
    let deferred = defer::fail::<u32>("broken")
        .add_callback(move |value| {
            never.note("never");
            Ok(value)
        })
        .add_errback(move |failure| {
            caught.note(&failure);
            Ok(3)
        })
        .add_callback(|value| Ok(value * 2));
    trace.expect(&["broken"]);
    assert_eq!(result_of(deferred), Ok(6));
}

#[test]
fn a_callback_that_fails_or_panics_makes_an_error() {
    let failed = defer::succeed("x").add_callback(|text| Ok(text.parse::<i32>()?));
    assert_eq!(result_of(failed), Err("invalid digit found in string".into()));
    let panicked = defer::succeed(1).add_callback(|_| -> torsade::Result<i32> { panic!("a bug") });
    assert_eq!(result_of(panicked), Err("panicked: a bug".into()));
}

#[test]
fn add_callbacks_does_not_catch_its_own_errors_and_add_both_gets_either() {
    let deferred = defer::succeed(1).add_callbacks(|_| -> torsade::Result<i32> { Err("mine".into()) }, |_| Ok(0));
    assert_eq!(result_of(deferred.add_both(|result| Ok(result.is_err()))), Ok(true));
}

#[test]
fn a_returned_deferred_pauses_the_chain_until_it_has_a_result() {
    let trace = Trace::default();
    let (inner, fire_inner) = Deferred::<u32>::new();
    let (outer, fire_outer) = Deferred::<()>::new();
    let there = trace.clone();
    let outer = outer.add_callback(move |()| inner).add_callback(move |value| there.note(value));
    fire_outer.callback(());
    trace.expect(&[]);
    assert!(outer.is_called());
    fire_inner.callback(5);
    trace.expect(&["5"]);
    assert_eq!(result_of(outer), Ok(()));
}

#[test]
fn firing_another_deferred_in_a_callback_runs_its_callbacks_within() {
    let trace = Trace::default();
    let (a, fire_a) = Deferred::<()>::new();
    let (b, fire_b) = Deferred::<()>::new();
    let (in_a, in_b, after) = (trace.clone(), trace.clone(), trace.clone());
    b.add_callback(move |()| in_b.note("b")).detach();
    a.add_callback(move |()| {
        in_a.note("a begins");
        fire_b.callback(());
        in_a.note("a ends");
    })
    .add_callback(move |()| after.note("a's second"))
    .detach();
    fire_a.callback(());
    trace.expect(&["a begins", "b", "a ends", "a's second"]);
}

#[test]
fn a_chain_of_300_000_callbacks_neither_recurses_when_it_is_fired_nor_when_it_is_abandoned() {
    let build = || {
        let (mut deferred, firer) = Deferred::<u32>::new();
        for _ in 0..300_000 {
            deferred = deferred.add_callback(|value| Ok(value + 1));
        }
        (deferred, firer)
    };
    let (deferred, firer) = build();
    firer.callback(0);
    assert_eq!(result_of(deferred), Ok(300_000));
    let (deferred, firer) = build();
    deferred.pause();
    drop((firer, deferred));
}

#[test]
fn deferreds_that_wait_for_one_another_do_not_recurse() {
    let nested = || {
        let (mut last, firer) = Deferred::<u32>::new();
        for _ in 0..100_000 {
            let inner = last;
            last = defer::succeed(()).add_callback(move |()| inner);
        }
        (last, firer)
    };
    let (last, firer) = nested();
    firer.callback(9);
    assert_eq!(result_of(last), Ok(9));
    let (last, firer) = nested();
    last.cancel();
    assert!(firer.is_called(), "the innermost was cancelled");
    assert_eq!(result_of(last), Err("the Deferred was cancelled".into()));
}

#[test]
fn a_pause_holds_the_result_until_as_many_unpauses() {
    let trace = Trace::default();
    let (deferred, firer) = Deferred::<u32>::new();
    let there = trace.clone();
    let deferred = deferred.add_callback(move |value| there.note(value));
    deferred.pause();
    deferred.pause();
    firer.callback(1);
    deferred.unpause();
    trace.expect(&[]);
    let deferred = deferred.into_result().expect_err("it is paused");
    deferred.unpause();
    trace.expect(&["1"]);
    assert_eq!(result_of(deferred), Ok(()));
}

#[test]
fn a_paused_chain_that_nobody_can_unpause_goes_on() {
    let trace = Trace::default();
    let (deferred, firer) = Deferred::<u32>::new();
    let there = trace.clone();
    let deferred = deferred.add_callback(move |value| there.note(value));
    deferred.pause();
    firer.callback(1);
    drop(deferred);
    trace.expect(&["1"]);
}

#[test]
fn cancelling_without_a_canceller_fails_it_and_the_late_result_is_dropped() {
    let (deferred, firer) = Deferred::<u32>::new();
    deferred.cancel();
    deferred.cancel();
    assert!(firer.is_called());
    firer.callback(1);
    let failure = deferred.into_result().expect("it has a result").expect_err("it was cancelled");
    assert!(failure.is_cancelled());
}

#[test]
fn a_canceller_is_called_once_and_may_give_another_result() {
    let calls = Rc::new(Cell::new(0));
    let there = calls.clone();
    let (deferred, _firer) = Deferred::<u32>::with_canceller(move |_| there.set(there.get() + 1));
    deferred.cancel();
    deferred.cancel();
    assert_eq!(calls.get(), 1);
    assert_eq!(result_of(deferred), Err("the Deferred was cancelled".into()));

    let (deferred, firer) = Deferred::<u32>::with_canceller(|firer| firer.callback(2));
    deferred.cancel();
    firer.callback(3);
    assert_eq!(result_of(deferred), Ok(2));
}

#[test]
fn a_canceller_that_panics_is_logged_and_the_deferred_is_cancelled_all_the_same() {
    let (deferred, _firer) = Deferred::<u32>::with_canceller(|_| panic!("in a canceller"));
    let lines = logged(|| deferred.cancel());
    assert!(lines.len() == 1 && lines[0].contains("panicked: in a canceller"), "{lines:?}");
    assert_eq!(result_of(deferred), Err("the Deferred was cancelled".into()));
}

#[test]
fn cancelling_a_chain_that_waits_cancels_the_inner_one() {
    let (inner, fire_inner) = Deferred::<u32>::new();
    let outer = defer::succeed(()).add_callback(move |()| inner);
    outer.cancel();
    assert!(fire_inner.is_called());
    assert_eq!(result_of(outer), Err("the Deferred was cancelled".into()));
}

#[test]
fn a_dropped_firer_fails_the_deferred_instead_of_leaving_it_for_ever() {
    let (deferred, firer) = Deferred::<u32>::new();
    drop(firer);
    let failure = deferred.into_result().expect("it has a result").expect_err("it was abandoned");
    assert_eq!(failure.downcast_ref(), Some(&DeferredError::Abandoned));
}

#[test]
fn an_error_that_nobody_handles_is_logged_with_the_place_where_the_deferred_was_made() {
    let line = line!() + 2;
    let lines = logged(|| {
        let (deferred, firer) = Deferred::<u32>::new();
        deferred.add_callback(|value| Ok(value + 1)).detach();
        firer.errback("nobody cares");
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].ends_with("nobody cares"), "{lines:?}");
    assert!(lines[0].contains(&format!("{}:{line}:", file!())), "{lines:?}");
}

#[test]
fn an_error_is_logged_once_also_when_the_deferred_is_dropped_late_or_was_returned() {
    assert_eq!(logged(|| drop(defer::fail::<u32>("late"))).len(), 1);
    assert_eq!(logged(|| defer::succeed(()).add_callback(|()| defer::fail::<u32>("inner")).detach()).len(), 1);
}

#[test]
fn an_error_that_was_handled_or_taken_is_not_logged() {
    let lines = logged(|| {
        defer::fail::<u32>("handled").add_errback(|_| Ok(1)).detach();
        assert!(defer::fail::<u32>("taken").into_result().expect("it has a result").is_err());
        drop(Deferred::<u32>::new());
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_timeout_cancels_and_says_after_what_time() {
    let clock = Clock::new();
    let (deferred, _firer) = Deferred::<u32>::new();
    let deferred = deferred.add_timeout(Duration::from_secs(3), clock.reactor());
    clock.advance(Duration::from_secs(2));
    let deferred = deferred.into_result().expect_err("there is time left");
    clock.advance(Duration::from_secs(1));
    let failure = deferred.into_result().expect("it has a result").expect_err("it timed out");
    assert_eq!(failure.downcast_ref(), Some(&DeferredError::TimedOut(Duration::from_secs(3))));
}

#[test]
fn a_result_in_time_cancels_the_timeout() {
    let clock = Clock::new();
    let (deferred, firer) = Deferred::<u32>::new();
    let deferred = deferred.add_timeout(Duration::from_secs(3), clock.reactor());
    firer.callback(4);
    assert_eq!(clock.delayed_calls(), 0);
    assert_eq!(result_of(deferred), Ok(4));
    let (deferred, _firer) = Deferred::<u32>::new();
    let deferred = deferred.add_timeout(Duration::from_secs(3), clock.reactor());
    deferred.cancel();
    assert_eq!(result_of(deferred), Err("the Deferred was cancelled".into()), "by something other than the timeout");
}

#[test]
fn a_failure_keeps_its_type_through_boxes_and_trap_passes_others_on() {
    let failure = Failure::new(QueueError::Overflow);
    let boxed: Box<dyn std::error::Error> = Box::new(failure);
    let again = Failure::from(boxed);
    assert!(again.check::<QueueError>());
    assert!(again.clone().trap::<QueueError>().is_ok());
    assert!(again.trap::<FirstError>().is_err());
}

/// The result came before the pause ended, and nothing looked again when it did.
#[test]
fn a_fired_deferred_that_is_paused_is_awaited_and_reported_when_the_pause_ends() {
    let clock = Clock::new();
    let paused = defer::succeed(1);
    let handle = paused.handle();
    paused.pause();
    let answer = Rc::new(Cell::new(0));
    let there = Rc::clone(&answer);
    let told = clock.spawn(async move {
        there.set(paused.await?);
        Ok(())
    });
    let told = told.into_deferred();
    told.detach();
    clock.advance(Duration::ZERO);
    assert_eq!(answer.get(), 0);
    handle.unpause();
    clock.advance(Duration::ZERO);
    assert_eq!(answer.get(), 1);
}
