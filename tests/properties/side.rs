//! One side of a connection: what it has done, and what it may therefore expect.

use std::rc::{Rc, Weak};
use std::time::Duration;

use torsade::prelude::*;
use torsade::{CompressionError, Deadline, Format};

use super::chance::Chance;
use super::plan::{FoundBy, Kind, Plan, bytes, is_at};
use super::producer::Produced;
use super::world::World;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stage {
    Before,
    Live,
    Lost,
}

pub struct Side {
    pub name: String,
    pub number: usize,
    pub home: usize,
    pub chance: Chance,
    pub world: Weak<World>,
    pub stage: Stage,
    pub transport: Option<Transport>,
    pub reason: Option<Reason>,
    pub lost_at: Duration,
    /// A client's factory was stopped.
    pub called: bool,
    /// It is a UNIX socket, which cannot be reset.
    pub unix: bool,
    /// It uses TLS; it resumes a session; and the handshake is complete.
    pub tls: bool,
    pub resumes: bool,
    pub shaken: bool,

    /// The plan of what this side sends, and how many of its switches are done.
    pub plan: Plan,
    pub switched: usize,
    pub incoming: Plan,
    /// Bytes written, those that must arrive if nothing fails, and those received.
    pub written: u64,
    pub must: u64,
    pub received: u64,
    /// Half of an announcement arrived as plain bytes.
    pub torn: bool,
    /// A switch was refused since the connection is closing: nothing may be written after it.
    pub muted: bool,

    pub paused: bool,
    /// A `reading_resumed` is due, and bytes were given back.
    pub resumed: bool,
    pub given_back: bool,
    /// When a graceful close began: the tick, and the time.
    pub closing: Option<(u64, Duration)>,
    pub halved: Option<u64>,
    pub aborted: bool,
    pub failed: bool,
    pub panicked: bool,
    pub read_ended: bool,
    pub write_ended: bool,
    /// More was unsent than is allowed, at a time when it could still be written.
    pub exceeded: bool,
    pub over_cap: bool,
    pub producer: Option<Produced>,
    pub low: usize,
    pub high: usize,
    pub cap: usize,
    /// The turn in which the watermarks were last set.
    pub limits_set: u64,
    pub read_while_congested: bool,
    pub close_timeout: Duration,
    /// A token that the protocol owns too.
    pub token: Rc<()>,
}

impl Side {
    pub fn new(world: &Rc<World>, number: usize, home: usize, seed: u64, plans: (Plan, Plan)) -> Self {
        let role = if number.is_multiple_of(2) { "client" } else { "server" };
        Self {
            name: format!("the {role} of pair {}", number / 2),
            number,
            home,
            chance: Chance::new(seed, number as u64 + 10),
            world: Rc::downgrade(world),
            stage: Stage::Before,
            transport: None,
            reason: None,
            lost_at: Duration::ZERO,
            called: false,
            tls: false,
            unix: false,
            resumes: false,
            shaken: false,
            plan: plans.0,
            switched: 0,
            incoming: plans.1,
            written: 0,
            must: 0,
            received: 0,
            torn: false,
            muted: false,
            paused: false,
            resumed: false,
            given_back: false,
            closing: None,
            halved: None,
            aborted: false,
            failed: false,
            panicked: false,
            read_ended: false,
            write_ended: false,
            exceeded: false,
            over_cap: false,
            producer: None,
            low: 16 << 10,
            high: 64 << 10,
            cap: 16 << 20,
            limits_set: 0,
            read_while_congested: false,
            close_timeout: Duration::from_secs(30),
            token: Rc::new(()),
        }
    }

    pub fn world(&self) -> Rc<World> {
        self.world.upgrade().expect("the scenario goes on")
    }

    pub fn complain(&self, problem: impl std::fmt::Display) {
        self.world().complain(format!("{}, in turn {}: {problem}", self.name, self.turn()));
    }

    pub fn is_live(&self) -> bool {
        self.stage == Stage::Live
    }

    /// Prints what is done, when a single seed is run.
    pub fn trace(&self, what: impl std::fmt::Debug) {
        let world = self.world();
        if world.traced {
            let turn = self.turn();
            eprintln!("{:?} turn {turn}: {} {what:?}; {}", world.homes[self.home].reactor.now(), self.name, self.standing());
        }
    }

    fn standing(&self) -> String {
        let unsent = self.transport.as_ref().map_or(0, Transport::unsent);
        format!("{unsent} unsent, {} written, {} received, paused {}", self.written, self.received, self.paused)
    }

