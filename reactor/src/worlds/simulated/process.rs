//! A process of a simulated host: a program with its own reactor, whose standard streams are pipes to its parent.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::rc::Rc;

use crate::address::Address;
use crate::backend::{
    Child, ChildDescriptor, Command, Descriptor, Direction, ProcessEnd, ProcessSignal, Spawned, Stream, TcpOptions, Token,
    UnixSocket,
};

use super::ending::Ending;
use super::sockets::SimulatedStream;
use super::world::World;

/// A process's streams, by descriptor number.
pub(super) type Descriptors = RefCell<BTreeMap<u32, Rc<SimulatedStream>>>;

impl World {
    /// Starts a program that was installed on the host of `parent`.
    pub(super) fn spawn(self: &Rc<Self>, parent: usize, command: &Command) -> io::Result<Spawned> {
        let main = self.program_named(parent, command.get_program()).ok_or(ErrorKind::NotFound)?;
        let pipes_only = |descriptor: &ChildDescriptor| {
            use ChildDescriptor::{Null, PipeFromChild, PipeToChild, SameAs};
            matches!(descriptor, Null | PipeFromChild | PipeToChild | SameAs(_))
        };
        if command.is_on_terminal() || !command.descriptors.values().all(pipes_only) {
            return Err(io::Error::new(ErrorKind::Unsupported, "a simulated process can only have pipes or null as descriptors"));
        }
        let place = self.network.borrow_mut().add_process(parent);
        let (mut streams, mut descriptors) = (Vec::<(u32, Box<dyn Stream>)>::new(), BTreeMap::new());
        for (number, descriptor) in &command.descriptors {
            let direction = match descriptor {
                ChildDescriptor::PipeToChild => Direction::Output,
                ChildDescriptor::PipeFromChild => Direction::Input,
                _ => continue,
            };
            let [ours, theirs] = SimulatedStream::pair(self, [parent, place], direction);
            streams.push((*number, Box::new(ours)));
            descriptors.insert(*number, Rc::new(theirs));
        }
        for (number, descriptor) in &command.descriptors {
            if let ChildDescriptor::SameAs(other) = descriptor
                && let Some(same) = descriptors.get(other).map(Rc::clone)
            {
                descriptors.insert(*number, same);
            }
        }
        self.begin_process(place, command, RefCell::new(descriptors), main);
        Ok(Spawned { child: Box::new(SimulatedChild { world: Rc::clone(self), place }), streams })
    }
}

/// A child process, as held by its parent.
struct SimulatedChild {
    world: Rc<World>,
    place: usize,
}

impl Child for SimulatedChild {
    fn id(&self) -> u32 {
        pid(self.place)
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.world.network.borrow_mut().watch_child(self.place, token);
        Ok(())
    }

    fn try_wait(&mut self) -> io::Result<Option<ProcessEnd>> {
        Ok(self.world.network.borrow_mut().wait_for_child(self.place))
    }

    fn signal(&mut self, signal: ProcessSignal) -> io::Result<()> {
        self.world.signal(self.place, signal);
        Ok(())
    }

    fn kill_and_wait(&mut self) -> ProcessEnd {
        let killed = Ending::Killed(ProcessSignal::KILL);
        self.world.end_program(self.place, killed);
        // It may have ended by itself before.
        self.world.network.borrow().end_of_child(self.place).unwrap_or(killed.as_process_end())
    }
}

impl Drop for SimulatedChild {
    fn drop(&mut self) {
        self.world.network.borrow_mut().release_child(self.place);
    }
}

/// The process id of a place.
pub(super) fn pid(place: usize) -> u32 {
    u32::try_from(place + 1).unwrap_or(u32::MAX)
}

/// Standard input and output of a process as one stream.
pub(super) struct StandardStreams {
    input: Rc<SimulatedStream>,
    /// Closed when our stream ends.
    output: RefCell<Option<Rc<SimulatedStream>>>,
    /// Whether the peer's stream has ended. Then it is no error that the peer no longer reads, unless something is written.
    ended: Cell<bool>,
}

impl StandardStreams {
    /// Takes standard input and output out of a process's streams.
    pub(super) fn take(descriptors: &Descriptors) -> io::Result<Self> {
        let mut descriptors = descriptors.borrow_mut();
        match (descriptors.remove(&0), descriptors.remove(&1)) {
            (Some(input), Some(output)) => Ok(Self { input, output: RefCell::new(Some(output)), ended: Cell::new(false) }),
            _ => Err(io::Error::new(
                ErrorKind::NotFound,
                "this simulated program has no standard input and output left; a host's program gets them from Host::console",
            )),
        }
    }

    fn output(&self) -> io::Result<Rc<SimulatedStream>> {
        self.output.borrow().clone().ok_or_else(|| ErrorKind::BrokenPipe.into())
    }
}

impl Stream for StandardStreams {
    fn direction(&self) -> Direction {
        Direction::Both
    }

    fn register(&mut self, token: Token) -> io::Result<()> {
        self.input.watch(token)?;
        self.output()?.watch(token)
    }

    fn is_connected(&self) -> io::Result<bool> {
        Ok(true)
    }

    fn short_io_ends_edge(&self) -> bool {
        false
    }

    fn pause(&self) {}

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buffer) {
            // Reading the input would not find that the output has lost its reader.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(self.take_error()?.unwrap_or(error)),
            read => read.inspect(|count| self.ended.set(*count == 0)),
        }
    }

    fn write(&self, data: &[u8]) -> io::Result<usize> {
        self.output()?.write(data)
    }

    fn unacknowledged(&self) -> Option<usize> {
        Some(0)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        drop(self.output.take());
        Ok(())
    }

    fn reset_on_close(&self) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn lingers(&self) -> bool {
        false
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        if self.ended.get() {
            return Ok(None);
        }
        self.output().map_or(Ok(None), |output| output.take_error())
    }

    fn local_address(&self) -> io::Result<Address> {
        Ok(Address::Unnamed)
    }

    fn copy_descriptor(&self) -> io::Result<Descriptor> {
        Err(io::Error::new(ErrorKind::Unsupported, "a simulated stream has no descriptor"))
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        None
    }

    fn unix(&self) -> Option<&dyn UnixSocket> {
        None
    }
}
