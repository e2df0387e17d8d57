//! One reactor per thread, to use several cores.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use crate::error::Result;
use crate::panic::{Panic, catch};
use crate::reactor::Reactor;
use crate::reactor::reactor_handle::ReactorHandle;

/// Runs `count` reactors, each on its own thread, until all of them have stopped.
///
/// On each thread `set_up` is called once with the [`Worker`], a reactor that is not running yet; then it runs. Workers share
/// nothing: connections, protocols and timers stay on the thread they were made on, and workers communicate by
/// [`call_from_thread`](ReactorHandle::call_from_thread) on each other's handles.
///
/// They are one program: when one stops, by [`Reactor::stop`], by a signal or because it failed, all are told to stop gracefully.
///
/// # One port
/// There are two ways to have all workers listen on one port; `listen_tcp` in each would fail because the port is in use.
///
/// - *One shared socket*, bound once and passed to each: `adopt_stream_port(listener.try_clone()?, ..)`. The first worker to wake
///   up takes a connection, so a busy worker takes fewer, a single burst may all go to one, and each connection wakes every idle
///   worker. Nothing is lost when a worker stops: the others accept the waiting connections.
/// - *A socket each* with [`reuse_port_listener`](crate::reuse_port_listener) (`SO_REUSEPORT`): the system distributes
///   connections by a hash of their addresses, evenly if there are many, regardless of load, and wakes one worker. But
///   connections waiting at the socket of a worker that stops are **reset**, also when a program is restarted by starting the new
///   one beside the old; and any program of the same user may listen there too and take a share.
///
/// Use the first unless you have measured that the second is better for you. It is better where many connections arrive at once
/// and stay: all workers then have about equally many.
///
/// # Errors
/// [`WorkerError`]: the error of the first worker that failed, once all have stopped.
///
/// # Examples
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use torsade::workers;
///
/// static SET_UP: AtomicUsize = AtomicUsize::new(0);
/// workers(2, |worker| {
///     SET_UP.fetch_add(1, Ordering::Relaxed);
///     if worker.index() == 1 {
///         // Worker 1 asks worker 0 to stop, which ends both.
///         worker.handles()[0].call_from_thread(|reactor| reactor.stop().unwrap_or(()))?;
///     }
///     Ok(())
/// })?;
/// assert_eq!(SET_UP.load(Ordering::Relaxed), 2);
/// # Ok::<(), torsade::WorkerError>(())
/// ```
pub fn workers(count: usize, set_up: impl Fn(&Worker) -> Result + Sync) -> Result<(), WorkerError> {
    thread::scope(|scope| {
        let (made, reactors) = channel();
        let mut threads = Vec::with_capacity(count);
        let mut starts = Vec::with_capacity(count);
        for index in 0..count {
            let (start, started) = channel();
            let (made, set_up) = (made.clone(), &set_up);
            let run = move || run_worker(index, made, &started, set_up);
            // If this fails, the threads made before find their channel closed, and end.
            threads.push(thread::Builder::new().name(format!("worker {index}")).spawn_scoped(scope, run)?);
            starts.push(start);
        }
        drop(made);
        let mut handles = Vec::with_capacity(count);
        for _ in 0..count {
            // A thread that ends without sending anything has panicked, which joining it will show. All others have sent.
            let Ok(reactor) = reactors.recv() else { break };
            handles.push(reactor?);
        }
        handles.sort_by_key(|(index, _)| *index);
        let handles: Arc<[ReactorHandle]> = handles.into_iter().map(|(_, handle)| handle).collect();
        // Consumed in any case: a thread that is not to be started learns that from its closed channel, and can be joined.
        for start in starts.into_iter().filter(|_| handles.len() == count) {
            // This fails only if the thread has ended.
            start.send(Arc::clone(&handles)).ok();
        }
        let results = threads.into_iter().enumerate().map(|(index, thread)| match thread.join() {
            Ok(result) => result,
            Err(payload) => Err(WorkerError::Panicked { worker: index, panic: payload.into() }),
        });
        // All are joined, whatever the result of the first.
        results.fold(Ok(()), Result::and)
    })
}

/// Makes a reactor on this thread, sends its handle to the others, and runs it.
fn run_worker(
    index: usize,
    made: Sender<io::Result<(usize, ReactorHandle)>>,
    started: &Receiver<Arc<[ReactorHandle]>>,
    set_up: impl Fn(&Worker) -> Result,
) -> Result<(), WorkerError> {
    let reactor = match Reactor::new() {
        Ok(reactor) => reactor,
        Err(error) => {
            made.send(Err(error)).ok();
            return Ok(());
        }
    };
    made.send(Ok((index, reactor.handle()))).ok();
    // Dropped, so that the channel closes if another thread ends without sending anything.
    drop(made);
    // Not started: another worker could not be made, which is the error.
    let Ok(handles) = started.recv() else { return Ok(()) };
    let worker = Worker { reactor, index, handles };
    // The loop is also covered by `catch`: if it panics, the others must not continue without this worker.
    let result = match catch(|| set_up(&worker).and_then(|()| worker.run())) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(WorkerError::Failed { worker: index, error: error.to_string() }),
        Err(panic) => Err(WorkerError::Panicked { worker: index, panic }),
    };
    for (_, other) in worker.handles.iter().enumerate().filter(|(other, _)| *other != index) {
        // On an error it has already stopped. If it is not running yet, it gets the call once it runs.
        other.call_from_thread(|reactor| reactor.stop().unwrap_or(())).ok();
    }
    // Only a reactor that failed still holds anything.
    worker.dismantle();
    result
}

/// One of several reactors, each on its own thread; made by [`workers`]. Use it like a [`Reactor`].
#[derive(Debug)]
pub struct Worker {
    reactor: Reactor,
    index: usize,
    handles: Arc<[ReactorHandle]>,
}

impl Worker {
    /// The index of this worker, from 0.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The handles of all workers by index, including this one's; clone the [`Arc`] to keep them.
    ///
    /// A handle's queue is unlimited. Where a worker could be flooded, let it answer each call before the next is sent.
    #[must_use]
    pub const fn handles(&self) -> &Arc<[ReactorHandle]> {
        &self.handles
    }
}

impl Deref for Worker {
    type Target = Reactor;

    fn deref(&self) -> &Reactor {
        &self.reactor
    }
}

/// Why [`workers`] ended before its workers were stopped.
#[non_exhaustive]
pub enum WorkerError {
    /// A worker's set-up or loop failed; contains the text of the error (errors cannot leave their thread).
    Failed {
        /// The worker's index.
        worker: usize,
        /// The error's text.
        error: String,
    },
    /// A worker's set-up panicked, or its loop did outside of a callback, which is a bug.
    Panicked {
        /// The worker's index.
        worker: usize,
        /// The panic.
        panic: Panic,
    },
    /// The system has no more threads, or no descriptors for a reactor. Use fewer workers.
    System(io::Error),
}

impl fmt::Display for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { worker, error } => write!(f, "worker {worker} failed: {error}"),
            Self::Panicked { worker, panic } => write!(f, "worker {worker} {panic}"),
            Self::System(error) => {
                write!(f, "the system has no thread or descriptors for another worker: {error}; try fewer workers")
            }
        }
    }
}

crate::debug_as_display!(WorkerError);

impl Error for WorkerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { .. } => None,
            Self::Panicked { panic, .. } => Some(panic),
            Self::System(error) => Some(error),
        }
    }
}

impl From<io::Error> for WorkerError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}
