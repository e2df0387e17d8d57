//! The connections to one host: their limit, the requests waiting for one, and the idle ones.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use torsade::{
    AsyncConnection, ConnectError, DeferredLock, DeferredPermit, DeferredSemaphore, DelayedCall, Reactor, ReactorAsync,
};

use super::connection::{Http1, Http2, Serving};
use super::error::{ClientError, ClientErrorKind};
use super::lease::Lease;
use super::origin::Origin;
use super::settings::Settings;
use crate::TorsadeTimer;

/// The part of the pool for one origin.
///
/// Guarantee: the number of HTTP/1.1 connections that are serving, idle or being made does not exceed the limit. A connection
/// that is serving or being made has a permit. One that becomes idle gives its permit up, and a request that gets a permit takes
/// an idle connection if there is one; so idle connections and taken permits together never exceed the limit. Permits are granted
/// in order.
pub(super) struct Host {
    settings: Rc<Settings>,
    origin: Origin,
    permits: DeferredSemaphore,
    /// Idle connections, the one idle longest first.
    idle: RefCell<VecDeque<Idle>>,
    /// The HTTP/2 connection, with the time since when it has had no streams.
    shared: RefCell<Option<Rc<Http2>>>,
    unused_since: Cell<Duration>,
    /// Held while a connection is made that may turn out to be shared.
    first: DeferredLock,
    /// Whether a connection has shown that this server does not share connections.
    separate: Cell<bool>,
    /// The number of failed attempts, and the error of the last one, for requests that waited for it.
    failures: Cell<u64>,
    failure: RefCell<Option<ConnectError>>,
    /// Closes connections that have been idle too long.
    sweep: RefCell<Option<DelayedCall>>,
}

struct Idle {
    http: Http1,
    since: Duration,
    _counted: Counted,
}

/// The most idle connections over all hosts; a further one is closed.
const MOST_IDLE: usize = 100;

struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(count: &Rc<Cell<usize>>) -> Option<Self> {
        (count.get() < MOST_IDLE).then(|| {
            count.set(count.get() + 1);
            Self(Rc::clone(count))
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Host {
    pub(super) fn new(settings: &Rc<Settings>, origin: Origin) -> Self {
        Self {
            permits: DeferredSemaphore::new(settings.connections_per_host),
            settings: Rc::clone(settings),
            origin,
            idle: RefCell::default(),
            shared: RefCell::default(),
            unused_since: Cell::default(),
            first: DeferredLock::new(),
            separate: Cell::default(),
            failures: Cell::default(),
            failure: RefCell::default(),
            sweep: RefCell::default(),
        }
    }

    pub(super) const fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn reactor(&self) -> &Reactor {
        self.settings.timer.reactor()
    }

    pub(super) fn timer(&self) -> &TorsadeTimer {
        &self.settings.timer
    }

    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Returns whether nothing but idle connections would be lost with it.
    pub(super) fn is_unused(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_none()
    }

    /// Waits for a permit.
    pub(super) async fn turn(&self) -> Result<DeferredPermit, ClientError> {
        self.permits.acquire().await.map_err(|failure| ClientError::connect(&failure))
    }

    /// Returns a stream of the shared connection, if there is one.
    pub(super) fn share(self: &Rc<Self>) -> Option<Lease> {
        let shared = self.shared.borrow().as_ref().map(Rc::clone)?;
        if shared.0.is_closed() {
            self.retire(&shared);
            return None;
        }
        Some(Lease::stream(self, shared, true))
    }

    /// Takes the idle connection used last, because its server is the least likely to have closed it.
    pub(super) fn wake(self: &Rc<Self>, permit: DeferredPermit) -> Result<Lease, DeferredPermit> {
        loop {
            let Some(idle) = self.idle.borrow_mut().pop_back() else {
                return Err(permit);
            };
            if !idle.http.sender.is_closed() {
                return Ok(Lease::connection(self, idle.http, permit, true));
            }
        }
    }

    /// Makes a new connection; with `alone`, an HTTP/1.1 one.
    pub(super) async fn connect(self: &Rc<Self>, permit: DeferredPermit, alone: bool) -> Result<Lease, ClientError> {
        let shareable = !alone && !self.separate.get() && (self.origin.secure || self.settings.http2_only);
        let _first = if shareable {
            let failures = self.failures.get();
            let first = self.first.acquire().await.map_err(|failure| ClientError::connect(&failure))?;
            if let Some(lease) = self.share() {
                return Ok(lease);
            }
            if self.failures.get() != failures
                && let Some(error) = self.failure.borrow().clone()
            {
                return Err(ClientError::new(ClientErrorKind::Connect, error));
            }
            Some(first)
        } else {
            None
        };
        let connection = self.open(alone).await?;
        let shared = if self.origin.secure { is_http2(&connection) } else { self.settings.http2_only && !alone };
        if !alone {
            self.separate.set(!shared);
        }
        if !shared {
            let http = Http1::begin(self.reactor(), connection).await?;
            return Ok(Lease::connection(self, http, permit, false));
        }
        let http = Rc::new(Http2::begin(self.timer(), connection).await?);
        self.shared.replace(Some(Rc::clone(&http)));
        Ok(Lease::stream(self, http, false))
    }

    async fn open(&self, alone: bool) -> Result<AsyncConnection, ClientError> {
        let endpoint = self.settings.endpoint(&self.origin, alone)?;
        self.reactor().connect_async(endpoint).await.map_err(|failure| {
            self.failures.set(self.failures.get() + 1);
            self.failure.replace(failure.downcast_ref::<ConnectError>().cloned());
            ClientError::connect(&failure)
        })
    }

    pub(super) fn put_idle(self: &Rc<Self>, http: Http1) {
        http.set_serving(Serving::Nothing);
        if self.reactor().is_stopping() {
            return;
        }
        if let Some(_counted) = Counted::new(&self.settings.idle) {
            self.idle.borrow_mut().push_back(Idle { http, since: self.reactor().now(), _counted });
            self.sweep_later(self.settings.idle_timeout);
        }
    }

    /// A stream has ended; it may have been the last.
    pub(super) fn stream_ended(self: &Rc<Self>) {
        self.unused_since.set(self.reactor().now());
        if !self.reactor().is_stopping() {
            self.sweep_later(self.settings.idle_timeout);
        }
    }

    /// Stops sharing this connection. It closes when its last stream has ended.
    pub(super) fn retire(&self, http: &Rc<Http2>) {
        let retired = self.shared.borrow_mut().take_if(|shared| Rc::ptr_eq(shared, http));
        drop(retired);
    }

    pub(super) fn close_idle(&self) {
        self.idle.take();
        self.close_unused();
    }

    /// Closes the shared connection, if it has no streams.
    fn close_unused(&self) {
        let unused = self.shared.borrow_mut().take_if(|shared| Rc::strong_count(shared) == 1);
        drop(unused);
    }

    fn sweep_later(self: &Rc<Self>, after: Duration) {
        let mut sweep = self.sweep.borrow_mut();
        if sweep.is_none() {
            let host = Rc::downgrade(self);
            let call = move || host.upgrade().iter().for_each(Self::sweep);
            *sweep = Some(self.reactor().call_later(after, call));
        }
    }

    fn sweep(self: &Rc<Self>) {
        self.sweep.take();
        let (now, timeout) = (self.reactor().now(), self.settings.idle_timeout);
        let mut next: Option<Duration> = None;
        loop {
            // Dropped outside the borrow.
            let mut idle = self.idle.borrow_mut();
            let expired = match idle.front().map(|idle| idle.since + timeout) {
                Some(due) if due <= now => idle.pop_front(),
                due => {
                    next = due;
                    None
                }
            };
            drop(idle);
            if expired.is_none() {
                break;
            }
        }
        let due = self.unused_since.get() + timeout;
        if due <= now {
            self.close_unused();
        } else if self.shared.borrow().is_some() {
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        if let Some(next) = next {
            self.sweep_later(next - now);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(sweep) = self.sweep.take() {
            // On an error it was already called.
            sweep.cancel().ok();
        }
    }
}

#[cfg(feature = "tls")]
fn is_http2(connection: &AsyncConnection) -> bool {
    connection.transport().tls_info().is_some_and(|info| info.negotiated_protocol.as_deref() == Some(b"h2"))
}

#[cfg(not(feature = "tls"))]
const fn is_http2(_: &AsyncConnection) -> bool {
    false
}
