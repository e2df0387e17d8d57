//! Errors of Deferreds themselves, as opposed to errors of their work.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::failure::Failure;

/// Why a Deferred failed although its work did not.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum DeferredError {
    /// Its [`Firer`](super::Firer) was dropped, so it can never fire: a bug, or the reactor has stopped.
    Abandoned,
    /// It was cancelled before it fired.
    #[doc(alias = "ConnectingCancelledError")]
    #[doc(alias = "CancelledError")]
    Cancelled,
    /// Its result was already taken: it was awaited again after it had completed.
    Taken,
    /// It did not fire within this time: see [`Deferred::add_timeout`](super::Deferred::add_timeout).
    #[doc(alias = "TimeoutError")]
    TimedOut(Duration),
}

impl fmt::Display for DeferredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abandoned => f.write_str("the Deferred can never fire: what would have fired it was dropped"),
            Self::Cancelled => f.write_str("the Deferred was cancelled"),
            Self::Taken => f.write_str("the Deferred's result was already taken: await it only once"),
            Self::TimedOut(after) => write!(f, "the Deferred did not fire within {after:?}"),
        }
    }
}

crate::debug_as_display!(DeferredError);

impl Error for DeferredError {}

/// The first error of several Deferreds: see [`gather_results`](super::gather_results).
#[derive(Clone)]
#[non_exhaustive]
pub struct FirstError {
    /// The Deferred's place in the list, from 0.
    pub index: usize,
    /// Its error.
    pub failure: Failure,
}

impl fmt::Display for FirstError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "number {} of several Deferreds failed: {}", self.index, self.failure)
    }
}

crate::debug_as_display!(FirstError);

impl Error for FirstError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.failure.error())
    }
}

/// All of several Deferreds failed: see [`race`](super::race).
#[derive(Clone)]
#[non_exhaustive]
pub struct FailureGroup {
    /// Their errors, in the order of the list.
    pub failures: Vec<Failure>,
}

impl fmt::Display for FailureGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} Deferreds failed", self.failures.len())?;
        self.failures.iter().try_for_each(|failure| write!(f, "; {failure}"))
    }
}

crate::debug_as_display!(FailureGroup);

impl Error for FailureGroup {}

/// A [`DeferredQueue`](super::DeferredQueue) has reached a limit.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum QueueError {
    /// `put` found the queue full. Wait for a `get`, or raise the limit.
    #[doc(alias = "QueueOverflow")]
    Overflow,
    /// `get` found as many others waiting for a value as the queue allows.
    #[doc(alias = "QueueUnderflow")]
    Underflow,
}

impl fmt::Display for QueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overflow => "the queue is full: take something out first, or give it a larger size",
            Self::Underflow => "too many callers are already waiting: put something in first, or give the queue a larger backlog",
        })
    }
}

crate::debug_as_display!(QueueError);

impl Error for QueueError {}
