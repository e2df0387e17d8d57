//! A program of a simulated host, as it sees itself.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use crate::backend::Command;
use crate::error::Result;
use crate::reactor::Reactor;

use super::ending::Ending;
use super::process::{Descriptors, pid};
use super::world::World;

/// The `main` function of a program.
pub(super) type Main = Rc<dyn Fn(&Program) -> Result>;

/// A program started on a simulated host, as passed to the closure of [`Host::add_program`](super::Host::add_program); a cheap
/// handle that can be used as a [`Reactor`].
///
/// Its reactor runs until the program stops it or [exits](Self::exit), like that of a program that ends its `main` with
/// `reactor.run()`. `standard_io` (of the `ReactorStdio` trait) returns its standard input and output.
#[derive(Clone)]
pub struct Program(Rc<Inner>);

struct Inner {
    world: Rc<World>,
    place: usize,
    reactor: Reactor,
    command: Command,
    descriptors: Rc<Descriptors>,
}

impl Program {
    pub(super) fn new(world: Rc<World>, place: usize, reactor: Reactor, command: Command, descriptors: Rc<Descriptors>) -> Self {
        Self(Rc::new(Inner { world, place, reactor, command, descriptors }))
    }

    /// Its reactor.
    #[must_use]
    pub fn reactor(&self) -> &Reactor {
        &self.0.reactor
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        pid(self.0.place)
    }

    /// Its arguments, without its name.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        self.0.command.get_args()
    }

    /// The value of an environment variable. Only variables passed to the program are set, none of the test's environment.
    #[must_use]
    pub fn env(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.command.environment.changes.get(name.as_ref())?.as_deref()
    }

    /// Writes to one of its descriptors that is a pipe, such as 2, its standard error, as if blocking until everything is taken.
    /// What is written without a reader is lost, as is what is written to a descriptor that `standard_io` has taken.
    pub fn write(&self, descriptor: u32, data: impl AsRef<[u8]>) {
        let stream = self.0.descriptors.borrow().get(&descriptor).cloned();
        match stream {
            Some(stream) => stream.write_all(data.as_ref()),
            None => log::debug!("{self:?}: {} bytes for descriptor {descriptor} are lost", data.as_ref().len()),
        }
    }

    /// Ends the program with this status: at once, or after the current turn if called from one of its callbacks. None of its
    /// callbacks is called any more, and the system closes its sockets and pipes, which still deliver everything written.
    pub fn exit(&self, code: i32) {
        self.0.world.end_program(self.0.place, Ending::Exited(code));
    }
}

impl Deref for Program {
    type Target = Reactor;

    fn deref(&self) -> &Reactor {
        self.reactor()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pid, program) = (self.pid(), self.0.command.get_program());
        f.debug_struct("Program").field("pid", &pid).field("program", &program).finish_non_exhaustive()
    }
}
