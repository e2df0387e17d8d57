//! NATS: its core protocol, JetStream for stored topics, and key-value buckets for presence.

mod connection;
mod jetstream;
mod known;
mod presence;
mod protocol;
mod reading;
mod requests;
mod session;
mod subscription;
mod tail;
mod wire;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, ClientFactory, ConnectError, Connector, Factory, LineReceiver, Protocol, Result};
use torsade_reactor::{Deferred, Reactor, defer};
#[cfg(feature = "tls")]
use torsade_transports::TlsClientConfig;
use torsade_transports::service::{ClientService, Service, backoff_policy};

use connection::{Barrier, Connection};
use protocol::{MAX_LINE, NatsProtocol};
use reading::not_there;
use session::Session;
use subscription::Subscription;
use tail::Tail;

use crate::broker_url::BrokerUrl;
use crate::engine::{Engine, Interest, InterestId, ORIGIN, Page, Part, Start, Upstream};
use crate::error::{EngineError, HubError};
use crate::hosts::Hosts;
use crate::message::{MessageId, Publication};
use crate::topic::Topic;

/// The delay before a reconnect: at first, at most, and the factor by which it grows.
const BACKOFF: (Duration, Duration, f64) = (Duration::from_millis(50), Duration::from_secs(2), 1.6);

/// The engine for NATS: a connection to one server of a cluster.
pub(crate) struct NatsEngine {
    hosts: Hosts,
    session: Rc<Session>,
    service: RefCell<Option<ClientService>>,
    /// The expiry of the last announcement.
    expiry: Cell<Duration>,
}

impl NatsEngine {
    /// The default port of servers.
    pub(crate) const PORT: u16 = 4222;

    /// Makes an engine for `nats://`, `nats+tls://` or `tls://`, with `USER:PASSWORD@` or `TOKEN@`, one or more servers of a
    /// cluster, and `?replicas=NUMBER`. With `nats://` TLS is used if the server requires it.
    pub(crate) fn new(url: &BrokerUrl, #[cfg(feature = "tls")] tls: Option<&TlsClientConfig>) -> Result<Self, HubError> {
        let session = Session::new(
            url,
            #[cfg(feature = "tls")]
            tls,
        )?;
        Ok(Self { hosts: Hosts::new(&url.hosts), session, service: RefCell::default(), expiry: Cell::default() })
    }

    /// Returns the connection, if it is logged in.
    fn live(&self) -> Option<Rc<Connection>> {
        self.session.live()
    }

    /// Reports a refusal from the loop, because an engine must not call the hub from inside a method.
    fn refuse_later(connection: &Rc<Connection>, id: InterestId, why: &'static str) {
        let upstream = connection.upstream.clone();
        connection.transport.reactor().call_later(Duration::ZERO, move || upstream.refused(id, why));
    }
}

impl Engine for NatsEngine {
    fn start(&self, reactor: &Reactor, upstream: Upstream) {
        self.session.upstream.replace(Some(upstream));
        let (initial, longest, factor) = BACKOFF;
        let factory = NatsFactory(Rc::clone(&self.session));
        let session = Rc::clone(&self.session);
        let service = match ClientService::new(self.hosts.endpoint(), factory) {
            Ok(service) => service,
            Err(error) => return log::error!("no connection to NATS: {error}"),
        };
        let service =
            service.retry_policy(backoff_policy(initial, longest, factor)).prepare_connection(move |_| session.when_let_in());
        if let Err(error) = service.start_service(reactor) {
            log::error!("no connection to NATS: {error}");
        }
        self.service.replace(Some(service));
    }

