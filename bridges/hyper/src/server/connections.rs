//! The connections of a port: their limit, their timeouts, and how they end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::stream::Stream;
use slab::Slab;
use torsade::{Deferred, Firer, Port, Reactor, Transport, TriggerId};

/// Output of at most this size per third of the timeout is not an answer, only settings and pings.
const SMALL: u64 = 256;

/// The minimum interval between checks.
const LEAST: Duration = Duration::from_millis(10);

pub(super) struct Connections {
    reactor: Reactor,
    port: Port,
    limit: usize,
    timeout: Duration,
    /// The number of connections, including those that have left HTTP.
    count: Cell<usize>,
    /// Connections that use HTTP.
    open: RefCell<BTreeMap<u64, Weak<Open>>>,
    /// The acceptor, waiting for the number to fall below the limit.
    acceptor: RefCell<Option<Waker>>,
    /// Whether no more will come.
    complete: Cell<bool>,
    /// Whether they were told to end.
    ending: Cell<bool>,
    /// Fires when they have ended.
    ended: RefCell<Option<Firer<()>>>,
    trigger: Cell<Option<TriggerId>>,
    sweeping: Cell<bool>,
}

impl Connections {
    /// The connections of `port`. From here on a stop of the reactor waits for them.
    pub(super) fn new(reactor: &Reactor, port: Port, limit: usize, timeout: Duration) -> Rc<Self> {
        let connections = Rc::new(Self {
            reactor: reactor.clone(),
            port,
            limit: limit.max(1),
            timeout,
            count: Cell::new(0),
            open: RefCell::default(),
            acceptor: RefCell::default(),
            complete: Cell::new(false),
            ending: Cell::new(false),
            ended: RefCell::default(),
            trigger: Cell::new(None),
            sweeping: Cell::new(false),
        });
        let stopped = Rc::clone(&connections);
        connections.trigger.set(Some(reactor.before_shutdown(move || stopped.end())));
        connections
    }

