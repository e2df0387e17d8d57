//! Timers, the steps of a turn, threads, and the reactor's life.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::*;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Clock, MemoryReactor, Phase, ReactorError, SystemEvent, TimerError};

type Log = Rc<RefCell<Vec<String>>>;

fn note(log: &Log, what: &str) -> impl FnOnce() + 'static {
    let (log, what) = (log.clone(), what.to_owned());
    move || log.borrow_mut().push(what)
}

fn reactor_error(result: Result) -> ReactorError {
    *result.unwrap_err().downcast::<ReactorError>().unwrap()
}

#[test]
fn calls_come_by_deadline_and_then_in_the_order_made() {
    let clock = Clock::new();
    let log = Log::default();
    for (delay, name) in [(20, "d"), (10, "b"), (0, "a1"), (10, "c"), (0, "a2")] {
        clock.call_later(Duration::from_millis(delay), note(&log, name));
    }
    clock.advance(Duration::from_millis(30));
    assert_eq!(*log.borrow(), ["a1", "a2", "b", "c", "d"]);
}

#[test]
fn a_call_with_no_delay_made_in_a_call_waits_for_the_next_turn() {
    let reactor = Reactor::new().unwrap();
    let turns = Rc::new(RefCell::new(Vec::new()));
    fn chain(reactor: &Reactor, turns: &Rc<RefCell<Vec<u64>>>) {
        turns.borrow_mut().push(reactor.turn_number());
        if turns.borrow().len() == 5 {
            return stop(reactor);
        }
        let (again, turns) = (reactor.clone(), turns.clone());
        reactor.call_later(Duration::ZERO, move || chain(&again, &turns));
    }
    let (first, list) = (reactor.clone(), turns.clone());
    reactor.call_when_running(move || chain(&first, &list));
    run(&reactor);
    let turns = turns.borrow();
    assert!(turns.windows(2).all(|pair| pair[1] == pair[0] + 1), "{turns:?}");
}

#[test]
fn a_call_is_never_early() {
    let reactor = Reactor::new().unwrap();
    let left = Rc::new(Cell::new(50));
    for number in 0..50_u64 {
        let delay = Duration::from_micros(number * 313);
        let (begin, left, reactor_) = (Instant::now(), left.clone(), reactor.clone());
        reactor.call_later(delay, move || {
            assert!(begin.elapsed() >= delay, "{:?} instead of {delay:?}", begin.elapsed());
            left.set(left.get() - 1);
            if left.get() == 0 {
                stop(&reactor_);
            }
        });
    }
    run(&reactor);
    assert_eq!(left.get(), 0);
}

#[test]
fn calls_can_be_cancelled_reset_and_delayed_and_misuse_is_an_error() {
    let clock = Clock::new();
    let log = Log::default();
    let cancelled = clock.call_later(Duration::from_millis(5), note(&log, "cancelled"));
    cancelled.cancel().unwrap();
    assert!(!cancelled.active());
    for result in [cancelled.cancel(), cancelled.reset(Duration::ZERO), cancelled.delay(Duration::ZERO)] {
        assert_eq!(result, Err(TimerError::AlreadyCancelled));
    }
    let sooner = clock.call_later(Duration::from_secs(60), note(&log, "sooner"));
    sooner.reset(Duration::from_millis(20)).unwrap();
    let later = clock.call_later(Duration::from_millis(1), note(&log, "later"));
    later.reset(Duration::from_millis(40)).unwrap();
    let delayed = clock.call_later(Duration::from_millis(5), note(&log, "delayed"));
    delayed.delay(Duration::from_millis(25)).unwrap();
    assert!(delayed.time().unwrap() > sooner.time().unwrap());
    // Moving it back and forth leaves one call, not several.
    let often = clock.call_later(Duration::from_millis(50), note(&log, "often"));
    for step in 0..1000 {
        often.reset(Duration::from_millis(if step % 2 == 0 { 1 } else { 50 })).unwrap();
    }
    let inside: Rc<RefCell<Option<DelayedCall>>> = Rc::default();
    let found = inside.clone();
    let call = clock.call_later(Duration::from_millis(2), move || {
        let call = found.borrow();
        let call = call.as_ref().unwrap();
        assert_eq!(call.cancel(), Err(TimerError::AlreadyCalled));
        assert_eq!(call.reset(Duration::ZERO), Err(TimerError::AlreadyCalled));
        assert!(!call.active());
    });
    inside.replace(Some(call));
    // Half a century.
    let never = clock.call_later(Duration::MAX, || unreachable!());
    clock.advance(Duration::from_millis(60));
    assert_eq!(*log.borrow(), ["sooner", "delayed", "later", "often"]);
    assert_eq!(sooner.cancel(), Err(TimerError::AlreadyCalled));
    assert!(never.active());
    clock.stop().unwrap();
    clock.turn();
    assert!(!never.active(), "a stopped reactor calls nothing");
}

