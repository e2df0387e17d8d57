//! An error in a chain of callbacks.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use super::error::DeferredError;
use crate::escaped::Escaped;

/// An error as passed to errbacks; cheap to clone.
///
/// It is itself an error, so `deferred.await?` works wherever errors are boxed. Boxed and converted back to a `Failure` it is the
/// same as before. It displays its error, [`Escaped`].
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// let failure = Failure::new("x".parse::<u8>().unwrap_err());
/// assert!(failure.check::<std::num::ParseIntError>());
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// ```
#[derive(Clone)]
pub struct Failure(Rc<dyn Error>);

impl Failure {
    /// Wraps any error, or a text.
    #[must_use]
    pub fn new(error: impl Into<Box<dyn Error>>) -> Self {
        Self::from(error.into())
    }

    /// Returns whether the error is of type `E`.
    #[must_use]
    pub fn check<E: Error + 'static>(&self) -> bool {
        self.0.is::<E>()
    }

    /// Returns the failure if its error is of type `E`; with `?`, any other error propagates.
    ///
    /// # Errors
    /// The failure itself, if its error is of another type.
    pub fn trap<E: Error + 'static>(self) -> Result<Self, Self> {
        if self.check::<E>() { Ok(self) } else { Err(self) }
    }

    /// The error, if it is of type `E`.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The error.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + 'static) {
        &*self.0
    }

    /// The error, as a shared pointer.
    #[must_use]
    pub fn into_error(self) -> Rc<dyn Error> {
        self.0
    }

    /// Returns whether this is [`DeferredError::Cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.downcast_ref(), Some(DeferredError::Cancelled))
    }
}

impl From<Box<dyn Error>> for Failure {
    fn from(error: Box<dyn Error>) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => *failure,
            Err(error) => Self(error.into()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Escaped(&self.0).fmt(f)
    }
}

crate::debug_as_display!(Failure);

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
