//! One Deferred of several.

use std::cell::RefCell;
use std::rc::Rc;

use super::chain::Outcome;
use super::deferred::{Deferred, DeferredHandle};
use super::error::{FailureGroup, FirstError};
use super::failure::Failure;
use super::firer::Firer;
use super::parcel::Parcel;

/// What has come so far of several Deferreds, and what is to be fired at the end.
struct Collected<R, T: 'static> {
    results: Vec<Option<R>>,
    left: usize,
    firer: Option<Firer<T>>,
}

impl<R, T> Collected<R, T> {
    fn new(count: usize, firer: Firer<T>) -> Rc<RefCell<Self>> {
        let results = std::iter::repeat_with(|| None).take(count).collect();
        Rc::new(RefCell::new(Self { results, left: count, firer: Some(firer) }))
    }

    /// Whether the whole has not fired.
    fn is_open(&self) -> bool {
        self.firer.is_some()
    }

    /// Keeps a result; after the last one, gives the firer and all of them.
    fn keep(&mut self, index: usize, result: R) -> Option<(Firer<T>, Vec<R>)> {
        self.results[index] = Some(result);
        self.left -= 1;
        self.finished()
    }

    fn finished(&mut self) -> Option<(Firer<T>, Vec<R>)> {
        if self.left > 0 {
            return None;
        }
        self.end()
    }

    /// The firer, once, and what has come so far.
    fn end(&mut self) -> Option<(Firer<T>, Vec<R>)> {
        let firer = self.firer.take()?;
        Some((firer, self.results.drain(..).flatten().collect()))
    }
}

/// Makes the Deferred of the whole, which when it is cancelled cancels all that it is made of.
#[track_caller]
fn of_all<T>(handles: Vec<DeferredHandle>) -> (Deferred<T>, Firer<T>) {
    Deferred::with_canceller(move |_| handles.iter().for_each(DeferredHandle::cancel))
}

/// Waits for all, and gives the result of each in the order of the list, errors among them.
///
/// An empty list fires at once. Cancelled, it cancels all. This is Twisted's `DeferredList` with `consumeErrors`; for
/// `fireOnOneErrback` there is [`gather_results`], for `fireOnOneCallback` [`race`].
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
    let deferreds: Vec<_> = deferreds.into_iter().collect();
    let (whole, firer) = of_all(deferreds.iter().map(Deferred::handle).collect());
    let collected = Collected::new(deferreds.len(), firer);
    let finished = collected.borrow_mut().finished();
    if let Some((firer, outcomes)) = finished {
        firer.fire_outcome(Ok(Parcel::of_all(outcomes)));
    }
    for (index, deferred) in deferreds.into_iter().enumerate() {
        let collected = Rc::clone(&collected);
        deferred.hand_to(move |outcome| {
            let finished = collected.borrow_mut().keep(index, outcome);
            if let Some((firer, outcomes)) = finished {
                firer.fire_outcome(Ok(Parcel::of_all(outcomes)));
            }
        });
    }
    whole
}

/// Waits for all to succeed, and gives their values in the order of the list; fails with the first error.
///
/// The error is a [`FirstError`], which says whose it is; later ones are only logged, at level debug, and the values
/// dropped (those of a [`DeferredQueue`](super::DeferredQueue) go back to it). An empty list fires at once. Cancelled, it
/// cancels all.
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
    let deferreds: Vec<_> = deferreds.into_iter().collect();
    let (whole, firer) = of_all(deferreds.iter().map(Deferred::handle).collect());
    let collected = Collected::new(deferreds.len(), firer);
    let finished = collected.borrow_mut().finished();
    if let Some((firer, parcels)) = finished {
        firer.fire_outcome(all_values(parcels));
    }
    for (index, deferred) in deferreds.into_iter().enumerate() {
        let collected = Rc::clone(&collected);
        deferred.hand_to(move |outcome| {
            let open = collected.borrow().is_open();
            match outcome {
                // Dropped outside of any borrow: where it goes back to, others may wait for it.
                Ok(parcel) if !open => drop(parcel),
                Ok(parcel) => {
                    let finished = collected.borrow_mut().keep(index, parcel);
                    if let Some((firer, parcels)) = finished {
                        firer.fire_outcome(all_values(parcels));
                    }
                }
                Err(failure) => {
                    let ended = collected.borrow_mut().end();
                    match ended {
                        Some((firer, _)) => firer.errback(FirstError::new(index, failure)),
                        None => log::debug!("number {index} of several Deferreds failed as well: {failure}"),
                    }
                }
            }
        });
    }
    whole
}

fn all_values<T: 'static>(parcels: Vec<Parcel<T>>) -> Outcome<Vec<T>> {
    let results = Parcel::of_all(parcels.into_iter().map(Ok).collect());
    results.map(|results| results.into_iter().flatten().collect(), |values: Vec<T>| values.into_iter().map(Ok).collect())
}

/// Gives the first value and its place in the list, and cancels the others, whose values are not taken.
///
/// If all fail, so does this, with a [`FailureGroup`]; an empty list fails at once. Cancelled, it cancels all.
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
    let deferreds: Vec<_> = deferreds.into_iter().collect();
    let handles: Rc<Vec<_>> = Rc::new(deferreds.iter().map(Deferred::handle).collect());
    let (whole, firer) = of_all(handles.to_vec());
    let collected = Collected::<Failure, (usize, T)>::new(deferreds.len(), firer);
    let finished = collected.borrow_mut().finished();
    if let Some((firer, failures)) = finished {
        firer.errback(FailureGroup::new(failures));
    }
    for (index, deferred) in deferreds.into_iter().enumerate() {
        if !collected.borrow().is_open() {
            // Another has won before this one was looked at: its value is not taken.
            deferred.ignore();
            continue;
        }
        let (collected, handles) = (Rc::clone(&collected), Rc::clone(&handles));
        deferred.hand_to(move |outcome| match outcome {
            Ok(parcel) => {
                let won = collected.borrow_mut().end();
                if let Some((firer, _)) = won {
                    // Those that lost have no one to tell: their errors are kept here, and go with it.
                    handles.iter().enumerate().filter(|(other, _)| *other != index).for_each(|(_, other)| other.cancel());
                    firer.fire_outcome(parcel.map(|value| (index, value), |(_, value)| value));
                }
            }
            Err(failure) => {
                let open = collected.borrow().is_open();
                let finished = if open { collected.borrow_mut().keep(index, failure) } else { None };
                if let Some((firer, failures)) = finished {
                    firer.errback(FailureGroup::new(failures));
                }
            }
        });
    }
    whole
}
