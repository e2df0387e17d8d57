//! A program as a child process, and what is known of it.

use std::cell::RefCell;
use std::rc::Rc;

use torsade::prelude::*;
use torsade::{ProcessEnd, ProcessSignal};

use super::at_rest::at_rest;

/// What it has printed last, for the reader of a report.
const PRINTED: usize = 4 << 10;

#[derive(Default)]
struct Known {
    end: Option<ProcessEnd>,
    printed: Vec<u8>,
    told: Option<Firer<()>>,
}

/// A running program; killed, by its id, when it is dropped.
pub struct Program {
    process: Process,
    known: Rc<RefCell<Known>>,
}

struct Watch(Rc<RefCell<Known>>);

impl Watch {
    fn printed(&self, data: &[u8]) {
        let printed = &mut self.0.borrow_mut().printed;
        printed.extend(data);
        let surplus = printed.len().saturating_sub(PRINTED);
        printed.drain(..surplus);
    }
}

impl ProcessProtocol for Watch {
    fn out_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        self.printed(data);
        Ok(())
    }

    fn err_received(&mut self, _process: &Process, data: &[u8]) -> Result {
        self.printed(data);
        Ok(())
    }

    // Not `process_ended`: that waits for the end of pipes that a child of the program may hold.
    fn process_exited(&mut self, _process: &Process, end: ProcessEnd) -> Result {
        self.0.borrow_mut().end = Some(end);
        let told = self.0.borrow_mut().told.take();
        told.into_iter().for_each(|firer| firer.callback(()));
        Ok(())
    }
}

impl Program {
    pub fn start(reactor: &Reactor, command: Command) -> Result<Self> {
        let known = Rc::<RefCell<Known>>::default();
        let process = reactor.spawn_process(Watch(known.clone()), command)?;
        Ok(Self { process, known })
    }

    /// How it ended, if it has.
    pub fn end(&self) -> Option<ProcessEnd> {
        self.known.borrow().end
    }

    /// Whether it waits for something; true where the system does not tell.
    pub fn is_at_rest(&self) -> bool {
        self.end().is_some() || self.process.pid().is_none_or(|pid| at_rest(pid).unwrap_or(true))
    }

    /// The end of what it has printed, on both of its outputs.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&self.known.borrow().printed).into_owned()
    }

    /// Kills it, and waits until it has ended.
    pub async fn kill(&self) -> Result {
        if self.end().is_none() {
            let (told, firer) = Deferred::new();
            self.known.borrow_mut().told = Some(firer);
            // An error says that it has ended already.
            self.process.signal_process(ProcessSignal::KILL).ok();
            told.await?;
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.end().is_none() {
            self.process.signal_process(ProcessSignal::KILL).ok();
        }
    }
}
