//! Tasks that are cancelled together.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;

use slab::Slab;

use super::Task;
use crate::defer::{CallbackResult, DeferredHandle};
use crate::reactor::Reactor;

/// A group of tasks that are cancelled together, such as those of one connection; a cheap handle.
///
/// A finished task leaves the group by itself. Dropping the group has no effect.
#[derive(Clone, Debug, Default)]
pub struct TaskGroup(Rc<RefCell<Slab<DeferredHandle>>>);

impl TaskGroup {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task in the group; see [`Reactor::spawn`].
    #[track_caller]
    pub fn spawn<F>(&self, reactor: &Reactor, future: F) -> Task<<F::Output as CallbackResult>::Value>
    where
        F: Future + 'static,
        F::Output: CallbackResult,
    {
        let task = reactor.spawn(future).into_deferred();
        let key = self.0.borrow_mut().insert(task.handle());
        let group = Rc::downgrade(&self.0);
        Task::new(task.add_both(move |result| {
            let left = group.upgrade().and_then(|group| group.borrow_mut().try_remove(key));
            drop(left);
            result.map_err(Into::into)
        }))
    }

    /// Cancels all tasks of the group. Tasks spawned meanwhile stay.
    pub fn cancel(&self) {
        // A copy, because each task leaves the group when it is cancelled.
        let tasks: Vec<DeferredHandle> = self.0.borrow().iter().map(|(_, task)| task.clone()).collect();
        for task in tasks {
            task.cancel();
        }
    }

    /// The number of tasks that are not done.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    /// Returns whether all tasks are done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
