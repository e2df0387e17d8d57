//! Child processes on a reactor.

use std::io;

use torsade_protocols::{Process, ProcessProtocol};
use torsade_reactor::{Command, Reactor};

use crate::ends::process::ProcessSource;

/// Starts child processes.
#[doc(alias = "IReactorProcess")]
pub trait ReactorProcess {
    /// Starts a program. Callbacks come from the loop, `connection_made` in the next turn.
    ///
    /// Each descriptor of the child that is a pipe is a [`stream`](Process::stream), with the limits of every connection: unsent
    /// output to a child that does not read is limited, and a child whose output is paused has to wait.
    ///
    /// The child is waited for as soon as it has exited. Children that other code of this program starts are not waited for. But
    /// that code must not wait for all children, nor ignore SIGCHLD: otherwise the child's end can only be reported as
    /// [`ProcessEnd::Unknown`](torsade_reactor::ProcessEnd::Unknown).
    ///
    /// The [`Command`] says what happens to the child when the reactor stops. If this process is killed, its children live on,
    /// and see the end of their standard input.
    ///
    /// # Errors
    /// The error's text names the program, the cause and what to do. `NotFound` if there is no such program or folder;
    /// `PermissionDenied`; `Unsupported` where there are no pipes on the loop (Windows), or without the feature `processes`; the
    /// system's error if there are no more descriptors. Nothing of the child is left then, and the protocol is dropped.
    #[doc(alias = "spawnProcess")]
    fn spawn_process<P: ProcessProtocol + 'static>(&self, protocol: P, command: Command) -> io::Result<Process>;
}

impl ReactorProcess for Reactor {
    fn spawn_process<P: ProcessProtocol + 'static>(&self, protocol: P, command: Command) -> io::Result<Process> {
        ProcessSource::spawn(self, Box::new(protocol), &command, |_, stream| Some(stream))
    }
}
