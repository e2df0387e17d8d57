//! Nothing is left of a process, and those of other code stay.

use std::cell::{Cell, RefCell};
use std::process;
use std::rc::Rc;

use torsade::ProcessEnd;
use torsade::prelude::*;

use crate::support::{child, is_child};
use crate::watcher::{Told, Watcher, run};

/// The children of this process, zombies included; none where the system does not report them.
pub(crate) fn children() -> Vec<u32> {
    let is_ours =
        |stat: &str| stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok().filter(|it| *it == process::id());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes
        .filter(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| is_ours(&stat).is_some()))
        .collect()
}

pub(crate) fn descriptors() -> usize {
    std::fs::read_dir("/dev/fd").unwrap().count()
}

/// Starts another program whenever one ends, up to a thousand; then counts the open descriptors.
struct InARow {
    number: usize,
    descriptors: Rc<RefCell<Vec<usize>>>,
}

impl ProcessProtocol for InARow {
    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        assert!(end.is_success(), "{end}");
        self.descriptors.borrow_mut().push(descriptors());
        if self.number == 1000 {
            return Ok(process.reactor().stop()?);
        }
        let next = Self { number: self.number + 1, descriptors: Rc::clone(&self.descriptors) };
        process.reactor().spawn_process(next, Command::new("true"))?;
        Ok(())
    }
}

#[test]
fn a_thousand_children_in_a_row_leave_no_descriptor_and_no_zombie() {
    const NAME: &str = "ends::a_thousand_children_in_a_row_leave_no_descriptor_and_no_zombie";
    if !is_child(NAME) {
        assert!(child(NAME).status().unwrap().success());
        return;
    }
    let (reactor, descriptors) = (Reactor::new().unwrap(), Rc::default());
    reactor.spawn_process(InARow { number: 1, descriptors: Rc::clone(&descriptors) }, Command::new("true")).unwrap();
    reactor.run().unwrap();
    let descriptors = descriptors.take();
    assert_eq!((descriptors.len(), descriptors.first()), (1000, descriptors.last()));
    assert_eq!(children(), [0_u32; 0]);
}

#[test]
fn a_hundred_children_at_once_are_all_reported() {
    let (reactor, left) = (Reactor::new().unwrap(), Rc::new(Cell::new(100)));
    let ended = Rc::new(Cell::new(0));
    struct One(Rc<Cell<u32>>, Rc<Cell<i32>>);
    impl ProcessProtocol for One {
        fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
            self.1.set(self.1.get() + end.code().unwrap());
            self.0.set(self.0.get() - 1);
            if self.0.get() == 0 { Ok(process.reactor().stop()?) } else { Ok(()) }
        }
    }
    for code in 0..100 {
        let script = crate::watcher::sh(&format!("exit {code}"));
        reactor.spawn_process(One(Rc::clone(&left), Rc::clone(&ended)), script).unwrap();
    }
    reactor.run().unwrap();
    assert_eq!(ended.get(), (0..100).sum::<i32>());
}

#[test]
fn children_that_other_code_has_started_stay_its_own() {
    let mut others = process::Command::new("sh").args(["-c", "exit 9"]).spawn().unwrap();
    let told = run(Command::new("true"), |_, _| Ok(()));
    assert_eq!(told.all().last().map(String::as_str), Some("all exited with status 0"));
    assert_eq!(others.wait().unwrap().code(), Some(9));
}

#[test]
fn a_child_that_other_code_has_waited_for_ends_in_an_unknown_way() {
    let told = run(Command::new("true"), |process, entry| {
        if entry == "made" {
            let pid = rustix_pid(process.pid().unwrap());
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
        }
        Ok(())
    });
    assert_eq!(told.all().last().map(String::as_str), Some("all ended in a way that the system does not report"));
}

fn rustix_pid(pid: u32) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid.cast_signed()).unwrap()
}

#[test]
fn a_reactor_that_is_taken_apart_kills_its_children() {
    const NAME: &str = "ends::a_reactor_that_is_taken_apart_kills_its_children";
    if !is_child(NAME) {
        assert!(child(NAME).status().unwrap().success());
        return;
    }
    let (reactor, told) = (Reactor::new().unwrap(), Told::default());
    reactor.spawn_process(Watcher::new(&told, |_, _| Ok(())), Command::new("sleep").arg("1000")).unwrap();
    reactor.disconnect_all().unwrap();
    assert_eq!(children(), [0_u32; 0]);
    assert_eq!(told.count("process killed by SIGKILL"), 1, "{:?}", told.all());
    assert_eq!(told.all().first().map(String::as_str), Some("made"));
}
