//! The receiving side of a Deferred.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::chain::{Answer, Chain, Hop, Link, Outcome};
use super::error::DeferredError;
use super::failure::Failure;
use super::firer::Firer;
use super::parcel::Parcel;
use super::settled::{CallbackResult, Settled};
use crate::reactor::Reactor;

/// A result that will arrive later: takes callbacks and errbacks, and is a future.
///
/// A result goes along the chain in the order in which callbacks were added, as a value or as an error. If a callback returns
/// `Err` or panics, the result becomes an error, which skips all callbacks up to the next errback; if an errback returns `Ok`, it
/// becomes a value again. If a callback returns a Deferred, the chain waits for that Deferred and continues with its result.
/// Chains can have any length; nothing recurses.
///
/// Callbacks run inside [`Firer::callback`], or immediately inside [`add_callback`](Self::add_callback) if the result is already
/// here, as in Twisted. (That no method calls a callback before it returns is a rule of transports, not of Deferreds.)
///
/// When a Deferred is dropped, its chain continues without a receiver ([`detach`](Self::detach) makes that explicit), and an
/// unhandled error is logged with the location where the Deferred was made. If it has been awaited and is dropped before it
/// fires, it is cancelled, as futures are. If it has fired by then but its task has not run, a value from a
/// [`DeferredQueue`](super::DeferredQueue) goes back to the queue, and any other value is dropped.
///
/// # Examples
/// ```
/// use torsade::prelude::*;
///
/// let (deferred, firer) = Deferred::<&str>::new();
/// let port = deferred.add_callback(|text| Ok(text.parse::<u16>()?)).add_errback(|failure| {
///     assert_eq!(failure.to_string(), "invalid digit found in string");
///     Ok(8080)
/// });
/// firer.callback("http");
/// assert_eq!(port.into_result().expect("it has fired").expect("the errback gave a value"), 8080);
/// ```
#[must_use = "its error would be logged, not handled: add an errback, await it, or detach it"]
pub struct Deferred<T: 'static> {
    link: Rc<Link<T>>,
    handle: DeferredHandle,
}

