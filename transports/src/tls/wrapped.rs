//! What stands behind the transport above a wrapped TLS.

mod producing;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::{
    Connection, ConnectionCompression, ConnectionLimits, ConnectionTls, Consumers, Registration, Work, weight,
};
use torsade_protocols::{Address, Delivery, Producer, ProducerError, Reason, StartTlsError, TlsConfig, TlsInfo, Transport};
use torsade_reactor::spi::TcpOptions;
use torsade_reactor::{DelayedCall, Phase, Reactor, Result, SystemEvent, TaskGroup, TriggerId};

use self::producing::Registered;
use super::layer::TlsLayer;
use crate::connection::layer::Layer;
use crate::connection::shared::{CAP, FAILURE_LINGER, HIGH_WATERMARK, READ_SIZE};
use crate::connection::{log_end, report_fault};

/// A connection above TLS, on a transport below it.
pub(super) struct Wrapped {
    below: Transport,
    layer: RefCell<TlsLayer>,
    tasks: TaskGroup,
    /// Bytes from below that the layer has not taken yet.
    held: RefCell<Vec<u8>>,
    /// Bytes that the protocol gave back.
    unread: RefCell<Vec<u8>>,
    deadline: RefCell<Option<DelayedCall>>,
    /// Ends TLS when the reactor stops: the transport below closes by itself then.
    before_stop: Cell<Option<TriggerId>>,
    /// Why it is being closed, if not because that was asked for.
    failed: RefCell<Option<Reason>>,
    producer: RefCell<Option<Rc<Registered>>>,
    /// Those that have this connection as their producer.
    consumers: Consumers,
    high_watermark: Cell<usize>,
    cap: Cell<usize>,
    read_while_congested: Cell<bool>,
    paused: Cell<bool>,
    closing: Cell<bool>,
    half_closing: Cell<bool>,
    /// The close of half was passed on.
    passed_on: Cell<bool>,
    /// TLS has ended our stream: nothing more can be written.
    finished: Cell<bool>,
    /// The transport below has ended its stream.
    wire_ended: Cell<bool>,
    read_ended: Cell<bool>,
    /// TLS has failed, and the transport below has been told to close.
    gave_up: Cell<bool>,
    lost: Cell<bool>,
    /// A flush from outside of the callbacks is on its way.
    scheduled: Cell<bool>,
    /// For the flush from outside.
    own: RefCell<std::rc::Weak<Self>>,
}

/// What a read came to, besides bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct ReadStep {
    pub(super) completed: bool,
    pub(super) ended: bool,
    /// Once it is wanted.
    pub(super) more: bool,
}

impl Wrapped {
    pub(super) fn new(below: Transport, layer: TlsLayer) -> Rc<Self> {
        let wrapped = Rc::new(Self {
            below,
            layer: RefCell::new(layer),
            tasks: TaskGroup::new(),
            held: RefCell::default(),
            unread: RefCell::default(),
            deadline: RefCell::default(),
            before_stop: Cell::new(None),
            failed: RefCell::default(),
            producer: RefCell::default(),
            consumers: Consumers::default(),
            high_watermark: Cell::new(HIGH_WATERMARK),
            cap: Cell::new(CAP),
            read_while_congested: Cell::new(false),
            paused: Cell::new(false),
            closing: Cell::new(false),
            half_closing: Cell::new(false),
            passed_on: Cell::new(false),
            finished: Cell::new(false),
            wire_ended: Cell::new(false),
            read_ended: Cell::new(false),
            gave_up: Cell::new(false),
            lost: Cell::new(false),
            scheduled: Cell::new(false),
            own: RefCell::default(),
        });
        wrapped.own.replace(Rc::downgrade(&wrapped));
        wrapped
    }

    /// Has TLS end before the transport below closes by itself, when the reactor stops.
    pub(super) fn end_before_stop(wrapped: &Rc<Self>) {
        let own = Rc::downgrade(wrapped);
        let end = move || {
            if let Some(wrapped) = own.upgrade() {
                wrapped.failed.borrow_mut().get_or_insert(Reason::ShuttingDown);
                wrapped.close_now();
            }
        };
        let trigger = wrapped.below.reactor().add_system_event_trigger(Phase::Before, SystemEvent::Shutdown, end);
        wrapped.before_stop.set(Some(trigger));
    }

