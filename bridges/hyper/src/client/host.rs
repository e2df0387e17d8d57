//! The connections to one host: how many there may be, who waits for one, and which rest.

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
/// Guaranteed: connections of HTTP/1.1 that serve, rest or are being made are no more than the limit. Each that serves or is being
/// made has a permit, one that begins to rest gives its permit up, and whoever gets a permit takes one that rests, if there is any;
/// so those that rest and the permits that are taken never are more together. Permits are given in the order of asking.
pub(super) struct Host {
    settings: Rc<Settings>,
    origin: Origin,
    permits: DeferredSemaphore,
    /// Those that rest, the one that has rested longest first.
    idle: RefCell<VecDeque<Idle>>,
    /// The one connection of HTTP/2, and since when it has no stream.
    shared: RefCell<Option<Rc<Http2>>>,
    unused_since: Cell<Duration>,
    /// Held while a connection is made that others may share: until it is known whether they can.
    first: DeferredLock,
    /// A connection has shown that this server does not share.
    separate: Cell<bool>,
    /// The attempts that have failed, and the error of the last one, for those who waited for it.
    failures: Cell<u64>,
    failure: RefCell<Option<ConnectError>>,
    /// Closes what rests too long.
    sweep: RefCell<Option<DelayedCall>>,
}

struct Idle {
    http: Http1,
    since: Duration,
    _counted: Counted,
}

/// Connections of all hosts that rest; beyond so many, the next is closed.
const MOST_IDLE: usize = 100;

/// One of the connections that rest.
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

    /// Whether nothing would be lost with it but what rests here.
    pub(super) fn is_unused(&self) -> bool {
        self.idle.borrow().is_empty() && self.shared.borrow().is_none()
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Result<DeferredPermit, ClientError> {
        self.permits.acquire().await.map_err(|failure| ClientError::connect(&failure))
    }

    /// A stream of the connection that is shared, if there is one.
    pub(super) fn share(self: &Rc<Self>) -> Option<Lease> {
        let shared = self.shared.borrow().as_ref().map(Rc::clone)?;
        if shared.0.is_closed() {
            self.retire(&shared);
            return None;
        }
        Some(Lease::stream(self, shared, true))
    }

    /// A connection that rests, the youngest, whose server is the least likely to have had enough of it.
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

    /// A new connection; of HTTP/1.1 if it must not be shared.
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

    /// Keeps a connection for the next request.
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

    /// A stream has ended; perhaps it was the last.
    pub(super) fn stream_ended(self: &Rc<Self>) {
        self.unused_since.set(self.reactor().now());
        if !self.reactor().is_stopping() {
            self.sweep_later(self.settings.idle_timeout);
        }
    }

    /// Shares this connection no more. It closes when its last stream has ended.
    pub(super) fn retire(&self, http: &Rc<Http2>) {
        let retired = self.shared.borrow_mut().take_if(|shared| Rc::ptr_eq(shared, http));
        drop(retired);
    }

    /// Closes what rests.
    pub(super) fn close_idle(&self) {
        self.idle.take();
        self.close_unused();
    }

    /// Closes the connection that could be shared, if nobody shares it.
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
            // Dropped outside of the borrow.
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
            // An error says that it was called.
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
