//! The side of a Deferred that fires it.

use std::error::Error;
use std::fmt;
use std::rc::Rc;

use super::chain::{Link, Outcome};
use super::error::DeferredError;
use super::failure::Failure;
use super::parcel::Parcel;

/// Fires a [`Deferred`](super::Deferred), once: the side of whoever does the work.
///
/// In Twisted both sides are the same object. Here [`callback`](Self::callback) and [`errback`](Self::errback) consume the
/// firer, so that nobody can fire twice; and if a firer is dropped unused, the Deferred fails with
/// [`DeferredError::Abandoned`] rather than wait for ever.
///
/// The callbacks of the Deferred run before either method returns. Do not fire while you hold a borrow of a `RefCell` that they
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

    /// Fires the Deferred with a value. If it was cancelled meanwhile, the value is dropped.
    pub fn callback(self, value: T) {
        self.fire(Ok(value));
    }

    /// Fires the Deferred with an error. If it was cancelled meanwhile, the error is dropped.
    pub fn errback(self, error: impl Into<Box<dyn Error>>) {
        self.fire(Err(Failure::new(error)));
    }

    /// Fires the Deferred with a value or an error.
    pub fn fire(self, result: Result<T, Failure>) {
        self.fire_outcome(result.map(Parcel::new));
    }

    /// Fires the Deferred with a value that may have to go back to where it came from.
    pub(super) fn fire_outcome(self, outcome: Outcome<T>) {
        Rc::clone(&self.0).fire(outcome);
    }

    /// Whether the Deferred has fired already, which means that it was cancelled: work for it may be left.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.0.chain().called()
    }
}

impl<T: 'static> Drop for Firer<T> {
    fn drop(&mut self) {
        // A canceller that drops the firer leaves the error to `cancel`.
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
