//! A service that keeps one connection alive.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{
    Address, ClientFactory, ConnectError, Connector, EndpointError, Factory, MakeHandle, Offer, Protocol, Reason, Transport,
};
use torsade_reactor::{CallbackResult, Deferred, DeferredError, DelayedCall, Failure, Firer, Reactor, Result, Settled, defer};

use super::Service;
use super::backoff_policy::backoff_policy;
use crate::endpoints::{ClientEndpoint, IntoEndpoint};

type Policy = dyn Fn(u32, u64) -> Duration;
type Prepare<H> = dyn Fn(&H) -> Settled<()>;
type TakeHandle<H> = dyn Fn(&Transport) -> Option<H>;

/// Connects when it is started, and reconnects whenever the connection fails or is lost, until it is stopped; a cheap handle.
///
/// The delay before an attempt grows with the number of failures in a row, see [`backoff_policy`].
/// [`when_connected`](Self::when_connected) gives the transport, or [what the protocol offers](Self::offering), once the
/// connection is ready to use: with TLS, after the handshake.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use torsade::{prelude::*, service::{ClientService, Service}, simulated::Simulation, wire::{Discard, Echo}};
///
/// let simulation = Simulation::new(1);
/// simulation.host("10.0.0.2").listen("10.0.0.2:7", |_peer| Echo)?;
/// let reactor = simulation.host("10.0.0.1");
/// let service = ClientService::new("10.0.0.2:7", |_peer| Discard)?;
/// service.start_service(&reactor)?;
/// let connected = service.when_connected(None);
/// simulation.run_for(Duration::from_secs(1))?;
/// assert!(connected.is_called());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ClientService<H: 'static = Transport>(Rc<Client<H>>);

struct Client<H: 'static> {
    endpoint: ClientEndpoint,
    factory: Rc<RefCell<dyn ClientFactory>>,
    /// Makes the handle of the present connection, whose protocol was the last one built.
    handle: Box<TakeHandle<H>>,
    /// `None` if it connects only once.
    policy: RefCell<Option<Rc<Policy>>>,
    prepare: RefCell<Option<Rc<Prepare<H>>>>,
    state: RefCell<ServiceState<H>>,
}

/// What the service keeps alive.
///
/// Guaranteed: there is at most one connection or attempt at a time; its end, which the factory's hooks report, makes the phase
/// idle and begins the next delay, unless the service is being stopped; those who wait for a connection get a prepared one, or
/// an error.
struct ServiceState<H: 'static> {
    /// None while the service is stopped or stopping.
    reactor: Option<Reactor>,
    phase: Phase<H>,
    /// Failures in a row.
    failures: u32,
    waiting: Vec<Waiting<H>>,
    stopping: Vec<Firer<()>>,
}

enum Phase<H> {
    Idle,
    /// Until the connection is ready to use.
    Connecting(Connector),
    Preparing(Transport),
    Connected(Transport, H),
    /// Preparing it has failed, and it is being closed.
    Refused(Transport),
    /// Until the next attempt.
    Waiting(DelayedCall),
}

/// One caller of `when_connected`.
struct Waiting<H: 'static> {
    /// Gives up after this many further failures.
    failures_left: Option<u32>,
    firer: Firer<H>,
}