    /// Gives the handshake its deadline.
    pub(super) fn arm_deadline(wrapped: &Rc<Self>) {
        let Some(deadline) = wrapped.layer.borrow().deadline() else { return };
        let own = Rc::downgrade(wrapped);
        wrapped.layer.borrow().on_cut_off(move || {
            let Some(wrapped) = own.upgrade() else { return };
            if let Some(timer) = &*wrapped.deadline.borrow() {
                // It may have fired.
                timer.reset(Duration::ZERO).ok();
            }
        });
        let own = Rc::downgrade(wrapped);
        let reactor = wrapped.below.reactor();
        let timer = reactor.call_later(deadline.saturating_sub(reactor.now()), move || {
            let Some(wrapped) = own.upgrade() else { return };
            let now = wrapped.below.reactor().now();
            let expired = wrapped.layer.borrow_mut().expire(&mut Vec::new(), &mut Vec::new(), now);
            if expired.is_err() {
                wrapped.flush();
            }
        });
        wrapped.deadline.replace(Some(timer));
    }

    /// Takes bytes from below, and gives out at most one buffer of what comes of them. If TLS fails, that is seen by the
    /// flush after these are delivered.
    pub(super) fn read(&self, wire: &[u8]) -> (Vec<u8>, ReadStep) {
        if self.gave_up.get() || self.read_ended.get() {
            return (Vec::new(), ReadStep::default());
        }
        let wanted = self.is_reading();
        // Bytes given back go first, and alone. What comes meanwhile is taken in by the layer.
        let mut plain = if wanted { self.take_unread() } else { Vec::new() };
        let given_back = !plain.is_empty();
        let room = if wanted && !given_back { READ_SIZE } else { 0 };
        let mut held = self.held.borrow_mut();
        held.extend_from_slice(wire);
        if self.is_closing() && !self.is_handshaking() {
            // Nobody wants it any more.
            held.clear();
        }
        let mut layer = self.layer.borrow_mut();
        let unlimited = Work::unlimited();
        let result = layer.read(&held, &mut plain, room, self.below.connection().work().unwrap_or(&unlimited), Duration::ZERO);
        let taken = result.as_ref().map_or(held.len(), |progress| progress.consumed);
        held.drain(..taken);
        if held.is_empty() {
            *held = Vec::new();
        }
        let completed = layer.take_completed();
        let at_end = layer.has_ended() || self.wire_ended.get();
        // The end comes alone, too: what is told before it may have the reading paused, or be given back.
        let alone = plain.is_empty() && !completed;
        let more = given_back || result.is_ok_and(|progress| progress.more) || at_end && !alone;
        let told = wanted || layer.is_handshaking();
        let ended = at_end && told && !more && layer.read_end(&mut Vec::new()).is_ok();
        drop((layer, held));
        if completed && self.paused.get() {
            // Until now the handshake was read.
            self.below.pause_producing();
        }
        (plain, ReadStep { completed, ended, more })
    }

    /// Whether another buffer may be read in this turn. If not, `reading_resumed` comes in the next one.
    pub(super) fn may_go_on(&self) -> bool {
        let goes_on = self.below.connection().work().is_none_or(Work::is_left);
        if !goes_on {
            self.below.unread(b"");
        }
        goes_on
    }

    /// Takes at most one buffer of what the protocol gave back; the rest comes in a later turn.
    fn take_unread(&self) -> Vec<u8> {
        let mut unread = self.unread.borrow_mut();
        let count = unread.len().min(READ_SIZE);
        let rest = unread.split_off(count);
        if !rest.is_empty() {
            self.below.unread(b"");
        }
        std::mem::replace(&mut unread, rest)
    }

    /// There is something that the protocol gave back. It comes in a later turn.
    pub(super) fn has_unread(&self) -> bool {
        !self.unread.borrow().is_empty()
    }

    /// The transport below has ended its stream. The next read says whether that is the end of ours.
    pub(super) fn note_wire_ended(&self) {
        self.wire_ended.set(true);
    }

    /// Notes that the peer's stream has ended; says whether that is new, and to be told.
    pub(super) fn note_read_ended(&self) -> bool {
        !self.read_ended.replace(true) && !self.closing.get()
    }

