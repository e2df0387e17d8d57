//! Programs on simulated hosts.

use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ProcessMonitor, Service};
use torsade::simulated::{Faults, Host, Simulation};
use torsade::{
    ChildDescriptor, ProcessSignal, Signal, get_process_output, get_process_output_and_value, get_process_value, wire::Echo,
};

use crate::watcher::{Told, Watcher, never};

fn world(seed: u64) -> (Simulation, Host) {
    let simulation = Simulation::new(seed);
    let host = simulation.host("10.0.0.1");
    (simulation, host)
}

fn wait<T: 'static>(simulation: &Simulation, deferred: torsade::Deferred<T>) -> Result<T, torsade::Failure> {
    simulation.run_until(|| deferred.is_called()).unwrap();
    deferred.into_result().unwrap()
}

#[test]
fn a_name_that_is_not_installed_is_not_found_as_in_the_system() {
    let (simulation, host) = world(1);
    host.add_program("here", |program| Ok(program.stop()?));
    let there = simulation.host("10.0.0.2");
    let error = there.spawn_process(Watcher::new(&Told::default(), |_, _| Ok(())), Command::new("here")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with("cannot start \"here\""), "{error}");
}

#[test]
fn a_program_has_its_arguments_its_environment_and_a_number_of_its_own() {
    let (simulation, host) = world(1);
    host.add_program("env", |program| {
        assert!(program.env("PATH").is_none(), "nothing of the environment of the test");
        program.write(1, format!("{:?} {:?} {}", program.args(), program.env("NAME"), program.pid()));
        program.exit(0);
        Ok(())
    });
    let output =
        wait(&simulation, get_process_output(&host, Command::new("env").args(["-a", "b c"]).env("NAME", "value"))).unwrap();
    assert_eq!(String::from_utf8(output).unwrap(), "[\"-a\", \"b c\"] Some(\"value\") 2");
}

#[test]
fn the_status_is_that_of_the_stop_of_exit_of_an_error_or_of_a_panic() {
    let (simulation, host) = world(1);
    host.add_program("stops", |program| {
        let reactor = program.reactor().clone();
        program.call_later(Duration::from_secs(9), move || reactor.stop().unwrap());
        Ok(())
    });
    host.add_program("exits", |program| {
        let late = program.clone();
        program.call_later(Duration::from_secs(9), move || late.exit(5));
        Ok(())
    });
    host.add_program("fails", |_| Err("on purpose".into()));
    host.add_program("panics", |_| panic!("on purpose"));
    for (program, code) in [("stops", 0), ("exits", 5), ("fails", 1), ("panics", 101)] {
        assert_eq!(wait(&simulation, get_process_value(&host, Command::new(program))).unwrap(), code, "{program}");
    }
}

#[test]
fn standard_error_goes_its_own_way_or_the_same() {
    let (simulation, host) = world(1);
    host.add_program("says", |program| {
        program.write(1, "out ");
        program.write(2, "err");
        program.exit(2);
        Ok(())
    });
    let apart = wait(&simulation, get_process_output_and_value(&host, Command::new("says"))).unwrap();
    assert_eq!((&apart.out[..], &apart.err[..], apart.code), (&b"out "[..], &b"err"[..], 2));
    let same = Command::new("says").stderr(ChildDescriptor::SameAs(1));
    assert_eq!(wait(&simulation, get_process_output(&host, same)).unwrap(), b"out err");
}

#[test]
fn one_that_has_exited_when_its_parent_kills_it_has_exited() {
    for seed in 1..=20 {
        let (simulation, host) = world(seed);
        let (told, exited) = (Told::default(), Rc::new(Cell::new(false)));
        let exits = exited.clone();
        host.add_program("exits", move |program| {
            exits.set(true);
            program.exit(3);
            Ok(())
        });
        host.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("exits")).unwrap();
        simulation.run_until(|| exited.get()).unwrap();
        host.set_stop_timeout(Duration::ZERO);
        // Its end may already have been reported.
        host.stop().ok();
        simulation.run_until(|| !host.is_running()).unwrap();
        assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 3"), "seed {seed}");
    }
}

