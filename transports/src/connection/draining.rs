//! Deferreds that wait for the output to drain, completely or to the low watermark.

use torsade_protocols::Reason;
use torsade_reactor::{Deferred, Firer, defer};

use super::StreamConnection;
use super::state::State;

/// A Deferred that waits until unsent output is at most this many bytes.
pub(super) struct Waiter {
    at_most: usize,
    firer: Firer<()>,
}

impl StreamConnection {
    /// Fires once there are at most so many unsent bytes; fails with the reason if the connection is lost before.
    pub(super) fn when_unsent(&self, at_most: usize) -> Deferred<()> {
        let mut state = self.state.borrow_mut();
        if state.lifecycle.is_lost() {
            return defer::fail(Reason::ConnectionDone);
        }
        if state.has_drained_to(at_most) {
            return defer::succeed(());
        }
        let (deferred, firer) = Deferred::new();
        let waiters = &mut state.rare().waiters;
        // Cancelled waiters are removed here, so that they do not accumulate.
        waiters.retain(|waiter| !waiter.firer.is_called());
        waiters.push(Waiter { at_most, firer });
        deferred
    }

    /// Sends what can be sent; true if nothing is left.
    pub(super) fn flush_now(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.has_drained_to(0) {
            self.flush(&mut state);
            // A failure to write is reported then, and the rest is sent later.
            self.settle_later(&state);
        }
        state.has_drained_to(0) && !state.lifecycle.is_lost()
    }

    /// Called from the loop only.
    pub(super) fn notify_drained(&self) {
        loop {
            // Taken out before it fires: its callbacks may write, and wait again.
            let drained = self.state.borrow_mut().take_drained();
            let Some(waiter) = drained else { break };
            waiter.firer.callback(());
        }
    }
}

impl State {
    /// Dropped output does not count as drained, since its loss is still to be reported. Nor does what a compressor gathers until
    /// the end of the turn, since its compressed size is unknown.
    fn has_drained_to(&self, at_most: usize) -> bool {
        let gathers = at_most == 0 && self.chain.as_ref().is_some_and(|chain| chain.is_dirty());
        self.unsent() <= at_most && !gathers && !self.outgoing.has_failed() && !self.lifecycle.is_doomed()
    }

    fn take_drained(&mut self) -> Option<Waiter> {
        let waiters = &self.rare_if_any()?.waiters;
        let drained = waiters.iter().position(|waiter| self.has_drained_to(waiter.at_most))?;
        Some(self.rare().waiters.remove(drained))
    }
}

/// Fails the waiters of a lost connection.
pub(super) fn fail_waiters(waiters: Vec<Waiter>, reason: &Reason) {
    for waiter in waiters {
        waiter.firer.errback(reason.clone());
    }
}
