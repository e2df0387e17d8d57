//! Readiness that the system's poll does not know about.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::{Ready, Token, Wake};

/// Reports to be added to the next poll, from any thread.
pub(super) struct Reports {
    list: Mutex<Vec<(Token, Ready)>>,
    waker: Arc<mio::Waker>,
}

impl Reports {
    pub(super) fn new(waker: Arc<mio::Waker>) -> Self {
        Self { list: Mutex::default(), waker }
    }

    /// Reports that the source under `token` is ready, and ends a waiting poll.
    pub(super) fn add(&self, token: Token, ready: Ready) {
        self.lock().push((token, ready));
        Wake::wake(&*self.waker);
    }

    /// Appends the reports to `ready`.
    pub(super) fn take(&self, ready: &mut Vec<(Token, Ready)>) {
        ready.append(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Token, Ready)>> {
        // Nothing panics while it is held.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
