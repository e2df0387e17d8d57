//! What a callback may return.

use std::error::Error;

use super::deferred::Deferred;
use super::failure::Failure;

/// What a callback of a [`Deferred`] may return: nothing, a `Result`, or another Deferred to wait for.
///
/// A plain value is returned as `Ok(value)`.
#[diagnostic::on_unimplemented(
    message = "a callback or a task cannot return `{Self}`",
    note = "return `Ok(value)`, `Err(error.into())`, a `Deferred`, or nothing; `Ok(result?)` boxes an error of another type"
)]
pub trait CallbackResult {
    /// The type of value that the next callback is given.
    type Value: 'static;

    /// Returns the result, or the Deferred to wait for.
    fn settle(self) -> Settled<Self::Value>;
}

/// A result that is here, or will arrive later.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "it is here or it is not")]
pub enum Settled<T: 'static> {
    /// It will arrive later.
    Later(Deferred<T>),
    /// It is here.
    Now(Result<T, Failure>),
}

impl<T: 'static> Settled<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// The error, if that is the result.
    pub async fn into_result(self) -> Result<T, Box<dyn Error>> {
        match self {
            Self::Later(deferred) => Ok(deferred.await?),
            Self::Now(outcome) => Ok(outcome?),
        }
    }
}

impl CallbackResult for () {
    type Value = ();

    fn settle(self) -> Settled<()> {
        Settled::Now(Ok(()))
    }
}

impl<T: 'static> CallbackResult for Result<T, Box<dyn Error>> {
    type Value = T;

    fn settle(self) -> Settled<T> {
        Settled::Now(self.map_err(Failure::from))
    }
}

impl<T: 'static> CallbackResult for Settled<T> {
    type Value = T;

    fn settle(self) -> Self {
        self
    }
}

impl<T: 'static> CallbackResult for Deferred<T> {
    type Value = T;

    fn settle(self) -> Settled<T> {
        Settled::Later(self)
    }
}
