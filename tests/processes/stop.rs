//! What happens to processes when the reactor stops.

use std::time::Duration;

use torsade::prelude::*;
use torsade::{AtStop, Signal};

use crate::support::{child, is_child, lines, signal_to};
use crate::watcher::{Told, Watcher, sh};

/// Runs a program that reports when it is ready, and then stops the reactor.
fn stop_while_it_runs(command: Command, timeout: Duration) -> (Told, u32) {
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    reactor.set_stop_timeout(timeout);
    let watcher = Watcher::new(&told, |process, entry| {
        if entry.starts_with("data 1") {
            process.reactor().stop()?;
        }
        Ok(())
    });
    let process = reactor.spawn_process(watcher, command).unwrap();
    let pid = process.pid().unwrap();
    reactor.run().unwrap();
    (told, pid)
}

/// Longer than any test, so that it never ends the wait.
const LONG: Duration = Duration::from_secs(600);
/// So short that it soon expires.
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn a_process_is_asked_to_end_by_sigterm_and_its_end_is_reported() {
    let (told, _) = stop_while_it_runs(sh("echo ready; exec sleep 1000"), LONG);
    assert_eq!(told.count("process killed by SIGTERM"), 1, "{:?}", told.all());
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGTERM"));
}

#[test]
fn one_that_ignores_that_is_killed_when_the_time_is_up() {
    let (told, pid) = stop_while_it_runs(sh("trap '' TERM; echo ready; exec sleep 1000"), SHORT);
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGKILL"), "{:?}", told.all());
    assert!(!signal_to(pid, "-0"), "it is gone");
}

#[test]
fn one_that_reacts_has_time_to_end_by_itself() {
    let (told, _) = stop_while_it_runs(sh("trap 'kill $!; exit 6' TERM; sleep 1000 & echo ready; wait"), LONG);
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 6"));
}

#[test]
fn one_may_be_stopped_by_the_end_of_its_input_alone() {
    let script = sh("trap 'exit 1' TERM; echo ready; read line; exit 8").at_stop(AtStop::CloseStdin);
    let (told, _) = stop_while_it_runs(script, LONG);
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 8"));
}

#[test]
fn one_may_be_killed_at_once() {
    let script = sh("trap '' TERM; echo ready; exec sleep 1000").at_stop(AtStop::Kill);
    let (told, _) = stop_while_it_runs(script, LONG);
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGKILL"));
}

#[test]
fn one_may_be_left_alone_and_goes_on() {
    let script = sh("echo ready; exec sleep 1000").at_stop(AtStop::LeaveAlone);
    let (told, pid) = stop_while_it_runs(script, LONG);
    assert_eq!(told.count("process exited with status 0"), 0);
    assert!(!told.all().iter().any(|entry| entry.starts_with("all ")), "{:?}", told.all());
    assert!(signal_to(pid, "-0"), "it runs");
    assert!(signal_to(pid, "-KILL"));
}

#[test]
fn one_that_is_left_alone_goes_on_even_if_the_reactor_is_ended_without_a_stop() {
    let reactor = Reactor::new().unwrap();
    let script = sh("exec sleep 1000").at_stop(AtStop::LeaveAlone);
    let process = reactor.spawn_process(Watcher::new(&Told::default(), |_, _| Ok(())), script).unwrap();
    let pid = process.pid().unwrap();
    reactor.disconnect_all().unwrap();
    // Dropping it waits in the background for the end of the program.
    drop(process);
    assert!(signal_to(pid, "-0"), "it runs");
    assert!(signal_to(pid, "-KILL"));
}

#[test]
fn a_forked_process_that_ends_its_copy_of_the_reactor_leaves_the_processes_of_its_parent_alone() {
    const NAME: &str = "stop::a_forked_process_that_ends_its_copy_of_the_reactor_leaves_the_processes_of_its_parent_alone";
    if is_child(NAME) {
        let (reactor, told) = (Reactor::new().unwrap(), Told::default());
        let process = reactor.spawn_process(Watcher::new(&told, |_, _| Ok(())), sh("exec sleep 1000")).unwrap();
        match fork::fork().unwrap() {
            fork::Fork::Child => {
                reactor.disconnect_all().unwrap();
                std::process::exit(0);
            }
            fork::Fork::Parent(forked) => fork::waitpid(forked).map(drop).unwrap(),
        }
        process.signal_process(Signal::Terminate).unwrap();
        reactor.run().unwrap();
        return println!("\n{}", told.all().last().unwrap());
    }
    let mut child = child(NAME).spawn().unwrap();
    assert_eq!(lines(&mut child).find(|line| line.starts_with("all ")).as_deref(), Some("all killed by SIGTERM"));
    child.wait().unwrap();
}

#[test]
fn what_was_written_to_it_is_still_sent() {
    let folder = std::env::temp_dir().join(format!("torsade-processes-{}", std::process::id()));
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    let watcher = Watcher::new(&told, |process, entry| {
        if entry.starts_with("data 1") {
            process.write(vec![b'x'; 1 << 20]);
            process.reactor().stop()?;
        }
        Ok(())
    });
    let script = sh(&format!("echo ready; cat > {}", folder.display())).at_stop(AtStop::CloseStdin);
    reactor.spawn_process(watcher, script).unwrap();
    reactor.run().unwrap();
    assert_eq!(std::fs::read(&folder).unwrap().len(), 1 << 20);
    std::fs::remove_file(folder).unwrap();
}

#[test]
fn nothing_is_started_once_the_reactor_closes() {
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    let stopper = reactor.clone();
    reactor.call_when_running(move || stopper.stop().unwrap());
    reactor.run().unwrap();
    let late = reactor.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("true"));
    assert!(late.unwrap_err().to_string().contains("the reactor is stopping"));
    assert_eq!(told.all(), [""; 0]);
}
