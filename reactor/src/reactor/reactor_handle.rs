//! The only way into the loop from other threads.

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
#[cfg(not(loom))]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
#[cfg(not(loom))]
use std::sync::{Mutex, MutexGuard};
use std::thread::{self, ThreadId};

#[cfg(loom)]
use loom::sync::atomic::AtomicBool;
#[cfg(loom)]
use loom::sync::{Mutex, MutexGuard};

use crate::backend::Wake;
use crate::reactor::Reactor;
use crate::reactor::turn::InTurn;

pub(crate) type ThreadCall = Box<dyn FnOnce(&Reactor) + Send>;

/// The queue of calls from other threads; `None` once the reactor is gone.
///
/// Guarantees, checked for every interleaving by the tests below: an accepted call is made, or reported as lost when the queue is
/// closed; calls are made in the order in which they were accepted; the loop never sleeps while a call waits, because queuing the
/// first one wakes it, except during the loop's own turn.
pub(crate) struct ThreadCalls {
    queue: Mutex<Option<VecDeque<ThreadCall>>>,
    /// Whether the queue may have calls: checked every turn to avoid taking the lock.
    waiting: AtomicBool,
    /// Whether tasks were woken and have to be polled.
    tasks_woken: AtomicBool,
    waker: Arc<dyn Wake>,
    /// The reactor's thread.
    home: ThreadId,
    in_turn: InTurn,
}

impl ThreadCalls {
    pub(crate) fn new(waker: Arc<dyn Wake>, in_turn: InTurn) -> Self {
        Self {
            queue: Mutex::new(Some(VecDeque::new())),
            waiting: AtomicBool::new(false),
            tasks_woken: AtomicBool::new(false),
            waker,
            home: thread::current().id(),
            in_turn,
        }
    }

    /// Returns whether this is the reactor's thread.
    fn is_home(&self) -> bool {
        self.home == thread::current().id()
    }

    pub(crate) fn waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(crate) fn tasks_woken(&self) -> bool {
        self.tasks_woken.load(Ordering::Acquire)
    }

    /// Returns whether tasks were woken since the last call of this.
    pub(crate) fn take_tasks_woken(&self) -> bool {
        take(&self.tasks_woken)
    }

    /// The number of calls to make in this turn; those that arrive meanwhile wait for the next.
    pub(crate) fn begin(&self) -> usize {
        if !take(&self.waiting) {
            return 0;
        }
        self.lock().as_ref().map_or(0, VecDeque::len)
    }

    pub(crate) fn pop(&self) -> Option<ThreadCall> {
        self.lock().as_mut()?.pop_front()
    }

    /// Refuses all further calls, and returns the queued ones: make each, or report it as lost.
    pub(crate) fn close(&self) -> VecDeque<ThreadCall> {
        self.lock().take().unwrap_or_default()
    }

    fn push(&self, call: ThreadCall) -> Result<(), ReactorGone> {
        let mut queue = self.lock();
        let calls = queue.as_mut().ok_or(ReactorGone)?;
        calls.push_back(call);
        drop(queue);
        self.set_and_wake(&self.waiting);
        Ok(())
    }

    /// Makes the loop poll the tasks that were woken.
    fn wake_tasks(&self) -> Result<(), ReactorGone> {
        if self.lock().is_none() {
            return Err(ReactorGone);
        }
        self.set_and_wake(&self.tasks_woken);
        Ok(())
    }

    /// One wake-up is enough for everything queued until the next turn, and none is needed from inside a turn.
    fn set_and_wake(&self, flag: &AtomicBool) {
        let first = !flag.swap(true, Ordering::AcqRel);
        let awake = self.is_home() && self.in_turn.get();
        if first && !awake {
            self.waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<ThreadCall>>> {
        // Nothing panics while the lock is held, unless memory runs out; and even then the queue is consistent.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Clears a flag and returns whether it was set. It rarely is, so it is written only if it is.
fn take(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Acquire) && flag.swap(false, Ordering::AcqRel)
}

/// Reaches a reactor from other threads; made by [`Reactor::handle`].
#[doc(alias = "IReactorFromThreads")]
#[derive(Clone)]
pub struct ReactorHandle(Arc<ThreadCalls>);

impl ReactorHandle {
    pub(crate) const fn new(calls: Arc<ThreadCalls>) -> Self {
        Self(calls)
    }

    /// Makes `call` on the reactor's thread, after all calls queued before it, and wakes the loop.
    ///
    /// An accepted call is made, the last ones at the very end of a graceful stop. Only a reactor that is dropped while it runs
    /// loses calls, and it logs how many.
    ///
    /// # Errors
    /// [`ReactorGone`] if the reactor was dropped or has stopped: `call` will never be made.
    #[doc(alias = "wakeUp")]
    #[doc(alias = "callFromThread")]
    pub fn call_from_thread(&self, call: impl FnOnce(&Reactor) + Send + 'static) -> Result<(), ReactorGone> {
        self.0.push(Box::new(call))
    }

    /// Makes the loop poll the tasks that were woken, once for all woken by then.
    ///
    /// # Errors
    /// [`ReactorGone`] if it no longer polls tasks.
    pub(crate) fn wake_tasks(&self) -> Result<(), ReactorGone> {
        self.0.wake_tasks()
    }

    /// Returns whether this is the reactor's thread.
    pub(crate) fn is_own_thread(&self) -> bool {
        self.0.is_home()
    }
}

impl fmt::Debug for ReactorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReactorHandle").field("waiting", &self.0.waiting()).finish()
    }
}

/// The reactor was dropped or has stopped, so a call cannot be made on it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct ReactorGone;

impl fmt::Display for ReactorGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reactor has stopped: the call will not be made")
    }
}

