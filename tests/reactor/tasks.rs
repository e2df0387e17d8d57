//! Work on the loop: async tasks, repeated calls, and long work in slices.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::mpsc;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::support;
use torsade::prelude::*;
use torsade::{Clock, Cooperator, Deferred, LoopingCall, Phase, SystemEvent, TaskError, TaskGroup, defer, react};

const SECOND: Duration = Duration::from_secs(1);

fn a_bug() -> Result {
    panic!("a bug")
}

fn counter() -> (Rc<Cell<u32>>, impl Fn() + Clone) {
    let count = Rc::new(Cell::new(0));
    let there = count.clone();
    (count, move || there.set(there.get() + 1))
}

#[test]
fn a_task_runs_from_the_loop_and_gives_its_result() {
    let clock = Clock::new();
    let (count, called) = counter();
    let task = clock.spawn(async move {
        called();
        Ok(5)
    });
    assert_eq!(count.get(), 0, "nothing runs inside spawn");
    clock.turn();
    assert_eq!(count.get(), 1);
    assert_eq!(task.into_deferred().into_result().expect("it is done").expect("without an error"), 5);
    clock.assert_clean();
}

#[test]
fn a_task_that_is_woken_in_a_turn_is_polled_in_it_and_one_that_a_task_wakes_in_the_next() {
    let clock = Clock::new();
    let turns = Rc::new(RefCell::new(Vec::new()));
    let note = |what| {
        let (turns, reactor) = (Rc::clone(&turns), clock.reactor().clone());
        move || turns.borrow_mut().push((what, reactor.turn_number()))
    };
    let ((first, wake_first), (second, wake_second)) = (Deferred::new(), Deferred::new());
    let (note_timer, note_first, note_second) = (note("timer"), note("first"), note("second"));
    clock.spawn(async move {
        second.await?;
        note_second();
        Ok(())
    });
    clock.spawn(async move {
        first.await?;
        note_first();
        wake_second.callback(());
        Ok(())
    });
    clock.turn();
    clock.call_later(Duration::ZERO, move || {
        note_timer();
        wake_first.callback(());
    });
    clock.turn();
    clock.turn();
    assert_eq!(*turns.borrow(), [("timer", 2), ("first", 2), ("second", 3)]);
}

#[test]
fn a_task_waits_for_deferreds_and_its_error_keeps_its_type() {
    let clock = Clock::new();
    let (deferred, firer) = Deferred::<&str>::new();
    let task = clock.spawn(async move { Ok(deferred.await?.parse::<u8>()?) });
    clock.turn();
    assert_eq!(clock.leftovers().tasks, 1);
    firer.callback("x");
    clock.turn();
    let failure = task.into_deferred().into_result().expect("it is done").expect_err("x is not a number");
    assert!(failure.check::<std::num::ParseIntError>());
}

#[test]
fn a_task_that_panics_ends_alone() {
    let clock = Clock::new();
    let (count, called) = counter();
    let bad = clock.spawn(async { a_bug() });
    clock.spawn(async move { called() });
    clock.turn();
    assert_eq!(count.get(), 1);
    let failure = bad.into_deferred().into_result().expect("it is done").expect_err("it panicked");
    assert_eq!(failure.to_string(), "panicked: a bug");
}

#[test]
fn a_cancelled_task_is_dropped_where_it_waits_and_cancels_what_it_waits_for() {
    let clock = Clock::new();
    let alive = Rc::new(());
    let (there, reactor) = (alive.clone(), clock.reactor().clone());
    let task = clock.spawn(async move {
        reactor.sleep(SECOND).await?;
        drop(there);
        Ok(())
    });
    clock.turn();
    assert_eq!(clock.leftovers().delayed_calls.len(), 1);
    task.cancel();
    assert_eq!(Rc::strong_count(&alive), 1);
    clock.assert_clean();
    assert!(task.into_deferred().into_result().expect("it has ended").is_err_and(|failure| failure.is_cancelled()));
}