impl ClientService {
    /// Makes a service that keeps a connection to `endpoint`, and gives its transport.
    ///
    /// # Errors
    /// If the text is not an endpoint.
    pub fn new<E>(endpoint: E, factory: impl ClientFactory + 'static) -> Result<Self, EndpointError>
    where
        E: IntoEndpoint<ClientEndpoint>,
    {
        let endpoint = endpoint.into_endpoint()?;
        Ok(Self::of(endpoint, Rc::new(RefCell::new(factory)), |transport| Some(transport.clone())))
    }
}

impl<H: Clone + 'static> ClientService<H> {
    /// Makes a service that keeps a connection to `endpoint`, and gives what its protocol offers.
    ///
    /// For each connection `build` returns a protocol together with a handle for the rest of the program, see [`Offer`].
    ///
    /// # Errors
    /// If the text is not an endpoint.
    ///
    /// # Examples
    /// The handle counts the received bytes:
    /// ```
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    /// use torsade::{prelude::*, service::{ClientService, Service}, simulated::Simulation, wire::Echo};
    ///
    /// struct Counting(Rc<Cell<usize>>);
    ///
    /// impl Protocol for Counting {
    ///     fn connection_made(&mut self, transport: &Transport) -> Result {
    ///         transport.write("four");
    ///         Ok(())
    ///     }
    ///
    ///     fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
    ///         self.0.set(self.0.get() + data.len());
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let simulation = Simulation::new(1);
    /// simulation.host("10.0.0.2").listen("10.0.0.2:7", |_peer| Echo)?;
    /// let service = ClientService::offering("10.0.0.2:7", |_peer| {
    ///     let count = Rc::new(Cell::new(0));
    ///     (Counting(Rc::clone(&count)), count)
    /// })?;
    /// service.start_service(&simulation.host("10.0.0.1"))?;
    /// let count = service.when_connected(None);
    /// simulation.run_for(Duration::from_secs(1))?;
    /// assert_eq!(count.into_result().expect("it is connected")?.get(), 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn offering<E, O>(endpoint: E, build: impl FnMut(Address) -> O + 'static) -> Result<Self, EndpointError>
    where
        E: IntoEndpoint<ClientEndpoint>,
        O: Offer<Handle = H>,
    {
        let endpoint = endpoint.into_endpoint()?;
        let made = Rc::new(RefCell::new(None::<MakeHandle<H>>));
        let factory = Offering { build, made: Rc::clone(&made) };
        Ok(Self::of(endpoint, Rc::new(RefCell::new(factory)), move |transport| Some(made.take()?(transport))))
    }

    fn of(
        endpoint: ClientEndpoint,
        factory: Rc<RefCell<dyn ClientFactory>>,
        handle: impl Fn(&Transport) -> Option<H> + 'static,
    ) -> Self {
        let policy = backoff_policy(Duration::from_secs(1), Duration::from_secs(60), 1.5);
        let (waiting, stopping) = (Vec::new(), Vec::new());
        Self(Rc::new(Client {
            endpoint,
            factory,
            handle: Box::new(handle),
            policy: RefCell::new(Some(Rc::new(policy))),
            prepare: RefCell::default(),
            state: RefCell::new(ServiceState { reactor: None, phase: Phase::Idle, failures: 0, waiting, stopping }),
        }))
    }

    /// Makes the service connect only once after each start, and not reconnect.
    ///
    /// A failure is still reported to those who wait for the connection, and stopping the service closes the connection.
    #[doc(alias = "TCPClient")]
    #[doc(alias = "SSLClient")]
    #[doc(alias = "UNIXClient")]
    #[must_use]
    pub fn once(self) -> Self {
        self.0.policy.replace(None);
        self
    }

    /// Sets the function that computes the delay before the next attempt from the number of failures in a row and a random
    /// number.
    ///
    /// 0 failures means that a prepared connection was lost.
    #[doc(alias = "retryPolicy")]
    #[must_use]
    pub fn retry_policy(self, policy: impl Fn(u32, u64) -> Duration + 'static) -> Self {
        self.0.policy.replace(Some(Rc::new(policy)));
        self
    }

    /// Sets a function that prepares each new connection before anybody gets it, such as a login.
    ///
    /// It is called from the loop, with what [`when_connected`](Self::when_connected) will give, once the connection is ready to
    /// use. If it fails, the connection is closed, which counts as a failed attempt.
    #[doc(alias = "prepareConnection")]
    #[must_use]
    pub fn prepare_connection<R>(self, prepare: impl Fn(&H) -> R + 'static) -> Self
    where
        R: CallbackResult<Value = ()>,
    {
        self.0.prepare.replace(Some(Rc::new(move |handle| prepare(handle).settle())));
        self
    }

    /// Gives the transport, or what the protocol offers: at once if the service is connected, otherwise as soon as it is.
    ///
    /// After `fail_after_failures` further failures the Deferred fails with the [`ConnectError`] of the last attempt, or the
    /// error of its preparation (with `None` it waits for ever). When the service is stopped, it fails with
    /// [`DeferredError::Cancelled`].
    #[doc(alias = "whenConnected")]
    #[track_caller]
    pub fn when_connected(&self, fail_after_failures: Option<u32>) -> Deferred<H> {
        let (deferred, firer) = Deferred::new();
        let mut state = self.0.state.borrow_mut();
        if let Phase::Connected(transport, handle) = &state.phase
            && transport.is_connected()
            && !transport.is_closing()
        {
            let handle = handle.clone();
            drop(state);
            firer.callback(handle);
        } else {
            state.waiting.push(Waiting { failures_left: fail_after_failures, firer });
        }
        deferred
    }
}

impl<H: Clone + 'static> Service for ClientService<H> {
    fn start_service(&self, reactor: &Reactor) -> Result {
        let idle = {
            let mut state = self.0.state.borrow_mut();
            state.failures = 0;
            state.reactor = Some(reactor.clone());
            matches!(state.phase, Phase::Idle)
        };
        // Otherwise a stop is under way: the end of its connection begins the next attempt.
        if idle { Ok(self.0.connect()?) } else { Ok(()) }
    }