crate::debug_as_display!(ReactorGone);

impl Error for ReactorGone {}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct CountingWake(AtomicUsize);

    impl Wake for CountingWake {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_the_loops_own_turn_queues_wakes_nobody_and_what_others_do_wakes_it_once() {
        type Queue = fn(&ThreadCalls);
        let queue_call: Queue = |calls| calls.push(Box::new(|_| ())).unwrap();
        let wake_task: Queue = |calls| calls.wake_tasks().unwrap();
        for queue in [queue_call, wake_task] {
            let wake = Arc::new(CountingWake::default());
            let in_turn = InTurn::default();
            let calls = Arc::new(ThreadCalls::new(Arc::<CountingWake>::clone(&wake), in_turn.clone()));
            let wakes_of = |queue: &dyn Fn()| {
                let before = wake.0.load(Ordering::Relaxed);
                queue();
                queue();
                assert!(calls.waiting() || calls.tasks_woken());
                calls.begin();
                calls.take_tasks_woken();
                assert!(!calls.waiting() && !calls.tasks_woken());
                wake.0.load(Ordering::Relaxed) - before
            };
            let queue_here = || queue(&calls);
            let queue_elsewhere = || {
                let calls = Arc::clone(&calls);
                thread::spawn(move || queue(&calls)).join().unwrap();
            };
            assert_eq!(wakes_of(&queue_here), 1, "between turns the loop may sleep");
            in_turn.set(true);
            assert_eq!(wakes_of(&queue_here), 0);
            assert_eq!(wakes_of(&queue_elsewhere), 1);
            in_turn.set(false);
            assert_eq!(wakes_of(&queue_here), 1);
        }
    }
}

/// Every interleaving of the queue: `RUSTFLAGS="--cfg loom" cargo test --release --package torsade-reactor --lib loom`.
#[cfg(all(test, loom))]
pub(crate) mod loom_tests {
    use loom::sync::Notify;

    use super::*;

    /// A poll that returns when woken, even if it was woken before it began.
    #[derive(Default)]
    pub(crate) struct Poll(Arc<LoomWake>);

    impl Poll {
        pub(crate) fn calls(&self) -> Arc<ThreadCalls> {
            Arc::new(ThreadCalls::new(Arc::<LoomWake>::clone(&self.0), InTurn::default()))
        }

        pub(crate) fn wait(&self) {
            self.0.0.wait();
        }
    }

    struct LoomWake(Notify);

    impl Default for LoomWake {
        fn default() -> Self {
            Self(Notify::new())
        }
    }

    impl Wake for LoomWake {
        fn wake(&self) {
            self.0.notify();
        }
    }

    /// All interleavings with at most three preemptions; without a limit there are too many.
    pub(crate) fn model(test: impl Fn() + Send + Sync + 'static) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(test);
    }

    fn pushing(calls: &Arc<ThreadCalls>, count: usize) -> loom::thread::JoinHandle<usize> {
        let calls = Arc::clone(calls);
        loom::thread::spawn(move || (0..count).filter(|_| calls.push(Box::new(|_| ())).is_ok()).count())
    }

    #[test]
    fn loom_no_call_is_lost_and_the_loop_never_sleeps_while_one_waits() {
        model(|| {
            let poll = Poll::default();
            let calls = poll.calls();
            let threads = [pushing(&calls, 2), pushing(&calls, 1)];
            let mut made = 0;
            while made < 3 {
                made += (0..calls.begin()).filter(|_| calls.pop().is_some()).count();
                if made < 3 && !calls.waiting() {
                    poll.wait();
                }
            }
            assert_eq!(threads.map(|thread| thread.join().unwrap()), [2, 1]);
        });
    }

    #[test]
    fn loom_a_call_is_made_or_refused_at_the_stop_and_nothing_between() {
        model(|| {
            let poll = Poll::default();
            let calls = poll.calls();
            let threads = [pushing(&calls, 2), pushing(&calls, 1)];
            let mut made = (0..calls.begin()).filter(|_| calls.pop().is_some()).count();
            made += calls.close().len();
            let taken: usize = threads.map(|thread| thread.join().unwrap()).into_iter().sum();
            assert_eq!(made, taken);
        });
    }
}
