//! What must hold at the end.

use std::rc::Rc;

use torsade::simulated::Faults;
use torsade::{DecompressErrorKind, Reason};

use super::side::{Side, Stage};
use super::world::{Home, World};

impl Side {
    /// Returns whether everything that it wrote was sent, and then the end of its stream.
    fn has_finished(&self) -> bool {
        let finished = match self.reason {
            Some(Reason::ConnectionDone) => true,
            // Only a reset shows that the close was given up in the end.
            Some(Reason::Protocol(_) | Reason::Panicked(_)) => !self.unix,
            _ => false,
        };
        finished && !self.aborted && !self.over_cap
    }

    fn check_end(&self, peer: &Self, peaceful: bool) {
        if self.stage == Stage::Live {
            self.complain("it is never lost");
        }
        if self.received > peer.written {
            self.complain(format_args!("{} bytes came in, {} were written", self.received, peer.written));
        }
        if self.torn {
            return self.check_torn();
        }
        if self.read_ended && peer.has_finished() && self.received < peer.must {
            self.complain(format_args!("the end came after {} bytes, {} were sent", self.received, peer.must));
        }
        // A system gives up a peer that does not read, whatever the program has closed.
        let peaceful = peaceful && self.lost_at < Faults::calm().retransmission_timeout;
        // The peer's lingering socket stays open only for its close timeout, and may not survive a stop of its reactor.
        let peaceful = peaceful && self.lost_at < peer.lost_at + peer.close_timeout && !peer.is_stopping();
        match &self.reason {
            // A close after a fault does not end the compressed stream.
            Some(Reason::Decompress(error))
                if error.kind != DecompressErrorKind::Truncated
                    || peer.has_finished() && matches!(peer.reason, Some(Reason::ConnectionDone)) =>
            {
                self.complain(format_args!("{error}"));
            }
            Some(Reason::ConnectionLost(error))
                if peaceful && matches!(peer.reason, Some(Reason::ConnectionDone)) && !peer.aborted =>
            {
                self.complain(format_args!("it was lost ({error}), and its peer closed in order"));
            }
            _ => {}
        }
        if Rc::strong_count(&self.token) > 1 {
            self.complain("its protocol was not dropped");
        }
    }
}

impl Side {
    /// Half of an announcement arrived: if anything came after it, the other half must have ended the connection.
    fn check_torn(&self) {
        let ended = match &self.reason {
            Some(Reason::Decompress(error)) => error.kind == DecompressErrorKind::AnnouncementSplit,
            Some(Reason::ConnectionDone | Reason::TimedOut(_)) => self.is_ending(),
            _ => true,
        };
        if !ended {
            self.complain(format_args!("other bytes came in than were sent, and it ended with {:?}", self.reason));
        }
    }

    /// Returns whether everything that its peer wrote has to arrive here, given time.
    fn is_owed(&self, peer: &Self) -> bool {
        let goes_on = |side: &Self| side.is_live() && !side.is_ending() && !side.is_stopping();
        // Neither reads while each waits for the other to read.
        let unsent = |side: &Self| side.transport.as_ref().map_or(0, torsade::Transport::unsent);
        let stalled = unsent(self) > self.low && !self.read_while_congested;
        goes_on(self) && goes_on(peer) && !stalled && !self.torn
    }

    fn is_waiting(&self) -> bool {
        let peer = self.peer();
        let peer = peer.borrow();
        self.is_owed(&peer) && self.received < peer.must
    }
}

impl World {
    /// Returns whether everything that can arrive has arrived.
    pub fn has_arrived(&self) -> bool {
        !self.sides.borrow().iter().any(|side| side.borrow().is_waiting())
    }

    pub fn check_arrived(&self) {
        for side in &*self.sides.borrow() {
            let side = side.borrow();
            if side.is_waiting() {
                side.complain(format_args!("only {} of {} bytes have arrived", side.received, side.peer().borrow().must));
            }
        }
    }

    /// Returns whether all connections, connectors and lingering sockets have ended, and the scenario's delayed calls.
    pub fn is_over(&self) -> bool {
        let is_idle = |home: &Home| home.timers.get() == 0 && home.reactor.source_count() == 0;
        let idle = self.homes.iter().all(|home| !home.reactor.is_running() || is_idle(home));
        idle && self.sides.borrow().iter().all(|side| {
            let side = side.borrow();
            side.stage != Stage::Live && (side.called || side.number % 2 == 1)
        })
    }

    /// Checks every side, and what is left in the reactors.
    pub fn check_end(&self, faults: &Faults) {
        let peaceful = self.partitions.get() == 0 && faults.reset == 0.0 && faults.stuck == 0.0 && faults.accept_aborted == 0.0;
        let peaceful = peaceful && faults.accept_out_of_descriptors == 0.0;
        for (number, side) in self.sides.borrow().iter().enumerate() {
            side.borrow().check_end(&self.side(number ^ 1).borrow(), peaceful);
        }
        for home in &self.homes {
            // A port that has run out of descriptors tries again, and finds that it is closed.
            let ports = if faults.accept_out_of_descriptors > 0.0 { self.sides.borrow().len() / 2 } else { 0 };
            let (sources, calls) = (home.reactor.source_count(), home.reactor.delayed_calls());
            if sources > 0 {
                self.complain(format!("{sources} sources are left"));
            }
            if calls > home.timers.get() + ports && home.reactor.is_running() {
                self.complain(format!("{calls} delayed calls are left, {} are the scenario's", home.timers.get()));
            }
        }
    }
}