#[test]
fn sigterm_stops_its_reactor_gracefully_and_others_kill() {
    let (simulation, host) = world(1);
    host.add_program("server", |program| {
        let text = program.clone();
        program.before_shutdown(move || text.write(1, "good bye"));
        Ok(())
    });
    for (signal, last, said) in
        [(ProcessSignal::TERMINATE, "all exited with status 0", "good bye"), (ProcessSignal::HANGUP, "all killed by SIGHUP", "")]
    {
        let told = Told::default();
        let watcher = Watcher::new(&told, move |process, entry| {
            if entry == "made" {
                process.signal_process(signal)?;
            }
            Ok(())
        });
        let host = if host.is_running() || !host.is_stopping() { host.clone() } else { host.restart() };
        host.spawn_process(watcher, Command::new("server")).unwrap();
        let seen = told.clone();
        simulation.run_until(|| seen.all().last().is_some_and(|entry| entry.starts_with("all "))).unwrap();
        assert_eq!((told.all().last().unwrap().as_str(), told.data(1).as_str()), (last, said));
        simulation.run_for(Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn a_signal_that_the_program_takes_does_not_kill_it() {
    let (simulation, host) = world(1);
    host.add_program("daemon", |program| {
        let text = program.clone();
        let hangups = program.on_signal(Signal::Hangup, move || text.write(1, "read again"))?;
        program.before_shutdown(move || drop(hangups));
        program.write(1, "ready");
        Ok(())
    });
    let told = Told::default();
    let watcher = Watcher::new(&told, |process, entry| {
        match entry {
            "data 1: ready" => process.signal_process(Signal::Hangup)?,
            "data 1: read again" => process.signal_process(Signal::Terminate)?,
            _ => {}
        }
        Ok(())
    });
    host.spawn_process(watcher, Command::new("daemon")).unwrap();
    let seen = told.clone();
    simulation.run_until(|| seen.all().last().is_some_and(|entry| entry.starts_with("all "))).unwrap();
    assert_eq!(told.data(1), "readyread again");
    assert_eq!(told.all().last().unwrap(), "all exited with status 0");
}

#[test]
fn a_program_listens_for_the_network_and_its_death_frees_its_port() {
    let (simulation, host) = world(1);
    host.add_program("echod", |program| {
        program.listen_tcp("0.0.0.0:7", |_peer| Echo)?;
        Ok(())
    });
    let told = Told::default();
    let process = host.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("echod")).unwrap();
    let client = simulation.host("10.0.0.2");
    let got = Rc::new(RefCell::new(Vec::new()));
    struct Asking(Rc<RefCell<Vec<u8>>>);
    impl Protocol for Asking {
        fn connection_made(&mut self, transport: &Transport) -> Result {
            transport.write("hello");
            Ok(())
        }
        fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
            self.0.borrow_mut().extend_from_slice(data);
            Ok(())
        }
    }
    let there = Rc::clone(&got);
    simulation.run_for(Duration::from_secs(1)).unwrap();
    client.connect_tcp("10.0.0.1:7", move |_peer| Asking(Rc::clone(&there))).unwrap();
    let seen = Rc::clone(&got);
    simulation.run_until(|| *seen.borrow() == b"hello").unwrap();
    assert!(host.listen_tcp("0.0.0.0:7", |_peer| Echo).is_err(), "it is in use on this host");
    process.signal_process(ProcessSignal::KILL).unwrap();
    host.listen_tcp("0.0.0.0:7", |_peer| Echo).unwrap();
}

#[test]
fn the_crash_of_a_host_ends_its_processes_and_the_end_of_a_program_alone_does_not() {
    let (simulation, host) = world(1);
    let beats = Rc::new(Cell::new(0));
    let count = Rc::clone(&beats);
    host.add_program("beats", move |program| {
        let count = Rc::clone(&count);
        let beat = torsade::LoopingCall::new(program, move || count.set(count.get() + 1));
        beat.start(Duration::from_secs(1), true)?.detach();
        Ok(())
    });
    host.spawn_process(Watcher::new(&Told::default(), |_, _| Ok(())), Command::new("beats")).unwrap();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    host.kill();
    let before = beats.get();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert!(beats.get() > before, "it continues as an orphan");
    host.crash();
    let before = beats.get();
    simulation.run_for(Duration::from_secs(10)).unwrap();
    assert_eq!(beats.get(), before);
}

#[test]
fn the_same_seed_gives_the_same_log_and_the_order_of_the_end_differs_with_it() {
    let run = |seed| {
        let simulation = Simulation::with_faults(seed, Faults { stuck: 0.0, ..Faults::hostile() });
        let host = simulation.host("10.0.0.1");
        host.add_program("cat", |program| Ok(program.standard_io(Echo)?));
        host.add_program("speaks", |program| {
            program.write(1, "last words");
            program.exit(0);
            Ok(())
        });
        let told = Told::default();
        host.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("speaks")).unwrap();
        host.run().unwrap();
        let all = told.all();
        let place = |head: &str| all.iter().position(|entry| entry.starts_with(head)).unwrap();
        (simulation.log().to_string(), place("process ") < place("data 1"))
    };
    let seeds = 0..50;
    let exits_first: Vec<bool> = seeds.clone().map(|seed| run(seed).1).collect();
    assert!(exits_first.contains(&true) && exits_first.contains(&false), "{exits_first:?}");
    for seed in seeds {
        assert_eq!(run(seed).0, run(seed).0);
    }
}

