//! The boundary at which a panic in user code is caught.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::escaped::Escaped;

/// A panic that was caught in a callback, with its message.
#[derive(Clone, Eq, PartialEq)]
pub struct Panic(String);

impl Panic {
    /// Reads the message out of what a panic carries; used where a panic comes from another thread.
    #[must_use]
    pub fn from_payload(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "a panic without a message".to_owned()))
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "panicked: {}", Escaped(&self.0))
    }
}

crate::debug_as_display!(Panic);

impl Error for Panic {}

impl From<Box<dyn Any + Send>> for Panic {
    /// Takes the message, and drops the rest, which may panic itself. (What that second panic carries is leaked: dropping it might
    /// panic again, and so on for ever.)
    fn from(payload: Box<dyn Any + Send>) -> Self {
        let panic = Self::from_payload(payload.as_ref());
        if let Err(next) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(next);
        }
        panic
    }
}

/// Calls user code and turns a panic into an error, so that one bad callback does not end the loop.
///
/// State that the callback shares with others may be half changed; the error tells its owner so.
///
/// # Errors
/// [`Panic`] with the message, when `callback` panicked.
pub fn catch<T>(callback: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(caught)
}

/// Out of the way of every callback.
#[cold]
#[inline(never)]
fn caught(payload: Box<dyn Any + Send>) -> Panic {
    CAUGHT.set(Some(Instant::now()));
    Panic::from(payload)
}

thread_local! {
    /// When the last panic was caught on this thread.
    static CAUGHT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Whether a panic was caught on this thread within the last `time`: printing its backtrace may take that long.
pub(crate) fn caught_within(time: Duration) -> bool {
    CAUGHT.get().is_some_and(|caught| caught.elapsed() <= time)
}
