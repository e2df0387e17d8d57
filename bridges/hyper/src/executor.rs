//! hyper's tasks on the loop.

use std::future::Future;

use hyper::rt::Executor;
use torsade::Reactor;

/// Runs hyper's tasks on a reactor; HTTP/2 has one per request.
#[derive(Debug, Clone)]
pub struct TorsadeExecutor(Reactor);

impl TorsadeExecutor {
    /// An executor on `reactor`.
    #[must_use]
    pub fn new(reactor: &Reactor) -> Self {
        Self(reactor.clone())
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for TorsadeExecutor {
    fn execute(&self, future: F) {
        self.0.execute(future);
    }
}
