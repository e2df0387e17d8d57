//! A process protocol that records its callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{ProcessEnd, ProcessProtocol};

/// The callbacks of a process protocol, in order; consecutive data of one descriptor is one entry.
#[derive(Clone, Default)]
pub(crate) struct Told(Rc<RefCell<Vec<String>>>);

impl Told {
    pub(crate) fn note(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    pub(crate) fn count(&self, entry: &str) -> usize {
        self.0.borrow().iter().filter(|told| *told == entry).count()
    }

    pub(crate) fn data(&self, descriptor: u32) -> String {
        let head = format!("data {descriptor}: ");
        self.0.borrow().iter().filter_map(|told| told.strip_prefix(&head)).collect()
    }
}

type Hook = Box<dyn FnMut(&Process, &str) -> Result>;

/// Records every callback, then calls a hook with its entry. Stops the reactor when the process has ended.
pub(crate) struct Watcher {
    told: Told,
    hook: Hook,
}

impl Watcher {
    pub(crate) fn new(told: &Told, hook: impl FnMut(&Process, &str) -> Result + 'static) -> Self {
        Self { told: told.clone(), hook: Box::new(hook) }
    }

    fn note(&mut self, process: &Process, entry: String) -> Result {
        self.told.note(entry.clone());
        (self.hook)(process, &entry)
    }
}

impl ProcessProtocol for Watcher {
    fn connection_made(&mut self, process: &Process) -> Result {
        self.note(process, "made".into())
    }

    fn child_data_received(&mut self, process: &Process, descriptor: u32, data: &[u8]) -> Result {
        self.note(process, format!("data {descriptor}: {}", String::from_utf8_lossy(data)))
    }

    fn child_connection_lost(&mut self, process: &Process, descriptor: u32) -> Result {
        self.note(process, format!("lost {descriptor}"))
    }

    fn process_exited(&mut self, process: &Process, end: ProcessEnd) -> Result {
        self.note(process, format!("process {end}"))
    }

    fn process_ended(&mut self, process: &Process, end: ProcessEnd) -> Result {
        let noted = self.note(process, format!("all {end}"));
        // It may already be stopping.
        process.reactor().stop().ok();
        noted
    }
}

pub(crate) fn run(command: Command, hook: impl FnMut(&Process, &str) -> Result + 'static) -> Told {
    let told = Told::default();
    let reactor = Reactor::new().unwrap();
    reactor.spawn_process(Watcher::new(&told, hook), command).unwrap();
    reactor.run().unwrap();
    told
}

pub(crate) fn sh(script: &str) -> Command {
    Command::new("sh").args(["-c", script])
}

/// Never fires: a program that waits for it does not end when asked to.
pub(crate) fn never() -> Deferred<()> {
    let (never, firer) = Deferred::new();
    std::mem::forget(firer);
    never
}