#[test]
fn a_task_may_cancel_itself() {
    let clock = Clock::new();
    let own = Rc::new(RefCell::new(None::<torsade::DeferredHandle>));
    let there = own.clone();
    let task = clock.spawn(async move {
        let own = there.take();
        own.expect("it was put there").cancel();
        std::future::pending::<()>().await;
    });
    own.replace(Some(task.handle()));
    clock.turn();
    clock.assert_clean();
    assert!(task.into_deferred().into_result().expect("it has ended").is_err());
}

#[test]
fn a_task_that_always_wakes_itself_leaves_the_loop_its_turns() {
    let clock = Clock::new();
    let (polls, polled) = counter();
    let task = clock.spawn(poll_fn(move |context| {
        polled();
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    clock.turn();
    clock.turn();
    assert_eq!(polls.get(), 2, "once a turn");
    task.cancel();
    clock.turn();
    assert_eq!(polls.get(), 2);
}

#[test]
fn another_thread_can_wake_a_task_of_a_waiting_loop() {
    let (to_thread, from_loop) = mpsc::channel::<Waker>();
    let waker_thread = thread::spawn(move || from_loop.recv().expect("the loop sends a waker").wake());
    let mut sent = false;
    let answer = react(|_| {
        poll_fn(move |context| {
            if std::mem::replace(&mut sent, true) {
                return Poll::Ready(Ok("woken"));
            }
            to_thread.send(context.waker().clone()).expect("the thread waits");
            Poll::Pending
        })
    });
    assert_eq!(answer.expect("it was woken"), "woken");
    waker_thread.join().expect("it does not panic");
}

#[test]
fn react_returns_the_error_of_its_main_and_says_when_it_was_stopped_first() {
    let failed = react(|_| async { Err::<(), _>("no luck".into()) });
    assert_eq!(failed.expect_err("it failed").to_string(), "no luck");
    let stopped = react(|reactor| async move {
        reactor.stop()?;
        std::future::pending::<()>().await;
        Ok(())
    });
    let error = stopped.expect_err("it was stopped");
    assert_eq!(error.downcast_ref(), Some(&TaskError::Stopped));
}

#[test]
fn a_future_that_crashes_its_reactor_and_then_has_a_value_gives_it() {
    let reactor = Reactor::new().unwrap();
    let crashing = reactor.clone();
    let value = reactor.run_until(async move {
        crashing.crash()?;
        Ok("the only one")
    });
    assert_eq!(value.unwrap(), "the only one");
}

#[test]
fn a_future_whose_reactor_crashed_stops_no_later_run() {
    let reactor = Reactor::new().expect("a reactor");
    let (deferred, firer) = Deferred::<()>::new();
    let crashing = reactor.clone();
    reactor.call_later(Duration::ZERO, move || crashing.crash().expect("it runs"));
    let stopped = reactor.run_until(async move { Ok(deferred.await?) }).expect_err("it has crashed");
    assert_eq!(stopped.downcast_ref(), Some(&TaskError::Stopped));
    reactor.call_later(Duration::ZERO, move || firer.callback(()));
    let slept = reactor.sleep(Duration::from_millis(20));
    reactor.run_until(async move { Ok(slept.await?) }).expect("nobody else stops it");
}

#[test]
fn a_group_keeps_the_tasks_that_are_spawned_while_it_is_cancelled() {
    struct Successors(Rc<Clock>, TaskGroup);
    impl Drop for Successors {
        fn drop(&mut self) {
            for _ in 0..2 {
                self.1.spawn(self.0.reactor(), std::future::pending::<()>());
            }
        }
    }

    let (clock, group) = (Rc::new(Clock::new()), TaskGroup::new());
    for _ in 0..2 {
        let successors = Successors(clock.clone(), group.clone());
        group.spawn(clock.reactor(), async move {
            let _held = successors;
            std::future::pending::<()>().await;
        });
    }
    group.cancel();
    assert_eq!((group.len(), clock.leftovers().tasks), (4, 4));
    group.cancel();
    assert!(group.is_empty());
    clock.assert_clean();
}

#[test]
fn defer_later_calls_after_the_delay_and_not_when_cancelled() {
    let clock = Clock::new();
    let later = clock.defer_later(SECOND, || Ok(3));
    clock.advance(SECOND);
    assert_eq!(later.into_result().expect("it fired").expect("with a value"), 3);
    let (count, called) = counter();
    let cancelled = clock.defer_later(SECOND, called);
    cancelled.cancel();
    clock.assert_clean();
    assert_eq!(count.get(), 0);
    assert!(cancelled.into_result().expect("it has ended").is_err());
}

#[test]
fn a_looping_call_keeps_its_phase_and_skips_what_it_missed() {
    let clock = Clock::new();
    let times = Rc::new(RefCell::new(Vec::new()));
    let (there, reactor) = (times.clone(), clock.reactor().clone());
    let looping =
        LoopingCall::with_count(clock.reactor(), move |count| there.borrow_mut().push((reactor.now().as_millis(), count)));
    let ended = looping.start(SECOND, true).expect("it is not running");
    assert_eq!(looping.start(SECOND, true).expect_err("it runs"), TaskError::AlreadyRunning);
    clock.pump([0, 500, 600, 3500, 400].map(Duration::from_millis));
    assert_eq!(*times.borrow(), [(0, 1), (1100, 1), (4600, 3), (5000, 1)]);
    looping.stop().expect("it runs");
    assert!(ended.into_result().expect("it has ended").is_ok());
    assert_eq!(looping.stop(), Err(TaskError::NotRunning));
    clock.assert_clean();
}

#[test]
fn a_looping_call_keeps_its_phase_when_a_call_takes_long() {
    let clock = Rc::new(Clock::new());
    let times = Rc::new(RefCell::new(Vec::new()));
    let (there, takes_long) = (times.clone(), clock.clone());
    let looping = LoopingCall::new(clock.reactor(), move || {
        there.borrow_mut().push(takes_long.now());
        // It cannot turn the loop in here, but time can pass.
        takes_long.advance(SECOND * 3 / 10);
    });
    looping.start(SECOND, true).expect("it is not running").detach();
    clock.advance(Duration::ZERO);
    clock.advance(SECOND * 7 / 10);
    clock.advance(SECOND * 7 / 10);
    assert_eq!(*times.borrow(), [Duration::ZERO, SECOND, 2 * SECOND]);
    looping.stop().expect("it runs");
}

#[test]
fn a_looping_call_waits_for_the_deferred_of_its_function() {
    let clock = Clock::new();
    let waiting = Rc::new(RefCell::new(Vec::new()));
    let there = waiting.clone();
    let looping = LoopingCall::new(clock.reactor(), move || {
        let (deferred, firer) = Deferred::new();
        there.borrow_mut().push(firer);
        deferred
    });
    let ended = looping.start(SECOND, true).expect("it is not running");
    clock.pump([0, 2500].map(Duration::from_millis));
    assert_eq!(waiting.borrow().len(), 1);
    waiting.take().into_iter().for_each(|firer| firer.callback(()));
    clock.advance(Duration::from_millis(500));
    assert_eq!(waiting.borrow().len(), 1, "at 3 s");
    looping.stop().expect("it runs");
    let ended = ended.into_result().expect_err("the call is not done");
    waiting.take().into_iter().for_each(|firer| firer.callback(()));
    assert!(ended.into_result().expect("it has ended").is_ok());
}

#[test]
fn a_looping_call_ends_with_the_error_of_its_function() {
    let clock = Clock::new();
    let looping = LoopingCall::new(clock.reactor(), || -> Result { Err("broken".into()) });
    let ended = looping.start(SECOND, false).expect("it is not running");
    clock.advance(SECOND);
    assert!(!looping.is_running());
    assert_eq!(ended.into_result().expect("it has ended").expect_err("with an error").to_string(), "broken");
    clock.assert_clean();
}

#[test]
fn a_reset_looping_call_begins_a_new_interval() {
    let clock = Clock::new();
    let (count, called) = counter();
    let looping = LoopingCall::new(clock.reactor(), called);
    looping.start(SECOND, false).expect("it is not running").detach();
    clock.advance(Duration::from_millis(900));
    looping.reset().expect("it runs");
    clock.advance(Duration::from_millis(900));
    assert_eq!(count.get(), 0);
    clock.advance(Duration::from_millis(100));
    assert_eq!(count.get(), 1);
    looping.stop().expect("it runs");
}

#[test]
fn cooperative_tasks_take_turns_and_a_slice_ends() {
    let clock = Clock::new();
    let order = Rc::new(RefCell::new(String::new()));
    let steps = |name: char, count: usize| {
        let order = order.clone();
        (0..count).map(move |_| order.borrow_mut().push(name))
    };
    let cooperator = Cooperator::of(clock.reactor());
    let (a, b) = (cooperator.cooperate(steps('a', 3)), cooperator.coiterate(steps('b', 2)));
    clock.turn();
    assert_eq!(*order.borrow(), "ababa");
    assert!(a.when_done().into_result().expect("it is done").is_ok());
    assert!(b.into_result().expect("it is done").is_ok());
    let endless = cooperator.cooperate(std::iter::repeat_with(|| ()));
    clock.turn();
    endless.stop().expect("it runs");
    clock.advance(Duration::ZERO);
    clock.assert_clean();
    assert!(endless.when_done().into_result().expect("it has ended").is_err());
}

#[test]
fn a_cooperative_task_waits_for_deferreds_and_can_be_paused() {
    let clock = Clock::new();
    let (deferred, firer) = Deferred::<()>::new();
    let (count, called) = counter();
    let first = std::iter::once(deferred);
    let task = Cooperator::of(clock.reactor()).cooperate(
        first.chain(
            std::iter::repeat_with(move || {
                called();
                defer::succeed(())
            })
            .take(2),
        ),
    );
    clock.advance(SECOND);
    assert_eq!(count.get(), 0);
    task.pause().expect("it runs");
    firer.callback(());
    clock.advance(SECOND);
    assert_eq!(count.get(), 0);
    task.resume().expect("it is paused");
    assert_eq!(task.resume(), Err(TaskError::NotPaused));
    clock.advance(SECOND);
    assert_eq!(count.get(), 2);
    assert!(task.when_done().into_result().expect("it is done").is_ok());
}

/// A protocol that spawns what the test says when connected.
struct Spawning<F>(Option<F>, Rc<RefCell<Option<String>>>);

impl<F: FnOnce(&Transport)> Protocol for Spawning<F> {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        if let Some(spawn) = self.0.take() {
            spawn(transport);
        }
        Ok(())
    }

    fn data_received(&mut self, _: &Transport, _: &[u8]) -> Result {
        Ok(())
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        transport.spawn(|_| async { a_bug() });
        self.1.replace(Some(reason.to_string()));
        transport.reactor().stop()?;
        Ok(())
    }
}

/// Runs a server whose one connection spawns, with a peer that keeps it open; returns the reason of its end.
fn reason_of(spawn: impl FnOnce(&Transport) + 'static) -> String {
    let reactor = Reactor::new().expect("a reactor");
    let reason = Rc::new(RefCell::new(None));
    let (there, spawn) = (reason.clone(), RefCell::new(Some(spawn)));
    let port = reactor.listen_tcp("127.0.0.1:0", move |_| Spawning(spawn.take(), there.clone())).expect("a free port");
    let peer = support::peer(support::address(&port), |mut stream| support::drain(&mut stream));
    support::run(&reactor);
    drop(peer.join());
    reason.take().expect("the connection was lost")
}

#[test]
fn an_error_or_a_panic_in_a_task_of_a_connection_closes_it() {
    assert_eq!(
        reason_of(|transport| transport.spawn(|_| async { Err("out of luck".into()) })),
        "the protocol failed: out of luck"
    );
    assert_eq!(reason_of(|transport| transport.spawn(|_| async { a_bug() })), "a callback panicked: a bug");
}

#[test]
fn the_tasks_of_a_connection_are_dropped_after_connection_lost() {
    let alive = Rc::new(());
    let there = alive.clone();
    let reason = reason_of(move |transport| {
        transport.spawn(move |transport| async move {
            transport.reactor().sleep(3600 * SECOND).await?;
            drop(there);
            Ok(())
        });
        transport.spawn(|transport| async move {
            transport.reactor().sleep(Duration::from_millis(5)).await?;
            transport.abort_connection();
            Ok(())
        });
    });
    assert_eq!(reason, "connection was aborted by us");
    assert_eq!(Rc::strong_count(&alive), 1);
}

/// It used to run two loops side by side, and the first start's Deferred failed as abandoned.
#[test]
fn a_looping_call_is_not_started_again_while_its_last_call_is_under_way() {
    let clock = Clock::new();
    let (calls, firers) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(Vec::new())));
    let (count, kept) = (Rc::clone(&calls), Rc::clone(&firers));
    let looping = LoopingCall::new(clock.reactor(), move || {
        count.set(count.get() + 1);
        let (waits, firer) = Deferred::<()>::new();
        kept.borrow_mut().push(firer);
        waits
    });
    let second = Duration::from_secs(1);
    let first = looping.start(second, true).unwrap();
    clock.advance(Duration::ZERO);
    looping.stop().unwrap();
    assert_eq!(looping.start(second, true).err(), Some(TaskError::AlreadyRunning));
    firers.borrow_mut().pop().unwrap().callback(());
    assert!(first.into_result().unwrap().is_ok());
    looping.start(second, true).unwrap().detach();
    clock.pump([Duration::ZERO, second, second]);
    assert_eq!(calls.get(), 2, "the second call waits for its Deferred");
}