#[test]
fn a_call_cancelled_by_an_earlier_one_of_the_same_turn_is_not_made() {
    let clock = Clock::new();
    let log = Log::default();
    let second: Rc<RefCell<Option<DelayedCall>>> = Rc::default();
    let (slot, first) = (second.clone(), note(&log, "first"));
    clock.call_later(Duration::ZERO, move || {
        first();
        slot.borrow().as_ref().unwrap().cancel().unwrap();
    });
    second.replace(Some(clock.call_later(Duration::ZERO, note(&log, "second"))));
    clock.turn();
    assert_eq!(*log.borrow(), ["first"]);
}

#[test]
fn a_turn_takes_thread_calls_then_timers_then_input_then_the_end_of_turn() {
    let reactor = MemoryReactor::new();
    let (note, noted) = mpsc::channel();
    let (input, made) = (note.clone(), Rc::<RefCell<Vec<Transport>>>::default());
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            let (input, made) = (input.clone(), made.clone());
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => made.borrow_mut().push(transport.clone()),
                    Event::Data(_) => {
                        let other = &made.borrow()[1];
                        other.write("to another");
                        input.send(if other.unsent() == 10 { "input" } else { "input, and output within write" })?;
                    }
                    _ => {}
                }
                Ok(())
            })
        })
        .unwrap();
    let [first, second] = [1, 2].map(|number| {
        let peer = reactor.connect_peer(SocketAddr::from(([192, 0, 2, 1], number)), address(&port)).unwrap();
        reactor.advance(Duration::ZERO);
        peer
    });
    // Everything arrives before the turn begins, in the reverse of the expected order.
    first.send(b"!");
    let timer = note.clone();
    reactor.call_later(Duration::ZERO, move || timer.send("timer").unwrap());
    reactor.handle().call_from_thread(move |_| note.send("thread").unwrap()).unwrap();
    reactor.turn();
    assert_eq!(noted.try_iter().collect::<Vec<_>>(), ["thread", "timer", "input"]);
    assert_eq!(second.take_received(), b"to another");
}

#[test]
fn a_panic_in_a_timer_a_trigger_or_a_call_from_a_thread_does_not_end_the_loop() {
    let reactor = Reactor::new().unwrap();
    let log = Log::default();
    reactor.call_later(Duration::ZERO, || panic!("deliberate, in a test"));
    reactor.call_later(Duration::ZERO, note(&log, "timer"));
    reactor.handle().call_from_thread(|_| panic!("deliberate, in a test")).unwrap();
    for (phase, event) in
        [(Phase::Before, SystemEvent::Startup), (Phase::After, SystemEvent::Startup), (Phase::During, SystemEvent::Shutdown)]
    {
        reactor.add_system_event_trigger(phase, event, || panic!("deliberate, in a test"));
        reactor.add_system_event_trigger(phase, event, note(&log, &format!("{phase:?}")));
    }
    let (list, stopper) = (log.clone(), reactor.clone());
    reactor.call_in_thread(
        || panic!("deliberate, in a test"),
        move |result: std::thread::Result<()>| {
            list.borrow_mut().push(format!("thread: {}", result.is_err()));
            // In the turn after the one with the timers, or later.
            let reactor = stopper.clone();
            stopper.call_later(Duration::ZERO, move || stop(&reactor));
        },
    );
    run(&reactor);
    // The system decides when the thread's panic is reported.
    let (from_thread, on_loop): (Vec<String>, Vec<String>) =
        log.take().into_iter().partition(|entry| entry.starts_with("thread"));
    assert_eq!(on_loop, ["Before", "After", "timer", "During"]);
    assert_eq!(from_thread, ["thread: true"]);
}

