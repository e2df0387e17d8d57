//! Child processes on a reactor.

use std::io;

use torsade_protocols::{Process, ProcessProtocol};
use torsade_reactor::{Command, Reactor};

use crate::ends::process::ProcessSource;

/// Starts child processes.
#[doc(alias = "IReactorProcess")]
pub trait ReactorProcess {
    /// Starts a program, whose callbacks come from the loop, `connection_made` in the next turn.
    ///
    /// Each of its descriptors that is a pipe is a [`stream`](Process::stream), with the limits of all connections: a child that
    /// does not read is not written to without a bound, and if its output is not wanted (paused) it is held up.
    /// It is waited for as soon as it has exited, and no other child of this program is: code that starts children of its own
    /// is not disturbed. That code must not wait for all children, nor ignore SIGCHLD: then
    /// [`ProcessEnd::Unknown`](torsade_reactor::ProcessEnd::Unknown) is all that can be told.
    ///
    /// What becomes of it when the reactor stops, the [`Command`] says. A process that is killed itself takes no child with it:
    /// they see the end of their standard input.
    ///
    /// # Errors
    /// The error's text names the program, the cause and what to do. `NotFound` if there is no such program or folder;
    /// `PermissionDenied`; `Unsupported` where there are no pipes on the loop (Windows), or without the feature `processes`. If
    /// descriptors are used up, the system's. Nothing of the child is left then, and the protocol is dropped.
    #[doc(alias = "spawnProcess")]
    fn spawn_process<P: ProcessProtocol + 'static>(&self, protocol: P, command: Command) -> io::Result<Process>;
}

impl ReactorProcess for Reactor {
    fn spawn_process<P: ProcessProtocol + 'static>(&self, protocol: P, command: Command) -> io::Result<Process> {
        ProcessSource::spawn(self, Box::new(protocol), &command, |_, stream| Some(stream))
    }
}
