//! What needs a runtime that is not there: what happens.

use std::time::Duration;

use torsade::Clock;

/// What a task on the loop ends with.
fn error_of(future: impl Future<Output = ()> + 'static) -> String {
    let clock = Clock::new();
    let task = clock.spawn(future).into_deferred();
    clock.turn();
    task.into_result().expect("it has ended").expect_err("it has failed").to_string()
}

#[test]
fn a_timer_of_tokio_panics_and_ends_its_task() {
    let error = error_of(async { tokio::time::sleep(Duration::from_millis(1)).await });
    assert!(error.contains("there is no reactor running"), "{error}");
}

#[test]
fn a_task_of_tokio_panics_and_ends_its_task() {
    let error = error_of(async { drop(tokio::spawn(async {})) });
    assert!(error.contains("there is no reactor running"), "{error}");
}
