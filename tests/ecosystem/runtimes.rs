//! Crates that need a third-party runtime: what happens without it, and with it.

use std::time::{Duration, Instant};

use torsade::{Clock, Reactor};

const MOMENT: Duration = Duration::from_millis(1);

/// The error that a task on the loop ends with.
fn error_of(future: impl Future<Output = ()> + 'static) -> String {
    let clock = Clock::new();
    let task = clock.spawn(future).into_deferred();
    clock.turn();
    task.into_result().expect("it has ended").expect_err("it has failed").to_string()
}

#[test]
fn a_timer_of_tokio_panics_and_ends_its_task() {
    let error = error_of(async { tokio::time::sleep(MOMENT).await });
    assert!(error.contains("there is no reactor running"), "{error}");
}

#[test]
fn a_task_of_tokio_panics_and_ends_its_task() {
    let error = error_of(async { drop(tokio::spawn(async {})) });
    assert!(error.contains("there is no reactor running"), "{error}");
}

#[test]
fn a_timer_of_tokio_works_on_a_loop_that_has_entered_a_runtime_in_threads_of_its_own() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let _entered = runtime.enter();
    let reactor = Reactor::new().unwrap();
    let slept = reactor.run_until(async {
        tokio::time::sleep(MOMENT).await;
        Ok(tokio::spawn(async { 7 }).await?)
    });
    assert_eq!(slept.unwrap(), 7);
}

#[test]
fn a_timer_of_async_io_works_on_the_loop() {
    let reactor = Reactor::new().unwrap();
    let slept = reactor.run_until(async {
        async_io::Timer::after(MOMENT).await;
        Ok(())
    });
    slept.unwrap();
}

#[test]
fn a_timer_of_async_io_does_not_know_of_simulated_time() {
    let clock = Clock::new();
    let task = clock
        .spawn(async {
            let _ = async_io::Timer::after(Duration::from_secs(3600)).await;
        })
        .into_deferred();
    clock.turn();
    let began = Instant::now();
    clock.advance(Duration::from_secs(7200));
    assert!(began.elapsed() < Duration::from_secs(3600));
    assert!(task.into_result().is_err(), "it still waits");
}
