//! A thread pool for blocking work.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::backend::Job;
use crate::panic::catch;
use crate::report::report_error;

/// The default, as in Twisted's pool.
const MAX_THREADS: usize = 10;

struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    limit: usize,
    closed: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { jobs: VecDeque::new(), threads: 0, idle: 0, limit: MAX_THREADS, closed: false }
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A pool of threads that are started when there is work, up to the limit, and end with the pool.
///
/// A job that blocks forever does not keep the process alive, because the threads are not joined.
#[derive(Default)]
pub(super) struct ThreadPool(Arc<Shared>);

impl ThreadPool {
    pub(super) fn run(&self, job: Job) {
        let mut state = self.0.lock();
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.threads < state.limit {
            self.begin_thread(&mut state);
        }
        drop(state);
        self.0.changed.notify_one();
    }

    pub(super) fn set_limit(&self, threads: usize) {
        let mut state = self.0.lock();
        state.limit = threads;
        // Jobs that waited because of the limit must not wait for another job, which may never come.
        let wanted = state.jobs.len().saturating_sub(state.idle).min(threads.saturating_sub(state.threads));
        for _ in 0..wanted {
            self.begin_thread(&mut state);
        }
        drop(state);
        self.0.changed.notify_all();
    }

    fn begin_thread(&self, state: &mut State) {
        let shared = Arc::clone(&self.0);
        match thread::Builder::new().name("torsade-pool".to_owned()).spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            Err(error) => {
                let (jobs, threads) = (state.jobs.len(), state.threads);
                report_error(
                    "thread pool",
                    format_args!("no thread for the pool: {error}; {jobs} jobs wait for {threads} threads"),
                );
            }
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next_job() {
            if let Err(panic) = catch(job) {
                report_error("thread pool job", format_args!("a job of the thread pool {panic}"));
            }
        }
    }

    fn next_job(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.threads > state.limit {
                state.threads -= 1;
                // It may have been notified of a job, which another thread has to take now.
                self.changed.notify_one();
                return None;
            }
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
