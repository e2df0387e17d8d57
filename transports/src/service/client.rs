//! A service that keeps one connection alive.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::policies::{ProtocolWrapper, WrapperTransport, WrappingFactory};
use torsade_protocols::{
    Address, AddressError, ClientFactory, ConnectError, Connector, Factory, HostPort, IntoHostPort, Protocol, Reason, Transport,
};
use torsade_reactor::{CallbackResult, Deferred, DeferredError, DelayedCall, Failure, Firer, Reactor, Result, Settled, defer};

use super::Service;
use crate::ends::reactor_tcp::ReactorTcp;

type Policy = dyn Fn(u32, u64) -> Duration;
type Prepare = dyn Fn(&Transport) -> Settled<()>;

/// Connects when it is started, and again whenever the connection fails or is lost, until it is stopped; a cheap handle.
///
/// The wait before an attempt grows with the number of failures in a row, see [`backoff_policy`].
/// [`when_connected`](Self::when_connected) gives the transport. Twisted's takes an endpoint; this takes an address for
/// [`connect_tcp`](ReactorTcp::connect_tcp).
#[derive(Clone)]
#[doc(alias = "TCPClient")]
pub struct ClientService(Rc<Client>);

struct Client {
    address: HostPort,
    factory: Rc<RefCell<dyn ClientFactory>>,
    policy: RefCell<Rc<Policy>>,
    prepare: RefCell<Option<Rc<Prepare>>>,
    state: RefCell<ServiceState>,
}

/// What the service keeps alive.
///
/// Guaranteed: there is at most one connection or attempt at a time; its end, which the factory's hooks tell, makes the phase
/// idle and begins the next wait, unless the service is being stopped; whoever waits for a connection gets one that is
/// prepared, or an error.
#[derive(Default)]
struct ServiceState {
    /// None while the service is stopped or stopping.
    reactor: Option<Reactor>,
    phase: Phase,
    /// Failures in a row.
    failures: u32,
    waiting: Vec<Waiting>,
    stopping: Vec<Firer<()>>,
}

#[derive(Default)]
enum Phase {
    #[default]
    Idle,
    Connecting(Connector),
    /// The connection is established, and is being prepared.
    Preparing(Transport),
    Connected(Transport),
    /// Preparing it has failed, and it is being closed.
    Refused(Transport),
    /// For the next attempt.
    Waiting(DelayedCall),
}

/// Somebody who waits for a connection.
struct Waiting {
    /// Gives up after this many further failures.
    failures_left: Option<u32>,
    firer: Firer<Transport>,
}

/// A wait that begins with `initial` and grows by `factor` with each failure in a row, up to `longest`; with jitter.
///
/// The wait after n failures is `min(initial * factor^n, longest)` and up to `initial` more, so that clients of a server that was
/// restarted do not all return at once. The default of a [`ClientService`] is 1 s, 60 s and 1.5, as in Twisted.
#[doc(alias = "backoffPolicy")]
pub fn backoff_policy(initial: Duration, longest: Duration, factor: f64) -> impl Fn(u32, u64) -> Duration + 'static {
    move |failures, random| {
        let exponent = i32::try_from(failures).unwrap_or(i32::MAX);
        let plain = Duration::try_from_secs_f64(initial.as_secs_f64() * factor.powi(exponent)).unwrap_or(longest).min(longest);
        #[expect(clippy::cast_precision_loss, reason = "chance needs no exactness")]
        let jitter = initial.mul_f64(random as f64 / u64::MAX as f64);
        plain.saturating_add(jitter)
    }
}

