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

/// What a program does when it is started.
pub(super) type Main = Rc<dyn Fn(&Program) -> Result>;

/// A program that was started on a simulated host, as [`Host::add_program`](super::Host::add_program) gives it to its closure; a
/// cheap handle that can stand wherever a [`Reactor`] can.
///
/// It has a reactor of its own, which runs until the program stops it or [exits](Self::exit), as for a program that ends its `main`
/// with `reactor.run()`. `standard_io` (of the `ReactorStdio` trait) gives it its standard input and output.
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

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        pid(self.0.place)
    }

    /// The arguments that it was given, without its name.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        self.0.command.get_args()
    }

    /// What its environment has under this name. It has what it was given, and nothing of the environment of the test.
    #[must_use]
    pub fn env(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        self.0.command.environment.changes.get(name.as_ref())?.as_deref()
    }

    /// Writes to a descriptor of it that is a pipe, such as 2, its standard error, as if it had waited until all of it was taken.
    /// What is written where nobody reads is lost; so is what is written to one that `standard_io` has taken.
    pub fn write(&self, descriptor: u32, data: impl AsRef<[u8]>) {
        let stream = self.0.descriptors.borrow().get(&descriptor).cloned();
        match stream {
            Some(stream) => stream.write_all(data.as_ref()),
            None => log::debug!("{self:?}: {} bytes for descriptor {descriptor} are lost", data.as_ref().len()),
        }
    }

    /// Ends the program with this status: at once, or after the present turn if it is called from a callback of the program. None
    /// of its callbacks is called any more, and its system closes its sockets and pipes, from which all that was written still comes.
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