    /// Sends what was written, ends our stream if that is due, and tells the producer how things stand.
    pub(super) fn flush(&self) {
        self.leave_consumers();
        let mut wire = Vec::new();
        let closes = self.closing.get() && self.producer.borrow().as_ref().is_none_or(|producer| producer.is_relayed());
        // As over TCP, half a close waits for a pull producer.
        let half_closes = self.half_closing.get() && self.producer.borrow().as_ref().is_none_or(|producer| producer.streaming());
        let (failure, handshaking) = {
            let mut layer = self.layer.borrow_mut();
            if closes {
                layer.give_up_pointless_handshake();
            }
            // It keeps its failure.
            if closes || half_closes {
                self.finished.set(true);
                layer.finish(&mut wire).ok();
            } else {
                layer.flush(&mut wire, Duration::ZERO).ok();
            }
            (layer.failure(), layer.is_handshaking())
        };
        let told = !wire.is_empty();
        if told {
            self.below.write(wire);
        }
        match failure {
            Some(reason) => self.give_up(reason, told),
            None if handshaking => {}
            None => self.pass_on(closes, half_closes),
        }
        self.drive_producer();
    }

    /// Passes on what was asked for, all being written to the transport below; `closes` if nothing more will be.
    fn pass_on(&self, closes: bool, half_closes: bool) {
        if half_closes && !self.passed_on.replace(true) {
            self.below.lose_write_connection();
        }
        if self.closing.get() && !self.below.is_closing() {
            // It waits for the producer, as we do, and knows the deadline.
            self.below.lose_connection();
        }
        if closes {
            self.below.unregister_producer();
        }
    }

