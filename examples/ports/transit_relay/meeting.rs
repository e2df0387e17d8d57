//! Who waits for whom: what all connections share.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use super::handshake::Handshake;
use super::usage::{Mood, Usage};

/// Where a connection is; the original's states.
pub enum Stage {
    /// Its line has not come.
    Handshake,
    /// Somebody with this token, of another side, has not come.
    Waiting(Handshake),
    /// What comes goes to the partner.
    Relaying { partner: Guest, has_waited: bool },
    /// Its record is written, and what still comes is nobody's.
    Done,
}

/// What a connection and its partner know of it.
pub struct Seat {
    pub stage: RefCell<Stage>,
    /// When it came, by the reactor's clock.
    pub started: Cell<Duration>,
    /// How many bytes of it went to its partner.
    pub sent: Cell<u64>,
}

impl Default for Seat {
    fn default() -> Self {
        Self { stage: RefCell::new(Stage::Handshake), started: Cell::default(), sent: Cell::default() }
    }
}

/// A connection, for others.
#[derive(Clone)]
pub struct Guest {
    pub transport: LineTransport,
    pub seat: Rc<Seat>,
}

impl Guest {
    /// What this one's peer reads no faster than it can, the partner's peer sends no faster.
    fn join(&self, partner: &Self, has_waited: bool) -> Result {
        self.transport.send_line("ok");
        self.transport.register_producer(Transport::clone(&partner.transport), true)?;
        self.seat.stage.replace(Stage::Relaying { partner: partner.clone(), has_waited });
        Ok(())
    }
}

/// All who wait, and where records go.
pub struct Meeting {
    waiting: RefCell<BTreeMap<Vec<u8>, Vec<Guest>>>,
    usage: Usage,
}

impl Meeting {
    pub fn new(usage: Usage) -> Self {
        Self { waiting: RefCell::default(), usage }
    }

    /// Connects the guest with the first who fits, or has it wait. Others who wait with that token are not needed any more: they
    /// are of the side that was met, by another way through the network.
    pub fn arrive(&self, guest: Guest, handshake: Handshake) -> Result {
        let mut waiting = self.waiting.borrow_mut();
        let fitting = |old: &Guest| matches!(&*old.seat.stage.borrow(), Stage::Waiting(old) if old.meets(&handshake));
        let found = waiting.get(&handshake.token).and_then(|guests| guests.iter().position(fitting));
        let Some(found) = found else {
            let guests = waiting.entry(handshake.token.clone()).or_default();
            guest.seat.stage.replace(Stage::Waiting(handshake));
            guests.push(guest);
            return Ok(());
        };
        let mut guests = waiting.remove(&handshake.token).unwrap_or_default();
        drop(waiting);
        let partner = guests.remove(found);
        for spare in guests {
            self.end(&spare, Mood::Redundant);
            spare.transport.lose_connection();
        }
        guest.join(&partner, false)?;
        partner.join(&guest, true)
    }

    /// Writes the guest's record, unless it is written, and has nobody wait for it: a partner is closed, once everything is sent.
    pub fn end(&self, guest: &Guest, mood: Mood) {
        let now = guest.transport.reactor().now();
        let (started, sent) = (guest.seat.started.get(), guest.seat.sent.get());
        match guest.seat.stage.replace(Stage::Done) {
            Stage::Done => {}
            Stage::Handshake => self.usage.record(now, started, None, sent, mood),
            Stage::Waiting(handshake) => {
                self.forget(guest, &handshake);
                self.usage.record(now, started, None, sent, mood);
            }
            Stage::Relaying { partner, has_waited } => {
                partner.seat.stage.replace(Stage::Done);
                partner.transport.lose_connection();
                let (sent, other) = (sent + partner.seat.sent.get(), partner.seat.started.get());
                let (started, other) = if has_waited { (started, other) } else { (other, started) };
                self.usage.record(now, started, Some(other), sent, Mood::Happy);
            }
        }
    }

    fn forget(&self, guest: &Guest, handshake: &Handshake) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(guests) = waiting.get_mut(&handshake.token) {
            guests.retain(|other| !Rc::ptr_eq(&other.seat, &guest.seat));
            if guests.is_empty() {
                waiting.remove(&handshake.token);
            }
        }
    }
}
