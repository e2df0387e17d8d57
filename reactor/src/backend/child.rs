//! A child process.

use std::io;

use super::process_end::{ProcessEnd, ProcessSignal};
use super::readiness::Token;
use super::stream::Stream;

/// What [`Backend::spawn`](super::Backend::spawn) gives.
#[expect(clippy::exhaustive_structs, reason = "worlds make it")]
#[expect(missing_debug_implementations, reason = "neither have its parts")]
pub struct Spawned {
    /// The process.
    pub child: Box<dyn Child>,
    /// Our ends of its pipes, by the descriptors that the child has for them; not registered yet. A terminal is both ways, under 1.
    pub streams: Vec<(u32, Box<dyn Stream>)>,
}

/// A child process that was started; what it reads and writes goes by its streams.
///
/// One that is dropped before its end goes on, and is waited for all the same, so that it does not stay behind as a zombie.
pub trait Child {
    /// Its number in the system.
    fn id(&self) -> u32;

    /// Has its end reported under `token`, as readable; there may be reports without an end.
    ///
    /// # Errors
    /// As the system says.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// How it has ended, if it has, without waiting. It is gone for the system then, and its number may be another's.
    ///
    /// # Errors
    /// As the system says.
    fn try_wait(&mut self) -> io::Result<Option<ProcessEnd>>;

    /// Sends it a signal.
    ///
    /// # Errors
    /// `NotFound` if [`try_wait`](Self::try_wait) has told its end; `InvalidInput` for a signal that the system does not have;
    /// otherwise as the system says.
    fn signal(&mut self, signal: ProcessSignal) -> io::Result<()>;

    /// Kills it, and waits for its end, at most a second: for a reactor that turns no more.
    fn kill_and_wait(&mut self) -> ProcessEnd;
}