#[test]
fn what_panics_when_it_is_dropped_with_a_stopped_reactor_is_dropped_alone() {
    struct Bomb(Rc<Cell<u32>>);

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            panic!("a bug");
        }
    }

    let (reactor, dropped) = (Reactor::new().unwrap(), Rc::new(Cell::new(0)));
    for _ in 0..2 {
        let [timer, task] = [Bomb(dropped.clone()), Bomb(dropped.clone())];
        reactor.call_later(Duration::from_secs(60), move || drop(timer));
        reactor.spawn(async move {
            let _held = task;
            std::future::pending::<()>().await;
        });
    }
    let stopping = reactor.clone();
    reactor.call_when_running(move || stop(&stopping));
    run(&reactor);
    assert_eq!(dropped.get(), 4);
}

#[test]
fn system_events_come_in_their_phases_and_in_the_order_added() {
    let reactor = Reactor::new().unwrap();
    let log = Log::default();
    for round in 1..=2 {
        for phase in [Phase::After, Phase::During, Phase::Before] {
            for event in [SystemEvent::Shutdown, SystemEvent::Startup] {
                reactor.add_system_event_trigger(phase, event, note(&log, &format!("{phase:?} {event:?} {round}")));
            }
        }
    }
    let removed = reactor.add_system_event_trigger(Phase::After, SystemEvent::Startup, note(&log, "removed"));
    assert!(reactor.remove_system_event_trigger(removed));
    assert!(!reactor.remove_system_event_trigger(removed));
    let (stopper, running) = (reactor.clone(), note(&log, "running"));
    reactor.call_when_running(move || {
        running();
        assert!(stopper.is_running());
        let again = stopper.clone();
        stopper.call_when_running(move || stop(&again));
        assert!(!stopper.is_stopping());
    });
    run(&reactor);
    let expected: Vec<String> = ["Startup", "Shutdown"]
        .iter()
        .flat_map(|event| ["Before", "During", "After"].map(|phase| (phase, event)))
        .flat_map(|(phase, event)| (1..=2).map(move |round| format!("{phase} {event} {round}")))
        .collect();
    let mut with_running = expected;
    with_running.insert(6, "running".into());
    assert_eq!(*log.borrow(), with_running);
}

#[test]
fn the_life_of_a_reactor_has_errors_for_every_wrong_turn() {
    let reactor = Reactor::new().unwrap();
    assert_eq!(reactor.stop(), Err(ReactorError::NotRunning));
    assert_eq!(reactor.crash(), Err(ReactorError::NotRunning));
    let inner = reactor.clone();
    reactor.call_when_running(move || {
        assert_eq!(reactor_error(inner.run()), ReactorError::AlreadyRunning);
        let again = inner.clone();
        inner.call_later(Duration::ZERO, move || {
            assert_eq!(reactor_error(again.iterate(None)), ReactorError::AlreadyRunning);
            stop(&again);
            assert_eq!(again.stop(), Err(ReactorError::NotRunning), "twice");
        });
    });
    run(&reactor);
    assert_eq!(reactor_error(reactor.run()), ReactorError::NotRestartable);
    assert!(!reactor.is_running() && reactor.is_stopping());
    assert_eq!(reactor.source_count() + reactor.delayed_calls(), 0);
    assert!(reactor.handle().call_from_thread(|_| {}).is_err());
    for error in [ReactorError::AlreadyRunning, ReactorError::NotRestartable, ReactorError::NotRunning] {
        assert!(error.to_string().len() > 20);
    }
}

