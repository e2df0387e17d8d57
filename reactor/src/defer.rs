//! Results that will arrive later: [`Deferred`], its [`Firer`], and combinations of several.
//!
//! The counterpart of Twisted's `twisted.internet.defer`, with the same names. A [`Deferred`] connects callbacks and `async`: it
//! takes callbacks and errbacks, and it is a [`Future`].

mod chain;
mod deferred;
mod error;
mod failure;
mod firer;
mod list;
mod lock;
mod parcel;
mod queue;
mod settled;

pub use deferred::{Deferred, DeferredHandle};
pub use error::{DeferredError, FailureGroup, FirstError, QueueError};
pub use failure::Failure;
pub use firer::Firer;
pub use list::{deferred_list, gather_results, race};
pub use lock::{DeferredLock, DeferredPermit, DeferredSemaphore};
pub use queue::DeferredQueue;
pub use settled::{CallbackResult, Settled};

use std::error::Error;

use parcel::Parcel;

use crate::panic::catch;

/// Makes a Deferred that has already fired with `value`.
///
/// # Examples
/// ```
/// use torsade::defer;
///
/// assert_eq!(defer::succeed(5).into_result().expect("it has fired").expect("with a value"), 5);
/// ```
#[track_caller]
pub fn succeed<T: 'static>(value: T) -> Deferred<T> {
    Deferred::fired(Ok(Parcel::new(value)))
}

/// Makes a Deferred that has already failed with `error`.
#[track_caller]
pub fn fail<T: 'static>(error: impl Into<Box<dyn Error>>) -> Deferred<T> {
    Deferred::fired(Err(Failure::new(error)))
}

/// Calls `function` now and makes a Deferred from its outcome: a value, an error, a panic or a Deferred.
///
/// # Examples
/// ```
/// use torsade::defer;
///
/// let port = defer::maybe_deferred(|| Ok("80".parse::<u16>()?));
/// assert_eq!(port.into_result().expect("it has fired").expect("with a value"), 80);
/// ```
#[doc(alias = "maybeDeferred")]
#[doc(alias = "execute")]
#[track_caller]
pub fn maybe_deferred<R: CallbackResult>(function: impl FnOnce() -> R) -> Deferred<R::Value> {
    // Not in a closure, so that the Deferred records our caller's location.
    match catch(function) {
        Ok(result) => match result.settle() {
            Settled::Now(result) => Deferred::fired(result.map(Parcel::new)),
            Settled::Later(deferred) => deferred,
        },
        Err(panic) => fail(panic),
    }
}
