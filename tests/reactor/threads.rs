//! Threads and the loop: no call is lost or overtakes another, and nobody waits for ever.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use crate::support;
use torsade::prelude::*;
use torsade::{BlockingCallError, Deferred, Phase, ReactorGone, SystemEvent, react};

#[test]
fn calls_from_eight_threads_keep_the_order_of_each_and_none_is_lost() {
    const EACH: usize = 125_000;
    let reactor = Reactor::new().expect("a reactor");
    let seen = Arc::new(Mutex::new([0usize; 8]));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let (handle, seen) = (reactor.handle(), Arc::clone(&seen));
            thread::spawn(move || {
                for count in 0..EACH {
                    let seen = Arc::clone(&seen);
                    let call = move |reactor: &Reactor| {
                        let mut seen = seen.lock().expect("nothing panics while holding it");
                        assert_eq!(seen[number], count, "calls of one thread stay in order");
                        seen[number] += 1;
                        if seen.iter().sum::<usize>() == 8 * EACH {
                            reactor.stop().expect("it runs");
                        }
                    };
                    handle.call_from_thread(call).expect("the reactor runs until all have arrived");
                }
            })
        })
        .collect();
    support::run(&reactor);
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    assert_eq!(*seen.lock().expect("nothing panicked while holding it"), [EACH; 8]);
}

#[test]
fn every_call_that_was_taken_is_made_even_while_the_reactor_stops() {
    for _ in 0..50 {
        let reactor = Reactor::new().expect("a reactor");
        let (made, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(5)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (handle, made, begun) = (reactor.handle(), Arc::clone(&made), Arc::clone(&begun));
                thread::spawn(move || {
                    begun.wait();
                    let mut taken = 0;
                    loop {
                        let made = Arc::clone(&made);
                        let call = move |_: &Reactor| {
                            made.fetch_add(1, Ordering::Relaxed);
                        };
                        match handle.call_from_thread(call) {
                            Ok(()) => taken += 1,
                            Err(ReactorGone) => break taken,
                        }
                    }
                })
            })
            .collect();
        let stopper = reactor.clone();
        reactor.call_when_running(move || {
            begun.wait();
            stopper.stop().expect("it runs");
        });
        reactor.run().expect("the loop runs");
        let taken: usize = threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum();
        assert_eq!(made.load(Ordering::Relaxed), taken);
    }
}

#[test]
fn a_call_queued_in_the_last_trigger_is_made_and_later_ones_are_refused() {
    let reactor = Reactor::new().expect("a reactor");
    let made = Arc::new(AtomicUsize::new(0));
    let (handle, there) = (reactor.handle(), Arc::clone(&made));
    reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, move || {
        handle.call_from_thread(move |_| there.store(1, Ordering::Relaxed)).expect("it is not over yet");
    });
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop().expect("it runs"));
    reactor.run().expect("the loop runs");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_eq!(reactor.handle().call_from_thread(|_| ()), Err(ReactorGone));
}

#[test]
fn a_job_gives_its_value_its_error_or_its_panic() {
    let results = react(|reactor| async move {
        let value = reactor.defer_to_thread(|| Ok(thread::current().name().map(str::to_owned))).await?;
        let error = reactor.defer_to_thread(|| Ok("x".parse::<u8>()?)).await.expect_err("x is not a number");
        let panic = reactor.defer_to_thread(|| -> Result<(), Box<dyn std::error::Error + Send + Sync>> { panic!("a bug") }).await;
        reactor.assert_clean_but_for_this_task();
        Ok((value, error.to_string(), panic.expect_err("it panicked").to_string()))
    });
    let (thread, error, panic) = results.expect("it runs");
    assert!(thread.is_some_and(|name| name.starts_with("torsade")), "on a thread of the pool");
    assert_eq!((error.as_str(), panic.as_str()), ("invalid digit found in string", "panicked: a bug"));
}

trait ButForThisTask {
    fn assert_clean_but_for_this_task(&self);
}

impl ButForThisTask for Reactor {
    fn assert_clean_but_for_this_task(&self) {
        let leftovers = self.leftovers();
        assert_eq!((leftovers.tasks, leftovers.jobs, leftovers.delayed_calls.len()), (1, 0, 0), "{leftovers}");
    }
}

