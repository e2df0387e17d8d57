//! The engine: one session after the other.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_reactor::{CallbackResult, Deferred, Failure, Reactor, defer};
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;
use torsade_transports::service::{ClientService, Service, backoff_policy};

use crate::broker_url::BrokerUrl;
use crate::engine::{Engine, Interest, InterestId, Page, Part, Start, Upstream};
use crate::error::{EngineError, HubError};
use crate::message::{MessageId, Publication};
use crate::topic::Topic;

use super::address::RedisAddress;
use super::link::Link;
use super::login::{Server, log_in};
use super::session::Session;
use super::streams::MAX_PAYLOAD;

/// The wait before the next attempt to connect: the first, the longest, and the factor between them.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const FACTOR: f64 = 1.6;

/// A session of at least this length does not count as a failure.
const SHORT: Duration = Duration::from_secs(10);

/// Redis: pub/sub for live messages, streams for stored topics, keys that expire for presence.
pub(crate) struct RedisEngine(Rc<Inner>);

pub(super) struct Inner {
    pub(super) address: Rc<RedisAddress>,
    begun: RefCell<Option<(Reactor, Upstream)>>,
    service: RefCell<Option<ClientService<Link>>>,
    /// What the server said at the last login.
    server: RefCell<Server>,
    session: RefCell<Option<Rc<Session>>>,
    /// When the session began, and how many sessions in a row were short: a login that leads to nothing counts as a failure.
    began: Cell<Duration>,
    short: Cell<u32>,
    /// Whether a connection is awaited.
    awaits: Cell<bool>,
    closed: Cell<bool>,
}

impl RedisEngine {
    /// The port if the URL has none.
    pub(crate) const PORT: u16 = 6379;

    /// Makes an engine for `redis://` and `rediss://`; does not connect yet.
    pub(crate) fn new(url: &BrokerUrl, #[cfg(feature = "tls")] tls: Option<&TlsClientConfig>) -> Result<Self, HubError> {
        let address = RedisAddress::new(
            url,
            #[cfg(feature = "tls")]
            tls,
        )?;
        Ok(Self(Rc::new(Inner {
            address: Rc::new(address),
            begun: RefCell::default(),
            service: RefCell::default(),
            server: RefCell::default(),
            session: RefCell::default(),
            began: Cell::default(),
            short: Cell::new(0),
            awaits: Cell::new(false),
            closed: Cell::new(false),
        })))
    }

    fn session(&self) -> Option<Rc<Session>> {
        self.0.session.borrow().clone()
    }

    fn with<T: 'static>(&self, call: impl FnOnce(&Rc<Session>) -> Deferred<T>) -> Deferred<T> {
        let lost = || defer::fail(EngineError::Lost("there is none".to_owned()));
        self.session().map_or_else(lost, |session| call(&session))
    }
}

impl Inner {
    fn start(self: &Rc<Self>) -> torsade_reactor::Result {
        let Some((reactor, _)) = self.begun.borrow().clone() else { return Ok(()) };
        let hosts = self.address.hosts.clone();
        let service = ClientService::offering(hosts.endpoint(), move |_peer| {
            let link = Link::new(hosts.current().clone());
            (link.protocol(), link)
        })?;
        let engine = Rc::downgrade(self);
        let service =
            service.retry_policy(backoff_policy(FIRST_WAIT, LONGEST_WAIT, FACTOR)).prepare_connection(move |link: &Link| {
                let engine = engine.clone();
                let Some(inner) = engine.upgrade() else {
                    return defer::fail(EngineError::Lost("the hub is gone".to_owned())).settle();
                };
                let logged_in = log_in(link, &inner.address);
                let noted = logged_in.add_callback(move |server| match engine.upgrade() {
                    Some(inner) => {
                        inner.server.replace(server);
                        inner.pause()
                    }
                    None => defer::succeed(()),
                });
                noted.settle()
            });
        self.service.replace(Some(service.clone()));
        self.await_connection();
        service.start_service(&reactor)
    }

    /// Waits the longer, the more sessions in a row were short.
    fn pause(&self) -> Deferred<()> {
        let Some((reactor, _)) = self.begun.borrow().clone().filter(|_| self.short.get() > 0) else { return defer::succeed(()) };
        let (deferred, firer) = Deferred::new();
        let wait = backoff_policy(FIRST_WAIT, LONGEST_WAIT, FACTOR)(self.short.get(), reactor.random());
        reactor.call_later(wait, move || firer.callback(()));
        deferred
    }

