//! A program to start as a child process.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The default limit of `get_process_output` and related functions for each output, in bytes.
const OUTPUT_LIMIT: usize = 16 << 20;

/// A program to start as a child process, with its arguments, environment and descriptors.
///
/// By default the child has our environment and working directory, and pipes to us as standard input, output and error. When the
/// reactor stops it gets SIGTERM, and after the [stop timeout](crate::Reactor::set_stop_timeout) SIGKILL. All our other
/// descriptors are closed in the child, provided they were opened close-on-exec, as Rust's standard library and Torsade do.
///
/// The program is started without a shell: for a pipeline, start `sh` with `-c`. `std::process::Command` is not used because it
/// cannot say what happens to the child when the reactor stops.
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

/// How the child's environment differs from ours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// Whether nothing of ours is passed on.
    #[cfg(unix)]
    pub(crate) cleared: bool,
    /// Variables to set, or with `None` to leave out.
    pub(crate) changes: BTreeMap<OsString, Option<OsString>>,
}

/// What a descriptor of a child process is connected to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ChildDescriptor {
    /// A pipe to which we write and from which the child reads; Twisted's `"w"`.
    PipeToChild,
    /// A pipe to which the child writes and from which we read; Twisted's `"r"`.
    PipeFromChild,
    /// The same as the child's descriptor of this number, which must be set itself: `2>&1` of a shell is `SameAs(1)` for
    /// descriptor 2.
    SameAs(u32),
    /// Our own descriptor of the same number: 0, 1 or 2.
    Inherited,
    /// The null device: reads end at once, and writes are discarded.
    Null,
    /// This file, socket or end of a pipe.
    #[cfg(unix)]
    Given(Rc<OwnedFd>),
}

/// What happens to a child process when its reactor [stops](crate::Reactor::stop).
///
/// Except with `LeaveAlone`, no child is left: one that is still running at the end of the [stop
/// timeout](crate::Reactor::set_stop_timeout) is killed with SIGKILL.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum AtStop {
    /// It gets SIGTERM.
    #[default]
    Terminate,
    /// Its standard input ends once everything written is sent, as that of every child does, and it is waited for.
    CloseStdin,
    /// It gets SIGKILL at once.
    Kill,
    /// It keeps running, and its protocol is told nothing more. Its pipes to us are still closed.
    LeaveAlone,
}

impl Command {
    /// Starts `program`, which is searched for in `PATH` unless it contains a slash.
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

    /// Adds an argument. (The program's name, which Twisted expects as the first, is added by itself.)
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

    /// Passes on nothing of our environment, and drops changes made before this call; in Twisted this is the default.
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

    /// Runs the child as this user id, without supplementary groups; requires root.
    #[cfg(unix)]
    pub fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Runs the child as this group id; requires root.
    #[cfg(unix)]
    pub fn group(mut self, group: u32) -> Self {
        self.group = Some(group);
        self
    }

    /// Sets the child's standard input.
    pub fn stdin(self, is: ChildDescriptor) -> Self {
        self.set(0, is)
    }

    /// Sets the child's standard output.
    pub fn stdout(self, is: ChildDescriptor) -> Self {
        self.set(1, is)
    }

    /// Sets the child's standard error.
    pub fn stderr(self, is: ChildDescriptor) -> Self {
        self.set(2, is)
    }

    /// Sets a descriptor of the child beyond the three standard ones.
    ///
    /// # Examples
    /// `gpg` reads the passphrase from an extra descriptor:
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

    /// Starts the child in a new session, with a new terminal (pty) of this size as its standard input, output and error.
    ///
    /// All its output arrives as that of descriptor 1. What we write is its keyboard input, and is echoed unless the child turns
    /// echo off.
    #[cfg(feature = "processes")]
    #[doc(alias = "usePTY")]
    pub fn terminal(mut self, rows: u16, columns: u16) -> Self {
        self.terminal = Some((rows, columns));
        self
    }

    /// Sets what happens to the child when the reactor stops; default [`AtStop::Terminate`].
    pub fn at_stop(mut self, at_stop: AtStop) -> Self {
        self.at_stop = at_stop;
        self
    }

    /// Sets what `get_process_output` and related functions write to the child's standard input before closing it; default
    /// nothing.
    #[doc(alias = "stdinBytes")]
    pub fn input(mut self, input: impl AsRef<[u8]>) -> Self {
        self.input = input.as_ref().into();
        self
    }

    /// Sets how many bytes `get_process_output` and related functions accept from each output; default 16 MiB. A child that
    /// writes more is killed.
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// The program.
    #[must_use]
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments, without the program's name.
    #[must_use]
    pub fn get_args(&self) -> &[OsString] {
        &self.arguments
    }

    /// Its working directory; `None` if it is ours.
    #[must_use]
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Returns whether it runs on a terminal.
    #[must_use]
    pub fn is_on_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// What happens to it when the reactor stops.
    #[must_use]
    pub fn get_at_stop(&self) -> AtStop {
        self.at_stop
    }

    /// What is written to its standard input.
    #[must_use]
    pub fn get_input(&self) -> &[u8] {
        &self.input
    }

    /// The limit for each of its outputs, in bytes.
    #[must_use]
    pub fn get_output_limit(&self) -> usize {
        self.output_limit
    }
}