    /// Returns whether it can send more.
    pub fn is_open(&self) -> bool {
        self.is_live() && !self.is_ending() && !self.is_stopping() && self.halved.is_none()
    }

    /// Returns whether it was told to end in any way.
    pub fn is_ending(&self) -> bool {
        self.closing.is_some() || self.aborted || self.over_cap
    }

    /// Returns whether its program was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.world().homes[self.home].stopping.get()
    }

    pub fn turn(&self) -> u64 {
        self.world().homes[self.home].reactor.turn_number()
    }

    pub fn peer(&self) -> super::world::SharedSide {
        self.world().side(self.number ^ 1)
    }

    /// Returns whether what is written now is still sent.
    fn accepts(&self) -> bool {
        let tick = self.world().tick.get();
        let open = match self.closing {
            Some((at, _)) => at == tick || self.producer.is_some(),
            None => true,
        };
        open && self.is_live()
            && !self.is_stopping()
            && !self.aborted
            && !self.over_cap
            && self.halved.is_none_or(|at| at == tick || self.is_pulled())
    }

    /// Returns whether a pull producer is registered, for which a half-close waits.
    pub fn is_pulled(&self) -> bool {
        self.producer.as_ref().is_some_and(|produced| !produced.streaming)
    }

    /// Writes `count` bytes of our stream, switching where the plan says so. Returns whether they are taken.
    pub fn write(&mut self, mut count: u64) -> bool {
        let Some(transport) = self.transport.clone() else { return false };
        let mut taken = false;
        while count > 0 {
            self.pass_switches();
            if self.muted {
                break;
            }
            let room = self.plan.switches.get(self.switched).map_or(u64::MAX, |switch| switch.at - self.written);
            let size = count.min(room);
            taken |= self.accepts();
            let data = bytes(self.number as u64, self.written, size as usize);
            match self.chance.below(4) {
                0 => {
                    let (first, second) = data.split_at(data.len() / 2);
                    transport.write_sequence(&[first, b"", second]);
                }
                1 if self.chance.one_in(2) && !self.compresses_in_frames() => {
                    transport.write_shared(&SharedBytes::from(data).compressed_once())
                }
                1 => transport.write_shared(&SharedBytes::from(data)),
                _ => transport.write(&data),
            }
            self.written += size;
            count -= size;
            if self.accepts() {
                self.must = self.written;
            }
            self.check_unsent(&transport, size as usize);
        }
        if self.chance.one_in(2) {
            self.pass_switches();
        }
        taken
    }

    /// Returns whether a message that is compressed once is a frame of its own. A reader that expects plain bytes after the end
    /// of the stream takes the end of such a frame for it.
    fn compresses_in_frames(&self) -> bool {
        let last = self.plan.switches[..self.switched].last();
        matches!(last.map(|switch| &switch.kind), Some(Kind::Compress(compression)) if compression.format == Format::Zstd)
    }

    /// Does everything that the plan has for our stream's position.
    pub fn pass_switches(&mut self) {
        let Some(transport) = self.transport.clone() else { return };
        while let Some(switch) = self.plan.switches.get(self.switched).filter(|switch| switch.at == self.written && !self.muted) {
            match &switch.kind {
                Kind::Compress(compression) => match transport.set_compression(compression.clone()) {
                    Ok(()) => self.switched += 1,
                    Err(CompressionError::Closed) if !self.is_open() => self.muted = true,
                    Err(error) => {
                        self.complain(format_args!("set_compression: {error}"));
                        self.muted = true;
                    }
                },
                Kind::EndCompression => {
                    transport.end_compression();
                    self.check_unsent(&transport, 0);
                    self.switched += 1;
                }
            }
        }
    }

    /// The most bytes it has put on the wire: flushing small writes adds bytes there, and so do small records.
    pub fn on_the_wire(&self) -> u64 {
        let compressed = self.transport.as_ref().and_then(Transport::compression_stats).map_or(0, |stats| stats.wire_out);
        let bytes = self.written + compressed;
        if self.tls { 5000 + 30 * bytes } else { bytes }
    }

    /// Checks the limit of unsent bytes, and whether exceeding it ended the connection.
    pub fn check_unsent(&mut self, transport: &Transport, last: usize) {
        let unsent = transport.unsent();
        // What a compressor holds back is not counted, nor is an announcement.
        let slack = if self.switched > 0 { 200_000 } else { 0 } + if self.tls { 20_000 + last / 100 } else { 0 };
        if unsent > self.cap + last + slack && !self.exceeded {
            self.complain(format_args!("{unsent} bytes are unsent, {} are allowed", self.cap));
        }
        if unsent > self.cap && self.is_live() {
            self.exceeded = true;
            // Once the end of the stream is written there is no limit.
            self.over_cap |= self.accepts();
        }
    }

    /// Takes received bytes. Sometimes gives a part back, and passes the rest to a switch.
    pub fn take(&mut self, transport: &Transport, data: &[u8]) {
        let until_switch = self.incoming.next_expected(self.received).map_or(u64::MAX, |at| at - self.received);
        let wanted = if self.chance.one_in(12) { self.chance.below(data.len() as u64) } else { data.len() as u64 };
        let (ours, rest) = data.split_at(wanted.min(until_switch).min(data.len() as u64) as usize);
        if !is_at((self.number ^ 1) as u64, self.received, ours) && !self.is_torn() {
            self.complain(format_args!("other bytes came in than were sent, {} after {}", ours.len(), self.received));
        }
        self.given_back = false;
        if self.torn {
            return;
        }
        self.received += ours.len() as u64;
        if let Ok(peer) = self.peer().try_borrow()
            && self.received > peer.written
        {
            self.complain(format_args!("{} bytes came in, {} were written", self.received, peer.written));
        }
        if !ours.is_empty() && self.incoming.expected_at(self.received).is_some() {
            self.expect(transport, rest);
        } else if !rest.is_empty() {
            transport.unread(rest);
            self.given_back = true;
            self.resumed = true;
        }
    }

    /// An announcement that arrives in pieces, seconds apart, is taken for plain bytes, and ends the connection once it is
    /// complete. Only a peer that agrees on the switch can avoid that.
    fn is_torn(&mut self) -> bool {
        self.torn = self.torn || !self.world().calm && matches!(self.incoming.found_by, FoundBy::Announcement(_));
        self.torn
    }

    /// Follows a switch that the sender makes here.
    pub fn expect(&self, transport: &Transport, rest: &[u8]) {
        let Some(decompression) = self.incoming.expected_at(self.received) else { return };
        if let Err(error) = transport.expect_compression::<Decompression>(decompression, rest)
            && !(error == CompressionError::Closed && (self.is_ending() || self.is_stopping()))
        {
            self.complain(format_args!("expect_compression at {}: {error}", self.received));
        }
    }

    /// Switches detection on as the plan of the received bytes says.
    pub fn prepare(&mut self, transport: &Transport) {
        self.trace((&self.plan, "is what it sends"));
        if let FoundBy::Announcement(detect) = self.incoming.found_by {
            transport.set_detection(detect);
            if let Some(Kind::Compress(compression)) = self.incoming.switches.first().map(|switch| &switch.kind) {
                let limits = Decompression::from(compression.format).after_end(torsade::AfterEnd::Plain);
                transport.set_decompression_limits(&limits);
            }
        }
        if self.chance.one_in(2) {
            self.pass_switches();
        }
        self.expect(transport, b"");
    }

    /// Records that a graceful close was requested in this tick.
    pub fn begin_close(&mut self) {
        if self.is_live() && self.closing.is_none() && !self.aborted {
            let world = self.world();
            self.closing = Some((world.tick.get(), world.homes[self.home].reactor.now()));
        }
    }

    /// The producer is detached or gone: a close that waited for it begins now.
    pub fn end_producer(&mut self) {
        if self.producer.take().is_some() && self.closing.is_some() {
            let world = self.world();
            self.closing = Some((world.tick.get(), world.homes[self.home].reactor.now()));
        }
    }

    /// Returns whether `reason` has a cause on our side, or one that we cannot know.
    pub fn explains(&self, reason: &Reason) -> bool {
        match reason {
            Reason::CompressFailed(_) => false,
            Reason::ConnectionAborted => self.aborted,
            Reason::ConnectionDone => self.closing.is_some() || self.read_ended && self.halved.is_some(),
            // A flush adds to what was written.
            Reason::LimitExceeded { .. } => self.exceeded || self.switched > 0 || self.tls,
            Reason::Panicked(_) => self.panicked,
            Reason::Protocol(_) => self.failed,
            Reason::ShuttingDown => self.is_stopping(),
            Reason::TimedOut(Deadline::Flush) => self.closing.is_some(),
            Reason::Tls(_) => self.tls && !self.shaken,
            Reason::TimedOut(Deadline::Handshake) => self.tls && !self.shaken,
            Reason::TlsTruncated => self.tls,
            // The final verdict checks these.
            _ => true,
        }
    }
}
