//! A descriptor that may keep waiting whoever reads or writes it: the thread pool does.
//!
//! Guaranteed: one job at a time, so that bytes keep their order; at most one buffer read ahead; and what was written counts
//! as written, or has failed, only when the system has said so.

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

/// The most that is written at once to what the system has reported as writable: so much goes into a pipe without waiting
/// (POSIX: at least 512).
const CHUNK_OF_POLLED: usize = 512;

/// What a job has read or written.
type Outcome = io::Result<Vec<u8>>;

pub(super) struct PooledDescriptor {
    descriptor: Arc<OwnedFd>,
    registry: Rc<Registry>,
    pool: Rc<ThreadPool>,
    token: Cell<Token>,
    /// The system reports when it is ready, so that no thread needs to wait for that.
    polled: Cell<bool>,
    /// A job was begun whose outcome has not been taken.
    busy: Cell<bool>,
    outcome: Arc<Mutex<Option<Outcome>>>,
    /// What was read and has not been given out.
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

    /// Has readiness reported under `token`: by the poll, if that knows the descriptor, and by each job that is done.
    pub(super) fn begin(&self, token: Token, polled: bool) {
        self.token.set(token);
        self.polled.set(polled);
    }

    /// As [`Stream::read`](crate::backend::Stream::read).
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

    /// As [`Stream::write`](crate::backend::Stream::write): says `WouldBlock` until the first bytes of `data` are written, with
    /// which the next call begins as well.
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

    /// No job is under way, and as far as the system can tell one would not have to wait.
    fn may_work(&self, flags: PollFlags) -> bool {
        if self.busy.get() {
            return false;
        }
        if !self.polled.get() {
            return true;
        }
        // An error is the job's to find.
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

    /// What the job has done, once it has.
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