/// When a monitored program was started each time, in seconds.
fn monitored(lives: fn(usize) -> Duration, until: u64) -> Vec<u64> {
    let (simulation, host) = world(1);
    let starts = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&starts);
    host.add_program("daemon", move |program| {
        noted.borrow_mut().push(program.now().as_secs());
        let ends = program.clone();
        program.call_later(lives(noted.borrow().len()), move || ends.exit(1));
        Ok(())
    });
    let monitor = ProcessMonitor::new();
    monitor.add_process("daemon", Command::new("daemon")).unwrap();
    monitor.start_service(&host).unwrap();
    simulation.run_for(Duration::from_secs(until)).unwrap();
    let stopped = monitor.stop_service();
    simulation.run_until(|| stopped.is_called()).unwrap();
    let before = starts.borrow().len();
    simulation.run_for(Duration::from_secs(10_000)).unwrap();
    assert_eq!(starts.borrow().len(), before, "it is no longer started");
    starts.take()
}

#[test]
fn a_monitor_waits_twice_as_long_after_each_early_end_up_to_an_hour() {
    let starts = monitored(|_| Duration::ZERO, 20_000);
    let waits: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits[..13], [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600], "{waits:?}");
}

#[test]
fn a_program_that_has_run_for_a_while_is_started_again_at_once_and_its_wait_is_short_again() {
    let starts = monitored(|start| Duration::from_secs(if start == 4 { 100 } else { 0 }), 120);
    assert_eq!(starts[..7], [0, 1, 3, 7, 107, 108, 110], "{starts:?}");
}

#[test]
fn a_monitored_program_that_ignores_sigterm_is_killed_after_the_kill_time() {
    let (simulation, host) = world(1);
    host.add_program("stubborn", |program| {
        program.before_shutdown(never);
        program.set_stop_timeout(Duration::from_secs(1_000_000));
        Ok(())
    });
    let monitor = ProcessMonitor::new();
    monitor.add_process("stubborn", Command::new("stubborn")).unwrap();
    monitor.start_service(&host).unwrap();
    simulation.run_for(Duration::from_secs(1)).unwrap();
    let (before, stopped) = (simulation.now(), monitor.stop_service());
    simulation.run_until(|| stopped.is_called()).unwrap();
    assert_eq!((simulation.now() - before).as_secs(), 5);
    host.signal(Signal::Terminate);
    simulation.run_until(|| !host.is_running()).unwrap();
}
