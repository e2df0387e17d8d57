//! The order of callbacks.

use torsade::prelude::*;
use torsade::{ChildDescriptor, ProcessError, ProcessSignal};

use crate::support::logged::logged;
use crate::watcher::{Told, Watcher, run, sh};

#[test]
fn what_is_written_to_a_program_comes_back_from_it_and_its_end_is_reported_last() {
    let told = run(Command::new("cat"), |process, entry| {
        if entry == "made" {
            process.write("hello");
            process.close_stdin();
        }
        Ok(())
    });
    assert_eq!(told.data(1), "hello");
    let all = told.all();
    assert_eq!(all.first().map(String::as_str), Some("made"));
    assert_eq!(all.last().map(String::as_str), Some("all exited with status 0"));
    for entry in ["lost 0", "lost 1", "lost 2", "process exited with status 0"] {
        assert_eq!(told.count(entry), 1, "{all:?}");
    }
}

#[test]
fn standard_error_and_the_status_are_distinguished() {
    let told = run(sh("echo out; echo err >&2; exit 7"), |_, _| Ok(()));
    assert_eq!((told.data(1).as_str(), told.data(2).as_str()), ("out\n", "err\n"));
    assert_eq!(told.count("process exited with status 7"), 1);
    assert_eq!(told.count("all exited with status 7"), 1);
}

#[test]
fn a_signal_that_kills_is_reported_by_its_name() {
    let told = run(Command::new("cat"), |process, entry| {
        if entry == "made" {
            process.signal_process(ProcessSignal::TERMINATE)?;
        }
        Ok(())
    });
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGTERM"));
}

#[test]
fn a_program_that_closes_its_input_first_goes_on_and_the_loss_is_reported_at_once() {
    let script = sh("exec 0<&-; read line <&3; echo $line").descriptor(3, ChildDescriptor::PipeToChild);
    let told = run(script, |process, entry| {
        if entry == "lost 0" {
            process.write_to_child(3, "it reads\n");
        }
        Ok(())
    });
    assert_eq!(told.data(1), "it reads\n");
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
}

#[test]
fn a_program_that_closes_its_output_early_goes_on() {
    let told = run(sh("echo last; exec 1>&-; read line; exit 4"), |process, entry| {
        if entry == "lost 1" {
            assert_eq!(process.end(), None);
            process.write("go\n");
        }
        Ok(())
    });
    assert_eq!(told.data(1), "last\n");
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 4"));
}

#[test]
fn a_daemon_that_keeps_the_output_is_heard_after_the_program_has_exited() {
    // The background process reads from descriptor 3, which we close last.
    let script = sh("cat <&3 & exit 0").descriptor(3, ChildDescriptor::PipeToChild);
    let told = run(script, |process, entry| {
        match entry {
            "process exited with status 0" => {
                assert_eq!(process.pid(), None);
                process.write_to_child(3, "the daemon");
            }
            "data 1: the daemon" => process.close_child(3),
            _ => {}
        }
        Ok(())
    });
    let all = told.all();
    let place = |entry: &str| all.iter().position(|told| told == entry).unwrap_or_else(|| panic!("no {entry} in {all:?}"));
    assert!(place("process exited with status 0") < place("data 1: the daemon"));
    assert!(place("data 1: the daemon") < place("lost 1"));
    assert_eq!(place("all exited with status 0"), all.len() - 1);
}

#[test]
fn an_error_of_connection_made_closes_all_descriptors_and_the_end_is_reported() {
    let told = run(Command::new("cat"), |_, entry| if entry == "made" { Err("unwanted".into()) } else { Ok(()) });
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
}

#[test]
fn a_panic_with_data_closes_the_descriptor_that_it_came_from_and_no_other() {
    let told = run(sh("echo out; read line; echo err >&2"), |process, entry| {
        assert!(!entry.starts_with("data 1"), "a deliberate panic");
        if entry == "lost 1" {
            process.write("go on\n");
        }
        Ok(())
    });
    assert_eq!(told.data(2), "err\n", "{:?}", told.all());
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
}

#[test]
fn a_panic_at_the_end_of_one_process_does_not_keep_another_from_being_told() {
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    let other = Watcher::new(&told, |_, _| Ok(()));
    let mut other = Some(other);
    // The first one panics before it stops the reactor; the second stops it.
    let first = Watcher::new(&Told::default(), move |process, entry| {
        if entry == "all exited with status 0" {
            process.reactor().spawn_process(other.take().unwrap(), Command::new("true")).unwrap();
            panic!("a deliberate panic");
        }
        Ok(())
    });
    reactor.spawn_process(first, Command::new("true")).unwrap();
    reactor.run().unwrap();
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
}

#[test]
fn what_is_written_before_the_loop_runs_is_sent() {
    let told = Told::default();
    let reactor = Reactor::new().unwrap();
    let process = reactor.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("cat")).unwrap();
    process.write("early");
    process.close_stdin();
    assert_eq!(told.all(), [""; 0], "no callback comes from inside a method");
    reactor.run().unwrap();
    assert_eq!(told.data(1), "early");
    assert_eq!(told.all().first().map(String::as_str), Some("made"));
}

#[test]
fn the_time_before_the_loop_runs_belongs_to_no_callback() {
    let lines = logged(log::Level::Error, || drop(run(Command::new("true"), |_, _| Ok(()))));
    // A callback may take milliseconds on a busy machine. One measured from the machine's start would seem to take longer.
    let long: Vec<_> = lines.iter().filter(|(_, line)| line.contains("held up the loop") && !line.ends_with("ms")).collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn a_process_that_has_exited_cannot_be_sent_a_signal() {
    let told = run(Command::new("true"), |process, entry| {
        if entry == "process exited with status 0" {
            let sent = process.signal_process(ProcessSignal::TERMINATE);
            assert!(matches!(sent, Err(ProcessError::ExitedAlready)), "{sent:?}");
        }
        Ok(())
    });
    assert_eq!(told.count("process exited with status 0"), 1);
}
