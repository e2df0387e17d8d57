//! The tasks of a reactor, and how they are woken.
//!
//! A waker, on any thread, puts the task's id into a list; the first id of a list also wakes the loop, which polls each task of
//! the list once. Guarantees: a task that is woken is polled afterwards, even if it is woken during its poll, because its flag is
//! cleared before the poll; it is in the list once, however often it is woken; it is never polled recursively; and a waker that
//! outlives its task wakes nothing, because ids are not reused.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
#[cfg(not(loom))]
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

#[cfg(loom)]
use loom::sync::Mutex;
use slab::Slab;

use crate::defer::{CallbackResult, Deferred, Failure, Firer, Settled};
use crate::panic::catch;
use crate::reactor::Reactor;
use crate::reactor::reactor_handle::ReactorHandle;
use crate::report::{drop_quietly, report_error};

/// All tasks of one reactor.
pub(crate) struct Tasks {
    slots: RefCell<Slab<Slot>>,
    next_sequence: Cell<u64>,
    woken: Arc<Woken>,
    /// Empty between turns; swapped with the list of woken tasks.
    polling: RefCell<Vec<TaskId>>,
}

struct Slot {
    sequence: u64,
    /// Where it was spawned.
    made: &'static Location<'static>,
    /// Taken out while it is being polled.
    future: Option<BoxedFuture>,
    waker: Arc<TaskWaker>,
}

/// Identifies a task; the sequence number distinguishes it from later ones in the same slot.
#[derive(Clone, Copy)]
struct TaskId {
    key: usize,
    sequence: u64,
}

type BoxedFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A future of any type, with the firer for its result or panic.
struct Spawned<F: Future>
where
    F::Output: CallbackResult,
{
    future: Pin<Box<F>>,
    firer: Option<Firer<<F::Output as CallbackResult>::Value>>,
}

/// Adds a task, which is first polled from the loop.
#[track_caller]
pub(super) fn spawn<F>(reactor: &Reactor, future: F) -> Deferred<<F::Output as CallbackResult>::Value>
where
    F: Future + 'static,
    F::Output: CallbackResult,
{
    let tasks = Tasks::of(reactor);
    let (id, weak) = (tasks.next_id(), Rc::downgrade(&tasks));
    let (deferred, firer) = Deferred::with_canceller(move |_| {
        if let Some(tasks) = weak.upgrade() {
            tasks.remove(id);
        }
    });
    tasks.insert(id, Box::pin(Spawned { future: Box::pin(future), firer: Some(firer) }));
    deferred
}

/// Adds a task whose result is not needed.
#[track_caller]
pub(super) fn execute(reactor: &Reactor, future: impl Future<Output = ()> + 'static) {
    let tasks = Tasks::of(reactor);
    tasks.insert(tasks.next_id(), Box::pin(future));
}

