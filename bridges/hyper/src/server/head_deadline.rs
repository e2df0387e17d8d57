//! The deadline for the next request of an HTTP/1 connection.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::DelayedCall;

use super::connections::Open;

/// The time in which the head of the next request has to arrive, from the end of the previous answer.
///
/// hyper's own deadline would set a timer for each request. This one is set once per timeout, and then checks what has arrived.
pub(super) struct HeadDeadline {
    open: Rc<Open>,
    timeout: Duration,
    /// Requests being answered; more than one only while an answer is dropped.
    answers: Cell<usize>,
    /// Since when there are none; `None` if there were some at the last check.
    idle_since: Cell<Option<Duration>>,
    passed: Cell<bool>,
    call: RefCell<Option<DelayedCall>>,
}

impl HeadDeadline {
    /// Starts now. When the deadline has passed, the connection is told to end.
    pub(super) fn begin(open: &Rc<Open>, timeout: Duration) -> Rc<Self> {
        let deadline = Rc::new(Self {
            open: Rc::clone(open),
            timeout,
            answers: Cell::new(0),
            idle_since: Cell::new(Some(open.now())),
            passed: Cell::new(false),
            call: RefCell::default(),
        });
        deadline.look_after(timeout);
        deadline
    }

    pub(super) const fn has_passed(&self) -> bool {
        self.passed.get()
    }

    fn look_after(self: &Rc<Self>, delay: Duration) {
        let deadline = Rc::downgrade(self);
        let look = move || deadline.upgrade().iter().for_each(Self::look);
        self.call.replace(Some(self.open.reactor().call_later(delay, look)));
    }

    fn look(self: &Rc<Self>) {
        // hyper may have taken all of an answer and still be sending it: a client that does not read is handled elsewhere.
        let answering = self.answers.get() > 0 || self.open.transport().unsent() > 0;
        let now = self.open.now();
        let since = if answering { None } else { Some(self.idle_since.get().unwrap_or(now)) };
        self.idle_since.set(since);
        let left = since.map_or(self.timeout / 3, |since| self.timeout.saturating_sub(now - since));
        if left.is_zero() {
            self.passed.set(true);
            self.open.end();
        } else {
            self.look_after(left);
        }
    }
}

impl Drop for HeadDeadline {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            // On an error it was already called.
            call.cancel().ok();
        }
    }
}

/// A request being answered: until then, it is not the client's turn.
pub(super) struct Answering(Rc<HeadDeadline>);

impl Answering {
    pub(super) fn begin(deadline: &Rc<HeadDeadline>) -> Self {
        deadline.answers.set(deadline.answers.get() + 1);
        Self(Rc::clone(deadline))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.set(self.0.answers.get() - 1);
        self.0.idle_since.set(Some(self.0.open.now()));
    }
}