    fn lacks(&self, _part: Part) -> Option<&'static str> {
        None
    }

    fn max_payload(&self) -> usize {
        self.live().map_or(usize::MAX, |connection| connection.max_payload.get())
    }

    fn subscribe(&self, id: InterestId, interest: &Interest) {
        let Some(connection) = self.live() else { return };
        if let Some(keep) = interest.keep {
            match interest.pattern.topic() {
                Some(topic) => Tail::begin(&connection, id, topic, keep, interest.after),
                None => Self::refuse_later(&connection, id, "a pattern with wildcards cannot be a stored topic"),
            }
            return;
        }
        let group = interest.group.as_deref().unwrap_or_default();
        if !group.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Self::refuse_later(&connection, id, "a group's name is of printable ASCII without spaces");
        }
        let subscription = Subscription::new(id, &interest.pattern);
        connection.subscriptions.borrow_mut().insert(id.0, Rc::clone(&subscription));
        connection.send_subscribe(interest.pattern.as_str(), group, &id.0.to_string());
        connection.ping(Barrier::Subscribed(subscription));
    }

    fn unsubscribe(&self, id: InterestId) {
        if let Some(connection) = self.live() {
            connection.unsubscribe(id);
        }
    }

    fn publish(&self, topic: &Topic, publication: &Publication) {
        if let Some(connection) = self.live() {
            connection.publish(topic.as_str(), publication);
        }
    }

    fn store(&self, topic: &Topic, publication: &Publication, origin: &str, keep: u64) -> Deferred<MessageId> {
        let Some(connection) = self.live() else { return defer::fail(not_there()) };
        let stream = connection.streams.of_topic(topic);
        stream.should_keep(keep);
        connection.store(&stream, topic.as_str(), publication, Some((ORIGIN, origin)))
    }

    fn fetch(&self, topic: &Topic, from: Start, most: usize) -> Deferred<Page> {
        let Some(connection) = self.live() else { return defer::fail(not_there()) };
        let topic = topic.clone();
        connection.find_out(move |connection| {
            let topic = topic.clone();
            async move { connection.page(&topic, from, most).await }
        })
    }

    fn announce(&self, topic: &Topic, process: &str, members: &[u8], expiry: Duration) -> Deferred<()> {
        self.expiry.set(expiry);
        let Some(connection) = self.live() else { return defer::fail(not_there()) };
        connection.announce(topic, process, members, expiry)
    }

    fn withdraw(&self, topic: &Topic, process: &str) -> Deferred<()> {
        let Some(connection) = self.live() else { return defer::fail(not_there()) };
        connection.withdraw(topic, process, self.expiry.get())
    }

    fn announced(&self, topic: &Topic) -> Deferred<Vec<(String, Vec<u8>)>> {
        let Some(connection) = self.live() else { return defer::fail(not_there()) };
        let topic = topic.clone();
        connection.find_out(move |connection| {
            let topic = topic.clone();
            async move { connection.announced(&topic).await }
        })
    }

    fn is_congested(&self) -> bool {
        self.live().is_some_and(|connection| connection.is_congested())
    }

    fn close(&self) -> Deferred<()> {
        let Some(service) = self.service.take() else { return defer::succeed(()) };
        let Some(connection) = self.live() else { return service.stop_service() };
        let (sent, firer) = Deferred::new();
        connection.ping(Barrier::Closed(firer));
        sent.add_both(move |_| service.stop_service())
    }
}

impl Drop for NatsEngine {
    fn drop(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop_service().detach();
        }
    }
}

impl fmt::Debug for NatsEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsEngine").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Makes the protocol of each connection, and reports failed attempts.
struct NatsFactory(Rc<Session>);

impl Factory for NatsFactory {
    fn build_protocol(&mut self, _peer: &Address) -> Option<Box<dyn Protocol>> {
        Some(Box::new(LineReceiver::new(NatsProtocol::new(&self.0)).max_length(MAX_LINE)))
    }
}

impl ClientFactory for NatsFactory {
    fn client_connection_failed(&mut self, _connector: &Connector, reason: &ConnectError) -> Result {
        self.0.disconnected(EngineError::Unreachable(reason.to_string()), 0);
        Ok(())
    }

    fn client_connection_lost(&mut self, _connector: &Connector, _reason: &torsade_protocols::Reason) -> Result {
        // The protocol has reported it.
        Ok(())
    }
}
