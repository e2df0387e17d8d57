//! How a program of a simulated host ends from outside.

use crate::backend::{ProcessEnd, ProcessSignal};
use crate::event_log::{Event, Subject};

/// How it ends; by itself it does when its reactor stops.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Exited(i32),
    Killed(ProcessSignal),
    /// That of its host: its connections vanish with it.
    PowerFailed,
}

impl Ending {
    /// As the log has it.
    pub(super) fn event(self) -> Event {
        match self {
            Self::Exited(code) => Event::new(Subject::Reactor, "exited").with_reason(code.to_string()),
            Self::Killed(_) => Event::new(Subject::Reactor, "killed"),
            Self::PowerFailed => Event::new(Subject::Reactor, "crashed"),
        }
    }

    /// As the parent of the program has it, if it is a process.
    pub(super) const fn as_process_end(self) -> ProcessEnd {
        match self {
            Self::Exited(code) => ProcessEnd::Exited(code),
            Self::Killed(signal) => ProcessEnd::Killed(signal),
            Self::PowerFailed => ProcessEnd::Unknown,
        }
    }
}