#[test]
fn the_pool_grows_with_the_work_up_to_its_limit() {
    let reactor = Reactor::new().expect("a reactor");
    reactor.suggest_thread_pool_size(3);
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Three jobs can end only if all three run at the same time.
    let together = Arc::new(Barrier::new(3));
    let jobs: Vec<Deferred<()>> = (0..9)
        .map(|_| {
            let (running, most, together) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&together));
            reactor.defer_to_thread(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                together.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            })
        })
        .collect();
    support::run_until(&reactor, async { Ok(torsade::defer::gather_results(jobs).await?) }).expect("all are done");
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn a_larger_pool_takes_up_the_jobs_that_wait() {
    let reactor = Reactor::new().expect("a reactor");
    reactor.suggest_thread_pool_size(1);
    let together = Arc::new(Barrier::new(2));
    let jobs: Vec<Deferred<()>> = (0..2)
        .map(|_| {
            let together = Arc::clone(&together);
            reactor.defer_to_thread(move || {
                together.wait();
                Ok(())
            })
        })
        .collect();
    reactor.suggest_thread_pool_size(2);
    support::run_until(&reactor, async { Ok(torsade::defer::gather_results(jobs).await?) }).expect("both are done");
}

#[test]
fn a_thread_can_wait_for_a_result_from_the_loop_and_gets_errors() {
    let reactor = Reactor::new().expect("a reactor");
    let handle = reactor.handle();
    assert_eq!(handle.blocking_call_from_thread(|_| ()), Err(BlockingCallError::OwnThread));
    let other = thread::spawn(move || {
        let slept = handle.blocking_call_from_thread(|reactor| reactor.defer_later(Duration::from_millis(2), || Ok(7)));
        let failed = handle.blocking_call_from_thread(|_| -> Result { Err("no".into()) });
        let panicked = handle.blocking_call_from_thread(|_| -> Result { panic!("a bug") });
        handle.call_from_thread(|reactor| reactor.stop().expect("it runs")).expect("it runs");
        let never = handle.blocking_call_from_thread(|_| -> Deferred<()> { Deferred::new().0 });
        (slept, failed, panicked, never)
    });
    support::run(&reactor);
    let (slept, failed, panicked, never) = other.join().expect("it does not panic");
    assert_eq!(slept, Ok(7));
    assert_eq!(failed, Err(BlockingCallError::Failed("no".into())));
    assert_eq!(panicked, Err(BlockingCallError::Failed("panicked: a bug".into())));
    assert!(never.is_err(), "its firer was dropped, or the reactor was gone");
}

#[test]
fn a_job_that_never_ends_does_not_keep_the_process_alive() {
    const NAME: &str = "threads::a_job_that_never_ends_does_not_keep_the_process_alive";
    if support::is_child(NAME) {
        let reactor = Reactor::new().expect("a reactor");
        let started = reactor.handle();
        let job = reactor.defer_to_thread(move || {
            started.call_from_thread(|reactor| reactor.stop().expect("it runs"))?;
            loop {
                thread::park();
            }
        });
        job.add_errback(|_| Ok(())).detach();
        reactor.run().expect("the loop runs");
        drop(reactor);
        std::process::exit(7);
    }
    assert_eq!(support::child(NAME).output().expect("it starts").status.code(), Some(7));
}

#[test]
fn what_a_program_leaves_behind_is_listed_with_the_place_where_it_was_made() {
    let reactor = Reactor::new().expect("a reactor");
    reactor.assert_clean();
    let line = line!() + 1;
    let timer = reactor.call_later(Duration::from_secs(60), || ());
    let port = reactor.listen_tcp("127.0.0.1:0", |_| support::Echo).expect("a free port");
    reactor.spawn(std::future::pending::<()>());
    let leftovers = reactor.leftovers();
    assert!(leftovers.delayed_calls[0].contains(&format!("{}:{line}:", file!())), "{leftovers}");
    assert!(leftovers.sources[0].contains("a port listening on 127.0.0.1"), "{leftovers}");
    assert_eq!(leftovers.tasks, 1);
    let message = Rc::new(RefCell::new(String::new()));
    let (there, again) = (message.clone(), reactor.clone());
    let caught = torsade::spi::catch(move || again.assert_clean());
    there.replace(caught.expect_err("it is dirty").to_string());
    assert!(message.borrow().contains("1 delayed calls, 1 connections or ports, 0 jobs, 1 tasks"), "{}", message.borrow());
    timer.cancel().expect("it is active");
    port.stop_listening();
    let stopped = Rc::new(Cell::new(false));
    let (there, stopper) = (stopped.clone(), reactor.clone());
    reactor.call_when_running(move || {
        there.set(true);
        stopper.stop().expect("it runs");
    });
    reactor.run().expect("the loop runs");
    assert!(stopped.get());
    reactor.assert_clean();
}
