//! Combinations of several Deferreds.

use std::cell::RefCell;
use std::ops::ControlFlow::{self, Break, Continue};
use std::rc::Rc;

use super::chain::Outcome;
use super::deferred::{Deferred, DeferredHandle};
use super::error::{FailureGroup, FirstError};
use super::failure::Failure;
use super::firer::Firer;
use super::parcel::Parcel;

/// How several Deferreds are combined.
struct Wanted<T: 'static, R, U> {
    /// Either keeps a result for the end, or ends the wait with the final outcome.
    judge: fn(usize, Outcome<T>) -> ControlFlow<Outcome<U>, R>,
    /// Makes the final outcome from all kept results.
    all: fn(Vec<R>) -> Outcome<U>,
    /// Whether, when the wait ends, the others are cancelled and their values not taken.
    first_wins: bool,
}

/// The results so far, and the firer of the combination; the firer is taken when the wait ends.
struct Collected<R, U: 'static> {
    results: Vec<Option<R>>,
    left: usize,
    firer: Option<Firer<U>>,
}

impl<R, U> Collected<R, U> {
    /// Keeps a result. After the last one, returns the firer and all results.
    fn keep(&mut self, index: usize, result: R) -> Option<(Firer<U>, Vec<R>)> {
        self.results[index] = Some(result);
        self.left -= 1;
        if self.left == 0 { self.end() } else { None }
    }

    fn end(&mut self) -> Option<(Firer<U>, Vec<R>)> {
        Some((self.firer.take()?, self.results.drain(..).flatten().collect()))
    }
}

/// Combines `deferreds` into one Deferred, which fires once; cancelling it cancels all of them.
///
/// Nothing is borrowed while values are dropped or firers fired, since that may lead back here: a value returns to its queue,
/// where another of these Deferreds may wait for it.
#[track_caller]
fn collect<T: 'static, R: 'static, U: 'static>(
    deferreds: impl IntoIterator<Item = Deferred<T>>,
    Wanted { judge, all, first_wins }: Wanted<T, R, U>,
) -> Deferred<U> {
    let deferreds: Vec<_> = deferreds.into_iter().collect();
    let handles: Rc<[DeferredHandle]> = deferreds.iter().map(Deferred::handle).collect();
    let cancelled = Rc::clone(&handles);
    let (whole, firer) = Deferred::with_canceller(move |_| cancelled.iter().for_each(DeferredHandle::cancel));
    if deferreds.is_empty() {
        firer.fire_outcome(all(Vec::new()));
        return whole;
    }
    let results = deferreds.iter().map(|_| None).collect();
    let collected = Rc::new(RefCell::new(Collected { results, left: deferreds.len(), firer: Some(firer) }));
    for (index, deferred) in deferreds.into_iter().enumerate() {
        if first_wins && collected.borrow().firer.is_none() {
            deferred.ignore();
            continue;
        }
        let (collected, handles) = (Rc::clone(&collected), Rc::clone(&handles));
        deferred.hand_to(move |outcome| {
            if collected.borrow().firer.is_none() {
                if let Err(failure) = &outcome
                    && !failure.is_cancelled()
                {
                    log::debug!("number {index} of several Deferreds also failed: {failure}");
                }
                return;
            }
            match judge(index, outcome) {
                Continue(result) => {
                    let finished = collected.borrow_mut().keep(index, result);
                    if let Some((firer, results)) = finished {
                        firer.fire_outcome(all(results));
                    }
                }
                Break(outcome) => {
                    let ended = collected.borrow_mut().end();
                    if first_wins {
                        handles.iter().enumerate().filter(|(other, _)| *other != index).for_each(|(_, other)| other.cancel());
                    }
                    if let Some((firer, _)) = ended {
                        firer.fire_outcome(outcome);
                    }
                }
            }
        });
    }
    whole
}

/// Waits for all, and returns the result of each in the order of the list, including errors.
///
/// An empty list fires immediately. Cancelling the Deferred cancels all. This is Twisted's `DeferredList` with `consumeErrors`;
/// for `fireOnOneErrback` use [`gather_results`], for `fireOnOneCallback` [`race`].
///
/// # Examples
/// ```
/// use torsade::defer;
///
/// let both = defer::deferred_list([defer::succeed(1), defer::fail("no")]);
/// let results = both.into_result().expect("it has fired").expect("a list never fails");
/// assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
/// ```
#[doc(alias = "DeferredList")]
#[track_caller]
pub fn deferred_list<T: 'static>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Deferred<Vec<Result<T, Failure>>> {
    collect(
        deferreds,
        Wanted { judge: |_, outcome| Continue(outcome), all: |outcomes| Ok(Parcel::of_all(outcomes)), first_wins: false },
    )
}

/// Waits for all to succeed, and returns their values in the order of the list; fails with the first error.
///
/// The error is a [`FirstError`], which says which Deferred failed. Later errors are only logged, at level debug, and values are
/// dropped (those of a [`DeferredQueue`](super::DeferredQueue) go back to it). An empty list fires immediately. Cancelling the
/// Deferred cancels all.
///
/// # Examples
/// ```
/// use torsade::defer;
///
/// let both = defer::gather_results([defer::succeed(1), defer::succeed(2)]);
/// assert_eq!(both.into_result().expect("it has fired").expect("with values"), [1, 2]);
/// ```
#[doc(alias = "gatherResults")]
#[track_caller]
pub fn gather_results<T: 'static>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Deferred<Vec<T>> {
    let judge = |index, outcome: Outcome<T>| match outcome {
        Ok(parcel) => Continue(parcel),
        Err(failure) => Break(Err(Failure::new(FirstError { index, failure }))),
    };
    collect(deferreds, Wanted { judge, all: all_values, first_wins: false })
}

fn all_values<T: 'static>(parcels: Vec<Parcel<T>>) -> Outcome<Vec<T>> {
    let results = Parcel::of_all(parcels.into_iter().map(Ok).collect());
    results.map(|results| results.into_iter().flatten().collect(), |values: Vec<T>| values.into_iter().map(Ok).collect())
}

/// Returns the first value and its place in the list, and cancels the others, whose values are not taken.
///
/// If all fail, it fails with a [`FailureGroup`]; an empty list fails immediately. Cancelling the Deferred cancels all.
///
/// # Examples
/// ```
/// use torsade::{Deferred, defer};
///
/// let (slow, _firer) = Deferred::new();
/// let first = defer::race([slow, defer::succeed("fast")]);
/// assert_eq!(first.into_result().expect("it has fired").expect("with a value"), (1, "fast"));
/// ```
#[track_caller]
pub fn race<T: 'static>(deferreds: impl IntoIterator<Item = Deferred<T>>) -> Deferred<(usize, T)> {
    let judge = |index, outcome: Outcome<T>| match outcome {
        Ok(parcel) => Break(parcel.map(move |value| (index, value), |(_, value)| value)),
        Err(failure) => Continue(failure),
    };
    collect(deferreds, Wanted { judge, all: |failures| Err(Failure::new(FailureGroup { failures })), first_wins: true })
}
