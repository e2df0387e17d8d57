//! What can go wrong with a child process.

use std::error::Error;
use std::fmt;
use std::io;

use torsade_reactor::{Escaped, ProcessEnd, ProcessSignal};

/// What can go wrong with a child process that was started; and with one of `get_process_output` and its like.
#[non_exhaustive]
pub enum ProcessError {
    /// The process has exited, so there is nobody to be sent a signal. Harmless where it was to be ended.
    #[doc(alias = "ProcessExitedAlready")]
    ExitedAlready,
    /// The signal was not sent: this process may not send it one, or there is no such signal.
    Signal {
        /// Which.
        signal: ProcessSignal,
        /// What the system says.
        cause: io::Error,
    },
    /// The process could not be started; the error says which, and what to do.
    Spawn(io::Error),
    /// The process has written to its standard error, which is not expected: see there. It was killed.
    ///
    /// Have both outputs by [`Command::stderr`](torsade_reactor::Command::stderr) with `SameAs(1)`, or by
    /// `get_process_output_and_value`.
    UnexpectedError(Vec<u8>),
    /// The process has not ended by itself, but as is said here, most likely by a signal.
    #[doc(alias = "ProcessTerminated")]
    Terminated {
        /// How it has ended.
        end: ProcessEnd,
        /// What it had written to its standard output by then.
        out: Vec<u8>,
        /// And to its standard error.
        err: Vec<u8>,
    },
    /// The process has written more than [`Command::output_limit`](torsade_reactor::Command::output_limit) allows. It was killed.
    TooMuchOutput {
        /// How many bytes are allowed.
        limit: usize,
    },
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExitedAlready => f.write_str("the process has already exited"),
            Self::Signal { signal, cause } => write!(f, "{signal} was not sent to the process: {cause}"),
            Self::Spawn(cause) => write!(f, "{cause}"),
            Self::UnexpectedError(text) => {
                write!(f, "the process has written to its standard error: {}", Escaped(String::from_utf8_lossy(text).trim_end()))
            }
            Self::Terminated { end, .. } => write!(f, "the process has no status: {end}"),
            Self::TooMuchOutput { limit } => {
                write!(f, "the process has written more than {limit} bytes and was killed: allow more by `output_limit`")
            }
        }
    }
}

torsade_reactor::debug_as_display!(ProcessError);

impl Error for ProcessError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Signal { cause, .. } | Self::Spawn(cause) => Some(cause),
            _ => None,
        }
    }
}
