//! What is done with what comes on a connection.

use std::rc::Rc;

use torsade::prelude::*;

use super::handshake::Handshake;
use super::meeting::{Guest, Meeting, Seat, Stage};
use super::usage::Mood;

/// One of those who want to meet.
pub struct Connection {
    meeting: Rc<Meeting>,
    seat: Rc<Seat>,
}

impl Connection {
    pub fn new(meeting: &Rc<Meeting>) -> Self {
        Self { meeting: meeting.clone(), seat: Rc::default() }
    }

    fn guest(&self, transport: &LineTransport) -> Guest {
        Guest { transport: transport.clone(), seat: self.seat.clone() }
    }

    /// Closes it for a fault of its own.
    fn refuse(&self, transport: &LineTransport, mood: Mood) {
        transport.lose_connection();
        self.meeting.end(&self.guest(transport), mood);
    }

    /// It will send nothing any more.
    fn leave(&self, transport: &LineTransport) {
        let mood = match &*self.seat.stage.borrow() {
            Stage::Handshake => Mood::Empty,
            _ => Mood::Lonely,
        };
        self.meeting.end(&self.guest(transport), mood);
    }
}

impl LineProtocol for Connection {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        self.seat.started.set(transport.reactor().now());
        // A side that does not read is heard all the same, as in Twisted. What may wait for it is bounded by its partner's
        // pauses.
        transport.set_read_while_congested(true);
        // Neither pipes nor UNIX sockets have it, on which one may listen too.
        transport.set_tcp_keepalive(true).ok();
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        let Some(handshake) = Handshake::parse(line) else {
            transport.send_line("bad handshake");
            self.refuse(transport, Mood::Errory);
            return Ok(());
        };
        transport.set_raw_mode();
        self.meeting.arrive(self.guest(transport), handshake)
    }

    fn raw_data_received(&mut self, transport: &LineTransport, data: &[u8]) -> Result {
        if let Stage::Relaying { partner, .. } = &*self.seat.stage.borrow() {
            self.seat.sent.set(self.seat.sent.get() + data.len() as u64);
            partner.transport.write(data);
            return Ok(());
        }
        transport.send_line("impatient");
        self.refuse(transport, Mood::Impatient);
        Ok(())
    }

    /// As in Twisted, where a protocol that does not ask for half-closed streams has lost its connection now. Not left to
    /// `connection_lost`: that waits until this one has read everything, and its partner need not.
    fn read_connection_lost(&mut self, transport: &LineTransport) -> Result {
        self.leave(transport);
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, _reason: &Reason) -> Result {
        self.leave(transport);
        Ok(())
    }
}
