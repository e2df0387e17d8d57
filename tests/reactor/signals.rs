//! Signals as callbacks on the loop, sent to real processes and to simulated ones.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{Signal, SignalWatch};

use crate::support::*;

type Log = Rc<RefCell<Vec<String>>>;

fn noting(reactor: &Reactor, log: &Log, signal: Signal, name: &str) -> SignalWatch {
    let (log, name) = (log.clone(), name.to_owned());
    reactor.on_signal(signal, move || log.borrow_mut().push(name.clone())).unwrap()
}

#[cfg(unix)]
#[test]
fn a_process_takes_each_signal_that_it_asks_for() {
    const NAME: &str = "signals::a_process_takes_each_signal_that_it_asks_for";
    const SIGNALS: [(Signal, &str); 7] = [
        (Signal::Child, "-CHLD"),
        (Signal::Hangup, "-HUP"),
        (Signal::User1, "-USR1"),
        (Signal::User2, "-USR2"),
        (Signal::WindowChange, "-WINCH"),
        (Signal::Interrupt, "-INT"),
        (Signal::Terminate, "-TERM"),
    ];
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let mut watches = Vec::new();
        for (place, (signal, _)) in SIGNALS.into_iter().enumerate() {
            let stopping = reactor.clone();
            watches.push(reactor.on_signal(signal, move || {
                println!("\ntook {signal:?}");
                if place == SIGNALS.len() - 1 {
                    stop(&stopping);
                }
            }));
        }
        // Sent before the loop runs, and reported once it does.
        assert!(signal_to(std::process::id(), "-USR1"));
        println!("\nready");
        reactor.run().unwrap();
        assert!(watches.iter().all(std::result::Result::is_ok));
        println!("\nrun has returned");
        return;
    }
    if signal_to(std::process::id(), "-WINCH") {
        let mut child = child(NAME).spawn().unwrap();
        let mut lines = lines(&mut child);
        assert!(lines.any(|line| line == "took User1"), "the one that arrived before the loop ran");
        for (kind, name) in SIGNALS {
            assert!(signal(&mut child, name));
            assert!(lines.any(|line| line == format!("took {kind:?}")), "{name}");
        }
        assert!(lines.any(|line| line == "run has returned"));
        assert!(child.wait().unwrap().success());
    } else {
        println!("skipped: there is no kill command");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_that_is_released_has_the_default_action_again() {
    const NAME: &str = "signals::a_signal_that_is_released_has_the_default_action_again";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let watch = Rc::new(RefCell::new(None));
        let (own, one) = (watch.clone(), reactor.clone());
        *watch.borrow_mut() = Some(
            reactor
                .on_signal(Signal::User1, move || {
                    // Dropped in its own call.
                    own.borrow_mut().take();
                    one.call_later(Duration::ZERO, || println!("\ngiven back"));
                })
                .unwrap(),
        );
        reactor.call_when_running(|| println!("\nready"));
        return run(&reactor);
    }
    let mut child = child(NAME).spawn().unwrap();
    let mut lines = lines(&mut child);
    assert!(lines.any(|line| line == "ready"));
    if !signal(&mut child, "-USR1") {
        return;
    }
    assert!(lines.any(|line| line == "given back"));
    assert!(signal_to(child.id(), "-USR1"));
    let status = child.wait().unwrap();
    assert_eq!(
        torsade::ProcessSignal::from(Signal::User1).number(),
        std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or_default(),
        "{status}"
    );
}

