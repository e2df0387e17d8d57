//! The producer of the protocol above, between the transport below, which paces it, and TLS.

use std::cell::RefCell;
use std::rc::Rc;

use torsade_protocols::{Producer, ProducerError, Transport};
use torsade_reactor::Result;

use super::Wrapped;

/// Shared so that a producer may be unregistered while it is being called.
pub(super) type SharedProducer = Rc<RefCell<Box<dyn Producer>>>;

impl Wrapped {
    pub(super) fn attach_producer(&self, producer: Box<dyn Producer>, streaming: bool) -> Result<(), ProducerError> {
        let own = self.own.borrow().upgrade().filter(|own| own.can_write()).ok_or(ProducerError::Closed)?;
        if self.producer.borrow().is_some() {
            return Err(ProducerError::AlreadyRegistered);
        }
        // There may be one that was detached while closing.
        self.below.unregister_producer();
        self.below.register_producer(ProducerAbove(own), streaming)?;
        self.producer.replace(Some(Rc::new(RefCell::new(producer))));
        Ok(())
    }

    pub(super) fn detach_producer(&self) {
        let producer = self.producer.take();
        if self.closing.get() {
            // The transport below must not end before TLS, nor before what is written in the same callback.
            self.flush_later();
        } else {
            self.below.unregister_producer();
        }
        // Outside of the borrow: what a producer does then may use the transport.
        drop(producer);
    }

    /// Nothing more is wanted of the producer. Called from the loop only.
    pub(super) fn stop_producer(&self) {
        if let Some(producer) = self.producer.take() {
            self.below.unregister_producer();
            producer.borrow_mut().stop_producing();
        }
    }

    fn call_producer(&self, call: impl FnOnce(&mut dyn Producer, &Transport) -> Result) -> Result {
        let (producer, own) = (self.producer.borrow().clone(), self.own.borrow().upgrade());
        let (Some(producer), Some(own)) = (producer, own) else { return Ok(()) };
        let result = call(&mut *producer.borrow_mut(), &Transport::new(own));
        self.settle(result)
    }
}

/// The producer as the transport below knows it.
struct ProducerAbove(Rc<Wrapped>);

impl Producer for ProducerAbove {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.0.call_producer(|producer, consumer| producer.resume_producing(consumer))
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        self.0.call_producer(|producer, consumer| producer.pause_producing(consumer))
    }

    fn stop_producing(&mut self) {
        self.0.stop_producer();
    }
}
