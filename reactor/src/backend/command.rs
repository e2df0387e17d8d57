//! A program to be started as a child process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The most that `get_process_output` and its like take of each output, unless set.
const OUTPUT_LIMIT: usize = 16 << 20;

/// A program to be started as a child process: with which arguments, in which environment, and with which descriptors.
///
/// Unless said otherwise the child has our environment and working directory, its standard input, output and error are pipes to
/// us, and it gets SIGTERM when the reactor stops, and SIGKILL when the [stop timeout](crate::Reactor::set_stop_timeout) is over.
/// All our other descriptors are closed in it, as long as they are opened as Rust's standard library and Torsade open theirs
/// (close-on-exec).
///
/// It starts the program itself, without a shell: for a pipeline, start `sh` with `-c`. `std::process::Command` has no place for
/// what this has: what becomes of the child at the reactor's stop.
///
/// # Examples
/// ```
/// use torsade::{AtStop, Command};
///
/// let sort = Command::new("sort").args(["-n", "-r"]).env("LC_ALL", "C").current_dir("/tmp");
/// assert_eq!(sort.get_args(), ["-n", "-r"]);
/// let daemon = Command::new("my-daemon").at_stop(AtStop::LeaveAlone);
/// assert_eq!(daemon.get_at_stop(), AtStop::LeaveAlone);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    pub(crate) environment: Environment,
    directory: Option<PathBuf>,
    #[cfg(unix)]
    pub(crate) user: Option<u32>,
    #[cfg(unix)]
    pub(crate) group: Option<u32>,
    pub(crate) descriptors: BTreeMap<u32, ChildDescriptor>,
    pub(crate) terminal: Option<(u16, u16)>,
    at_stop: AtStop,
    input: Rc<[u8]>,
    output_limit: usize,
}

/// What is changed of our environment for the child.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// Nothing of ours is handed on.
    #[cfg(unix)]
    pub(crate) cleared: bool,
    /// What is set, and what is left out.
    pub(crate) changes: BTreeMap<OsString, Option<OsString>>,
}

/// What a descriptor of a child process is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChildDescriptor {
    /// A pipe to which we write and from which the child reads; Twisted's `"w"`.
    PipeToChild,
    /// A pipe to which the child writes and from which we read; Twisted's `"r"`.
    PipeFromChild,
    /// The same as the child's descriptor of this number, which must be one of those that are set: `2>&1` of a shell is
    /// `SameAs(1)` for descriptor 2.
    SameAs(u32),
    /// Our own descriptor of the same number, one of 0, 1 and 2.
    Inherited,
    /// It reads nothing, and what is written to it is dropped.
    Null,
    /// This one: a file, a socket, an end of a pipe.
    #[cfg(unix)]
    Given(Rc<OwnedFd>),
}

/// What becomes of a child process when its reactor [stops](crate::Reactor::stop).
///
/// In every case but `LeaveAlone` none is left: a child that has not ended at the end of the
/// [stop timeout](crate::Reactor::set_stop_timeout) is killed with SIGKILL.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AtStop {
    /// It gets SIGTERM.
    #[default]
    Terminate,
    /// Its standard input ends, as that of every child does once what was written is sent, and it is waited for.
    CloseStdin,
    /// It gets SIGKILL at once.
    Kill,
    /// It goes on, and its protocol hears nothing more of it. Its pipes to us are closed all the same.
    LeaveAlone,
}

impl Command {
    /// Starts `program`, which is looked for in the folders of `PATH` unless there is a slash in it.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let pipes = [ChildDescriptor::PipeToChild, ChildDescriptor::PipeFromChild, ChildDescriptor::PipeFromChild];
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Environment::default(),
            directory: None,
            #[cfg(unix)]
            user: None,
            #[cfg(unix)]
            group: None,
            descriptors: (0..).zip(pipes).collect(),
            terminal: None,
            at_stop: AtStop::default(),
            input: Rc::default(),
            output_limit: OUTPUT_LIMIT,
        }
    }

    /// Adds an argument. (The program's name, which Twisted wants as the first, comes by itself.)
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds several arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.changes.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Leaves a variable out of the child's environment.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.changes.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Hands on nothing of our environment, and nothing that was set before this; as Twisted does unless told otherwise.
    pub fn env_clear(mut self) -> Self {
        self.environment = Environment {
            #[cfg(unix)]
            cleared: true,
            changes: BTreeMap::new(),
        };
        self
    }

    /// Sets the child's working directory.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Has the child run as the user of this number, which only root may ask for. It has no other groups then.
    #[cfg(unix)]
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Has the child run as the group of this number, which only root may ask for.
    #[cfg(unix)]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets what the child's standard input is.
    pub fn stdin(self, is: ChildDescriptor) -> Self {
        self.set(0, is)
    }

    /// Sets what the child's standard output is.
    pub fn stdout(self, is: ChildDescriptor) -> Self {
        self.set(1, is)
    }

    /// Sets what the child's standard error is.
    pub fn stderr(self, is: ChildDescriptor) -> Self {
        self.set(2, is)
    }

    /// Sets what the child's descriptor of this number is, one beside the three that all programs have.
    ///
    /// # Examples
    /// `gpg` reads the passphrase from a descriptor of its own:
    /// ```
    /// use torsade::{ChildDescriptor, Command};
    ///
    /// let gpg = Command::new("gpg").args(["--batch", "--passphrase-fd", "3"]);
    /// let gpg = gpg.descriptor(3, ChildDescriptor::PipeToChild);
    /// assert_eq!(gpg.get_program(), "gpg");
    /// ```
    #[cfg(feature = "processes")]
    #[doc(alias = "childFDs")]
    pub fn descriptor(self, number: u32, is: ChildDescriptor) -> Self {
        self.set(number, is)
    }

    fn set(mut self, number: u32, is: ChildDescriptor) -> Self {
        self.descriptors.insert(number, is);
        self
    }

    /// Starts the child in a session of its own, with a new terminal (pty) of so many rows and columns as its standard input,
    /// output and error.
    ///
    /// What it writes to any of the three comes as of descriptor 1; what we write is what is typed, and comes back unless the
    /// child switches the echo off.
    #[cfg(feature = "processes")]
    #[doc(alias = "usePTY")]
    pub fn terminal(mut self, rows: u16, columns: u16) -> Self {
        self.terminal = Some((rows, columns));
        self
    }

    /// Sets what becomes of the child when the reactor stops; [`AtStop::Terminate`] unless set.
    pub fn at_stop(mut self, at_stop: AtStop) -> Self {
        self.at_stop = at_stop;
        self
    }

    /// Sets what `get_process_output` and its like write to the child's standard input, before they close it; nothing unless set.
    #[doc(alias = "stdinBytes")]
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().into();
        self
    }

    /// Sets the most that `get_process_output` and its like take of each output; 16 MiB unless set. A child that writes more is
    /// killed.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// The program.
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments, without its name.
    #[must_use]
    pub fn get_args(&self) -> &[OsString] {
        &self.arguments
    }

    /// Its working directory, if that is not ours.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether it gets a terminal.
    #[must_use]
    pub fn is_on_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// What becomes of it when the reactor stops.
    #[must_use]
    pub fn get_at_stop(&self) -> AtStop {
        self.at_stop
    }

    /// What is written to its standard input.
    #[must_use]
    pub fn get_input(&self) -> &[u8] {
        &self.input
    }

    /// The most that is taken of each of its outputs.
    #[must_use]
    pub fn get_output_limit(&self) -> usize {
        self.output_limit
    }
}
