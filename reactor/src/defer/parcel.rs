//! A value in a chain of callbacks, and where it returns if nobody takes it.

use super::error::DeferredError;
use super::failure::Failure;

/// Takes back a value that nobody took.
pub(super) type GiveBack<T> = Box<dyn FnOnce(T)>;

/// A value on its way to a receiver. If dropped before that, it returns to its origin.
///
/// So a queue loses no value: one that was passed to a task that ends before it is polled goes to the next waiting caller.
pub(super) struct Parcel<T> {
    value: Option<T>,
    give_back: Option<GiveBack<T>>,
}

impl<T> Parcel<T> {
    /// A value without an origin: if dropped, it is gone.
    pub(super) const fn new(value: T) -> Self {
        Self { value: Some(value), give_back: None }
    }

    pub(super) const fn returning(value: T, give_back: GiveBack<T>) -> Self {
        Self { value: Some(value), give_back: Some(give_back) }
    }

    pub(super) fn take(self) -> Result<T, Failure> {
        self.open().map(|(value, _)| value)
    }

    fn open(mut self) -> Result<(T, Option<GiveBack<T>>), Failure> {
        let value = self.value.take().ok_or_else(|| Failure::new(DeferredError::Taken))?;
        Ok((value, self.give_back.take()))
    }
}

impl<T: 'static> Parcel<T> {
    /// Changes the value; `change_back` restores it if it has to return.
    pub(super) fn map<U: 'static>(
        self,
        change: impl FnOnce(T) -> U,
        change_back: impl FnOnce(U) -> T + 'static,
    ) -> Result<Parcel<U>, Failure> {
        let (value, give_back) = self.open()?;
        let give_back = give_back.map(|give_back| -> GiveBack<U> { Box::new(|value| give_back(change_back(value))) });
        Ok(Parcel { value: Some(change(value)), give_back })
    }

    /// Puts all results into one parcel; when dropped, each value returns to its origin.
    pub(super) fn of_all(outcomes: Vec<Result<Self, Failure>>) -> Parcel<Vec<Result<T, Failure>>> {
        let (results, owners): (Vec<_>, Vec<_>) = outcomes
            .into_iter()
            .map(|outcome| match outcome.and_then(Self::open) {
                Ok((value, give_back)) => (Ok(value), give_back),
                Err(failure) => (Err(failure), None),
            })
            .unzip();
        if owners.iter().all(Option::is_none) {
            return Parcel::new(results);
        }
        Parcel::returning(
            results,
            Box::new(|results: Vec<Result<T, Failure>>| {
                for (result, give_back) in results.into_iter().zip(owners) {
                    if let (Ok(value), Some(give_back)) = (result, give_back) {
                        give_back(value);
                    }
                }
            }),
        )
    }
}

impl<T> Drop for Parcel<T> {
    fn drop(&mut self) {
        if let (Some(value), Some(give_back)) = (self.value.take(), self.give_back.take()) {
            give_back(value);
        }
    }
}
