//! The handle of a child process.

use std::fmt;
use std::rc::Rc;

use torsade_reactor::{ProcessEnd, ProcessSignal, Reactor};

use super::error::ProcessError;
use crate::transport::Transport;

/// What a [`Process`] is a handle to.
pub trait RunningProcess {
    /// See [`Process::reactor`].
    fn reactor(&self) -> &Reactor;

    /// See [`Process::pid`].
    fn pid(&self) -> Option<u32>;

    /// See [`Process::end`].
    fn end(&self) -> Option<ProcessEnd>;

    /// See [`Process::stream`].
    fn stream(&self, descriptor: u32) -> Option<Transport>;

    /// See [`Process::signal_process`].
    ///
    /// # Errors
    /// See [`Process::signal_process`].
    fn signal(&self, signal: ProcessSignal) -> Result<(), ProcessError>;
}

/// A child process, as returned by [`spawn_process`](https://docs.rs/torsade/latest/torsade/trait.ReactorProcess.html); a cheap
/// handle.
///
/// Each pipe between it and us is a connection of its own, available from [`stream`](Self::stream), with limits and producers. A
/// process that does not read therefore holds up only what writes to it.
#[derive(Clone)]
#[doc(alias = "IProcessTransport")]
pub struct Process(Rc<dyn RunningProcess>);

impl Process {
    /// Wraps an implementation.
    #[must_use]
    pub fn new(process: Rc<dyn RunningProcess>) -> Self {
        Self(process)
    }

    /// The reactor it belongs to.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        self.0.reactor()
    }

    /// Its process id; `None` once it has exited, because the system may reuse the id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// How it ended; `None` while it runs.
    #[must_use]
    pub fn end(&self) -> Option<ProcessEnd> {
        self.0.end()
    }

    /// The connection over the pipe at this descriptor of the process; `None` if there is none or it is closed.
    ///
    /// Pause it to hold back what the process writes; register a producer with it to send more than the process can read at once.
    /// A terminal is the stream of descriptor 1, in both directions.
    #[must_use]
    pub fn stream(&self, descriptor: u32) -> Option<Transport> {
        self.0.stream(descriptor)
    }

    /// Writes to its standard input or terminal, as [`Transport::write`] does. If that is closed, the bytes are dropped.
    pub fn write(&self, data: impl AsRef<[u8]>) {
        // Descriptor 1 may be a terminal; a pipe from the process drops the bytes.
        self.write_to_child(if self.stream(0).is_some() { 0 } else { 1 }, data);
    }

    /// Writes to this descriptor of the process. If that is closed, the bytes are dropped.
    #[doc(alias = "writeToChild")]
    pub fn write_to_child(&self, descriptor: u32, data: impl AsRef<[u8]>) {
        match self.stream(descriptor) {
            Some(stream) => stream.write(data),
            None => log::debug!("{self:?}: {} bytes for its descriptor {descriptor} are dropped", data.as_ref().len()),
        }
    }

    /// Closes its standard input, once everything written is sent. On a terminal, write `\x04` (Ctrl-D) to end its input instead.
    #[doc(alias = "closeStdin")]
    pub fn close_stdin(&self) {
        self.close_child(0);
    }

    /// Closes our end of its standard output or terminal: if the process writes more, it gets SIGPIPE.
    #[doc(alias = "closeStdout")]
    pub fn close_stdout(&self) {
        self.close_child(1);
    }

    /// Closes our end of its standard error.
    #[doc(alias = "closeStderr")]
    pub fn close_stderr(&self) {
        self.close_child(2);
    }

    /// Closes our end of this descriptor, once everything written is sent; does nothing if it is closed already.
    #[doc(alias = "closeChildFD")]
    pub fn close_child(&self, descriptor: u32) {
        if let Some(stream) = self.stream(descriptor) {
            stream.lose_connection();
        }
    }

    /// Closes our ends of its standard input, output and error, once everything written is sent; a terminal hangs up. The process
    /// may keep running.
    #[doc(alias = "loseConnection")]
    pub fn lose_connection(&self) {
        [0, 1, 2].into_iter().for_each(|descriptor| self.close_child(descriptor));
    }

    /// Sends it a signal: a [`ProcessSignal`], or a [`Signal`](torsade_reactor::Signal).
    ///
    /// # Errors
    /// [`ProcessError::ExitedAlready`]; [`ProcessError::Signal`] if it could not be sent for another reason.
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
