//! The handle of a child process.

use std::fmt;
use std::rc::Rc;

use torsade_reactor::{ProcessEnd, ProcessSignal, Reactor};

use super::error::ProcessError;
use crate::transport::Transport;

/// What is behind a [`Process`].
pub trait RunningProcess {
    /// As [`Process::reactor`].
    fn reactor(&self) -> &Reactor;

    /// As [`Process::pid`].
    fn pid(&self) -> Option<u32>;

    /// As [`Process::end`].
    fn end(&self) -> Option<ProcessEnd>;

    /// As [`Process::stream`].
    fn stream(&self, descriptor: u32) -> Option<Transport>;

    /// As [`Process::signal_process`].
    ///
    /// # Errors
    /// As [`Process::signal_process`].
    fn signal(&self, signal: ProcessSignal) -> Result<(), ProcessError>;
}

/// A child process, as [`spawn_process`](https://docs.rs/torsade/latest/torsade/trait.ReactorProcess.html) gives it; a cheap handle
/// that can be cloned and kept.
///
/// Each pipe between it and us is a connection of its own, which [`stream`](Self::stream) gives: with limits and producers, so that
/// a process that does not read holds up who writes to it, and nothing else.
#[derive(Clone)]
#[doc(alias = "IProcessTransport")]
pub struct Process(Rc<dyn RunningProcess>);

impl Process {
    /// Wraps what does the work.
    #[must_use]
    pub fn new(process: Rc<dyn RunningProcess>) -> Self {
        Self(process)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// Its number in the system; none once it has exited, since the number may be another's then.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// How it has ended; none as long as it runs.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        self.0.end()
    }

    /// The connection over the pipe that is this descriptor of the process; none if there is no such pipe, or it is closed.
    ///
    /// To hold back what the process writes, pause this; to send it more than it can read at once, register a producer with it.
    /// A terminal is the stream of descriptor 1, both ways.
    #[must_use]
    pub fn stream(&self, descriptor: u32) -> Option<Transport> {
        self.0.stream(descriptor)
    }

    /// Writes to its standard input or terminal, as [`Transport::write`] does. If that is closed, the bytes are dropped.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        // What is written to the other way of a pipe is dropped there.
        self.write_to_child(if self.stream(0).is_some() { 0 } else { 1 }, data);
    }

    /// Writes to this descriptor of it. If that is closed, the bytes are dropped.
    #[doc(alias = "writeToChild")]
    pub fn write_to_child(&self, descriptor: u32, data: impl AsRef<[u8]>) {
        match self.stream(descriptor) {
            Some(stream) => stream.write(data),
            None => log::debug!("{self:?}: {} bytes for its descriptor {descriptor} are dropped", data.as_ref().len()),
        }
    }

    /// Closes its standard input, once everything written is sent. The input of a terminal ends when `\x04` (Ctrl-D) is written.
    #[doc(alias = "closeStdin")]
    pub fn close_stdin(&self) {
        self.close_child(0);
    }

    /// Closes our end of its standard output, or of its terminal: if it writes more, it gets SIGPIPE.
    #[doc(alias = "closeStdout")]
    pub fn close_stdout(&self) {
        self.close_child(1);
    }

    /// Closes our end of its standard error.
    #[doc(alias = "closeStderr")]
    pub fn close_stderr(&self) {
        self.close_child(2);
    }

    /// Closes our end of this descriptor, once everything written is sent; does nothing if it is closed.
    #[doc(alias = "closeChildFD")]
    pub fn close_child(&self, descriptor: u32) {
        if let Some(stream) = self.stream(descriptor) {
            stream.lose_connection();
        }
    }

    /// Closes our ends of its standard input, output and error, once everything written is sent; a terminal hangs up. The process
    /// may go on.
    #[doc(alias = "loseConnection")]
    pub fn lose_connection(&self) {
        [0, 1, 2].into_iter().for_each(|descriptor| self.close_child(descriptor));
    }

    /// Sends it a signal: a [`ProcessSignal`], or a [`Signal`](torsade_reactor::Signal).
    ///
    /// # Errors
    /// [`ProcessError::ExitedAlready`]; [`ProcessError::Signal`] if it has not been sent for another reason.
    #[doc(alias = "signalProcess")]
    pub fn signal_process(&self, signal: impl Into<ProcessSignal>) -> Result<(), ProcessError> {
        self.0.signal(signal.into())
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("pid", &self.pid()).field("end", &self.end()).finish_non_exhaustive()
    }
}
