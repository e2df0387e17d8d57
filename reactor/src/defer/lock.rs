//! A semaphore and a lock whose waits are Deferreds.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::deferred::Deferred;
use super::firer::Firer;
use super::settled::CallbackResult;

/// A semaphore: grants a limited number of permits, in the order in which they were requested; a cheap handle.
///
/// # Examples
/// ```
/// use torsade::DeferredSemaphore;
///
/// let semaphore = DeferredSemaphore::new(1);
/// let first = semaphore.acquire().into_result().expect("it is free").expect("that cannot fail");
/// let second = semaphore.acquire().into_result().expect_err("it is taken");
/// drop(first);
/// assert!(second.into_result().is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct DeferredSemaphore(Rc<Permits>);

/// A lock: a [`DeferredSemaphore`] with one permit; a cheap handle.
#[derive(Clone, Debug)]
pub struct DeferredLock(DeferredSemaphore);

/// A permit of a semaphore or lock; released when dropped.
#[derive(Debug)]
#[must_use = "dropped at once, it lets the next one in at once"]
pub struct DeferredPermit(Rc<Permits>);

/// The free permits and the queue for them. Guarantee: permits are granted in the order of requests, and a request that has left
/// the queue is skipped.
struct Permits {
    tokens: Cell<usize>,
    limit: usize,
    waiting: RefCell<VecDeque<(u64, Firer<DeferredPermit>)>>,
    next_id: Cell<u64>,
    /// Whether permits are being granted. One that is released meanwhile is granted by the same loop, so that nothing recurses.
    giving: Cell<bool>,
}

impl DeferredSemaphore {
    /// Makes a semaphore with this many permits; 0 counts as 1.
    #[must_use]
    pub fn new(tokens: usize) -> Self {
        let limit = tokens.max(1);
        Self(Rc::new(Permits {
            tokens: Cell::new(limit),
            limit,
            waiting: RefCell::default(),
            next_id: Cell::new(0),
            giving: Cell::new(false),
        }))
    }

    /// Waits for a permit. If the Deferred is cancelled, or dropped before it has the permit, it leaves the queue.
    ///
    /// The queue has no limit: callers have to limit it where it could grow too long.
    #[track_caller]
    pub fn acquire(&self) -> Deferred<DeferredPermit> {
        let permits = &self.0;
        let id = permits.next_id.get();
        permits.next_id.set(id + 1);
        let weak = Rc::downgrade(permits);
        let (deferred, firer) = Deferred::lapsing(move || {
            if let Some(permits) = weak.upgrade() {
                permits.leave(id);
            }
        });
        permits.waiting.borrow_mut().push_back((id, firer));
        permits.give();
        deferred
    }

    /// Waits for a permit, calls `function`, and releases the permit once its result is here.
    #[track_caller]
    pub fn run<R: CallbackResult>(&self, function: impl FnOnce() -> R + 'static) -> Deferred<R::Value> {
        self.acquire().add_callback(|permit| {
            super::maybe_deferred(function).add_both(move |result| {
                drop(permit);
                result.map_err(Into::into)
            })
        })
    }

    /// The number of free permits.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.0.tokens.get()
    }

    /// The total number of permits.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }
}

impl DeferredLock {
    /// Makes a free lock.
    #[must_use]
    pub fn new() -> Self {
        Self(DeferredSemaphore::new(1))
    }

    /// Waits for the lock; see [`DeferredSemaphore::acquire`].
    #[track_caller]
    pub fn acquire(&self) -> Deferred<DeferredPermit> {
        self.0.acquire()
    }

    /// Waits for the lock and calls `function`; see [`DeferredSemaphore::run`].
    #[track_caller]
    pub fn run<R: CallbackResult>(&self, function: impl FnOnce() -> R + 'static) -> Deferred<R::Value> {
        self.0.run(function)
    }

    /// Returns whether the lock is held.
    #[must_use]
    pub fn locked(&self) -> bool {
        self.0.tokens() == 0
    }
}

impl Default for DeferredLock {
    fn default() -> Self {
        Self::new()
    }
}

impl DeferredPermit {
    /// Releases the permit; the same as dropping it.
    pub fn release(self) {}
}

impl Drop for DeferredPermit {
    fn drop(&mut self) {
        self.0.tokens.set(self.0.tokens.get() + 1);
        self.0.give();
    }
}

impl Permits {
    fn give(self: &Rc<Self>) {
        if self.giving.replace(true) {
            return;
        }
        while self.tokens.get() > 0 {
            let next = self.waiting.borrow_mut().pop_front();
            let Some((_, firer)) = next else { break };
            self.tokens.set(self.tokens.get() - 1);
            firer.callback(DeferredPermit(Rc::clone(self)));
        }
        self.giving.set(false);
    }

    fn leave(&self, id: u64) {
        let left = {
            let mut waiting = self.waiting.borrow_mut();
            // The queue is sorted by id.
            waiting.binary_search_by_key(&id, |(id, _)| *id).ok().and_then(|index| waiting.remove(index))
        };
        drop(left);
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.borrow().len();
        f.debug_struct("Permits").field("tokens", &self.tokens.get()).field("waiting", &waiting).finish_non_exhaustive()
    }
}
