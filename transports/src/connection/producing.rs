//! Pausing, resuming and stopping producers.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::rc::Rc;

use torsade_protocols::spi::{Consumers, weight};
use torsade_protocols::{Producer, ProducerError};
use torsade_reactor::report_error;
use torsade_reactor::spi::{catch, drop_quietly};

use super::StreamConnection;
use super::registered_producer::{RegisteredProducer, SharedProducer};
use super::state::State;

/// The unsent bytes up to which a new pull producer is asked for the first time.
const FRESH_UNSENT: usize = 16 << 10;

/// The most and the fewest bytes of a file that are sent per turn; the fewest even if little [work](torsade_protocols::spi::Work)
/// is left.
const MOST_SENT: u64 = 1 << 20;
const LEAST_SENT: u64 = 16 << 10;

/// The next call to a producer.
#[derive(Clone, Copy)]
enum Call {
    Pause,
    Resume,
}

impl StreamConnection {
    /// Makes at most one call to the producer.
    pub(super) fn drive_producer(self: &Rc<Self>) {
        let next = self.state.borrow_mut().next_producer_call();
        let Some((producer, call)) = next else { return };
        let before = self.state.borrow().bytes_out;
        match call {
            Call::Pause => self.call_user("pause_producing", |transport| producer.borrow_mut().pause_producing(transport)),
            Call::Resume => self.call_user("resume_producing", |transport| producer.borrow_mut().resume_producing(transport)),
        }
        let mut state = self.state.borrow_mut();
        let dry_at = (state.bytes_out == before).then_some(before);
        // During the call it may have been replaced by one that was not asked yet.
        if let Some(registered) = state.producer_mut()
            && Rc::ptr_eq(&registered.producer, &producer)
        {
            registered.dry_at = dry_at;
        }
        drop(state);
        // Drops it if it was unregistered during the call.
        drop_quietly("a producer", producer);
    }

    /// Sends what it can of the next bytes of a file: [`Connection::send_file`](torsade_protocols::spi::Connection::send_file).
    pub(super) fn send_from(&self, file: &File, limit: u64) -> Option<u64> {
        let mut state = self.state.borrow_mut();
        if !state.takes_output() || state.chain.is_some() {
            return None;
        }
        // Earlier writes go first.
        self.write_out(&mut state);
        if state.unsent() > 0 {
            state.wait_for_room();
        }
        if state.unsent() > 0 || !state.takes_output() {
            return Some(0);
        }
        let limit = limit.min((self.work.left() * weight::FILE_BYTES).clamp(LEAST_SENT, MOST_SENT));
        let mut sent = 0;
        let ended = loop {
            if sent == limit {
                break false;
            }
            if !state.writable {
                state.wait_for_room();
                break false;
            }
            match state.stream.as_ref()?.send_file(file, (limit - sent) as usize) {
                Ok(None | Some(0)) => break true,
                // Even if short: only the next try shows whether the file has ended or the socket is full.
                Ok(Some(count)) => sent += count as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => state.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.fail_writing(&mut state, error);
                    break false;
                }
            }
        };
        self.work.spend(sent / weight::FILE_BYTES);
        if sent > 0 {
            self.in_flight.set(true);
            state.bytes_out += sent;
            state.bytes_sent += sent;
        }
        (!ended || sent > 0).then_some(sent)
    }

    /// Calls a producer's `stop_producing`. Called from the loop only.
    pub(super) fn stop_producer(&self, registered: Option<RegisteredProducer>) {
        let Some(registered) = registered else { return };
        // It is also dropped in there.
        if let Err(panic) = catch(move || registered.producer.borrow_mut().stop_producing()) {
            report_error("stop_producing", format_args!("connection {}: stopping its producer {panic}", self.id));
        }
    }

    /// Unregisters this connection where it is the producer, since nothing more is read here.
    pub(super) fn leave_consumers(&self) {
        let consumers = self.state.borrow_mut().take_spent_consumers();
        if let Some(consumers) = consumers {
            consumers.leave();
        }
    }
}

impl State {
    /// Registers a producer, or returns it with the error.
    pub(super) fn register_producer(
        &mut self,
        producer: Box<dyn Producer>,
        streaming: bool,
    ) -> Result<(), (ProducerError, Box<dyn Producer>)> {
        if self.lifecycle.is_lost() || self.outgoing.has_finished() {
            return Err((ProducerError::Closed, producer));
        }
        let rare = self.rare();
        if rare.producer.is_some() {
            return Err((ProducerError::AlreadyRegistered, producer));
        }
        let transport = producer.as_transport().map(|transport| transport.id());
        let producer = Rc::new(RefCell::new(producer));
        rare.producer = Some(RegisteredProducer {
            producer,
            streaming,
            paused: false,
            dry_at: None,
            fresh: true,
            waits_for_room: false,
            transport,
            relayed: false,
        });
        Ok(())
    }

    pub(super) fn take_producer(&mut self) -> Option<RegisteredProducer> {
        self.rare.as_mut()?.producer.take()
    }

    /// Whether the end of our stream waits for the producer, which may have more to write. A half-close does not wait for a push
    /// producer: relays leave it registered when its stream has ended.
    pub(super) fn waits_for_producer(&self) -> bool {
        let Some(producer) = self.rare_if_any().and_then(|rare| rare.producer.as_ref()) else { return false };
        !(producer.relayed || self.outgoing.is_ending() && producer.streaming)
    }

    pub(super) fn take_spent_consumers(&mut self) -> Option<Consumers> {
        if self.rare_if_any()?.consumers.is_empty() || self.lifecycle.is_open() && !self.incoming.has_ended() {
            return None;
        }
        let rare = self.rare();
        let consumers = std::mem::take(&mut rare.consumers);
        if let Some(producer) = &mut rare.producer {
            producer.relayed |= producer.transport.is_some_and(|id| consumers.contains(id));
        }
        Some(consumers)
    }

    /// Notes that the producer sends a file, and the socket has no room.
    fn wait_for_room(&mut self) {
        if let Some(registered) = self.producer_mut() {
            registered.waits_for_room = true;
        }
    }

    fn producer_mut(&mut self) -> Option<&mut RegisteredProducer> {
        self.rare.as_mut()?.producer.as_mut()
    }

    /// Whether the producer has to be called.
    #[inline]
    pub(super) fn producer_is_due(&self) -> bool {
        self.rare_if_any().is_some_and(|rare| rare.producer.is_some()) && self.due_producer_call().is_some()
    }

    fn due_producer_call(&self) -> Option<Call> {
        let registered = self.rare_if_any()?.producer.as_ref()?;
        if self.lifecycle.is_lost() || self.lifecycle.is_doomed() {
            return None;
        }
        if !registered.streaming {
            let room = match (registered.fresh, registered.waits_for_room) {
                (true, _) => self.writable && self.unsent() < FRESH_UNSENT && !self.is_handshaking() || self.unsent() == 0,
                (_, true) => self.writable && self.unsent() == 0,
                _ => self.unsent() == 0 && registered.dry_at != Some(self.bytes_out),
            };
            return room.then_some(Call::Resume);
        }
        let congested = self.is_congested();
        (congested != registered.paused).then_some(if congested { Call::Pause } else { Call::Resume })
    }

    fn next_producer_call(&mut self) -> Option<(SharedProducer, Call)> {
        let call = self.due_producer_call()?;
        let registered = self.producer_mut()?;
        registered.paused = matches!(call, Call::Pause);
        registered.fresh = false;
        registered.waits_for_room = false;
        Some((Rc::clone(&registered.producer), call))
    }
}
