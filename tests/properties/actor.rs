//! A side's protocol: checks every callback, and does something random in it.

use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;

use super::action::Outcome;
use super::side::{Side, Stage};
use super::world::SharedSide;

pub struct Actor {
    side: SharedSide,
    _token: Rc<()>,
}

impl Actor {
    pub fn new(side: &SharedSide) -> Self {
        let token = Rc::clone(&side.borrow().token);
        Self { side: Rc::clone(side), _token: token }
    }

    /// Runs a callback: checks the order, does its part, then a few random actions.
    fn callback(&self, name: &str, transport: &Transport, part: impl FnOnce(&mut Side)) -> Result {
        let mut side = self.side.borrow_mut();
        let side = &mut *side;
        side.world().next_tick();
        side.trace(name);
        side.check_callback(name, transport);
        part(side);
        side.act_in_callback()
    }
}

impl Side {
    fn check_callback(&self, name: &str, transport: &Transport) {
        let wanted = if name == "connection_made" { Stage::Before } else { Stage::Live };
        if self.stage != wanted {
            self.complain(format_args!("{name} was called where it is {:?}", self.stage));
        }
        if name != "connection_lost" && self.is_ending() {
            self.complain(format_args!("{name} was called after it was asked to end"));
        }
        if self.tls && !self.shaken && matches!(name, "data_received" | "read_connection_lost") && !self.is_ending() {
            self.complain(format_args!("{name} was called before the handshake was completed"));
        }
        let reads = matches!(name, "data_received" | "read_connection_lost" | "reading_resumed");
        if reads && (self.paused || !transport.is_reading()) {
            self.complain(format_args!("{name} was called while it does not read"));
        }
        if reads && self.read_ended && name != "reading_resumed" {
            self.complain(format_args!("{name} was called after the end of the stream"));
        }
        let set_now = self.limits_set == self.turn();
        if reads && transport.unsent() >= self.high && !self.read_while_congested && !set_now {
            self.complain(format_args!("{name} was called with {} bytes unsent, {} are high", transport.unsent(), self.high));
        }
    }

    fn act_in_callback(&mut self) -> Result {
        for _ in 0..self.chance.below(4) {
            match self.act(true) {
                Outcome::Go => {}
                Outcome::Fail => {
                    self.failed |= self.is_live();
                    self.fail();
                    return Err("a planned error".into());
                }
                Outcome::Panic => {
                    self.panicked |= self.is_live();
                    self.fail();
                    panic!("a planned panic");
                }
            }
        }
        Ok(())
    }

    /// A close completes: 30 s without progress (here up to a minute) end it, and the peer takes what is on the wire.
    fn check_close_time(&self) {
        let Some((_, begin)) = self.closing else { return };
        let world = self.world();
        let took = world.homes[self.home].reactor.now() - begin;
        let bound = Duration::from_secs(150 + 60 * world.partitions.get()) + world.byte_time.mul_f64(self.on_the_wire() as f64);
        if took > bound {
            self.complain(format_args!("closing took {took:?}"));
        }
    }

    /// The callback is about to fail: that closes the connection, whatever its producer does.
    pub fn fail(&mut self) {
        self.begin_close();
        self.end_producer();
    }
}

impl Protocol for Actor {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.callback("connection_made", transport, |side| {
            side.stage = Stage::Live;
            side.transport = Some(transport.clone());
            side.prepare(transport);
            let world = side.world();
            if world.ending.get() {
                transport.lose_connection();
                side.begin_close();
            }
            for _ in 0..side.chance.below(4) {
                side.act_later();
            }
        })
    }

    fn handshake_completed(&mut self, transport: &Transport) -> Result {
        self.callback("handshake_completed", transport, |side| {
            if !side.tls || std::mem::replace(&mut side.shaken, true) {
                side.complain("a handshake was completed that nothing began");
            }
            if transport.tls_info().is_none_or(|info| info.resumed != side.resumes) {
                side.complain("it resumed no session, or one that it did not have");
            }
        })
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.callback("data_received", transport, |side| {
            if data.is_empty() || data.len() > 65_536 {
                side.complain(format_args!("data_received with {} bytes", data.len()));
            }
            side.take(transport, data);
        })
    }

    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        self.callback("read_connection_lost", transport, |side| {
            if side.given_back {
                side.complain("the end came before what was given back");
            }
            side.read_ended = true;
            // Half of them keep writing.
            if side.chance.one_in(2) {
                transport.lose_connection();
                side.begin_close();
            }
        })
    }

    fn write_connection_lost(&mut self, transport: &Transport) -> Result {
        self.callback("write_connection_lost", transport, |side| {
            if side.halved.is_none() || std::mem::replace(&mut side.write_ended, true) || transport.unsent() > 0 {
                side.complain(format_args!("write_connection_lost with {} bytes unsent", transport.unsent()));
            }
        })
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        self.callback("reading_resumed", transport, |side| side.resumed = false)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.callback("connection_lost", transport, |side| {
            side.trace(reason);
            side.stage = Stage::Lost;
            if !side.explains(reason) {
                side.complain(format_args!("it was lost for no cause: {reason}"));
            }
            if transport.is_connected() || transport.is_reading() || transport.unsent() > 0 {
                side.complain("a lost transport is not");
            }
            if side.producer.as_ref().is_some_and(|produced| !produced.stopped) {
                side.complain("the producer was not stopped");
            }
            side.check_close_time();
            side.lost_at = transport.reactor().now();
            side.reason = Some(reason.clone());
        })
    }
}