    fn stop_service(&self) -> Deferred<()> {
        let (deferred, firer) = Deferred::new();
        let (waiting, end) = {
            let mut state = self.0.state.borrow_mut();
            state.reactor = None;
            state.stopping.push(firer);
            let waiting = std::mem::take(&mut state.waiting);
            (waiting, state.end_phase())
        };
        for waiting in waiting {
            waiting.firer.errback(DeferredError::Cancelled);
        }
        end();
        self.0.fire_stopped();
        deferred
    }

    fn name(&self) -> String {
        format!("the client of {}", self.0.endpoint)
    }
}

impl<H> ServiceState<H> {
    /// A function that ends the present phase. If that takes a while, the factory's hooks report its end.
    fn end_phase(&mut self) -> Box<dyn FnOnce()> {
        match &self.phase {
            Phase::Idle => Box::new(|| ()),
            Phase::Connecting(connector) => {
                let connector = connector.clone();
                Box::new(move || connector.disconnect())
            }
            Phase::Connected(transport, _) | Phase::Preparing(transport) | Phase::Refused(transport) => {
                let transport = transport.clone();
                Box::new(move || transport.lose_connection())
            }
            Phase::Waiting(call) => {
                call.cancel().ok();
                self.phase = Phase::Idle;
                Box::new(|| ())
            }
        }
    }
}