#[cfg(unix)]
#[test]
fn a_call_for_sigint_that_is_dropped_leaves_the_graceful_stop() {
    const NAME: &str = "signals::a_call_for_sigint_that_is_dropped_leaves_the_graceful_stop";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let watch = RefCell::new(None);
        let watch = Rc::new(watch);
        let own = watch.clone();
        let call = move || {
            println!("\ntook it");
            own.borrow_mut().take();
        };
        *watch.borrow_mut() = Some(reactor.on_signal(Signal::Interrupt, call).unwrap());
        reactor.call_when_running(|| println!("\nready"));
        run(&reactor);
        println!("\nrun has returned");
        return;
    }
    let mut child = child(NAME).spawn().unwrap();
    let mut lines = lines(&mut child);
    assert!(lines.any(|line| line == "ready"));
    if !signal(&mut child, "-INT") {
        return;
    }
    assert!(lines.any(|line| line == "took it"));
    assert!(signal_to(child.id(), "-INT"));
    assert!(lines.any(|line| line == "run has returned"));
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn a_loop_that_hangs_is_ended_by_the_third_sigint_but_by_no_other_signal() {
    const NAME: &str = "signals::a_loop_that_hangs_is_ended_by_the_third_sigint_but_by_no_other_signal";
    if is_child(NAME) {
        let reactor = Reactor::new().unwrap();
        let _watches = [Signal::Interrupt, Signal::User1].map(|signal| reactor.on_signal(signal, || {}).unwrap());
        reactor.call_when_running(|| {
            for _ in 0..10 {
                assert!(signal_to(std::process::id(), "-USR1"));
            }
            println!("\nheld up");
            loop {
                std::thread::park();
            }
        });
        return run(&reactor);
    }
    let mut child = child(NAME).spawn().unwrap();
    if !lines(&mut child).any(|line| line == "held up") {
        child.wait().unwrap();
        return println!("skipped: there is no kill command");
    }
    let begin = std::time::Instant::now();
    // It may take more than three: the system merges two signals that come faster than it can deliver the first.
    let status = loop {
        assert!(signal(&mut child, "-INT"));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < LIMIT, "it cannot be ended");
    };
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
}

#[test]
fn calls_for_one_signal_come_in_their_order_and_a_panic_in_one_spares_the_others() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let log = Log::default();
    let first = noting(&host, &log, Signal::Hangup, "first");
    let _panicking = host.on_signal(Signal::Hangup, || panic!("a fault of the program")).unwrap();
    let _last = noting(&host, &log, Signal::Hangup, "last");
    simulation.run_for(Duration::ZERO).unwrap();
    // The second of two signals at the same time is reported with the first.
    host.signal(Signal::Hangup);
    host.signal(Signal::Hangup);
    assert_eq!(*log.borrow(), [] as [&str; 0], "only from the loop");
    simulation.run_for(Duration::ZERO).unwrap();
    assert_eq!(*log.borrow(), ["first", "last"]);
    drop(first);
    host.signal(Signal::Hangup);
    simulation.run_for(Duration::ZERO).unwrap();
    assert_eq!(*log.borrow(), ["first", "last", "last"]);
}

#[test]
fn a_call_that_an_earlier_one_for_the_same_signal_drops_is_not_made() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let log = Log::default();
    let later = Rc::new(RefCell::new(None));
    let dropped = later.clone();
    let _first = host.on_signal(Signal::Hangup, move || drop(dropped.take())).unwrap();
    later.replace(Some(noting(&host, &log, Signal::Hangup, "later")));
    simulation.run_for(Duration::ZERO).unwrap();
    host.signal(Signal::Hangup);
    simulation.run_for(Duration::ZERO).unwrap();
    assert_eq!(*log.borrow(), [] as [&str; 0]);
}

#[test]
fn a_simulated_program_is_killed_by_a_signal_that_it_does_not_take() {
    for (signal, ends) in [
        (Signal::Hangup, true),
        (Signal::User1, true),
        (Signal::User2, true),
        (Signal::Child, false),
        (Signal::WindowChange, false),
    ] {
        let simulation = Simulation::new(1);
        let host = simulation.host("10.0.0.1");
        let log = Log::default();
        let watch = noting(&host, &log, signal, "taken");
        simulation.run_for(Duration::ZERO).unwrap();
        host.signal(signal);
        simulation.run_for(Duration::ZERO).unwrap();
        assert_eq!(*log.borrow(), ["taken"], "{signal:?}");
        drop(watch);
        host.signal(signal);
        simulation.run_for(Duration::ZERO).unwrap();
        assert_eq!(!host.is_running(), ends, "{signal:?}");
    }
}

#[test]
fn a_call_for_sigterm_takes_the_place_of_the_stop() {
    let simulation = Simulation::new(1);
    let host = simulation.host("10.0.0.1");
    let log = Log::default();
    let watch = noting(&host, &log, Signal::Terminate, "taken");
    simulation.run_for(Duration::ZERO).unwrap();
    for _ in 0..3 {
        host.signal(Signal::Terminate);
    }
    simulation.run_for(Duration::ZERO).unwrap();
    assert_eq!(*log.borrow(), ["taken"; 3], "these are counted");
    assert!(host.is_running());
    drop(watch);
    host.signal(Signal::Terminate);
    simulation.run_for(Duration::ZERO).unwrap();
    assert!(!host.is_running());
}