    /// Waits until the next connection is made, or an attempt fails.
    pub(super) fn await_connection(self: &Rc<Self>) {
        let Some(service) = self.service.borrow().clone().filter(|_| !self.closed.get()) else { return };
        if self.awaits.replace(true) {
            return;
        }
        let engine = Rc::downgrade(self);
        let told = service.when_connected(Some(1)).add_both(move |result| {
            if let Some(engine) = engine.upgrade().filter(|engine| !engine.closed.get()) {
                engine.awaits.set(false);
                match result {
                    Ok(link) => engine.connected(link),
                    Err(failure) => engine.failed(&failure),
                }
            }
            Ok(())
        });
        told.detach();
    }

    fn connected(self: &Rc<Self>, link: Link) {
        if let Some(session) = self.session.borrow().clone() {
            return session.go_on_with(&link);
        }
        let Some((reactor, upstream)) = self.begun.borrow().clone() else { return };
        self.began.set(reactor.now());
        let session = Session::new(self, reactor, upstream.clone(), link.clone(), self.server.borrow().clone());
        self.session.replace(Some(session));
        link.open();
        upstream.connected();
    }

    fn failed(self: &Rc<Self>, failure: &Failure) {
        let error = failure.downcast_ref::<EngineError>().cloned();
        let error = error.unwrap_or_else(|| EngineError::Unreachable(format!("{}: {failure}", self.address.hosts.current())));
        self.await_connection();
        if self.session.borrow().is_some() {
            return log::debug!("hub: no connection in the place of the one that was lost: {error}");
        }
        self.tell(error, 0);
    }

    pub(super) fn session_ended(self: &Rc<Self>, error: EngineError, unconfirmed: u64) {
        if let Some(session) = self.session.take() {
            let is_short = session.reactor.now().saturating_sub(self.began.get()) < SHORT;
            self.short.set(if is_short { self.short.get().saturating_add(1) } else { 0 });
        }
        self.await_connection();
        self.tell(error, unconfirmed);
    }

    fn tell(&self, error: EngineError, unconfirmed: u64) {
        let upstream = self.begun.borrow().as_ref().map(|(_, upstream)| upstream.clone());
        if let Some(upstream) = upstream {
            upstream.disconnected(error, unconfirmed);
        }
    }

    fn close(&self) -> Deferred<()> {
        self.closed.set(true);
        if let Some(session) = self.session.take() {
            session.close();
        }
        let service = self.service.take();
        service.map_or_else(|| defer::succeed(()), |service| service.stop_service())
    }
}

impl Engine for RedisEngine {
    fn start(&self, reactor: &Reactor, upstream: Upstream) {
        self.0.begun.replace(Some((reactor.clone(), upstream)));
        if let Err(error) = self.0.start() {
            // The service retries by itself only after a first attempt.
            let (engine, error) = (Rc::downgrade(&self.0), EngineError::Unreachable(error.to_string()));
            reactor.call_later(Duration::ZERO, move || {
                if let Some(engine) = engine.upgrade() {
                    engine.tell(error, 0);
                }
            });
        }
    }

    fn lacks(&self, part: Part) -> Option<&'static str> {
        match part {
            Part::Wildcards if self.0.address.sharded => Some("Redis's sharded pub/sub has no patterns"),
            Part::Wildcards => None,
            Part::Groups => Some("Redis has no queue groups"),
            Part::Headers => Some("Redis has no headers beside messages that are not kept"),
        }
    }

    fn max_payload(&self) -> usize {
        MAX_PAYLOAD
    }

    fn subscribe(&self, id: InterestId, interest: &Interest) {
        if let Some(session) = self.session() {
            session.subscribe(id, interest);
        }
    }

    fn unsubscribe(&self, id: InterestId) {
        if let Some(session) = self.session() {
            session.unsubscribe(id);
        }
    }

    fn publish(&self, topic: &Topic, publication: &Publication) {
        if let Some(session) = self.session() {
            session.publish(topic, publication);
        }
    }

    fn store(&self, topic: &Topic, publication: &Publication, origin: &str, keep: u64) -> Deferred<MessageId> {
        self.with(|session| session.store(topic, publication, origin, keep))
    }

    fn fetch(&self, topic: &Topic, from: Start, most: usize) -> Deferred<Page> {
        self.with(|session| session.fetch(topic, from, most))
    }

    fn announce(&self, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()> {
        self.with(|session| session.announce(topic, process, members, expiry))
    }

    fn withdraw(&self, topic: &Topic, process: &str) -> Deferred<()> {
        self.with(|session| session.withdraw(topic, process))
    }

    fn announced(&self, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>> {
        self.with(|session| session.announced(topic))
    }

    fn is_congested(&self) -> bool {
        self.session().is_some_and(|session| session.is_congested())
    }

    fn close(&self) -> Deferred<()> {
        self.0.close()
    }
}

impl Drop for RedisEngine {
    fn drop(&mut self) {
        self.0.close().detach();
    }
}

impl fmt::Debug for RedisEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisEngine").field("at", &self.0.address.hosts.to_string()).finish_non_exhaustive()
    }
}
