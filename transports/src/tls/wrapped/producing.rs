//! The producer of the protocol above, between the transport below, which paces it, and TLS.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use torsade_protocols::spi::Connection;
use torsade_protocols::{Producer, ProducerError, Reason, Transport};
use torsade_reactor::spi::catch;
use torsade_reactor::{Result, report_error};

use super::Wrapped;
use crate::connection::layer::Layer;

/// A producer and what it was last told. Shared so that it may be unregistered while it is being called.
pub(super) struct Registered {
    producer: RefCell<Box<dyn Producer>>,
    consumer: Transport,
    streaming: bool,
    /// By the transport below.
    paused_below: Cell<bool>,
    paused: Cell<bool>,
    /// The connection that it is, if it is one.
    transport: Option<u64>,
    /// It was one half of a relay, of which this is the other: it is not waited for.
    relayed: Cell<bool>,
}

impl Registered {
    pub(super) const fn streaming(&self) -> bool {
        self.streaming
    }

    pub(super) const fn is_relayed(&self) -> bool {
        self.relayed.get()
    }
}

impl Wrapped {
    pub(super) fn attach_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        let own = self.own.borrow().upgrade().filter(|own| own.can_write()).ok_or(ProducerError::Closed)?;
        if self.producer.borrow().is_some() {
            return Err(ProducerError::AlreadyRegistered);
        }
        // There may be one that was detached while closing.
        self.below.unregister_producer();
        self.below.register_producer(ProducerAbove(Rc::clone(&own)), streaming)?;
        let transport = producer.as_transport().map(|transport| transport.id());
        self.producer.replace(Some(Rc::new(Registered {
            producer: RefCell::new(producer),
            consumer: Transport::new(own),
            streaming,
            paused_below: Cell::new(false),
            paused: Cell::new(false),
            transport,
            relayed: Cell::new(false),
        })));
        // What waits for the handshake may be too much already.
        self.flush_later();
        Ok(())
    }

    pub(super) fn detach_producer(&self) {
        let producer = self.producer.take();
        if self.closing.get() {
            // The transport below must not end before TLS, nor before what is written in the same callback.
            self.flush_later();
        } else {
            self.below.unregister_producer();
            if self.half_closing.get() {
                // It may have waited for this one.
                self.flush_later();
            }
        }
        // Outside of the borrow: what a producer does then may use the transport.
        drop(producer);
    }

    /// Nothing more is read here: whoever has this connection as its producer need not wait for it.
    pub(super) fn leave_consumers(&self) {
        if self.consumers.is_empty() || !(self.is_closing() || self.read_ended.get() || self.lost.get()) {
            return;
        }
        if let Some(registered) = &*self.producer.borrow() {
            registered.relayed.set(registered.transport.is_some_and(|id| self.consumers.contains(id)));
        }
        self.consumers.leave();
    }

    /// Nothing more is wanted of the producer. Called from the loop only.
    pub(super) fn stop_producer(&self) {
        let Some(registered) = self.producer.take() else { return };
        self.below.unregister_producer();
        if let Err(panic) = catch(move || registered.producer.borrow_mut().stop_producing()) {
            report_error("stop_producing", format_args!("connection {}: stopping its producer {panic}", self.id()));
        }
    }

    /// The transport below has its producer go on, or wait.
    fn pace(&self, on: bool) {
        let Some(registered) = self.producer.borrow().clone() else { return };
        registered.paused_below.set(!on);
        // One that is pulled is asked again once what waits here has been sent.
        if on && !registered.streaming && self.layer.borrow().unsent() == 0 {
            self.call_producer(&registered, |producer, consumer| producer.resume_producing(consumer));
        }
        self.flush();
    }

    /// Has a push producer wait, or go on, if that is due. Called from the loop only.
    pub(super) fn drive_producer(&self) {
        let Some(registered) = self.producer.borrow().clone().filter(|registered| registered.streaming) else { return };
        let pause = registered.paused_below.get() || self.is_congested();
        if registered.paused.replace(pause) != pause {
            self.call_producer(&registered, |producer, consumer| {
                if pause { producer.pause_producing(consumer) } else { producer.resume_producing(consumer) }
            });
        }
    }

    /// What a producer fails with is its connection's reason, as a callback's error is.
    fn call_producer(&self, registered: &Registered, call: impl FnOnce(&mut dyn Producer, &Transport) -> Result) {
        match catch(|| call(&mut **registered.producer.borrow_mut(), &registered.consumer)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail_with(Reason::Protocol(error.into())),
            Err(panic) => self.fail_with(Reason::Panicked(panic)),
        }
    }
}

/// The producer as the transport below knows it.
struct ProducerAbove(Rc<Wrapped>);

impl Producer for ProducerAbove {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.0.pace(true);
        Ok(())
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        self.0.pace(false);
        Ok(())
    }

    fn stop_producing(&mut self) {
        self.0.stop_producer();
    }
}