impl ClientService {
    /// Makes a service that keeps a connection to `address`.
    ///
    /// # Errors
    /// When the text is not an address.
    pub fn new<A>(address: A, factory: impl ClientFactory + 'static) -> Result<Self, AddressError>
    where
        A: IntoHostPort,
    {
        let policy = backoff_policy(Duration::from_secs(1), Duration::from_secs(60), 1.5);
        Ok(Self(Rc::new(Client {
            address: address.into_host_port()?,
            factory: Rc::new(RefCell::new(factory)),
            policy: RefCell::new(Rc::new(policy)),
            prepare: RefCell::default(),
            state: RefCell::default(),
        })))
    }

    /// Sets the wait before the next attempt, from the number of failures in a row and a random number.
    ///
    /// 0 failures means that a connection was lost after it had been prepared.
    #[doc(alias = "retryPolicy")]
    #[must_use]
    pub fn retry_policy(self, policy: impl Fn(u32, u64) -> Duration + 'static) -> Self {
        self.0.policy.replace(Rc::new(policy));
        self
    }

    /// Sets what is done with a new connection before anybody gets it, such as a login.
    ///
    /// It is called from the loop after `connection_made`. If it fails, the connection is closed, and that counts as a failed
    /// attempt.
    #[doc(alias = "prepareConnection")]
    #[must_use]
    pub fn prepare_connection<R>(self, prepare: impl Fn(&Transport) -> R + 'static) -> Self
    where
        R: CallbackResult<Value = ()>,
    {
        self.0.prepare.replace(Some(Rc::new(move |transport| prepare(transport).settle())));
        self
    }

    /// Gives the transport, now if the service is connected, otherwise once it is.
    ///
    /// Fails with the error of the last attempt after `fail_after_failures` failures from now on (without a number it waits for
    /// ever), and with [`DeferredError::Cancelled`] when the service is stopped.
    #[doc(alias = "whenConnected")]
    #[track_caller]
    pub fn when_connected(&self, fail_after_failures: Option<u32>) -> Deferred<Transport> {
        let (deferred, firer) = Deferred::new();
        let mut state = self.0.state.borrow_mut();
        if let Phase::Connected(transport) = &state.phase
            && transport.is_connected()
            && !transport.is_closing()
        {
            let transport = transport.clone();
            drop(state);
            firer.callback(transport);
        } else {
            state.waiting.push(Waiting { failures_left: fail_after_failures, firer });
        }
        deferred
    }
}

impl Service for ClientService {
    fn start_service(&self, reactor: &Reactor) -> Result {
        let idle = {
            let mut state = self.0.state.borrow_mut();
            state.failures = 0;
            state.reactor = Some(reactor.clone());
            matches!(state.phase, Phase::Idle)
        };
        // Otherwise a stop is under way: the end of its connection begins the next attempt.
        if idle { self.0.connect() } else { Ok(()) }
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
        format!("the client of {}", self.0.address)
    }
}

impl ServiceState {
    /// What ends the present phase. Where that takes a while, the factory's hooks tell its end.
    fn end_phase(&mut self) -> Box<dyn FnOnce()> {
        match &self.phase {
            Phase::Idle => Box::new(|| ()),
            Phase::Connecting(connector) => {
                let connector = connector.clone();
                Box::new(move || connector.disconnect())
            }
            Phase::Connected(transport) | Phase::Preparing(transport) | Phase::Refused(transport) => {
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

impl Client {
    fn connect(self: &Rc<Self>) -> Result {
        let reactor = self.state.borrow().reactor.clone();
        let Some(reactor) = reactor else { return Ok(()) };
        let watched = Watched { client: Rc::clone(self), factory: Rc::clone(&self.factory) };
        let client = Rc::clone(self);
        let factory = WrappingFactory::new(watched, move |_: &Address| Watch(Rc::clone(&client)));
        let connector = reactor.connect_tcp::<HostPort, _>(self.address.clone(), factory)?;
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

    fn made(self: &Rc<Self>, transport: &Transport) {
        self.state.borrow_mut().phase = Phase::Preparing(transport.clone());
        // The protocol's own connection_made comes first.
        let (client, transport) = (Rc::clone(self), transport.clone());
        transport.reactor().clone().call_later(Duration::ZERO, move || client.prepare(&transport));
    }

    fn prepare(self: &Rc<Self>, transport: &Transport) {
        let prepare = self.prepare.borrow().clone();
        let prepared = match prepare {
            _ if !self.is_preparing(transport) => return,
            Some(prepare) => defer::maybe_deferred(|| prepare(transport)),
            None => defer::succeed(()),
        };
        let (client, transport) = (Rc::clone(self), transport.clone());
        let told = prepared.add_both(move |result| match result {
            Ok(()) => client.prepared(transport),
            // Otherwise the connection was lost meanwhile, and that was counted.
            Err(failure) if client.is_preparing(&transport) => {
                log::warn!("preparing the connection with {} failed: {failure}", client.address);
                client.state.borrow_mut().phase = Phase::Refused(transport.clone());
                client.failed(&failure);
                transport.lose_connection();
            }
            Err(failure) => log::debug!("preparing a connection with {} that is lost: {failure}", client.address),
        });
        told.detach();
    }

    fn is_preparing(&self, transport: &Transport) -> bool {
        matches!(&self.state.borrow().phase, Phase::Preparing(known) if known.id() == transport.id())
    }

    fn prepared(&self, transport: Transport) {
        // If it was lost meanwhile, or the service stopped, nobody gets it.
        if !self.is_preparing(&transport) || self.state.borrow().reactor.is_none() {
            return;
        }
        let waiting = {
            let mut state = self.state.borrow_mut();
            state.failures = 0;
            state.phase = Phase::Connected(transport.clone());
            std::mem::take(&mut state.waiting)
        };
        for waiting in waiting {
            waiting.firer.callback(transport.clone());
        }
    }

    /// Counts a failure, and fails those who wait for no more.
    fn failed(&self, failure: &Failure) {
        let given_up: Vec<_> = {
            let mut state = self.state.borrow_mut();
            state.failures = state.failures.saturating_add(1);
            for waiting in &mut state.waiting {
                waiting.failures_left = waiting.failures_left.map(|left| left.saturating_sub(1));
            }
            state.waiting.extract_if(.., |waiting| waiting.failures_left == Some(0)).collect()
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
        let Some(reactor) = reactor else { return };
        let policy = Rc::clone(&self.policy.borrow());
        let delay = policy(self.state.borrow().failures, reactor.random());
        log::warn!("connecting to {} again in {delay:?}", self.address);
        let client = Rc::clone(self);
        let call = reactor.call_later(delay, move || {
            client.state.borrow_mut().phase = Phase::Idle;
            if let Err(error) = client.connect() {
                log::warn!("not connecting to {} again: {error}", client.address);
            }
        });
        self.state.borrow_mut().phase = Phase::Waiting(call);
    }
}

/// Tells the service of each new connection.
struct Watch(Rc<Client>);

impl ProtocolWrapper for Watch {
    fn connection_made(&self, below: &WrapperTransport) -> Result {
        self.0.made(below);
        Ok(())
    }
}

/// The user's factory, whose hooks tell the service as well.
struct Watched {
    client: Rc<Client>,
    factory: Rc<RefCell<dyn ClientFactory>>,
}

impl Factory for Watched {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.factory.build_protocol(peer)
    }

    fn wrapped(&mut self) -> Option<&mut dyn Factory> {
        Some(&mut self.factory)
    }
}

impl ClientFactory for Watched {
    fn client_connection_failed(&mut self, connector: &Connector, reason: &ConnectError) -> Result {
        self.client.failed(&Failure::new(reason.to_string()));
        self.client.ended();
        self.factory.client_connection_failed(connector, reason)
    }

    fn client_connection_lost(&mut self, connector: &Connector, reason: &Reason) -> Result {
        let unprepared = matches!(self.client.state.borrow().phase, Phase::Preparing(_));
        if unprepared {
            self.client.failed(&Failure::new(reason.to_string()));
        }
        self.client.ended();
        self.factory.client_connection_lost(connector, reason)
    }

    fn wrapped_client(&mut self) -> Option<&mut dyn ClientFactory> {
        Some(&mut self.factory)
    }
}

impl fmt::Debug for ClientService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state.borrow();
        f.debug_struct("ClientService")
            .field("address", &self.0.address)
            .field("failures", &state.failures)
            .field("connected", &matches!(state.phase, Phase::Connected(_)))
            .finish_non_exhaustive()
    }
}
