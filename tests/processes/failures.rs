//! Programs that cannot be started.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use torsade::ChildDescriptor;
use torsade::prelude::*;

use crate::ends::{children, descriptors};
use crate::support::{child, child_with_descriptors, is_child};
use crate::watcher::{Told, Watcher, sh};

fn spawn(command: Command) -> (ErrorKind, String) {
    let told = Told::default();
    let reactor = Reactor::new().unwrap();
    let error = reactor.spawn_process(Watcher::new(&told, |_, _| Ok(())), command).unwrap_err();
    assert_eq!(reactor.source_count(), 0, "nothing is left of it");
    reactor.disconnect_all().unwrap();
    assert_eq!(told.all(), [""; 0], "a protocol without a process is not called");
    (error.kind(), error.to_string())
}

#[test]
fn the_error_names_the_program_the_cause_and_the_remedy() {
    let (kind, text) = spawn(Command::new("no-such-program"));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(
        text.starts_with("cannot start \"no-such-program\": ") && text.ends_with("is it installed, and its directory in PATH?"),
        "{text}"
    );
    let (kind, text) = spawn(Command::new("cat").current_dir("/no/such/folder"));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.ends_with("there is no directory \"/no/such/folder\" to run it in"), "{text}");
    let (kind, text) = spawn(Command::new("/etc/passwd"));
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert!(text.contains("is it executable"), "{text}");
}

#[test]
fn descriptors_that_make_no_sense_are_refused() {
    let (kind, text) = spawn(Command::new("cat").stderr(ChildDescriptor::SameAs(9)));
    assert_eq!(kind, ErrorKind::InvalidInput);
    assert!(text.contains("the same as one that is not set"), "{text}");
    assert_eq!(spawn(Command::new("cat").descriptor(5, ChildDescriptor::Inherited)).0, ErrorKind::InvalidInput);
}

#[test]
fn a_failure_leaves_no_descriptor_and_no_child() {
    const NAME: &str = "failures::a_failure_leaves_no_descriptor_and_no_child";
    if !is_child(NAME) {
        assert!(child(NAME).status().unwrap().success());
        return;
    }
    let reactor = Reactor::new().unwrap();
    let before = descriptors();
    for _ in 0..50 {
        let further = Command::new("no-such-program").descriptor(5, ChildDescriptor::PipeToChild);
        for command in [Command::new("no-such-program"), further, Command::new("no-such-program").terminal(24, 80)] {
            reactor.spawn_process(Watcher::new(&Told::default(), |_, _| Ok(())), command).unwrap_err();
        }
    }
    assert_eq!(descriptors(), before);
    assert_eq!(children(), [0_u32; 0]);
}

#[test]
fn where_descriptors_are_used_up_the_error_says_so_and_later_all_is_well() {
    const NAME: &str = "failures::where_descriptors_are_used_up_the_error_says_so_and_later_all_is_well";
    if !is_child(NAME) {
        assert!(child_with_descriptors(NAME, 32).status().unwrap().success());
        return;
    }
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    // Holds one descriptor fewer each time, so that the start fails at each descriptor it needs.
    let mut held: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
    let mut failed = 0;
    loop {
        let watcher = Watcher::new(&told, |_, _| Ok(()));
        match reactor.spawn_process(watcher, sh("exit 0").descriptor(3, ChildDescriptor::PipeToChild)) {
            Ok(_) => break,
            Err(error) => assert!(error.to_string().contains("ulimit -n"), "{error}"),
        }
        failed += 1;
        drop(held.pop());
    }
    assert!(failed > 4, "{failed}");
    reactor.run().unwrap();
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
    assert_eq!(children(), [0_u32; 0]);
}

#[test]
fn a_failed_start_is_reported_whatever_number_a_further_descriptor_has() {
    // The standard library's own pipe, which reports the failure, has one of these numbers, and must survive.
    let null = Rc::new(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
    let first = u32::try_from(null.as_raw_fd()).unwrap();
    for number in first..first + 24 {
        let command = Command::new("no-such-program").descriptor(number, ChildDescriptor::Given(Rc::clone(&null)));
        assert_eq!(spawn(command).0, ErrorKind::NotFound, "{number}");
    }
}
