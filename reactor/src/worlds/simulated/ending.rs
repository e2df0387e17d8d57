//! How a program of a simulated host is ended from outside.

use crate::backend::{ProcessEnd, ProcessSignal};
use crate::event_log::{Event, Subject};

/// How it ends. A program ends by itself when its reactor stops.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Exited(i32),
    Killed(ProcessSignal),
    /// Its host loses power; its connections vanish.
    PowerFailed,
}

impl Ending {
    /// The event for the log.
    pub(super) fn event(self) -> Event {
        match self {
            Self::Exited(code) => Event::new(Subject::Reactor, "exited").with_reason(code.to_string()),
            Self::Killed(_) => Event::new(Subject::Reactor, "killed"),
            Self::PowerFailed => Event::new(Subject::Reactor, "crashed"),
        }
    }

    /// The end as the program's parent sees it, if it is a child process.
    pub(super) const fn as_process_end(self) -> ProcessEnd {
        match self {
            Self::Exited(code) => ProcessEnd::Exited(code),
            Self::Killed(signal) => ProcessEnd::Killed(signal),
            Self::PowerFailed => ProcessEnd::Unknown,
        }
    }
}