impl<H: Clone + 'static> Client<H> {
    fn connect(self: &Rc<Self>) -> Result<(), ConnectError> {
        let reactor = self.state.borrow().reactor.clone();
        let Some(reactor) = reactor else { return Ok(()) };
        let watched = Watched { client: Rc::clone(self), factory: Rc::clone(&self.factory) };
        let connector = self.endpoint.connect(&reactor, Box::new(watched))?;
        self.state.borrow_mut().phase = Phase::Connecting(connector);
        Ok(())
    }

    fn fire_stopped(&self) {
        let stopped = {
            let mut state = self.state.borrow_mut();
            if matches!(state.phase, Phase::Idle) { std::mem::take(&mut state.stopping) } else { Vec::new() }
        };
        for firer in stopped {
            firer.callback(());
        }
    }

    /// The connection is ready to use.
    fn made(self: &Rc<Self>, transport: &Transport) {
        let Some(handle) = (self.handle)(transport) else { return };
        self.state.borrow_mut().phase = Phase::Preparing(transport.clone());
        let prepare = self.prepare.borrow().clone();
        let prepared = match prepare {
            Some(prepare) => defer::maybe_deferred(|| prepare(&handle)),
            None => return self.prepared(transport.clone(), handle),
        };
        let (client, transport) = (Rc::clone(self), transport.clone());
        let reported = prepared.add_both(move |result| match result {
            Ok(()) => client.prepared(transport, handle),
            // Otherwise the connection was lost meanwhile, and that was counted.
            Err(failure) if client.is_preparing(&transport) => {
                log::warn!("preparing the connection with {} failed: {failure}", client.endpoint);
                client.state.borrow_mut().phase = Phase::Refused(transport.clone());
                client.failed(&failure);
                transport.lose_connection();
            }
            Err(failure) => log::debug!("preparing a connection with {} that is lost: {failure}", client.endpoint),
        });
        reported.detach();
    }

    fn is_preparing(&self, transport: &Transport) -> bool {
        matches!(&self.state.borrow().phase, Phase::Preparing(known) if known.id() == transport.id())
    }

    fn prepared(&self, transport: Transport, handle: H) {
        // If it was lost meanwhile, or the service stopped, nobody gets it.
        if !self.is_preparing(&transport) || self.state.borrow().reactor.is_none() {
            return;
        }
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.failures = 0;
            state.phase = Phase::Connected(transport, handle.clone());
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            waiting.firer.callback(handle.clone());
        }
    }

    /// Counts a failure, and fails the waiting Deferreds that allow no more.
    fn failed(&self, failure: &Failure) {
        let last = self.policy.borrow().is_none();
        let given_up: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.failures = state.failures.saturating_add(1);
            for waiting in &mut state.waiting {
                waiting.failures_left = waiting.failures_left.map(|left| left.saturating_sub(1));
            }
            state.waiting.extract_if(.., |waiting| last || waiting.failures_left == Some(0)).collect()
        };
        for waiting in given_up {
            waiting.firer.errback(failure.clone());
        }
    }

    /// The attempt or the connection has ended.
    fn ended(self: &Rc<Self>) {
        self.state.borrow_mut().phase = Phase::Idle;
        self.fire_stopped();
        let reactor = {
            let state = self.state.borrow();
            // A callback of the stop may have started the service again.
            let idle = matches!(state.phase, Phase::Idle);
            state.reactor.clone().filter(|reactor| idle && !reactor.is_stopping())
        };
        let policy = self.policy.borrow().clone();
        let (Some(reactor), Some(policy)) = (reactor, policy) else { return };
        let delay = policy(self.state.borrow().failures, reactor.random());
        log::warn!("connecting to {} again in {delay:?}", self.endpoint);
        let client = Rc::clone(self);
        let call = reactor.call_later(delay, move || {
            client.state.borrow_mut().phase = Phase::Idle;
            if let Err(error) = client.connect() {
                log::warn!("connecting to {} failed: {error}", client.endpoint);
                client.failed(&Failure::new(error));
                client.ended();
            }
        });
        self.state.borrow_mut().phase = Phase::Waiting(call);
    }
}

/// Builds protocols with their handles, and keeps the maker of the handle until the connection is ready.
struct Offering<B, H: 'static> {
    build: B,
    made: Rc<RefCell<Option<MakeHandle<H>>>>,
}

impl<B: FnMut(Address) -> O, O: Offer> Factory for Offering<B, O::Handle> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        let (protocol, handle) = (self.build)(peer.clone()).into_parts();
        self.made.replace(Some(handle));
        Some(protocol)
    }
}

impl<B: FnMut(Address) -> O, O: Offer> ClientFactory for Offering<B, O::Handle> {}

/// The user's factory, whose hooks also inform the service.
struct Watched<H: 'static> {
    client: Rc<Client<H>>,
    factory: Rc<RefCell<dyn ClientFactory>>,
}

impl<H: Clone + 'static> Factory for Watched<H> {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.factory.build_protocol(peer)
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl<H: Clone + 'static> ClientFactory for Watched<H> {
    fn client_connection_made(&mut self, connector: &Connector, transport: &Transport) -> Result {
        let reported = self.factory.client_connection_made(connector, transport);
        self.client.made(transport);
        reported
    }

    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.client.failed(&Failure::new(reason.clone()));
        self.client.ended();
        self.factory.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        let unprepared = matches!(self.client.state.borrow().phase, Phase::Connecting(_) | Phase::Preparing(_));
        if unprepared {
            self.client.failed(&Failure::new(ConnectError::Lost(reason.clone())));
        }
        self.client.ended();
        self.factory.client_connection_lost(connector, reason)
    }

    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

impl<H> Clone for ClientService<H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<H> fmt::Debug for ClientService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.borrow();
        f.debug_struct("ClientService")
            .field("endpoint", &self.0.endpoint)
            .field("failures", &state.failures)
            .field("connected", &matches!(state.phase, Phase::Connected(..)))
            .finish_non_exhaustive()
    }
}
