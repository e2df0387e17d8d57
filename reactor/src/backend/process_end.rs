//! How a process ended, and the signals of processes.

use std::fmt;

use super::Signal;

/// How a process ended; Twisted's `ProcessDone` and `ProcessTerminated`.
///
/// # Examples
/// ```
/// use torsade::{ProcessEnd, ProcessSignal};
///
/// assert_eq!(ProcessEnd::Exited(3).to_string(), "exited with status 3");
/// assert_eq!(ProcessEnd::Killed(ProcessSignal::KILL).to_string(), "killed by SIGKILL");
/// assert!(ProcessEnd::Exited(0).is_success());
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[doc(alias = "ProcessTerminated")]
pub enum ProcessEnd {
    /// It exited with this status; 0 is success.
    #[doc(alias = "ProcessDone")]
    Exited(i32),
    /// A signal ended it.
    Killed(ProcessSignal),
    /// The system no longer tells: other code of this program waits for all children or ignores SIGCHLD, which it should not; or
    /// a killed child was still running a second later, when the reactor ended.
    Unknown,
}

impl ProcessEnd {
    /// Returns whether it exited with status 0.
    #[must_use]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::Exited(0))
    }

    /// The exit status, if it exited.
    #[doc(alias = "exitCode")]
    #[must_use]
    pub const fn code(self) -> Option<i32> {
        if let Self::Exited(code) = self { Some(code) } else { None }
    }

    /// The signal that ended it, if one did.
    #[must_use]
    pub const fn signal(self) -> Option<ProcessSignal> {
        if let Self::Killed(signal) = self { Some(signal) } else { None }
    }
}

impl fmt::Display for ProcessEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with status {code}"),
            Self::Killed(signal) => write!(f, "killed by {signal}"),
            Self::Unknown => f.write_str("ended in a way that the system does not report"),
        }
    }
}

/// A signal that a process can be sent or be ended by: any signal of the system, by number.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct ProcessSignal(i32);

/// Signals whose numbers are the same on every Unix.
impl ProcessSignal {
    /// SIGABRT: the process called `abort`.
    pub const ABORT: Self = Self(6);
    /// SIGALRM.
    pub const ALARM: Self = Self(14);
    /// SIGHUP: the terminal was closed; by convention also a request to reload the configuration.
    pub const HANGUP: Self = Self(1);
    /// SIGINT, as from Ctrl-C.
    pub const INTERRUPT: Self = Self(2);
    /// SIGKILL, which cannot be caught.
    pub const KILL: Self = Self(9);
    /// SIGPIPE: it wrote to a pipe that has no reader.
    pub const PIPE: Self = Self(13);
    /// SIGQUIT.
    pub const QUIT: Self = Self(3);
    /// SIGSEGV: an invalid memory access.
    pub const SEGMENTATION_FAULT: Self = Self(11);
    /// SIGTERM: a request to terminate.
    pub const TERMINATE: Self = Self(15);
}

/// Signals whose numbers differ.
#[cfg(unix)]
impl ProcessSignal {
    /// SIGCONT: it continues.
    pub const CONTINUE: Self = Self(libc::SIGCONT);
    /// SIGSTOP: it is stopped.
    pub const STOP: Self = Self(libc::SIGSTOP);
    /// SIGUSR1.
    pub const USER1: Self = Self(libc::SIGUSR1);
    /// SIGUSR2.
    pub const USER2: Self = Self(libc::SIGUSR2);
    /// SIGWINCH: its terminal's size changed.
    pub const WINDOW_CHANGE: Self = Self(libc::SIGWINCH);
}

impl ProcessSignal {
    /// The signal of this number.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::ABORT => "SIGABRT",
            Self::ALARM => "SIGALRM",
            Self::HANGUP => "SIGHUP",
            Self::INTERRUPT => "SIGINT",
            Self::KILL => "SIGKILL",
            Self::PIPE => "SIGPIPE",
            Self::QUIT => "SIGQUIT",
            Self::SEGMENTATION_FAULT => "SIGSEGV",
            Self::TERMINATE => "SIGTERM",
            #[cfg(unix)]
            Self::CONTINUE => "SIGCONT",
            #[cfg(unix)]
            Self::STOP => "SIGSTOP",
            #[cfg(unix)]
            Self::USER1 => "SIGUSR1",
            #[cfg(unix)]
            Self::USER2 => "SIGUSR2",
            #[cfg(unix)]
            Self::WINDOW_CHANGE => "SIGWINCH",
            Self(_) => return None,
        })
    }
}

/// SIGCHLD, SIGUSR1, SIGUSR2 and SIGWINCH; Linux's numbers on systems without them.
#[cfg(unix)]
const NUMBERS_THAT_DIFFER: [i32; 4] = [libc::SIGCHLD, libc::SIGUSR1, libc::SIGUSR2, libc::SIGWINCH];
#[cfg(not(unix))]
const NUMBERS_THAT_DIFFER: [i32; 4] = [17, 10, 12, 28];

impl From<Signal> for ProcessSignal {
    fn from(signal: Signal) -> Self {
        let [child, user1, user2, window_change] = NUMBERS_THAT_DIFFER;
        match signal {
            Signal::Child => Self(child),
            Signal::Hangup => Self::HANGUP,
            Signal::Interrupt => Self::INTERRUPT,
            Signal::Terminate => Self::TERMINATE,
            Signal::User1 => Self(user1),
            Signal::User2 => Self(user2),
            Signal::WindowChange => Self(window_change),
        }
    }
}

impl fmt::Display for ProcessSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "signal {}", self.0),
        }
    }
}

crate::debug_as_display!(ProcessSignal);