impl Tasks {
    pub(crate) fn of(reactor: &Reactor) -> Rc<Self> {
        reactor.local(|reactor| Self {
            slots: RefCell::default(),
            next_sequence: Cell::new(0),
            woken: Arc::new(Woken { list: Mutex::new(Vec::new()), handle: reactor.handle() }),
            polling: RefCell::default(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.borrow().len()
    }

    /// The id of the next task to be inserted.
    fn next_id(&self) -> TaskId {
        TaskId { key: self.slots.borrow().vacant_key(), sequence: self.next_sequence.get() }
    }

    #[track_caller]
    fn insert(&self, id: TaskId, future: BoxedFuture) {
        self.next_sequence.set(id.sequence + 1);
        let waker = Arc::new(TaskWaker { id, queued: AtomicBool::new(true), woken: Arc::clone(&self.woken) });
        let slot = Slot { sequence: id.sequence, made: Location::caller(), future: Some(future), waker };
        self.slots.borrow_mut().insert(slot);
        if !self.woken.push(id) {
            log::warn!("a task was spawned after the reactor had stopped, and was dropped");
            self.remove(id);
        }
    }

    fn remove(&self, id: TaskId) {
        let removed = {
            let mut slots = self.slots.borrow_mut();
            slots.get(id.key).is_some_and(|slot| slot.sequence == id.sequence).then(|| slots.remove(id.key))
        };
        drop_quietly("a task", removed);
    }

    /// Polls every task that was woken by now once.
    pub(crate) fn run_woken(&self, reactor: &Reactor) {
        let mut woken = self.woken.take(self.polling.take());
        for id in woken.drain(..) {
            if let Some(polling) = self.begin_poll(id) {
                reactor.call("a task", Some(polling.made), || self.poll(id, polling));
            }
        }
        self.polling.replace(woken);
    }

    fn poll(&self, id: TaskId, polling: Polling) {
        let Polling { mut future, waker, made } = polling;
        waker.queued.store(false, Ordering::Release);
        let polled = catch(|| future.as_mut().poll(&mut Context::from_waker(&Waker::from(waker))));
        if let Err(panic) = &polled {
            report_error("a task", format_args!("a task made at {made} {panic}"));
        }
        if !matches!(polled, Ok(Poll::Pending)) {
            self.remove(id);
        } else if let Some(slot) = self.slots.borrow_mut().get_mut(id.key).filter(|slot| slot.sequence == id.sequence) {
            slot.future = Some(future);
            return;
        }
        // Done, or cancelled during its poll.
        drop_quietly("a task", future);
    }

    fn begin_poll(&self, id: TaskId) -> Option<Polling> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(id.key).filter(|slot| slot.sequence == id.sequence)?;
        Some(Polling { made: slot.made, future: slot.future.take()?, waker: Arc::clone(&slot.waker) })
    }
}

/// A task taken out of its slot to be polled.
struct Polling {
    made: &'static Location<'static>,
    future: BoxedFuture,
    waker: Arc<TaskWaker>,
}

impl<F: Future> Future for Spawned<F>
where
    F::Output: CallbackResult,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let future = &mut self.future;
        let result = match catch(|| future.as_mut().poll(context).map(CallbackResult::settle)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Settled::Now(Err(Failure::new(panic))),
        };
        if let Some(firer) = self.firer.take() {
            match result {
                Settled::Now(outcome) => firer.fire(outcome),
                Settled::Later(deferred) => deferred.chain_deferred(firer),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // One at a time, because a panic during unwinding would abort the process.
        self.slots.take().into_iter().for_each(|(_, slot)| drop_quietly("a task", slot));
    }
}

/// The tasks woken since they were last polled, by any thread.
struct Woken {
    list: Mutex<Vec<TaskId>>,
    handle: ReactorHandle,
}

impl Woken {
    /// Queues the task to be polled; returns false if it will not be.
    fn push(&self, id: TaskId) -> bool {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(id);
        let first = list.len() == 1;
        drop(list);
        let taken = !first || self.handle.wake_tasks().is_ok();
        if !taken {
            // Cleared, so that the next task is the first again, and is refused too.
            self.take(Vec::new());
        }
        taken
    }

    /// Takes the woken tasks, and leaves `empty` for further ones.
    fn take(&self, empty: Vec<TaskId>) -> Vec<TaskId> {
        std::mem::replace(&mut *self.list.lock().unwrap_or_else(PoisonError::into_inner), empty)
    }
}

struct TaskWaker {
    id: TaskId,
    /// Whether it is already in the list.
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.woken.push(self.id);
        }
    }
}

/// Every interleaving; run like the tests of [`ReactorHandle`].
#[cfg(all(test, loom))]
mod loom_tests {
    use crate::reactor::reactor_handle::loom_tests::{Poll, model};

    use super::*;

    #[test]
    fn loom_the_loop_never_sleeps_while_a_task_is_woken() {
        model(|| {
            let poll = Poll::default();
            let calls = poll.calls();
            let woken = Arc::new(Woken { list: Mutex::new(Vec::new()), handle: ReactorHandle::new(Arc::clone(&calls)) });
            let threads = [1, 2].map(|count| {
                let woken = Arc::clone(&woken);
                loom::thread::spawn(move || (0..count).for_each(|key| assert!(woken.push(TaskId { key, sequence: 0 }))))
            });
            let mut polled = 0;
            while polled < 3 {
                if calls.take_tasks_woken() {
                    polled += woken.take(Vec::new()).len();
                }
                if polled < 3 && !calls.tasks_woken() {
                    poll.wait();
                }
            }
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }
}
