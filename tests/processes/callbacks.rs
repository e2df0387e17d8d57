//! Which callback comes when.

use torsade::prelude::*;
use torsade::{ChildDescriptor, ProcessSignal};

use crate::watcher::{run, sh};

#[test]
fn what_is_written_to_a_program_comes_back_from_it_and_its_end_is_told_last() {
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
fn standard_error_and_the_status_are_told_apart() {
    let told = run(sh("echo out; echo err >&2; exit 7"), |_, _| Ok(()));
    assert_eq!((told.data(1).as_str(), told.data(2).as_str()), ("out\n", "err\n"));
    assert_eq!(told.count("process exited with status 7"), 1);
    assert_eq!(told.count("all exited with status 7"), 1);
}

#[test]
fn a_signal_that_kills_is_told_by_its_name() {
    let told = run(Command::new("cat"), |process, entry| {
        if entry == "made" {
            process.signal_process(ProcessSignal::TERMINATE)?;
        }
        Ok(())
    });
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGTERM"));
}

#[test]
fn a_program_that_closes_its_input_first_goes_on_and_the_loss_is_told_at_once() {
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