#[test]
fn a_trigger_before_startup_cannot_start_or_end_the_reactor() {
    let reactor = Reactor::new().unwrap();
    let (inside, refused) = (reactor.clone(), Rc::new(RefCell::new(Vec::new())));
    let errors = refused.clone();
    reactor.add_system_event_trigger(Phase::Before, SystemEvent::Startup, move || {
        let ran = reactor_error(inside.run());
        errors.borrow_mut().extend([ran, inside.start_running().unwrap_err(), inside.disconnect_all().unwrap_err()]);
    });
    let stopping = reactor.clone();
    reactor.call_when_running(move || stop(&stopping));
    run(&reactor);
    assert_eq!(*refused.borrow(), [ReactorError::AlreadyRunning; 3]);
}

#[test]
fn a_crash_in_a_trigger_before_shutdown_leaves_the_loop_without_a_shutdown() {
    let clock = Clock::new();
    let (log, crashing) = (Log::default(), clock.reactor().clone());
    clock.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, move || crashing.crash().unwrap());
    clock.add_system_event_trigger(Phase::During, SystemEvent::Shutdown, note(&log, "shutdown"));
    clock.stop().unwrap();
    clock.turn();
    assert!(!clock.is_running() && !clock.is_stopping());
    clock.start_running().unwrap();
    assert_eq!(log.borrow().len(), 0);
}

#[test]
fn a_crashed_reactor_runs_again_with_its_connections() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
    let mut stream = connect(address(&port));
    let crasher = reactor.clone();
    reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, || {});
    reactor.call_later(Duration::from_millis(10), move || crasher.crash().unwrap());
    run(&reactor);
    assert!(!reactor.is_running() && !reactor.is_stopping());
    let handle = reactor.handle();
    let peer = std::thread::spawn(move || {
        stream.write_all(b"again").unwrap();
        let got = read_exactly(&mut stream, 5);
        handle.call_from_thread(stop).unwrap();
        got
    });
    run(&reactor);
    assert_eq!(peer.join().unwrap(), b"again");
}

#[test]
fn what_waits_for_nothing_costs_no_turns() {
    let reactor = Reactor::new().unwrap();
    let stopper = reactor.clone();
    reactor.call_later(Duration::from_millis(200), move || stop(&stopper));
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
    let idle: Vec<_> = (0..10).map(|_| connect(address(&port))).collect();
    run(&reactor);
    assert!(reactor.turn_number() < 40, "{} turns with {} idle connections", reactor.turn_number(), idle.len());
}

#[test]
fn a_wait_of_weeks_does_not_overflow_the_systems() {
    // Around the limits of 32-bit milliseconds; truncated to 32 bits, some of these would not wait at all.
    for days in [24, 25, 49, 50, 100_000] {
        let reactor = Reactor::new().unwrap();
        let _far = reactor.call_later(Duration::from_secs(days * 86_400), || unreachable!());
        let handle = reactor.handle();
        std::thread::spawn(move || handle.call_from_thread(stop).unwrap());
        reactor.run().unwrap();
        assert!(reactor.turn_number() < 10, "{days} days: {} turns", reactor.turn_number());
    }
}

