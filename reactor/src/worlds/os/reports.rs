//! Readiness that the system's poll does not know of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::backend::{Ready, Token, Wake};

/// What is to be reported by the next poll, in addition to what the system says; from any thread.
pub(super) struct Reports {
    list: Mutex<Vec<(Token, Ready)>>,
    waker: Arc<mio::Waker>,
}

impl Reports {
    pub(super) fn new(waker: Arc<mio::Waker>) -> Self {
        Self { list: Mutex::default(), waker }
    }

    /// Reports that the source under `token` is ready, and ends the poll that waits.
    pub(super) fn add(&self, token: Token, ready: Ready) {
        self.lock().push((token, ready));
        Wake::wake(&*self.waker);
    }

    /// Moves them to the end of `ready`.
    pub(super) fn take(&self, ready: &mut Vec<(Token, Ready)>) {
        ready.append(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Token, Ready)>> {
        // Nothing panics while it is held.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
