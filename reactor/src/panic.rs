//! Catching panics of user code.

use std::any::Any;
use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::escaped::Escaped;

/// A panic caught in a callback, with its message.
#[derive(Clone, Eq, PartialEq)]
pub struct Panic(String);

impl Panic {
    /// Extracts the message from a panic's payload; for panics of other threads.
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
    /// Takes the message and drops the payload, which may panic itself. (The payload of that second panic is leaked: dropping it
    /// might panic again, and so on.)
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
/// State shared with the callback may be inconsistent after a panic; the error tells its owner.
///
/// # Errors
/// [`Panic`] with the message, if `callback` panicked.
pub fn catch<T>(callback: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(caught)
}

/// Kept out of the fast path of callbacks.
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

/// Returns whether a panic was caught on this thread within the last `time`, which printing its backtrace may take.
pub(crate) fn caught_within(time: Duration) -> bool {
    CAUGHT.get().is_some_and(|caught| caught.elapsed() <= time)
}
