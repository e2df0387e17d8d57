//! What must hold whenever time moves on: nobody has anything left to do.

use std::cell::Cell;
use std::time::Duration;

use torsade::simulated::Simulation;

use super::side::Side;
use super::world::World;

impl Side {
    /// Looks for anything that was due and not done.
    fn check_rest(&self) {
        let Some(transport) = self.transport.as_ref().filter(|_| self.is_live()) else { return };
        let unsent = transport.unsent();
        if self.aborted || self.over_cap {
            self.complain("it was aborted, and is not lost");
        }
        let closing = self.closing.is_some() || self.is_stopping();
        if self.closing.is_some() && self.producer.is_none() && self.read_ended && unsent == 0 {
            self.complain("both streams have ended, and it is not lost");
        }
        // Writing fails as soon as the peer has closed; reading reports that a moment later.
        let fails = self.unix && !self.peer().borrow().is_live();
        let halved = self.halved.is_some() && !self.is_pulled();
        if halved && self.read_ended && unsent == 0 && !closing {
            self.complain("both halves have ended, and it is not lost");
        }
        if halved && unsent == 0 && !self.write_ended && !closing && !fails {
            self.complain("all is sent, and write_connection_lost was not called");
        }
        let reading = !self.paused && !closing && (unsent <= self.low || self.read_while_congested);
        if reading && self.given_back {
            self.complain("what was given back was not delivered");
        }
        if reading && self.resumed {
            self.complain("reading_resumed was not called");
        }
        if let Some(produced) = self.producer.as_ref().filter(|_| !self.is_stopping() && !fails) {
            match (produced.streaming, produced.paused) {
                (true, false) if unsent >= self.high => self.complain(format_args!("its producer goes on with {unsent} unsent")),
                (true, true) if unsent <= self.low => self.complain(format_args!("its producer waits with {unsent} unsent")),
                (false, _) if unsent == 0 && !produced.dry => self.complain("its pull producer is not asked"),
                _ => {}
            }
        }
    }
}

/// Checks everything each time that time has moved.
pub struct Watch {
    simulation: Simulation,
    last: Cell<Duration>,
}

impl Watch {
    pub fn new(simulation: &Simulation) -> Self {
        Self { simulation: simulation.clone(), last: Cell::new(simulation.now()) }
    }

    /// Returns whether something is wrong.
    pub fn look(&self, world: &World) -> bool {
        if self.last.replace(self.simulation.now()) != self.simulation.now() {
            world.sides.borrow().iter().for_each(|side| side.borrow().check_rest());
        }
        world.has_problem()
    }
}
