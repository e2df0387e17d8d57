//! What ends a poll, and what it has found.

use super::readiness::{Ready, Token};

/// Ends a [`Backend::poll`](super::Backend::poll) from another thread.
pub trait Wake: Send + Sync {
    /// Makes the poll that is waiting now, or else the next one, return at once.
    fn wake(&self);
}

/// A request from outside to end the program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
}

/// What a [`Backend::poll`](super::Backend::poll) found.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Sources and what they are ready for.
    pub ready: Vec<(Token, Ready)>,
    /// Signals that came since the last poll.
    pub signals: Vec<Signal>,
}