impl<T: 'static> Deferred<T> {
    /// Makes a Deferred and its firer.
    #[track_caller]
    pub fn new() -> (Self, Firer<T>) {
        Self::make(Link::first(Location::caller(), None, false))
    }

    /// Makes a Deferred that calls `canceller` when it is cancelled, to end its work.
    ///
    /// `canceller` is called at most once, by [`cancel`](Self::cancel), and not after the Deferred has fired. It may use the
    /// firer it is given; if it does not, the Deferred fails with [`DeferredError::Cancelled`]. A panic in it is logged.
    #[doc(alias = "canceller")]
    #[track_caller]
    pub fn with_canceller(canceller: impl FnOnce(Firer<T>) + 'static) -> (Self, Firer<T>) {
        Self::make(Link::first(Location::caller(), Some(Box::new(|link| canceller(Firer::new(link)))), false))
    }

    /// As [`with_canceller`](Self::with_canceller), but also cancelled if it is dropped before it has fired.
    #[track_caller]
    pub(super) fn lapsing(leave: impl FnOnce() + 'static) -> (Self, Firer<T>) {
        Self::make(Link::first(Location::caller(), Some(Box::new(|_| leave())), true))
    }

    fn make(link: Rc<Link<T>>) -> (Self, Firer<T>) {
        (Self::of(Rc::clone(&link)), Firer::new(link))
    }

    fn of(link: Rc<Link<T>>) -> Self {
        Self { handle: DeferredHandle::new(Rc::clone(link.chain())), link }
    }

    #[track_caller]
    pub(super) fn fired(outcome: Outcome<T>) -> Self {
        let link = Link::first(Location::caller(), None, false);
        Rc::clone(&link).fire(outcome);
        Self::of(link)
    }

    /// Adds a callback for the value; an error skips it.
    #[doc(alias = "addCallback")]
    #[doc(alias = "then")]
    pub fn add_callback<R: CallbackResult>(self, callback: impl FnOnce(T) -> R + 'static) -> Deferred<R::Value> {
        self.then(move |result| match result {
            Ok(value) => callback(value).settle(),
            Err(failure) => Settled::Now(Err(failure)),
        })
    }

    /// Adds an errback for the error; a value skips it.
    #[doc(alias = "addErrback")]
    pub fn add_errback<R: CallbackResult<Value = T>>(self, errback: impl FnOnce(Failure) -> R + 'static) -> Self {
        self.answer(move |outcome| match outcome {
            Ok(parcel) => Answer::Now(Ok(parcel)),
            Err(failure) => errback(failure).settle().into(),
        })
    }

    /// Adds both, of which one is called: `errback` does not get the errors of `callback`.
    #[doc(alias = "addCallbacks")]
    pub fn add_callbacks<R, S>(
        self,
        callback: impl FnOnce(T) -> R + 'static,
        errback: impl FnOnce(Failure) -> S + 'static,
    ) -> Deferred<R::Value>
    where
        R: CallbackResult,
        S: CallbackResult<Value = R::Value>,
    {
        self.then(move |result| match result {
            Ok(value) => callback(value).settle(),
            Err(failure) => errback(failure).settle(),
        })
    }

    /// Adds a callback for the result, be it a value or an error.
    #[doc(alias = "addBoth")]
    pub fn add_both<R: CallbackResult>(self, callback: impl FnOnce(Result<T, Failure>) -> R + 'static) -> Deferred<R::Value> {
        self.then(move |result| callback(result).settle())
    }

    fn then<U: 'static>(self, callback: impl FnOnce(Result<T, Failure>) -> Settled<U> + 'static) -> Deferred<U> {
        self.answer(move |outcome| callback(outcome.and_then(Parcel::take)).into())
    }

    /// Adds a callback that may pass on a value without taking it out of its parcel.
    pub(super) fn answer<U: 'static>(self, callback: impl FnOnce(Outcome<T>) -> Answer<U> + 'static) -> Deferred<U> {
        Deferred { link: self.link.then(callback), handle: self.handle.clone() }
    }

    /// Fires another Deferred with the result of this one.
    #[doc(alias = "chainDeferred")]
    pub fn chain_deferred(self, other: Firer<T>) {
        self.hand_to(move |outcome| other.fire_outcome(outcome));
    }

    /// Cancels it if it has no result within `timeout`. The error is then [`DeferredError::TimedOut`].
    ///
    /// If the canceller, or a callback added before this call, produces another result, that one stays.
    #[doc(alias = "addTimeout")]
    #[track_caller]
    pub fn add_timeout(self, timeout: Duration, reactor: &Reactor) -> Self {
        let handle = self.handle();
        let timer = reactor.call_later(timeout, move || handle.cancel());
        let link = self.link.pass(move |outcome| {
            // If the timer is no longer active, it was the timer that cancelled the Deferred.
            let in_time = timer.cancel().is_ok();
            match outcome {
                Err(failure) if failure.is_cancelled() && !in_time => Err(Failure::new(DeferredError::TimedOut(timeout))),
                outcome => outcome,
            }
        });
        Self { link, handle: self.handle.clone() }
    }

    /// Cancels the work: calls the canceller, and if that does not fire the Deferred, fails it with [`DeferredError::Cancelled`].
    ///
    /// Once the Deferred has fired this does nothing, except that it cancels an unfinished Deferred that a callback has returned.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Holds the result where it is until [`unpause`](Self::unpause) has been called equally often.
    pub fn pause(&self) {
        self.handle.pause();
    }

    /// Ends a [`pause`](Self::pause).
    pub fn unpause(&self) {
        self.handle.unpause();
    }

    /// Returns whether it has fired; callbacks may still be waiting for a Deferred that one of them returned.
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.handle.is_called()
    }

    /// A handle to cancel or pause it after the Deferred itself has been moved elsewhere.
    #[must_use]
    pub fn handle(&self) -> DeferredHandle {
        self.handle.clone()
    }

    /// Lets the chain continue without a receiver; an error is logged.
    pub fn detach(self) {}

    /// Takes the result if it is here, and otherwise returns the Deferred. Mostly for tests.
    ///
    /// # Errors
    /// The Deferred itself, if it has no result yet.
    #[doc(alias = "successResultOf")]
    #[doc(alias = "failureResultOf")]
    #[doc(alias = "assertNoResult")]
    pub fn into_result(self) -> Result<Result<T, Failure>, Self> {
        self.link.take().map(|outcome| outcome.and_then(Parcel::take)).ok_or(self)
    }

    /// Passes the result to `receiver`, at the end of the chain.
    pub(super) fn hand_to(self, receiver: impl FnOnce(Outcome<T>) + 'static) {
        let reported = self.answer(move |outcome| {
            receiver(outcome);
            Answer::Now(Ok(Parcel::new(())))
        });
        reported.detach();
    }

    /// Cancels it and drops its result, even an error.
    pub(super) fn ignore(self) {
        self.link.ignore();
    }

    /// Makes the result arrive at a link of another chain.
    pub(super) fn feed(self, target: Rc<Link<T>>) -> Option<Rc<dyn Hop>> {
        let next = self.link.feed(target);
        // Dropping the handle may end a pause and so pass the result on already: then the caller finds nothing to do.
        drop(self);
        next
    }
}

impl<T: 'static> Future for Deferred<T> {
    type Output = Result<T, Failure>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.link.taken() {
            return Poll::Ready(Err(Failure::new(DeferredError::Taken)));
        }
        if let Some(outcome) = self.link.take() {
            return Poll::Ready(outcome.and_then(Parcel::take));
        }
        self.link.await_with(context.waker());
        Poll::Pending
    }
}

impl<T: 'static> Drop for Deferred<T> {
    fn drop(&mut self) {
        self.link.detach();
    }
}

impl<T: 'static> fmt::Debug for Deferred<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.describe("Deferred", f)
    }
}

/// Cancels or pauses a [`Deferred`] that is held elsewhere; a cheap handle.
pub struct DeferredHandle(Rc<Chain>);

impl DeferredHandle {
    fn new(chain: Rc<Chain>) -> Self {
        chain.add_handle();
        Self(chain)
    }

    /// See [`Deferred::cancel`].
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// See [`Deferred::pause`].
    pub fn pause(&self) {
        self.0.pause();
    }

    /// See [`Deferred::unpause`].
    pub fn unpause(&self) {
        self.0.unpause();
    }

    /// See [`Deferred::is_called`].
    #[must_use]
    pub fn is_called(&self) -> bool {
        self.0.called()
    }

    fn describe(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("made", &format_args!("{}", self.0.made()))
            .field("called", &self.0.called())
            .field("paused", &self.0.paused())
            .finish_non_exhaustive()
    }
}

impl Clone for DeferredHandle {
    fn clone(&self) -> Self {
        Self::new(Rc::clone(&self.0))
    }
}

impl Drop for DeferredHandle {
    fn drop(&mut self) {
        self.0.remove_handle();
    }
}

impl fmt::Debug for DeferredHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe("DeferredHandle", f)
    }
}
