//! The boundary at which a panic in user code is caught.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::escaped::Escaped;
use crate::report::report_error;

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

/// Calls user code and turns a panic into an error, so that one bad callback does not end the loop.
///
/// State that the callback shares with others may be half changed; whoever owns it is told by the error.
///
/// # Errors
/// [`Panic`] with the message, when `callback` panicked.
pub fn catch<T>(callback: impl FnOnce() -> T) -> Result<T, Panic> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(|payload| Panic::from_payload(payload.as_ref()))
}

/// Drops what is the user's, which may panic.
pub(crate) fn drop_quietly<T>(what: &str, item: T) {
    if let Err(panic) = catch(|| drop(item)) {
        report_error("drop", format_args!("dropping {what} {panic}"));
    }
}
