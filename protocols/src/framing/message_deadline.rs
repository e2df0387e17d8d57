//! The time in which the rest of a message has to come.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::DelayedCall;

use crate::reason::{Deadline, Reason};
use crate::transport::Transport;

/// How long a message may take to come, unless that is set.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For each so many bytes of it that have come, a message may take a second more: a long one on a slow line is not cut
/// off, and a byte now and then gains nothing.
const BYTES_A_SECOND: usize = 1000;

/// Closes the connection of a peer that begins a message and does not finish it.
///
/// It runs while the peer owes us the rest of a message. It does not run while the connection is not read from: what is
/// missing may have come. A message that comes whole costs a flag.
pub(crate) struct MessageDeadline(Rc<Wait>);

struct Wait {
    timeout: Cell<Option<Duration>>,
    /// Bytes of the unfinished message; none if there is no such message.
    held: Cell<usize>,
    /// When the wait for the rest of it began.
    began: Cell<Duration>,
    /// The next wait is not the one that runs.
    anew: Cell<bool>,
    call: RefCell<Option<DelayedCall>>,
}

impl MessageDeadline {
    /// Sets how long a message may take, from the next one on; none for no limit.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        self.0.timeout.set(timeout);
    }

    /// A message was delivered, or reading goes on: the next wait has all its time.
    pub(crate) fn begin_anew(&self) {
        self.0.anew.set(true);
    }

    /// Of what has come, `held` bytes are of a message whose rest has not; 0 if there is none, or it is not waited for.
    pub(crate) fn wait_for_rest(&self, transport: &Transport, held: usize) {
        let wait = &self.0;
        let begins = wait.anew.take() || wait.held.get() == 0 || wait.call.borrow().is_none();
        wait.held.set(held);
        // Where the rest has come, the call stays for the next message: lines that come in two reads would each make one.
        if let Some(timeout) = wait.timeout.get().filter(|_| begins && held > 0) {
            wait.began.set(transport.reactor().now());
            wait.arm(transport, timeout);
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn forget(&self) {
        self.0.held.set(0);
        self.0.cancel();
    }
}

impl Wait {
    fn arm(self: &Rc<Self>, transport: &Transport, delay: Duration) {
        let put_off = self.call.borrow().as_ref().is_some_and(|call| call.reset(delay).is_ok());
        if put_off {
            return;
        }
        let (wait, owing) = (Rc::downgrade(self), transport.clone());
        let call = transport.reactor().call_later(delay, move || {
            if let Some(wait) = wait.upgrade() {
                wait.expired(&owing);
            }
        });
        self.call.replace(Some(call));
    }

    fn expired(self: &Rc<Self>, transport: &Transport) {
        self.call.take();
        // Once reading goes on, the wait does.
        let Some(timeout) = self.timeout.get().filter(|_| self.held.get() > 0 && transport.is_reading()) else { return };
        let earned = Duration::from_secs((self.held.get() / BYTES_A_SECOND) as u64);
        let due = self.began.get().saturating_add(timeout).saturating_add(earned);
        match due.checked_sub(transport.reactor().now()).filter(|left| !left.is_zero()) {
            Some(left) => self.arm(transport, left),
            None => transport.connection().fail_with(Reason::TimedOut(Deadline::Message)),
        }
    }

    fn cancel(&self) {
        let call = self.call.take();
        if let Some(call) = call {
            // It may be expiring just now, and finds nothing to wait for.
            call.cancel().ok();
        }
    }
}

impl Default for MessageDeadline {
    fn default() -> Self {
        Self(Rc::new(Wait {
            timeout: Cell::new(Some(TIMEOUT)),
            held: Cell::new(0),
            began: Cell::default(),
            anew: Cell::new(false),
            call: RefCell::default(),
        }))
    }
}

impl Drop for MessageDeadline {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
