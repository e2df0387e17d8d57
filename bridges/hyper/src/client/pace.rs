//! The timeout for requests without progress.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

use super::error::ClientError;
use crate::TorsadeTimer;

/// The time of a request's last progress; a cheap handle.
#[derive(Clone)]
pub(super) struct Progress {
    timer: TorsadeTimer,
    last: Rc<Cell<Instant>>,
}

impl Progress {
    pub(super) fn note(&self) {
        self.last.set(self.timer.now());
    }
}

/// A deadline that progress postpones.
pub(super) struct Pace {
    progress: Progress,
    timeout: Duration,
    sleep: Pin<Box<dyn Sleep>>,
}

impl Pace {
    pub(super) fn new(timer: &TorsadeTimer, timeout: Duration) -> Self {
        let progress = Progress { timer: timer.clone(), last: Rc::new(Cell::new(timer.now())) };
        Self { sleep: timer.sleep(timeout), progress, timeout }
    }

    pub(super) const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Ready with the error once there has been no progress for too long.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<ClientError> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let deadline = self.progress.last.get() + self.timeout;
            if deadline <= self.progress.timer.now() {
                return Poll::Ready(ClientError::timed_out(self.timeout));
            }
            self.progress.timer.reset(&mut self.sleep, deadline);
        }
    }

    /// Waits for `future` as long as there is progress.
    pub(super) async fn keep<T>(&mut self, future: impl Future<Output = T>) -> Result<T, ClientError> {
        let mut future = pin!(future);
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => self.poll_late(context).map(Err),
        })
        .await
    }
}
