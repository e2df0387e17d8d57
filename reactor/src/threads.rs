//! Blocking work on other threads, and blocking calls from other threads.

pub(crate) mod workers;

use std::error::Error;
use std::fmt;
use std::sync::mpsc;

use crate::defer::{CallbackResult, Deferred, maybe_deferred};
use crate::panic::Panic;
use crate::reactor::Reactor;
use crate::reactor::reactor_handle::ReactorHandle;

impl Reactor {
    /// Runs a blocking job on a thread of the pool, and returns a Deferred of its result.
    ///
    /// A panic of the job is an error. If the Deferred is cancelled it fails immediately, but the job continues, because a thread
    /// cannot be stopped. If the reactor stops first, the result is dropped; a job that never ends does not keep the process
    /// alive.
    ///
    /// # Examples
    /// ```
    /// use torsade::react;
    ///
    /// let lines = react(|reactor| async move {
    ///     let text = reactor.defer_to_thread(|| Ok(std::fs::read_to_string("Cargo.toml")?)).await?;
    ///     Ok(text.lines().count())
    /// })?;
    /// assert!(lines > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "deferToThreadPool")]
    #[doc(alias = "deferToThread")]
    #[track_caller]
    pub fn defer_to_thread<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Box<dyn Error + Send + Sync>> + Send + 'static,
    ) -> Deferred<T> {
        let (deferred, firer) = Deferred::new();
        self.call_in_thread(job, move |result| match result {
            Ok(Ok(value)) => firer.callback(value),
            Ok(Err(error)) => firer.errback(error as Box<dyn Error>),
            Err(panic) => firer.errback(Panic::from(panic)),
        });
        deferred
    }

    /// Sets the maximum number of threads in the pool; default 10, and 0 counts as 1.
    ///
    /// Threads are started when there is work for them. If the maximum is lowered, excess threads end when their job is done.
    /// Host names are looked up on other threads: see [`resolve`](Self::resolve).
    #[doc(alias = "getThreadPool")]
    #[doc(alias = "suggestThreadPoolSize")]
    pub fn suggest_thread_pool_size(&self, threads: usize) {
        self.backend().suggest_thread_pool_size(threads.max(1));
    }
}

impl ReactorHandle {
    /// Calls `call` on the reactor's thread, and blocks until its result, or that of the Deferred it returns, is here.
    ///
    /// # Errors
    /// [`BlockingCallError::Failed`] with the text of the error; `ReactorGone` if the reactor stopped first; `OwnThread` on the
    /// reactor's own thread, which would wait for itself.
    ///
    /// # Examples
    /// ```
    /// use torsade::prelude::*;
    ///
    /// let reactor = Reactor::new()?;
    /// let handle = reactor.handle();
    /// let other = std::thread::spawn(move || {
    ///     handle.blocking_call_from_thread(|reactor| {
    ///         reactor.stop()?;
    ///         Ok(reactor.turn_number())
    ///     })
    /// });
    /// reactor.run()?;
    /// assert!(other.join().expect("no panic")? >= 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "blockingCallFromThread")]
    pub fn blocking_call_from_thread<R>(
        &self,
        call: impl FnOnce(&Reactor) -> R + Send + 'static,
    ) -> Result<R::Value, BlockingCallError>
    where
        R: CallbackResult,
        R::Value: Send,
    {
        if self.is_own_thread() {
            return Err(BlockingCallError::OwnThread);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let called = self.call_from_thread(move |reactor| {
            let reported = maybe_deferred(|| call(reactor)).add_both(move |result| {
                // This fails only if the waiting thread is gone.
                sender.send(result.map_err(|failure| failure.to_string())).ok();
            });
            reported.detach();
        });
        if called.is_err() {
            return Err(BlockingCallError::ReactorGone);
        }
        match receiver.recv() {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(BlockingCallError::Failed(error)),
            Err(_) => Err(BlockingCallError::ReactorGone),
        }
    }
}

/// Why a [`blocking_call_from_thread`](ReactorHandle::blocking_call_from_thread) returned no value.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub enum BlockingCallError {
    /// The call, or the Deferred it returned, failed. This is the error's text, since errors stay on their thread.
    Failed(String),
    /// It was called on the reactor's own thread. Call the function directly.
    OwnThread,
    /// The reactor stopped before there was a result.
    ReactorGone,
}

impl fmt::Display for BlockingCallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => write!(f, "the call on the reactor's thread failed: {error}"),
            Self::OwnThread => f.write_str("the reactor's own thread cannot wait for itself: make the call directly"),
            Self::ReactorGone => f.write_str("the reactor stopped before the call had a result"),
        }
    }
}

crate::debug_as_display!(BlockingCallError);

impl Error for BlockingCallError {}
