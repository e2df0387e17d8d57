//! Waking a poll, and its results.

use super::readiness::{Ready, Token};

/// Ends a [`Backend::poll`](super::Backend::poll) from another thread.
pub trait Wake: Send + Sync {
    /// Makes the current poll, or else the next one, return at once.
    fn wake(&self);
}

/// A signal that a program can be sent; see [`Reactor::on_signal`](crate::Reactor::on_signal).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// SIGCHLD: a child process has ended, or stopped.
    Child,
    /// SIGHUP: the terminal was closed; for a daemon, by convention, a request to reload its configuration.
    Hangup,
    /// SIGINT, as from Ctrl-C.
    Interrupt,
    /// SIGTERM, as from a service manager.
    Terminate,
    /// SIGUSR1: defined by the program.
    User1,
    /// SIGUSR2: defined by the program.
    User2,
    /// SIGWINCH: the terminal's size changed.
    WindowChange,
}

impl Signal {
    pub(crate) const ALL: [Self; 7] =
        [Self::Child, Self::Hangup, Self::Interrupt, Self::Terminate, Self::User1, Self::User2, Self::WindowChange];

    /// Returns whether it asks the program to stop, which a running reactor does gracefully.
    pub(crate) const fn asks_to_stop(self) -> bool {
        matches!(self, Self::Interrupt | Self::Terminate)
    }
}

/// The results of a [`Backend::poll`](super::Backend::poll).
#[derive(Debug, Default)]
pub struct Wakeups {
    /// Sources and what they are ready for.
    pub ready: Vec<(Token, Ready)>,
    /// Signals that arrived since the last poll.
    pub signals: Vec<Signal>,
}
