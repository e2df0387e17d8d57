//! The firing side of a Deferred.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use super::chain::{Link, Outcome};
use super::error::DeferredError;
use super::failure::Failure;
use super::parcel::Parcel;

/// Fires a [`Deferred`](super::Deferred), once: the side that does the work.
///
/// In Twisted both sides are the same object. Here [`callback`](Self::callback) and [`errback`](Self::errback) consume the firer,
/// so it cannot fire twice. If a firer is dropped unused, the Deferred fails with [`DeferredError::Abandoned`] instead of waiting
/// forever.
///
/// The callbacks of the Deferred run before either method returns. Do not fire while holding a borrow of a `RefCell` that they
/// may need: take the firer out of your state first.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// let (deferred, firer) = Deferred::new();
/// let doubled = deferred.add_callback(|number: u32| Ok(2 * number));
/// firer.callback(21);
/// assert_eq!(doubled.into_result().expect("it has fired").expect("with a value"), 42);
/// ```
pub struct Firer<T: 'static>(Rc<Link<T>>);

impl<T: 'static> Firer<T> {
    pub(super) const fn new(link: Rc<Link<T>>) -> Self {
        Self(link)
    }

    /// Fires the Deferred with a value; drops the value if the Deferred was cancelled.
    pub fn callback(self, value: T) {
        self.fire(Ok(value));
    }

    /// Fires the Deferred with an error; drops the error if the Deferred was cancelled.
    pub fn errback(self, error: impl Into<Box<dyn Error>>) {
        self.fire(Err(Failure::new(error)));
    }

    /// Fires the Deferred with a value or an error.
    pub fn fire(self, result: Result<T, Failure>) {
        self.fire_outcome(result.map(Parcel::new));
    }

    /// Fires the Deferred with a value that may have to return to its origin.
    pub(super) fn fire_outcome(self, outcome: Outcome<T>) {
        Rc::clone(&self.0).fire(outcome);
    }

    /// Returns whether the Deferred has already fired, which means it was cancelled: remaining work can be skipped.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.0.chain().called()
    }
}

impl<T: 'static> Drop for Firer<T> {
    fn drop(&mut self) {
        // If a canceller drops the firer, `cancel` sets the error.
        if !self.is_called() && !self.0.chain().cancelling() {
            Rc::clone(&self.0).fire(Err(Failure::new(DeferredError::Abandoned)));
        }
    }
}

impl<T: 'static> fmt::Debug for Firer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Firer").field("called", &self.is_called()).finish_non_exhaustive()
    }
}