#[cfg(unix)]
#[test]
fn sigterm_and_sigint_stop_in_order() {
    const NAME: &str = "turns::sigterm_and_sigint_stop_in_order";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let port = reactor
            .listen_tcp("127.0.0.1:0", |_peer| {
                Probe::new(&Events::default(), |event, transport| {
                    match event {
                        Event::Made => transport.write(pattern(0, 5 << 20)),
                        Event::Lost(reason) => println!("\nlost: {reason}"),
                        _ => {}
                    }
                    Ok(())
                })
            })
            .unwrap();
        reactor.add_system_event_trigger(Phase::After, SystemEvent::Shutdown, || println!("after shutdown"));
        println!("\nlistening on {}", port.address());
        reactor.run().unwrap();
        println!("run has returned");
        return;
    }
    for which in ["-TERM", "-INT"] {
        let mut child = child(NAME).spawn().unwrap();
        let mut lines = lines(&mut child);
        let mut stream = connect(listening(&mut lines));
        let mut got = read_exactly(&mut stream, 1000);
        if !signal(&mut child, which) {
            return;
        }
        let (rest, end) = drain(&mut stream);
        got.extend(rest);
        assert!(got == pattern(0, 5 << 20), "{which}: {} bytes", got.len());
        assert_eq!(end, Ok(()));
        drop(stream);
        let rest: Vec<String> = lines.collect();
        assert_eq!(child.wait().unwrap().code(), Some(0), "{which}");
        let told: Vec<&String> =
            rest.iter().filter(|line| line.starts_with("lost") || line.contains("shutdown") || line.contains("run")).collect();
        assert!(rest.contains(&"lost: the reactor is shutting down".to_owned()), "{told:?}");
        assert!(rest.contains(&"after shutdown".to_owned()) && rest.contains(&"run has returned".to_owned()), "{told:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_second_signal_ends_the_wait_for_connections_at_once() {
    const NAME: &str = "turns::a_second_signal_ends_the_wait_for_connections_at_once";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        reactor.set_stop_timeout(LIMIT);
        let port = reactor
            .listen_tcp("127.0.0.1:0", |_peer| {
                Probe::new(&Events::default(), |event, transport| {
                    if matches!(event, Event::Made) {
                        transport.write(vec![0; 15 << 20]);
                    }
                    Ok(())
                })
            })
            .unwrap();
        reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, || println!("\nstopping"));
        println!("\nlistening on {}", port.address());
        reactor.run().unwrap();
        return;
    }
    let mut child = child(NAME).spawn().unwrap();
    let mut lines = lines(&mut child);
    let mut stream = connect(listening(&mut lines));
    read_exactly(&mut stream, 1);
    if !signal(&mut child, "-TERM") {
        return;
    }
    assert!(lines.any(|line| line == "stopping"));
    let begin = Instant::now();
    assert!(signal(&mut child, "-TERM"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < LIMIT / 2, "{:?}", begin.elapsed());
    drop(stream);
}

#[cfg(unix)]
#[test]
fn two_signals_within_one_callback_end_every_wait() {
    const NAME: &str = "turns::two_signals_within_one_callback_end_every_wait";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        reactor.set_stop_timeout(2 * LIMIT);
        let (never, _firer) = Deferred::<()>::new();
        reactor.before_shutdown(move || never);
        reactor.call_when_running(|| {
            let signals = std::env::var("SIGNALS").unwrap();
            let sent = signals.split_whitespace().all(|signal| signal_to(std::process::id(), signal));
            println!("\nsent: {sent}");
        });
        reactor.run().unwrap();
        println!("\nrun has returned");
        return;
    }
    for signals in ["-INT -INT", "-INT -TERM", "-TERM -TERM"] {
        let begin = Instant::now();
        let mut child = child(NAME).env("SIGNALS", signals).spawn().unwrap();
        let mut lines = lines(&mut child);
        if !lines.any(|line| line == "sent: true") {
            child.kill().unwrap();
            child.wait().unwrap();
            return println!("skipped: there is no kill command");
        }
        assert!(lines.any(|line| line == "run has returned"), "{signals}");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signals}");
        assert!(begin.elapsed() < LIMIT, "{signals}: {:?}", begin.elapsed());
    }
}

#[cfg(unix)]
#[test]
fn a_callback_that_never_returns_is_ended_by_the_third_signal() {
    const NAME: &str = "turns::a_callback_that_never_returns_is_ended_by_the_third_signal";
    fn hold_up() {
        println!("\nheld up");
        loop {
            std::thread::park();
        }
    }
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        if std::env::var("WHERE").unwrap() == "in a callback" {
            reactor.call_when_running(hold_up);
        } else {
            reactor.add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, hold_up);
            let stopping = reactor.clone();
            reactor.call_when_running(move || stop(&stopping));
        }
        reactor.run().unwrap();
        return;
    }
    for place in ["in a callback", "in a trigger before shutdown"] {
        let mut child = child(NAME).env("WHERE", place).spawn().unwrap();
        assert!(lines(&mut child).any(|line| line == "held up"), "{place}");
        let begin = Instant::now();
        // It may take more than three: the system merges two signals that come faster than it can deliver the first.
        let status = loop {
            if !signal(&mut child, "-INT") {
                return;
            }
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(begin.elapsed() < LIMIT, "{place}: it cannot be ended");
        };
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{place}: {status}");
    }
}

