//! A child process.

use std::io;

use super::process_end::{ProcessEnd, ProcessSignal};
use super::readiness::Token;
use super::stream::Stream;

/// The result of [`Backend::spawn`](super::Backend::spawn).
#[expect(clippy::exhaustive_structs, reason = "worlds make it")]
#[expect(missing_debug_implementations, reason = "neither have its parts")]
pub struct Spawned {
    /// The process.
    pub child: Box<dyn Child>,
    /// Our ends of its pipes, by the child's descriptors; not registered yet. A terminal is one stream for both directions, under
    /// 1.
    pub streams: Vec<(u32, Box<dyn Stream>)>,
}

/// A started child process. Its input and output are the streams.
///
/// If dropped before it ends, it keeps running, and is still waited for, so that it leaves no zombie.
pub trait Child {
    /// Its process id.
    fn id(&self) -> u32;

    /// Makes its end reported under `token`, as readable. Spurious reports are possible.
    ///
    /// # Errors
    /// Any system error.
    fn register(&mut self, token: Token) -> io::Result<()>;

    /// Returns how it ended, if it has; never blocks. After that the system no longer knows it and may reuse its id.
    ///
    /// # Errors
    /// Any system error.
    fn try_wait(&mut self) -> io::Result<Option<ProcessEnd>>;

    /// Sends it a signal.
    ///
    /// # Errors
    /// `NotFound` if [`try_wait`](Self::try_wait) has returned its end; `InvalidInput` for a signal that the system does not
    /// have; otherwise any system error.
    fn signal(&mut self, signal: ProcessSignal) -> io::Result<()>;

    /// Kills it and waits for its end, at most a second: for a reactor that makes no more turns.
    fn kill_and_wait(&mut self) -> ProcessEnd;
}
