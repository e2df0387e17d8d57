//! hyper's timers on the loop.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::rt::{self, Timer};
use send_wrapper::SendWrapper;
use torsade::{DelayedCall, Reactor};

/// hyper's clock and timers on a reactor: deadlines are timers of the loop, also in simulated time.
///
/// hyper requires timers that are `Send`. This one is, but can be used only on its reactor's thread, where the connections are:
/// elsewhere it panics.
#[derive(Clone)]
pub struct TorsadeTimer {
    reactor: SendWrapper<Reactor>,
    /// The instant at which the reactor's time was zero.
    zero: Instant,
}

impl TorsadeTimer {
    /// The time of `reactor`.
    #[must_use]
    pub fn new(reactor: &Reactor) -> Self {
        let now = Instant::now();
        Self { reactor: SendWrapper::new(reactor.clone()), zero: now.checked_sub(reactor.now()).unwrap_or(now) }
    }

    pub(crate) fn reactor(&self) -> &Reactor {
        &self.reactor
    }
}

impl fmt::Debug for TorsadeTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TorsadeTimer").finish_non_exhaustive()
    }
}

impl Timer for TorsadeTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(&self.reactor, self.reactor.now().saturating_add(duration)))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(Sleep::new(&self.reactor, deadline.saturating_duration_since(self.zero)))
    }

    fn now(&self) -> Instant {
        self.zero + self.reactor.now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(sleep) => sleep.get_mut().0.deadline = deadline.saturating_duration_since(self.zero),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

struct Sleep(SendWrapper<Sleeping>);

struct Sleeping {
    reactor: Reactor,
    deadline: Duration,
    waker: Rc<RefCell<Option<Waker>>>,
    /// Wakes at or before our deadline. Postponing the deadline, as hyper does for every request, leaves the call as it is: it is
    /// rescheduled if it has woken too early.
    call: Option<(Duration, DelayedCall)>,
}

impl Sleep {
    fn new(reactor: &Reactor, deadline: Duration) -> Self {
        Self(SendWrapper::new(Sleeping { reactor: reactor.clone(), deadline, waker: Rc::default(), call: None }))
    }
}

impl rt::Sleep for Sleep {}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleeping = &mut *self.get_mut().0;
        let now = sleeping.reactor.now();
        if now >= sleeping.deadline {
            sleeping.cancel();
            return Poll::Ready(());
        }
        sleeping.waker.replace(Some(context.waker().clone()));
        let in_time = sleeping.call.as_ref().filter(|(time, call)| *time <= sleeping.deadline && call.active());
        if in_time.is_none() {
            sleeping.cancel();
            let waker = Rc::clone(&sleeping.waker);
            let call = sleeping.reactor.call_later(sleeping.deadline - now, move || {
                if let Some(waker) = waker.take() {
                    waker.wake();
                }
            });
            sleeping.call = Some((sleeping.deadline, call));
        }
        Poll::Pending
    }
}

impl Sleeping {
    fn cancel(&mut self) {
        if let Some((_, call)) = self.call.take() {
            // On an error it was already called.
            call.cancel().ok();
        }
    }
}

impl Drop for Sleeping {
    fn drop(&mut self) {
        self.cancel();
    }
}