#[cfg(unix)]
#[test]
fn a_forked_process_that_closes_its_copies_leaves_the_ports_and_connections_of_its_parent_alone() {
    const NAME: &str = "turns::a_forked_process_that_closes_its_copies_leaves_the_ports_and_connections_of_its_parent_alone";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
        let crasher = reactor.clone();
        let connected = reactor.connect_tcp(port.address(), move |_peer| {
            let crasher = crasher.clone();
            Probe::new(&Events::default(), move |event, transport| {
                match event {
                    Event::Made => crasher.crash()?,
                    Event::Data(_) => println!("\nan answer to the connection from before"),
                    _ => {}
                }
                transport.write("?");
                Ok(())
            })
        });
        connected.unwrap();
        // Runs until the connection is made.
        reactor.run().unwrap();
        match fork::fork().unwrap() {
            fork::Fork::Child => {
                let refused = reactor.run().unwrap_err().to_string();
                println!("\nrefused: {}", refused.contains("forked"));
                reactor.disconnect_all().unwrap();
                std::process::exit(0);
            }
            fork::Fork::Parent(process) => fork::waitpid(process).map(drop).unwrap(),
        }
        println!("\nlistening on {}", port.address());
        reactor.run().unwrap();
        return;
    }
    let mut child = child(NAME).spawn().unwrap();
    let mut lines = lines(&mut child);
    assert!(lines.any(|line| line == "refused: true"));
    let mut stream = connect(listening(&mut lines));
    stream.write_all(b"hello").unwrap();
    assert_eq!(read_exactly(&mut stream, 5), b"hello");
    assert!(lines.any(|line| line == "an answer to the connection from before"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reactor_that_was_never_run_or_has_crashed_can_be_ended() {
    for crashes in [false, true] {
        let reactor = Reactor::new().unwrap();
        let address = address(&reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap());
        if crashes {
            let crasher = reactor.clone();
            reactor.call_when_running(move || crasher.crash().unwrap());
            reactor.run().unwrap();
        }
        let mut waiting = connect(address);
        assert_eq!(reactor.disconnect_all(), Ok(()));
        assert_eq!(drain(&mut waiting), (Vec::new(), Err(ErrorKind::ConnectionReset)), "crashes: {crashes}");
    }
}

/// It used to count from the last reading of the clock, and the call came too early.
#[test]
fn a_reset_from_outside_of_a_turn_counts_from_now() {
    let simulation = Simulation::new(1);
    let (host, other) = (simulation.host("10.0.0.1"), simulation.host("10.0.0.2"));
    let called = Rc::new(Cell::new(None));
    let (seen, own) = (Rc::clone(&called), host.clone());
    let call = host.call_later(Duration::from_secs(10), move || seen.set(Some(own.now())));
    other.call_later(Duration::from_secs(5), move || call.reset(Duration::from_secs(10)).unwrap());
    simulation.run_for(Duration::from_secs(30)).unwrap();
    assert_eq!(called.get(), Some(Duration::from_secs(15)));
}

/// It used to leave its task behind, which stopped the program when it was done.
#[test]
fn run_until_inside_a_callback_leaves_nothing_behind() {
    let reactor = Reactor::new().unwrap();
    let (inner, turns) = (reactor.clone(), Rc::new(Cell::new(0)));
    let ran = Rc::clone(&turns);
    reactor.call_later(Duration::ZERO, move || {
        inner.run_until(async { Ok(()) }).unwrap_err();
        let stopper = inner.clone();
        inner.call_later(Duration::from_millis(5), move || {
            ran.set(1);
            stopper.stop().unwrap();
        });
    });
    reactor.run().unwrap();
    assert_eq!(turns.get(), 1);
}
