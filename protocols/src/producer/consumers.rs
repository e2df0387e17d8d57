//! The transports that have a connection as their producer.

use std::cell::RefCell;
use std::fmt;
use std::rc::{Rc, Weak};

use torsade_reactor::Result;

use crate::producer::Producer;
use crate::transport::Transport;

/// The transports that have a connection as their producer; for implementations of [`Connection`](crate::spi::Connection).
#[derive(Debug, Default)]
pub struct Consumers(RefCell<Vec<Weak<Registration>>>);

/// A transport's registration as another's producer; lasts as long as the consumer keeps the producer.
#[derive(Debug)]
pub struct Registration {
    consumer: Transport,
}

impl Consumers {
    /// Adds a consumer, until it unregisters its producer.
    pub fn add(&self, registration: &Rc<Registration>) {
        let mut registrations = self.0.borrow_mut();
        registrations.retain(|known| known.strong_count() > 0);
        registrations.push(Rc::downgrade(registration));
    }

    /// Returns whether no consumer was added since [`leave`](Self::leave).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Returns whether the connection with this id is a consumer.
    #[must_use]
    pub fn contains(&self, id: u64) -> bool {
        self.0.borrow().iter().filter_map(Weak::upgrade).any(|known| known.consumer.id() == id)
    }

    /// Unregisters the connection from all consumers: it no longer produces.
    pub fn leave(&self) {
        for registration in self.0.take().iter().filter_map(Weak::upgrade) {
            registration.consumer.unregister_producer();
        }
    }
}

/// A producer that can also be unregistered by the producing side.
pub(crate) struct Registered<P> {
    producer: P,
    registration: Rc<Registration>,
}

impl<P: Producer> Registered<P> {
    pub(crate) fn new(producer: P, consumer: &Transport) -> Self {
        Self { producer, registration: Rc::new(Registration { consumer: consumer.clone() }) }
    }

    pub(crate) fn registration(&self) -> Rc<Registration> {
        Rc::clone(&self.registration)
    }
}

impl<P: Producer> Producer for Registered<P> {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        self.producer.resume_producing(consumer)
    }

    fn pause_producing(&mut self, consumer: &Transport) -> Result {
        self.producer.pause_producing(consumer)
    }

    fn stop_producing(&mut self) {
        self.producer.stop_producing();
    }

    fn as_transport(&self) -> Option<Transport> {
        self.producer.as_transport()
    }
}

impl<P> fmt::Debug for Registered<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered").finish_non_exhaustive()
    }
}
