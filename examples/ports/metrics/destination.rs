//! Somebody who is given datapoints: a queue, and a connection that comes again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::service::{ClientService, Service, backoff_policy};

use super::datapoint::Datapoint;

/// So many datapoints are sent in one turn of the reactor.
const MAX_DATAPOINTS_PER_MESSAGE: usize = 500;

/// What is to be sent there, up to a bound; then what comes is dropped.
pub struct Destination {
    pub name: String,
    limit: usize,
    queue: RefCell<VecDeque<Vec<u8>>>,
    client: RefCell<Option<Transport>>,
    paused: Cell<bool>,
    /// Whether the next message is on its way to be written.
    scheduled: Cell<bool>,
    sent: Cell<usize>,
    dropped: Cell<usize>,
}

impl Destination {
    pub fn new(name: &str, limit: usize) -> Rc<Self> {
        Rc::new(Self {
            name: name.into(),
            limit,
            queue: RefCell::default(),
            client: RefCell::default(),
            paused: Cell::new(false),
            scheduled: Cell::new(false),
            sent: Cell::new(0),
            dropped: Cell::new(0),
        })
    }

    pub fn send(self: &Rc<Self>, datapoint: &Datapoint<'_>) {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= self.limit {
            self.dropped.set(self.dropped.get() + 1);
            return;
        }
        let mut line = Vec::with_capacity(datapoint.name.len() + 24);
        datapoint.write_to(&mut line);
        queue.push_back(line);
        drop(queue);
        self.send_soon();
    }

    /// Gathers what comes in one turn of the reactor.
    fn send_soon(self: &Rc<Self>) {
        if self.paused.get() || self.scheduled.get() {
            return;
        }
        if let Some(client) = &*self.client.borrow() {
            self.scheduled.set(true);
            let destination = self.clone();
            client.reactor().call_later(Duration::ZERO, move || {
                destination.scheduled.set(false);
                destination.send_queued();
            });
        }
    }

    fn send_queued(self: &Rc<Self>) {
        let client = self.client.borrow().clone();
        let Some(client) = client.filter(|_| !self.paused.get()) else { return };
        self.send_to(&client, MAX_DATAPOINTS_PER_MESSAGE);
        if !self.queue.borrow().is_empty() {
            self.send_soon();
        }
    }

    fn send_to(&self, client: &Transport, most: usize) {
        let mut queue = self.queue.borrow_mut();
        let count = queue.len().min(most);
        let message = queue.drain(..count).collect::<Vec<_>>().concat();
        drop(queue);
        self.sent.set(self.sent.get() + count);
        client.write(message);
    }

    /// Sends what is queued, and closes; a destination that reads slowly has the time that `run_service` allows.
    fn disconnect(&self) {
        if let Some(client) = self.client.take() {
            // The cap ends a connection to which too much is written. This much is in memory already, and `limit` bounds it.
            client.set_write_buffer_cap(usize::MAX);
            self.send_to(&client, usize::MAX);
            // A transport with a producer waits for it before it closes.
            client.unregister_producer();
            client.lose_connection();
        }
    }

    /// What the status port tells.
    pub fn status(&self) -> String {
        let state = if self.client.borrow().is_some() { "connected" } else { "away" };
        let (queued, sent, dropped) = (self.queue.borrow().len(), self.sent.get(), self.dropped.get());
        format!("{} {state}, queued {queued}, sent {sent}, dropped {dropped}", self.name)
    }
}

struct Sender(Rc<Destination>);

impl Protocol for Sender {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        self.0.paused.set(false);
        self.0.client.replace(Some(transport.clone()));
        // The protocol belongs to its transport here: what both need is in the destination.
        transport.register_producer(Queue(self.0.clone()), true)?;
        self.0.send_queued();
        Ok(())
    }

    fn data_received(&mut self, _transport: &Transport, _data: &[u8]) -> Result {
        Ok(())
    }

    /// Twisted drops a connection whose peer's stream has ended; here it is closed in order, which waits for a producer.
    fn read_connection_lost(&mut self, transport: &Transport) -> Result {
        transport.unregister_producer();
        transport.lose_connection();
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, _reason: &Reason) -> Result {
        self.0.client.take();
        Ok(())
    }
}

/// The queue as a push producer: its transport pauses it when the destination reads too slowly.
struct Queue(Rc<Destination>);

impl Producer for Queue {
    fn pause_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.paused.set(true);
        Ok(())
    }

    fn resume_producing(&mut self, _consumer: &Transport) -> Result {
        self.0.paused.set(false);
        self.0.send_soon();
        Ok(())
    }
}

/// The original's factory that reconnects and its service around that are one `ClientService`; around it, what is queued at the
/// end.
pub struct DestinationService {
    destination: Rc<Destination>,
    client: ClientService,
}

impl DestinationService {
    pub fn new(endpoint: &str, destination: &Rc<Destination>) -> Result<Self> {
        let shared = destination.clone();
        let client = ClientService::new(endpoint, move |_peer: Address| Sender(shared.clone()))?;
        let policy = backoff_policy(Duration::from_millis(10), Duration::from_secs(2), 1.6);
        Ok(Self { destination: destination.clone(), client: client.retry_policy(policy) })
    }
}

impl Service for DestinationService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        self.client.start_service(reactor)
    }

    fn stop_service(&self) -> Deferred<()> {
        self.destination.disconnect();
        self.client.stop_service()
    }

    fn name(&self) -> String {
        format!("the destination {}", self.destination.name)
    }
}
