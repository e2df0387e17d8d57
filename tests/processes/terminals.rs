//! Programs on their own terminals.

use torsade::prelude::*;

use crate::watcher::{run, sh};

#[test]
fn the_three_descriptors_are_a_terminal_of_the_given_size() {
    let told = run(sh("test -t 0 && test -t 1 && test -t 2 && stty size").terminal(24, 132), |_, _| Ok(()));
    assert_eq!(told.data(1), "24 132\r\n");
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
    assert_eq!(told.count("lost 1"), 0, "for a terminal this is not reported, as in Twisted");
}

#[test]
fn what_is_typed_comes_back_as_the_echo_and_control_d_is_the_end() {
    let told = run(Command::new("cat").terminal(24, 80), |process, entry| {
        if entry == "made" {
            process.write("typed\n\x04");
        }
        Ok(())
    });
    // (Some systems echo Ctrl-D too.)
    assert_eq!(told.data(1).replace("^D\u{8}\u{8}", ""), "typed\r\ntyped\r\n");
}

#[test]
fn a_terminal_that_we_close_hangs_up() {
    let told = run(sh("echo ready; exec cat").terminal(24, 80), |process, entry| {
        if entry.starts_with("data 1") {
            process.lose_connection();
        }
        Ok(())
    });
    assert_eq!(told.all().last().map(String::as_str), Some("all killed by SIGHUP"));
}
