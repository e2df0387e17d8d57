//! What ends a poll, and what it has found.

use super::readiness::{Ready, Token};

/// Ends a [`Backend::poll`](super::Backend::poll) from another thread.
pub trait Wake: Send + Sync {
    /// Makes the poll that is waiting now, or else the next one, return at once.
    fn wake(&self);
}

/// A signal that a program can be sent; see [`Reactor::on_signal`](crate::Reactor::on_signal).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGCHLD: a child process has ended, or stopped.
    Child,
    /// SIGHUP: the terminal was closed; to a daemon, by convention, that it is to read its configuration again.
    Hangup,
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
    /// SIGUSR1: what the program says.
    User1,
    /// SIGUSR2: what the program says.
    User2,
    /// SIGWINCH: the terminal has another size.
    WindowChange,
}

impl Signal {
    pub(crate) const ALL: [Self; 7] =
        [Self::Child, Self::Hangup, Self::Interrupt, Self::Terminate, Self::User1, Self::User2, Self::WindowChange];

    /// Whether it asks the program to end, which a reactor that runs does gracefully.
    pub(crate) const fn asks_to_stop(self) -> bool {
        matches!(self, Self::Interrupt | Self::Terminate)
    }
}

/// What a [`Backend::poll`](super::Backend::poll) found.
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Sources and what they are ready for.
    pub ready: Vec<(Token, Ready)>,
    /// Signals that came since the last poll.
    pub signals: Vec<Signal>,
}
