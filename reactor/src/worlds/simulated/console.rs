//! The other end of a simulated program's standard input and output, held by the test.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use crate::backend::{Direction, Stream};

use super::sockets::SimulatedStream;
use super::world::World;

/// The standard input and output of a simulated program: two pipes whose other ends the test holds. Made by
/// [`Host::console`](super::Host::console).
///
/// The program reads what is typed while the simulation runs. Dropping it [closes](Self::close) it.
pub struct Console {
    input: RefCell<Option<SimulatedStream>>,
    output: RefCell<Option<SimulatedStream>>,
    shown: RefCell<Vec<u8>>,
}

impl Console {
    /// Makes a console for the program at `place`.
    pub(super) fn new(world: &Rc<World>, place: usize) -> Self {
        // Its ends belong to a program that never ends.
        let own = world.add_idle_program(place, "console");
        let [input, read] = SimulatedStream::pair(world, [own, place], Direction::Output);
        let [output, written] = SimulatedStream::pair(world, [own, place], Direction::Input);
        world.give_standard_streams(place, read, written);
        Self { input: RefCell::new(Some(input)), output: RefCell::new(Some(output)), shown: RefCell::default() }
    }

    /// Types a line, with a line feed. Does nothing after [`end`](Self::end).
    pub fn type_line(&self, line: &str) {
        self.write(format!("{line}\n"));
    }

    /// Writes to the program's standard input, as if waiting for room. Does nothing after [`end`](Self::end).
    pub fn write(&self, data: impl AsRef<[u8]>) {
        if let Some(input) = &*self.input.borrow() {
            input.write_all(data.as_ref());
        }
    }

    /// Ends the program's standard input, as Ctrl-D does. Its output is still received.
    pub fn end(&self) {
        drop(self.input.take());
    }

    /// Closes it, like a terminal window: the input ends, and nothing reads the output any more.
    pub fn close(&self) {
        self.end();
        self.look();
        drop(self.output.take());
    }

    /// Returns whether the program's output since the last [`take_shown`](Self::take_shown) contains `text`.
    #[must_use]
    pub fn shows(&self, text: &str) -> bool {
        self.look();
        text.is_empty() || self.shown.borrow().windows(text.len()).any(|window| window == text.as_bytes())
    }

    /// Takes what the program has written to its standard output since the last call.
    #[must_use]
    pub fn take_shown(&self) -> Vec<u8> {
        self.look();
        self.shown.take()
    }

    /// Returns whether the program has ended its output, or has itself ended.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.look();
        self.output.borrow().is_none()
    }

    /// Reads what is there, which makes room for more.
    fn look(&self) {
        let mut output = self.output.borrow_mut();
        let mut buffer = [0; 4096];
        while let Some(Ok(count)) = output.as_ref().map(|output| output.read(&mut buffer)) {
            if count == 0 {
                output.take();
            }
            self.shown.borrow_mut().extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("has_end", &self.output.borrow().is_none()).finish_non_exhaustive()
    }
}
