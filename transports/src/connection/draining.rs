//! Telling who waits for the output to drain, wholly or to the low watermark.

use torsade_protocols::Reason;
use torsade_reactor::{Deferred, Firer, defer};

use super::StreamConnection;
use super::state::State;

/// Someone who waits until there is no more unsent output than this, in bytes.
pub(super) struct Waiter {
    at_most: usize,
    firer: Firer<()>,
}

impl StreamConnection {
    /// Fires once there is so little unsent output; fails with the reason if the connection is lost before.
    pub(super) fn when_unsent(&self, at_most: usize) -> Deferred<()> {
        let mut state = self.state.borrow_mut();
        if state.life.is_lost() {
            return defer::fail(Reason::ConnectionDone);
        }
        if state.has_drained_to(at_most) {
            return defer::succeed(());
        }
        let (deferred, firer) = Deferred::new();
        let waiters = &mut state.rare().waiters;
        // Who has given up waiting is forgotten here, so that there are never more than one for each that waits.
        waiters.retain(|waiter| !waiter.firer.is_called());
        waiters.push(Waiter { at_most, firer });
        deferred
    }

    /// Sends what can be sent; true if nothing is left.
    pub(super) fn flush_now(&self) -> bool {
        let mut state = self.state.borrow_mut();
        if !state.has_drained_to(0) {
            self.flush(&mut state);
            // A failure to write is told then, and what is left goes on.
            self.settle_later(&state);
        }
        state.has_drained_to(0) && !state.life.is_lost()
    }

    /// Called from the loop only.
    pub(super) fn tell_drained(&self) {
        loop {
            // Taken out before it is told: it may write, and wait again.
            let drained = self.state.borrow_mut().take_drained();
            let Some(waiter) = drained else { break };
            waiter.firer.callback(());
        }
    }
}

impl State {
    /// What has been dropped is not drained: its loss is still to be told. Nor is what a compressor gathers until the end of the
    /// turn, of which nobody knows how much will be left to send.
    fn has_drained_to(&self, at_most: usize) -> bool {
        let gathers = at_most == 0 && self.chain.as_ref().is_some_and(|chain| chain.is_dirty());
        self.unsent() <= at_most && !gathers && !self.outgoing.has_failed() && !self.life.is_doomed()
    }

    fn take_drained(&mut self) -> Option<Waiter> {
        let waiters = &self.rare_if_any()?.waiters;
        let drained = waiters.iter().position(|waiter| self.has_drained_to(waiter.at_most))?;
        Some(self.rare().waiters.remove(drained))
    }
}

/// The connection is lost, and nothing more is sent.
pub(super) fn fail_waiters(waiters: Vec<Waiter>, reason: &Reason) {
    for waiter in waiters {
        waiter.firer.errback(reason.clone());
    }
}
