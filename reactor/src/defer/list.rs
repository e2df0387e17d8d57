//! One Deferred of several.

use std::cell::RefCell;
use std::rc::Rc;

use super::deferred::{Deferred, DeferredHandle};
use super::error::{FailureGroup, FirstError};
use super::failure::Failure;
use super::firer::Firer;

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
    if let Some((firer, results)) = finished {
        firer.callback(results);
    }
    for (index, deferred) in deferreds.into_iter().enumerate() {
        let collected = Rc::clone(&collected);
        let told = deferred.add_both(move |result| {
            let finished = collected.borrow_mut().keep(index, result);
            if let Some((firer, results)) = finished {
                firer.callback(results);
            }
        });
        told.detach();
    }
    whole
}

/// Waits for all to succeed, and gives their values in the order of the list; fails with the first error.
///
/// The error is a [`FirstError`], which says whose it is; later ones are only logged, at level debug, and later values
/// dropped. An empty list fires at once. Cancelled, it cancels all.
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
    if let Some((firer, values)) = finished {
        firer.callback(values);
    }
    for (index, deferred) in deferreds.into_iter().enumerate() {
        let collected = Rc::clone(&collected);
        let told = deferred.add_both(move |result| match result {
            Ok(value) => {
                let finished = collected.borrow_mut().keep(index, value);
                if let Some((firer, values)) = finished {
                    firer.callback(values);
                }
            }
            Err(failure) => {
                let firer = collected.borrow_mut().firer.take();
                match firer {
                    Some(firer) => firer.errback(FirstError::new(index, failure)),
                    None => log::debug!("number {index} of several Deferreds failed as well: {failure}"),
                }
            }
        });
        told.detach();
    }
    whole
}

/// Gives the first value and its place in the list, and cancels the others.
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
        let (collected, handles) = (Rc::clone(&collected), Rc::clone(&handles));
        let told = deferred.add_both(move |result| match result {
            Ok(value) => {
                let firer = collected.borrow_mut().firer.take();
                if let Some(firer) = firer {
                    // Those that lost have no one to tell: their errors are kept here, and go with it.
                    handles.iter().enumerate().filter(|(other, _)| *other != index).for_each(|(_, other)| other.cancel());
                    firer.callback((index, value));
                }
            }
            Err(failure) => {
                let finished = collected.borrow_mut().keep(index, failure);
                if let Some((firer, failures)) = finished {
                    firer.errback(FailureGroup::new(failures));
                }
            }
        });
        told.detach();
    }
    whole
}
