//! Errors of the reactor and its timers.

use std::error::Error;
use std::fmt;
use std::io;

/// What callbacks return: nothing, or any error.
///
/// An `Err` from a protocol's callback closes that one connection, with a reason that carries the error.
pub type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// Implements `Debug` for error types as their `Display`, because `fn main() -> Result` prints a returned error with `Debug`.
#[doc(hidden)]
#[macro_export]
macro_rules! debug_as_display {
    ($error:ty) => {
        impl ::std::fmt::Debug for $error {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// Misuse of the reactor's life cycle.
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
#[doc(alias = "ReactorAlreadyRunning")]
#[doc(alias = "ReactorNotRestartable")]
#[doc(alias = "ReactorNotRunning")]
pub enum ReactorError {
    /// `run` was called inside `run`, most likely from a callback. Callbacks should return instead.
    AlreadyRunning,
    /// `run` was called after `stop` had ended an earlier `run`. Make a new reactor instead.
    NotRestartable,
    /// `stop` or `crash` was called on a reactor that is not running, or `stop` was called a second time.
    NotRunning,
}

impl fmt::Display for ReactorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyRunning => "the reactor is already running: return from the callback instead of running it again",
            Self::NotRestartable => "the reactor was stopped and cannot run again: make a new one",
            Self::NotRunning => "the reactor is not running, or is already stopping",
        })
    }
}

crate::debug_as_display!(ReactorError);

impl Error for ReactorError {}

/// Misuse of a [`DelayedCall`](crate::DelayedCall).
#[derive(Clone, Copy, Eq, PartialEq)]
#[non_exhaustive]
pub enum TimerError {
    /// The call was already made, or is being made right now.
    AlreadyCalled,
    /// The call was already cancelled.
    AlreadyCancelled,
}

impl fmt::Display for TimerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyCalled => "the delayed call has already been made",
            Self::AlreadyCancelled => "the delayed call was already cancelled",
        })
    }
}

crate::debug_as_display!(TimerError);

impl Error for TimerError {}

/// Copies an error, to report it to several callers: a system error by its number, any other by its kind and text.
#[must_use]
pub fn copy_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
