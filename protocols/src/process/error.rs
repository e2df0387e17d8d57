//! Errors of child processes.

use std::error::Error;
use std::fmt;
use std::io;

use torsade_reactor::{Escaped, ProcessEnd, ProcessSignal};

/// An error of a child process that was started, or of `get_process_output` and related functions.
#[non_exhaustive]
pub enum ProcessError {
    /// The process has exited, so the signal was not sent. Harmless if the process was to be ended.
    #[doc(alias = "ProcessExitedAlready")]
    ExitedAlready,
    /// The signal was not sent: permission was denied, or there is no such signal.
    Signal {
        /// The signal.
        signal: ProcessSignal,
        /// The system's error.
        cause: io::Error,
    },
    /// The process could not be started. The error names the program and the remedy.
    Spawn(io::Error),
    /// The process wrote to its standard error (contained here), which was not expected. It was killed.
    ///
    /// To get both outputs, use [`Command::stderr`](torsade_reactor::Command::stderr) with `SameAs(1)`, or
    /// `get_process_output_and_value`.
    UnexpectedError(Vec<u8>),
    /// The process did not exit by itself; most likely a signal ended it.
    #[doc(alias = "ProcessTerminated")]
    Terminated {
        /// How it ended.
        end: ProcessEnd,
        /// What it had written to its standard output.
        out: Vec<u8>,
        /// What it had written to its standard error.
        err: Vec<u8>,
    },
    /// The process wrote more than [`Command::output_limit`](torsade_reactor::Command::output_limit) allows. It was killed.
    TooMuchOutput {
        /// The limit in bytes.
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
                write!(f, "the process wrote to its standard error: {}", Escaped(String::from_utf8_lossy(text).trim_end()))
            }
            Self::Terminated { end, .. } => write!(f, "the process has no exit status: {end}"),
            Self::TooMuchOutput { limit } => {
                write!(f, "the process wrote more than {limit} bytes and was killed: raise `output_limit` to allow more")
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
