//! A descriptor whose reads and writes may block, so that the thread pool does them.
//!
//! Guarantees: one job at a time, so that bytes keep their order; at most one buffer is read ahead; a write counts as done, or
//! failed, only once the system has said so.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::PollFlags;
use rustix::io::retry_on_intr;

use super::Registry;
use super::thread_pool::ThreadPool;
use crate::backend::{Ready, Token};
use crate::poll_now::poll_now;

/// The most that one job reads or writes, in bytes.
const CHUNK: usize = 64 << 10;

/// The most that is written at once to a descriptor that the system has reported as writable: a pipe takes this much without
/// blocking (POSIX: at least 512).
const CHUNK_OF_POLLED: usize = 512;

/// What a job has read or written.
type Outcome = io::Result<Vec<u8>>;

pub(super) struct PooledDescriptor {
    descriptor: Arc<OwnedFd>,
    registry: Rc<Registry>,
    pool: Rc<ThreadPool>,
    token: Cell<Token>,
    /// Whether the system reports its readiness, so that no thread has to wait for it.
    polled: Cell<bool>,
    /// Whether a job is under way, or its outcome has not been taken.
    busy: Cell<bool>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    /// Bytes that were read and not given out yet.
    unread: RefCell<Vec<u8>>,
}

impl PooledDescriptor {
    pub(super) fn new(descriptor: OwnedFd, registry: Rc<Registry>, pool: Rc<ThreadPool>) -> Self {
        Self {
            descriptor: Arc::new(descriptor),
            registry,
            pool,
            token: Cell::new(Token::from_usize(usize::MAX)),
            polled: Cell::new(false),
            busy: Cell::new(false),
            outcome: Arc::default(),
            unread: RefCell::default(),
        }
    }

    /// Makes readiness reported under `token`: by the poll, if it supports the descriptor, and by each finished job.
    pub(super) fn begin(&self, token: Token, polled: bool) {
        self.token.set(token);
        self.polled.set(polled);
    }

    /// See [`Stream::read`](crate::backend::Stream::read).
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut unread = self.unread.borrow_mut();
        if unread.is_empty() {
            let Some(outcome) = self.take_outcome() else {
                if self.may_work(PollFlags::IN) {
                    self.work(Ready::READABLE, |descriptor| {
                        let mut read = vec![0; CHUNK];
                        let count = retry_on_intr(|| rustix::io::read(descriptor, &mut *read))?;
                        read.truncate(count);
                        Ok(read)
                    });
                }
                return Err(io::ErrorKind::WouldBlock.into());
            };
            *unread = outcome?;
        }
        let count = unread.as_slice().read(buffer)?;
        unread.drain(..count);
        Ok(count)
    }

    /// See [`Stream::write`](crate::backend::Stream::write): returns `WouldBlock` until the first bytes of `data` are written;
    /// the next call has to begin with the same bytes.
    pub(super) fn write(&self, data: &[u8]) -> io::Result<usize> {
        if let Some(outcome) = self.take_outcome() {
            return outcome.map(|written| written.len());
        }
        if self.may_work(PollFlags::OUT) {
            let longest = if self.polled.get() { CHUNK_OF_POLLED } else { CHUNK };
            let mut chunk = data.get(..longest).unwrap_or(data).to_vec();
            self.work(Ready::WRITABLE, |descriptor| {
                let count = retry_on_intr(|| rustix::io::write(descriptor, &chunk))?;
                chunk.truncate(count);
                Ok(chunk)
            });
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Returns whether no job is under way and, as far as the system can tell, one would not block.
    fn may_work(&self, flags: PollFlags) -> bool {
        if self.busy.get() {
            return false;
        }
        if !self.polled.get() {
            return true;
        }
        // On an error, the job will find it.
        poll_now(self, flags).map_or(true, |found| !found.is_empty())
    }

    fn work(&self, ready: Ready, job: impl FnOnce(&OwnedFd) -> io::Result<Vec<u8>> + Send + 'static) {
        self.busy.set(true);
        let (descriptor, outcome) = (Arc::clone(&self.descriptor), Arc::clone(&self.outcome));
        let (reports, token) = (Arc::clone(&self.registry.reports), self.token.get());
        self.pool.run(Box::new(move || {
            let done = job(&descriptor);
            // Nothing panics while it is locked.
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
            reports.add(token, ready);
        }));
    }

    /// The outcome of the job, once it is done.
    fn take_outcome(&self) -> Option<Outcome> {
        if !self.busy.get() {
            return None;
        }
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.busy.set(outcome.is_none());
        outcome
    }
}

impl AsFd for PooledDescriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
