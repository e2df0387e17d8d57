//! Values for whoever waits for one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::deferred::Deferred;
use super::error::QueueError;
use super::firer::Firer;
use super::{fail, succeed};

/// A queue whose `get` waits for a `put`; a cheap handle.
///
/// Values wait in order, and so do those who want one.
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
    state: RefCell<State<T>>,
}

struct State<T: 'static> {
    values: VecDeque<T>,
    waiting: VecDeque<(u64, Firer<T>)>,
    next_id: u64,
}

impl<T: 'static> DeferredQueue<T> {
    /// Holds at most `size` values, and lets at most `backlog` wait for one.
    #[must_use]
    pub fn new(size: usize, backlog: usize) -> Self {
        let state = State { values: VecDeque::new(), waiting: VecDeque::new(), next_id: 0 };
        Self(Rc::new(Queue { size, backlog, state: RefCell::new(state) }))
    }

    /// Gives `value` to the one who waits longest, or keeps it.
    ///
    /// # Errors
    /// [`QueueError::Overflow`] when nobody waits and `size` values are kept; `value` is dropped.
    pub fn put(&self, value: T) -> Result<(), QueueError> {
        let waiting = self.0.state.borrow_mut().waiting.pop_front();
        if let Some((_, firer)) = waiting {
            firer.callback(value);
            return Ok(());
        }
        let mut state = self.0.state.borrow_mut();
        if state.values.len() >= self.0.size {
            drop(state);
            return Err(QueueError::Overflow);
        }
        state.values.push_back(value);
        Ok(())
    }

    /// Takes the next value, or waits for it; fails with [`QueueError::Underflow`] if `backlog` others wait already.
    ///
    /// Cancelled, it leaves the queue.
    #[track_caller]
    pub fn get(&self) -> Deferred<T> {
        let value = self.0.state.borrow_mut().values.pop_front();
        if let Some(value) = value {
            return succeed(value);
        }
        let mut state = self.0.state.borrow_mut();
        if state.waiting.len() >= self.0.backlog {
            drop(state);
            return fail(QueueError::Underflow);
        }
        let id = state.next_id;
        state.next_id += 1;
        let weak = Rc::downgrade(&self.0);
        let (deferred, firer) = Deferred::with_canceller(move |_| {
            if let Some(queue) = weak.upgrade() {
                queue.leave(id);
            }
        });
        state.waiting.push_back((id, firer));
        deferred
    }

    /// How many values are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.borrow().values.len()
    }

    /// Whether no value is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: 'static> Queue<T> {
    fn leave(&self, id: u64) {
        let left = {
            let waiting = &mut self.state.borrow_mut().waiting;
            // They are in the order of their numbers.
            waiting.binary_search_by_key(&id, |(id, _)| *id).ok().and_then(|place| waiting.remove(place))
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
        let state = self.0.state.borrow();
        f.debug_struct("DeferredQueue")
            .field("values", &state.values.len())
            .field("waiting", &state.waiting.len())
            .finish_non_exhaustive()
    }
}
