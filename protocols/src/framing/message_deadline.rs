//! The deadline for the rest of a message.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::DelayedCall;

use crate::reason::{Deadline, Reason};
use crate::transport::Transport;

/// How long a message may take to arrive by default.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For each this many bytes received, a message may take one second longer: a long message on a slow line is not cut off, but
/// sending a byte now and then gains nothing.
const BYTES_A_SECOND: usize = 1000;

/// Closes the connection of a peer that begins a message and does not finish it.
///
/// The time runs while the rest of a message is missing, but not while reading is paused, since the rest may already have
/// arrived. A message that arrives whole costs only a flag.
pub(crate) struct MessageDeadline(Rc<Wait>);

struct Wait {
    timeout: Cell<Option<Duration>>,
    /// Bytes of the unfinished message; 0 if there is none.
    held: Cell<usize>,
    /// When the wait for the rest of it began.
    began: Cell<Duration>,
    /// Whether the next wait starts afresh.
    restarted: Cell<bool>,
    call: RefCell<Option<DelayedCall>>,
}

impl MessageDeadline {
    /// Sets how long a message may take, from the next one on; `None` for no limit.
    pub(crate) fn set_timeout(&self, timeout: Option<Duration>) {
        self.0.timeout.set(timeout);
    }

    /// A message was delivered, or reading was resumed: the next wait has the full time.
    pub(crate) fn restart(&self) {
        self.0.restarted.set(true);
    }

    /// Records that `held` bytes of an incomplete message have arrived; 0 if there is none, or its rest is not awaited.
    pub(crate) fn wait_for_rest(&self, transport: &Transport, held: usize) {
        let wait = &self.0;
        let begins = wait.restarted.take() || wait.held.get() == 0 || wait.call.borrow().is_none();
        wait.held.set(held);
        // If the rest has arrived, the call stays for the next message: otherwise each line that comes in two reads would make
        // one.
        if let Some(timeout) = wait.timeout.get().filter(|_| begins && held > 0) {
            wait.began.set(transport.reactor().now());
            wait.arm(transport, timeout);
        }
    }

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
        // If reading is paused, the wait continues when it is resumed.
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
            // It may be expiring just now; then it finds nothing to wait for.
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
            restarted: Cell::new(false),
            call: RefCell::default(),
        }))
    }
}

impl Drop for MessageDeadline {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