/// One counter used to stand for both, so a resume undid the pause for a step's Deferred.
#[test]
fn a_cooperative_task_that_waits_is_not_resumed_by_hand() {
    let clock = Clock::new();
    let firers = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&firers);
    let steps = std::iter::repeat_with(move || {
        let (waits, firer) = Deferred::<()>::new();
        kept.borrow_mut().push(firer);
        waits
    });
    let task = Cooperator::of(clock.reactor()).cooperate(steps.take(2));
    clock.advance(Duration::ZERO);
    assert_eq!(task.resume(), Err(TaskError::NotPaused));
    clock.advance(Duration::ZERO);
    assert_eq!(firers.borrow().len(), 1);
    for _ in 0..2 {
        firers.borrow_mut().pop().unwrap().callback(());
        clock.advance(Duration::ZERO);
    }
    assert!(task.when_done().into_result().unwrap().is_ok());
}

/// It used to poll only the first such task; the others were kept for ever.
#[test]
fn a_task_that_is_woken_by_the_very_end_of_the_stop_is_polled_once_more() {
    let reactor = Reactor::new().unwrap();
    let (stopped, firer) = Deferred::new();
    reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, move || firer.callback(()));
    let told = Rc::new(Cell::new(false));
    let there = Rc::clone(&told);
    let stopping = reactor.clone();
    reactor.spawn(async move {
        stopping.stop()?;
        stopped.await?;
        there.set(true);
        Ok(())
    });
    reactor.run().unwrap();
    assert!(told.get());
}

#[test]
fn every_task_that_is_spawned_after_the_stop_is_refused() {
    let reactor = Reactor::new().unwrap();
    reactor.run_until(async { Ok(()) }).unwrap();
    let held = Rc::new(());
    for _ in 0..3 {
        let kept = Rc::clone(&held);
        drop(reactor.spawn(async move {
            drop(kept);
            Ok(())
        }));
    }
    assert_eq!(Rc::strong_count(&held), 1);
}
