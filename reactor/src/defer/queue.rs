//! A queue whose reads are Deferreds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::deferred::Deferred;
use super::error::QueueError;
use super::fail;
use super::firer::Firer;
use super::parcel::Parcel;

/// A queue whose `get` waits for a `put`; a cheap handle.
///
/// Values are taken in the order in which they were put, by waiting callers in the order in which they came.
///
/// # Examples
/// ```
/// use torsade::DeferredQueue;
///
/// let queue = DeferredQueue::new(10, 1);
/// let value = queue.get();
/// queue.put(5)?;
/// assert_eq!(value.into_result().expect("it is here").expect("with a value"), 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DeferredQueue<T: 'static>(Rc<Queue<T>>);

struct Queue<T: 'static> {
    size: usize,
    backlog: usize,
    waits: RefCell<Waits<T>>,
    /// Whether values are being given out. One that comes back meanwhile is given out by the same loop, so that nothing recurses.
    giving: Cell<bool>,
}

/// The values and the callers waiting for one. Guarantee: at most one of the two lists is non-empty, and no value is lost or
/// given twice.
struct Waits<T: 'static> {
    /// Sorted by number, as is `waiting`.
    values: VecDeque<(u64, T)>,
    waiting: VecDeque<(u64, Firer<T>)>,
    next_number: u64,
}

impl<T> Waits<T> {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl<T: 'static> DeferredQueue<T> {
    /// Makes a queue of at most `size` values, for which at most `backlog` callers may wait.
    #[must_use]
    pub fn new(size: usize, backlog: usize) -> Self {
        let waits = Waits { values: VecDeque::new(), waiting: VecDeque::new(), next_number: 0 };
        Self(Rc::new(Queue { size, backlog, waits: RefCell::new(waits), giving: Cell::new(false) }))
    }

    /// Gives `value` to the caller that has waited longest, or keeps it.
    ///
    /// # Errors
    /// [`QueueError::Overflow`] if nobody waits and `size` values are kept; `value` is dropped.
    pub fn put(&self, value: T) -> Result<(), QueueError> {
        let mut waits = self.0.waits.borrow_mut();
        if waits.waiting.is_empty() && waits.values.len() >= self.0.size {
            drop(waits);
            return Err(QueueError::Overflow);
        }
        let number = waits.number();
        waits.values.push_back((number, value));
        drop(waits);
        self.0.give();
        Ok(())
    }

    /// Takes the next value, or waits for it; fails with [`QueueError::Underflow`] if `backlog` others are already waiting.
    ///
    /// If the Deferred is cancelled, or dropped before it has a value, it leaves the queue. A value that was not taken from it,
    /// for example because its task was cancelled before it ran, goes to the caller that has waited longest, or back to its old
    /// place; the queue may then keep more than `size` values.
    #[track_caller]
    pub fn get(&self) -> Deferred<T> {
        let mut waits = self.0.waits.borrow_mut();
        let free = if waits.waiting.is_empty() { waits.values.pop_front() } else { None };
        if let Some((number, value)) = free {
            drop(waits);
            return Deferred::fired(Ok(self.0.parcel(number, value)));
        }
        if waits.waiting.len() >= self.0.backlog {
            drop(waits);
            return fail(QueueError::Underflow);
        }
        let number = waits.number();
        let weak = Rc::downgrade(&self.0);
        let (deferred, firer) = Deferred::lapsing(move || {
            if let Some(queue) = weak.upgrade() {
                queue.leave(number);
            }
        });
        waits.waiting.push_back((number, firer));
        deferred
    }

    /// The number of values kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.waits.borrow().values.len()
    }

    /// Returns whether no value is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: 'static> Queue<T> {
    /// Gives values to waiting callers, as long as there are both.
    fn give(self: &Rc<Self>) {
        let outer = self.giving.replace(true);
        while let Some((firer, number, value)) = self.next() {
            firer.fire_outcome(Ok(self.parcel(number, value)));
        }
        self.giving.set(outer);
    }

    fn next(&self) -> Option<(Firer<T>, u64, T)> {
        let waits = &mut *self.waits.borrow_mut();
        if waits.values.is_empty() {
            return None;
        }
        let (_, firer) = waits.waiting.pop_front()?;
        let (number, value) = waits.values.pop_front()?;
        Some((firer, number, value))
    }

    fn parcel(self: &Rc<Self>, number: u64, value: T) -> Parcel<T> {
        let weak = Rc::downgrade(self);
        let give_back = move |value| {
            if let Some(queue) = weak.upgrade() {
                queue.take_back(number, value);
            }
        };
        Parcel::returning(value, Box::new(give_back))
    }

    fn take_back(self: &Rc<Self>, number: u64, value: T) {
        {
            let values = &mut self.waits.borrow_mut().values;
            let index = values.partition_point(|(other, _)| *other < number);
            values.insert(index, (number, value));
        }
        if !self.giving.get() {
            self.give();
        }
    }

    fn leave(&self, number: u64) {
        let left = {
            let waiting = &mut self.waits.borrow_mut().waiting;
            waiting.binary_search_by_key(&number, |(number, _)| *number).ok().and_then(|index| waiting.remove(index))
        };
        drop(left);
    }
}

impl<T: 'static> Clone for DeferredQueue<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T: 'static> fmt::Debug for DeferredQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = self.0.waits.borrow();
        f.debug_struct("DeferredQueue")
            .field("values", &waits.values.len())
            .field("waiting", &waits.waiting.len())
            .finish_non_exhaustive()
    }
}