    /// Does what is due after a callback. What that failed with is passed on to the transport below.
    pub(super) fn settle(&self, result: Result) -> Result {
        match result {
            Ok(()) => self.flush(),
            // The transport below has to go on for the handshake, so that what was written is sent.
            Err(error) if self.is_handshaking() => self.fail_with(Reason::Protocol(error.into())),
            Err(error) => {
                self.close_now();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Closes in order, because something has failed. A producer has no more say in when that is. Called from the loop only.
    fn close_now(&self) {
        self.closing.set(true);
        self.stop_producer();
        self.flush();
    }

    /// TLS has failed: closes below, in order if the peer is being told why.
    fn give_up(&self, reason: Reason, told: bool) {
        if self.gave_up.replace(true) {
            return;
        }
        self.failed.borrow_mut().get_or_insert(reason);
        self.closing.set(true);
        self.finished.set(true);
        self.stop_producer();
        if told {
            self.below.set_close_timeout(FAILURE_LINGER);
            self.below.lose_connection();
        } else {
            self.below.abort_connection();
        }
    }

    /// The connection below is lost; gives the reason for the one above.
    pub(super) fn lose(&self, reason: &Reason) -> Reason {
        self.lost.set(true);
        self.leave_consumers();
        self.stop_producer();
        if let Some(trigger) = self.before_stop.take() {
            // It may have run.
            self.below.reactor().remove_system_event_trigger(trigger);
        }
        if let Some(timer) = self.deadline.take() {
            // It may have fired.
            timer.cancel().ok();
        }
        let Some(failed) = self.failed.take() else { return reason.clone() };
        log_end(self.id(), &self.peer(), &failed, "");
        failed
    }

    /// Cancels the connection's tasks: its protocol has been told of the end.
    pub(super) fn cancel_tasks(&self) {
        self.tasks.cancel();
    }

    /// Has everything sent soon that was written from outside of a callback.
    fn flush_later(&self) {
        if self.scheduled.replace(true) {
            return;
        }
        let own = self.own.borrow().clone();
        self.below.reactor().call_later(Duration::ZERO, move || {
            if let Some(wrapped) = own.upgrade() {
                wrapped.scheduled.set(false);
                if !wrapped.lost.get() {
                    wrapped.flush();
                }
            }
        });
    }

    /// Too much waits for the handshake. It is over before anything is delivered, so no protocol has to be told when.
    fn is_congested(&self) -> bool {
        let layer = self.layer.borrow();
        layer.is_handshaking() && layer.unsent() > self.high_watermark.get()
    }

    fn can_write(&self) -> bool {
        !(self.finished.get() || self.lost.get())
    }
}

impl Connection for Wrapped {
    fn reactor(&self) -> &Reactor {
        self.below.reactor()
    }

    fn id(&self) -> u64 {
        self.below.id()
    }

    fn peer(&self) -> Address {
        self.below.peer()
    }

    fn host(&self) -> Address {
        self.below.host()
    }

    fn write(&self, data: &[u8]) {
        if !self.can_write() {
            log::debug!("connection {}: {} bytes written after its end are dropped", self.id(), data.len());
            return;
        }
        let mut wire = Vec::new();
        // A failure is kept by the layer, and told by the next flush.
        self.layer.borrow_mut().write(data, &mut wire, Duration::ZERO).ok();
        if !wire.is_empty() {
            self.below.write(wire);
        }
        let limit = self.cap.get();
        if self.layer.borrow().unsent() > limit {
            self.failed.borrow_mut().get_or_insert(Reason::LimitExceeded { what: "unsent output", limit });
            self.abort_connection();
        } else {
            self.flush_later();
        }
    }

    fn unsent(&self) -> usize {
        self.below.unsent() + self.layer.borrow().unsent()
    }

    fn delivery(&self) -> Delivery {
        let below = self.below.delivery();
        Delivery::new(below.acknowledged, below.outstanding + self.layer.borrow().unsent() as u64)
    }

    fn lose_connection(&self) {
        self.closing.set(true);
        self.flush_later();
    }

    fn lose_write_connection(&self) {
        self.half_closing.set(true);
        self.flush_later();
    }

    fn abort_connection(&self) {
        self.closing.set(true);
        self.finished.set(true);
        self.below.abort_connection();
    }

    fn fail_with(&self, reason: Reason) {
        report_fault("the protocol", self.id(), &self.peer(), &reason);
        self.failed.borrow_mut().get_or_insert(reason);
        self.close_now();
    }

    fn tasks(&self) -> Option<TaskGroup> {
        (!self.lost.get()).then(|| self.tasks.clone())
    }

    fn is_connected(&self) -> bool {
        !self.lost.get()
    }

    fn is_closing(&self) -> bool {
        self.closing.get() || self.below.is_closing()
    }

    fn pause_producing(&self) {
        self.paused.set(true);
        if !self.is_handshaking() {
            self.below.pause_producing();
        }
    }

    fn resume_producing(&self) {
        if self.paused.replace(false) {
            self.below.resume_producing();
            // Has `reading_resumed` come even if the transport below was never paused, for the handshake.
            self.below.unread(b"");
        }
    }

    fn is_reading(&self) -> bool {
        let congested = self.is_congested() && !self.read_while_congested.get();
        !(self.paused.get() || self.is_closing() || congested) && self.below.is_reading()
    }

    fn can_deliver(&self) -> bool {
        if !self.is_reading() || self.is_handshaking() {
            return false;
        }
        let goes_on = self.work().is_none_or(|work| work.take(weight::MESSAGE));
        if !goes_on {
            self.unread(b"");
        }
        goes_on
    }

    fn work(&self) -> Option<&Work> {
        self.below.connection().work()
    }

    fn unread(&self, data: &[u8]) {
        self.unread.borrow_mut().splice(..0, data.iter().copied());
        // Has `reading_resumed` come, where they are delivered.
        self.below.unread(b"");
    }

    fn register_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        self.attach_producer(producer, streaming)
    }

    fn unregister_producer(&self) {
        self.detach_producer();
    }

    fn add_consumer(&self, registration: &Rc<Registration>) {
        self.consumers.add(registration);
        if self.lost.get() {
            self.leave_consumers();
        } else {
            self.flush_later();
        }
    }

    fn limits(&self) -> &dyn ConnectionLimits {
        self
    }

    fn compression(&self) -> Option<&dyn ConnectionCompression> {
        None
    }

    fn tls(&self) -> Option<&dyn ConnectionTls> {
        Some(self)
    }

    fn tcp(&self) -> Option<&dyn TcpOptions> {
        self.below.connection().tcp()
    }
}

impl ConnectionLimits for Wrapped {
    fn set_write_buffer_limits(&self, low: usize, high: usize) {
        self.high_watermark.set(high);
        self.below.set_write_buffer_limits(low, high);
        self.flush_later();
    }

    fn set_write_buffer_cap(&self, cap: usize) {
        self.cap.set(cap);
        self.below.set_write_buffer_cap(cap);
    }

    fn set_read_while_congested(&self, on: bool) {
        self.read_while_congested.set(on);
        self.below.set_read_while_congested(on);
    }

    fn set_close_timeout(&self, timeout: Duration) {
        self.below.set_close_timeout(timeout);
    }
}

impl ConnectionTls for Wrapped {
    fn start_tls(&self, _: &TlsConfig, _: &[u8], _: torsade_protocols::spi::AlreadyReceived) -> Result<(), StartTlsError> {
        Err(StartTlsError::AlreadyOn)
    }

    fn is_handshaking(&self) -> bool {
        self.layer.borrow().is_handshaking()
    }

    fn tls_info(&self) -> Option<TlsInfo> {
        if self.lost.get() { None } else { self.layer.borrow().info() }
    }

    fn set_tls_truncation_allowed(&self, allowed: bool) {
        self.layer.borrow_mut().set_truncation_allowed(allowed);
    }
}