    /// Waits until another connection is allowed.
    pub(super) async fn room(&self) {
        poll_fn(|context| {
            if self.count.get() < self.limit {
                return Poll::Ready(());
            }
            self.acceptor.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    pub(super) fn add(self: &Rc<Self>, transport: &Transport) -> Rc<Open> {
        let open = Rc::new(Open {
            connections: Rc::clone(self),
            transport: transport.clone(),
            ending: Cell::new(self.ending.get()),
            waker: RefCell::default(),
            streams: RefCell::default(),
            idle_since: Cell::new(Some(self.reactor.now())),
            acknowledged: Cell::new(0),
            unmoved_since: Cell::new(None),
        });
        self.count.set(self.count.get() + 1);
        self.open.borrow_mut().insert(transport.id(), Rc::downgrade(&open));
        self.sweep_later();
        open
    }

    /// No more will come: the port has stopped.
    pub(super) fn complete(&self) {
        self.complete.set(true);
        self.check_end();
    }

    /// Makes all of them end once the requests that have arrived are answered; fires when they have ended.
    fn end(&self) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        self.ended.replace(Some(firer));
        self.ending.set(true);
        self.port.stop_listening();
        self.all().iter().for_each(|open| open.end());
        self.check_end();
        deferred
    }

    fn all(&self) -> Vec<Rc<Open>> {
        self.open.borrow().values().filter_map(Weak::upgrade).collect()
    }

    fn remove(&self, id: u64) {
        if self.open.borrow_mut().remove(&id).is_some() {
            self.check_end();
        }
    }

    fn check_end(&self) {
        if !self.open.borrow().is_empty() {
            return;
        }
        if self.ending.get() {
            if let Some(ended) = self.ended.take() {
                ended.callback(());
            }
        } else if self.complete.get()
            && let Some(trigger) = self.trigger.take()
        {
            self.reactor.remove_system_event_trigger(trigger);
        }
    }

    /// Checks them three times per timeout, as long as there are any.
    fn sweep_later(self: &Rc<Self>) {
        if self.open.borrow().is_empty() || self.sweeping.replace(true) {
            return;
        }
        let connections = Rc::clone(self);
        self.reactor.call_later((self.timeout / 3).max(LEAST), move || {
            connections.sweeping.set(false);
            let now = connections.reactor.now();
            connections.all().iter().for_each(|open| open.check(now));
            connections.sweep_later();
        });
    }
}

/// One connection, while it is being served.
pub(super) struct Open {
    connections: Rc<Connections>,
    transport: Transport,
    ending: Cell<bool>,
    /// The task that serves it.
    waker: RefCell<Option<Waker>>,
    /// HTTP/2 requests being answered.
    streams: RefCell<Slab<Weak<Stream>>>,
    /// Since when nothing happens but waiting for the peer's next request; `None` in HTTP/1, where the
    /// [`HeadDeadline`](super::head_deadline::HeadDeadline) checks that.
    idle_since: Cell<Option<Duration>>,
    /// How much of the output was acknowledged at the last check.
    acknowledged: Cell<u64>,
    /// Since when nothing more has been acknowledged although bytes are unsent.
    unmoved_since: Cell<Option<Duration>>,
}

impl Open {
    pub(super) const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Awaits `future`; `None` if the connection is to end first.
    pub(super) async fn until_ending<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|context| if self.poll_ending(context) { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) })
            .await
    }

    /// Returns whether it is to end; if not, wakes `context` when it is.
    pub(super) fn poll_ending(&self, context: &Context<'_>) -> bool {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        self.ending.get()
    }

    /// From here on its head deadline checks for idleness.
    pub(super) fn is_http1(&self) {
        self.idle_since.set(None);
    }

    /// It no longer uses HTTP: it still counts, but a stop of the reactor does not wait for it here.
    pub(super) fn leave_http(&self) {
        self.idle_since.set(None);
        self.connections.remove(self.transport.id());
    }

    /// Returns the stream's key.
    pub(super) fn add_stream(&self, stream: Weak<Stream>) -> usize {
        self.idle_since.set(None);
        self.streams.borrow_mut().insert(stream)
    }

    pub(super) fn remove_stream(&self, key: usize) {
        let mut streams = self.streams.borrow_mut();
        streams.remove(key);
        if streams.is_empty() {
            self.idle_since.set(Some(self.now()));
        }
    }

    pub(super) fn reactor(&self) -> &Reactor {
        &self.connections.reactor
    }

    pub(super) fn now(&self) -> Duration {
        self.connections.reactor.now()
    }

    pub(super) fn end(&self) {
        self.ending.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn check(&self, now: Duration) {
        let timeout = self.connections.timeout;
        if let Some(then) = now.checked_sub(timeout) {
            let streams: Vec<_> = self.streams.borrow().iter().filter_map(|(_, stream)| stream.upgrade()).collect();
            streams.iter().for_each(|stream| stream.check(then));
        }
        let unsent = self.transport.unsent() > 0;
        if !unsent && self.idle_since.get().is_none() {
            // There is nothing for the peer to take, or it is not yet its turn to ask.
            return self.unmoved_since.set(None);
        }
        let acknowledged = self.transport.delivery().acknowledged;
        let moved = acknowledged.saturating_sub(self.acknowledged.replace(acknowledged));
        self.check_output(unsent && moved == 0, now);
        self.check_idle(unsent || moved > SMALL, now);
    }

    /// Ends it if the peer has taken nothing for too long.
    fn check_output(&self, unmoved: bool, now: Duration) {
        let since = self.unmoved_since.get().filter(|_| unmoved).unwrap_or(now);
        self.unmoved_since.set(unmoved.then_some(since));
        if now - since >= self.connections.timeout {
            log::debug!("HTTP connection of {}: the peer does not read what it is sent", self.transport.peer());
            self.transport.abort_connection();
        }
    }

    /// Ends it if the peer has asked for nothing for too long. hyper may still have output for it when all answers are complete.
    fn check_idle(&self, moving: bool, now: Duration) {
        let Some(since) = self.idle_since.get() else { return };
        if moving {
            self.idle_since.set(Some(now));
        } else if now - since >= self.connections.timeout.saturating_mul(2) {
            // It was told to end, and does not take part in that either.
            self.transport.abort_connection();
        } else if now - since >= self.connections.timeout {
            self.end();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.connections;
        connections.count.set(connections.count.get() - 1);
        if let Some(waker) = connections.acceptor.take() {
            waker.wake();
        }
        connections.remove(self.transport.id());
    }
}
