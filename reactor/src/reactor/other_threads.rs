//! Calls from other threads, and jobs in the thread pool.

use std::sync::Arc;
use std::thread;

use super::{Awaited, Reactor};
use crate::event_log::Subject;
use crate::reactor::reactor_handle::{ReactorHandle, ThreadCall};

impl Reactor {
    pub(super) fn run_thread_calls(&self) {
        let count = self.0.thread_calls.begin();
        if count > 0 {
            self.begin_calls();
        }
        for _ in 0..count {
            let Some(call) = self.0.thread_calls.pop() else { break };
            self.run_thread_call(call);
        }
    }

    pub(super) fn run_thread_call(&self, call: ThreadCall) {
        self.dispatch("a call from a thread", None, || Subject::Thread, || call(self));
    }

    /// A handle for other threads.
    #[must_use]
    pub fn handle(&self) -> ReactorHandle {
        ReactorHandle::new(Arc::clone(&self.0.thread_calls))
    }

    /// Runs `job` on a thread of the pool, then calls `done` from the loop with its result or panic.
    ///
    /// If the reactor stops first, `done` is dropped without being called.
    #[doc(alias = "IReactorInThreads")]
    #[doc(alias = "IReactorThreads")]
    #[doc(alias = "callMultipleInThread")]
    #[doc(alias = "callInThread")]
    pub fn call_in_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(thread::Result<T>) + 'static,
    ) {
        let complete = self.await_thread(done);
        let job = std::panic::AssertUnwindSafe(job);
        self.0.backend.run_in_thread(Box::new(move || complete(std::panic::catch_unwind(job))));
    }

    /// Keeps `done` here and returns a function for another thread, which makes the loop call `done` with a value.
    pub(super) fn await_thread<T: Send + 'static>(&self, done: impl FnOnce(T) + 'static) -> impl FnOnce(T) + Send + 'static {
        let awaited: Awaited = Box::new(move |value| {
            if let Ok(value) = value.downcast() {
                done(*value);
            }
        });
        let key = self.0.awaited.borrow_mut().insert(awaited);
        let handle = self.handle();
        move |value| {
            let sent = handle.call_from_thread(move |reactor| {
                let awaited = reactor.0.awaited.borrow_mut().try_remove(key);
                if let Some(awaited) = awaited {
                    awaited(Box::new(value));
                }
            });
            if sent.is_err() {
                log::debug!("a thread's result arrived after the reactor had stopped");
            }
        }
    }
}
