//! Outgoing connections: the attempts, and their results.

mod race;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::spi::{Connect, Layers};
use torsade_protocols::{
    Address, ClientFactory, ConnectError, ConnectOptions, Connector, ConnectorState, Destination, Host, HostPort, Protocol,
    Reason, Result, Transport,
};
use torsade_reactor::event_log::{Event, Subject};
use torsade_reactor::spi::{Ready, Source, Token, catch, copy_error, drop_quietly};
use torsade_reactor::{Command, DeferredHandle, DelayedCall, Failure, Panic, Reactor, TooManyLookUps, report_error};

use crate::connection::shared::Shared;
use crate::connection::{Begun, StreamConnection};
use crate::ends::socket_address::on_link;
use race::{Race, Winner};

pub(crate) struct StreamConnector {
    shared: Rc<Shared>,
    destination: Destination,
    /// How to start the process, if the destination is one.
    command: Option<Rc<Command>>,
    options: ConnectOptions,
    factory: RefCell<Box<dyn ClientFactory>>,
    /// What every connection begins with.
    layers: Layers,
    /// `start_factory` was called, but `stop_factory` was not.
    started: Cell<bool>,
    /// Counts attempts, so that a late event of an old attempt is not mistaken for one of the present attempt.
    attempt: Cell<u64>,
    phase: RefCell<Phase>,
    /// The entry in the reactor's table while there is no socket that has one: the reactor tells its entries when it stops.
    waiting: Cell<Option<Token>>,
}

enum Phase {
    Idle,
    /// `connect` was called; the attempt begins in the next turn.
    Starting,
    /// The name is being looked up, or about to be. There is no socket yet.
    Resolving(DelayedCall, DeferredHandle),
    Connecting(Race),
    /// The connection is established, and the factory builds its protocol.
    Building,
    /// The attempt was ended by the user; the factory is told in the next turn.
    Ending,
    Connected(Transport),
}

impl StreamConnector {
    pub(crate) fn new(
        reactor: &Reactor,
        destination: Destination,
        command: Option<Rc<Command>>,
        options: ConnectOptions,
        factory: Box<dyn ClientFactory>,
        layers: Layers,
    ) -> Rc<Self> {
        Rc::new(Self {
            shared: Shared::of(reactor),
            destination,
            command,
            options,
            factory: RefCell::new(factory),
            layers,
            started: Cell::new(false),
            attempt: Cell::new(0),
            phase: RefCell::new(Phase::Idle),
            waiting: Cell::new(None),
        })
    }

    /// Calls `call` after `delay`, at the earliest in the next turn, if the attempt is still the same then.
    fn next_turn(self: &Rc<Self>, delay: Duration, call: impl FnOnce(&Rc<Self>) + 'static) -> DelayedCall {
        let (connector, attempt) = (Rc::clone(self), self.attempt.get());
        self.shared.reactor.call_later(delay, move || {
            if connector.attempt.get() == attempt {
                call(&connector);
            }
        })
    }

    fn report_start(self: &Rc<Self>) {
        if !self.started.replace(true) {
            self.call_factory("start_factory", |factory, _| {
                factory.start_factory();
                Ok(())
            });
        }
        self.call_factory("started_connecting", |factory, connector| factory.started_connecting(connector));
    }

    fn begin(self: &Rc<Self>) {
        self.report_start();
        if !matches!(*self.phase.borrow(), Phase::Starting) {
            // Ended in the hook.
            return;
        }
        let timeout = self.options.timeout;
        let deadline = self.next_turn(timeout, move |connector| connector.fail(&ConnectError::TimedOut(timeout)));
        let there = match &self.destination {
            Destination::Address(address) => Ok(address.clone()),
            Destination::Process(_) => Ok(Address::Unnamed),
            Destination::Host(there) => match there.host() {
                Host::Ip(ip) => on_link(&self.shared.reactor, there, *ip).map(Address::from),
                Host::Name(_) => return self.look_up(deadline, there),
            },
        };
        match there {
            Ok(there) => self.race(deadline, vec![there]),
            Err(error) => {
                deadline.cancel().ok();
                self.fail(&error.into());
            }
        }
    }

    fn look_up(self: &Rc<Self>, deadline: DelayedCall, there: &HostPort) {
        let connector = Rc::clone(self);
        let addresses = self.shared.reactor.resolve(&there.host().to_string());
        self.phase.replace(Phase::Resolving(deadline, addresses.handle()));
        let resolved = addresses.add_both(move |resolved| {
            connector.resolved(resolved);
            Ok(())
        });
        resolved.detach();
    }

    fn resolved(self: &Rc<Self>, resolved: Result<Vec<SocketAddr>, Failure>) {
        let Destination::Host(there) = &self.destination else { return };
        let phase = self.phase.replace(Phase::Ending);
        let Phase::Resolving(deadline, _) = phase else {
            self.phase.replace(phase);
            return;
        };
        match resolved {
            Ok(mut found) => {
                found.iter_mut().for_each(|address| address.set_port(there.port()));
                self.race(deadline, found.into_iter().map(Address::from).collect());
            }
            Err(failure) => {
                deadline.cancel().ok();
                let name = there.host().to_string();
                self.fail(&match failure.downcast_ref::<io::Error>() {
                    Some(cause) => ConnectError::UnknownHost { name, cause: copy_error(cause) },
                    None if failure.check::<TooManyLookUps>() => ConnectError::TooManyLookUps { name },
                    // The reactor is gone.
                    None => ConnectError::ShuttingDown,
                });
            }
        }
    }

    /// A socket of the race is established, and `ready` for this; the phase is `Building`.
    fn connected(self: &Rc<Self>, winner: Winner, ready: Ready) {
        self.observe("build_protocol");
        let built = catch(|| self.factory.borrow_mut().build_protocol(&winner.peer));
        let refused = match built {
            Ok(Some(protocol)) if matches!(*self.phase.borrow(), Phase::Building) => {
                self.make(winner, ready, protocol);
                return;
            }
            // Ended in the hook.
            Ok(Some(protocol)) => {
                drop_quietly("a protocol", protocol);
                ConnectError::UserError
            }
            Ok(None) => ConnectError::NoProtocol,
            Err(panic) => ConnectError::Factory(panic),
        };
        self.shared.reactor.remove_source(winner.token);
        drop(winner);
        self.fail(&refused);
    }

    fn make(self: &Rc<Self>, winner: Winner, ready: Ready, protocol: Box<dyn Protocol>) {
        let Winner { token, stream, peer } = winner;
        let [maker, user, loser] = [self, self, self].map(Rc::clone);
        let host = match &self.destination {
            Destination::Address(_) | Destination::Process(_) => None,
            Destination::Host(there) => Some(there.host().clone()),
        };
        let begun = Begun {
            token,
            ready,
            host,
            on_made: Box::new(move |transport| drop(maker.phase.replace(Phase::Connected(transport.clone())))),
            on_ready: Box::new(move |transport| user.made(transport)),
            on_lost: Box::new(move |reason| loser.lost(reason)),
        };
        StreamConnection::take_over(&self.shared, stream, begun, peer, protocol, &self.layers);
    }

    fn made(self: &Rc<Self>, transport: &Transport) {
        self.call_factory("client_connection_made", |factory, connector| factory.client_connection_made(connector, transport));
    }

    fn lost(self: &Rc<Self>, reason: &Reason) {
        self.end_attempt();
        self.call_factory("client_connection_lost", |factory, connector| factory.client_connection_lost(connector, reason));
        self.stop_factory_if_idle();
    }

    fn fail(self: &Rc<Self>, error: &ConnectError) {
        log::debug!("connecting to {} failed: {error}", self.destination);
        self.end_attempt();
        self.call_factory("client_connection_failed", |factory, connector| factory.client_connection_failed(connector, error));
        self.stop_factory_if_idle();
    }

    /// Ends everything that belongs to the present attempt.
    fn end_attempt(&self) {
        self.attempt.set(self.attempt.get() + 1);
        self.stop_waiting();
        self.close_sockets(Phase::Idle);
    }

    /// The reactor stops, perhaps before the factory was told that the user has ended the attempt.
    fn end_with_reactor(self: &Rc<Self>) {
        let ended = matches!(*self.phase.borrow(), Phase::Ending);
        self.fail(if ended { &ConnectError::UserError } else { &ConnectError::ShuttingDown });
    }

    fn stop_waiting(&self) {
        if let Some(token) = self.waiting.take() {
            self.shared.reactor.remove_source(token);
        }
    }

    fn close_sockets(&self, next: Phase) {
        let phase = self.phase.replace(next);
        match phase {
            Phase::Resolving(deadline, look_up) => {
                deadline.cancel().ok();
                look_up.cancel();
            }
            Phase::Connecting(race) => race.end(),
            Phase::Idle | Phase::Starting | Phase::Building | Phase::Ending | Phase::Connected(_) => {}
        }
    }

    fn stop_factory_if_idle(self: &Rc<Self>) {
        if matches!(*self.phase.borrow(), Phase::Idle) && self.started.replace(false) {
            self.call_factory("stop_factory", |factory, _| {
                factory.stop_factory();
                Ok(())
            });
        }
    }

    /// Reports a hook of the factory to the event log.
    fn observe(&self, hook: &'static str) {
        self.shared.reactor.record_callback(hook);
        let subject = || Subject::Connector { destination: self.destination.to_string() };
        self.shared.reactor.observe(|| Event::new(subject(), hook));
    }

    fn call_factory(self: &Rc<Self>, hook: &'static str, call: impl FnOnce(&mut dyn ClientFactory, &Connector) -> Result) {
        let connector = Connector::new(Rc::<Self>::clone(self));
        self.observe(hook);
        match catch(|| call(&mut **self.factory.borrow_mut(), &connector)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                report_error(hook, format_args!("client of {}: {hook} failed: {error}", self.destination));
                drop_quietly("an error", error);
            }
            Err(panic) => report_error(hook, format_args!("client of {}: {hook} {panic}", self.destination)),
        }
    }
}

impl Connect for StreamConnector {
    fn connect(self: Rc<Self>) -> Result<(), ConnectError> {
        if self.shared.reactor.is_stopping() {
            return Err(ConnectError::ShuttingDown);
        }
        if self.state() != ConnectorState::Disconnected {
            return Err(ConnectError::AlreadyConnected);
        }
        self.phase.replace(Phase::Starting);
        self.waiting.set(Some(self.shared.reactor.add_source(Rc::<Self>::clone(&self))));
        self.next_turn(Duration::ZERO, Self::begin);
        Ok(())
    }

    fn stop_connecting(self: Rc<Self>) -> Result<(), ConnectError> {
        if self.state() != ConnectorState::Connecting || matches!(*self.phase.borrow(), Phase::Ending) {
            return Err(ConnectError::NotConnecting);
        }
        self.close_sockets(Phase::Ending);
        if self.waiting.get().is_none() {
            self.waiting.set(Some(self.shared.reactor.add_source(Rc::<Self>::clone(&self))));
        }
        self.next_turn(Duration::ZERO, |connector| connector.fail(&ConnectError::UserError));
        Ok(())
    }

    fn disconnect(self: Rc<Self>) {
        let transport = match &*self.phase.borrow() {
            Phase::Connected(transport) => Some(transport.clone()),
            _ => None,
        };
        match transport {
            Some(transport) => transport.lose_connection(),
            // An error means that there is nothing to end.
            None => drop(self.stop_connecting()),
        }
    }

    fn destination(&self) -> &Destination {
        &self.destination
    }

    fn state(&self) -> ConnectorState {
        match *self.phase.borrow() {
            Phase::Idle => ConnectorState::Disconnected,
            Phase::Starting | Phase::Resolving(..) | Phase::Connecting(_) | Phase::Building | Phase::Ending => {
                ConnectorState::Connecting
            }
            Phase::Connected(_) => ConnectorState::Connected,
        }
    }

    fn reactor(&self) -> &Reactor {
        &self.shared.reactor
    }
}

/// The entry in the reactor's table while there is no socket.
impl Source for StreamConnector {
    fn ready(self: Rc<Self>, _: Ready) {}

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        if matches!(*self.phase.borrow(), Phase::Starting) {
            self.report_start();
        }
        self.end_with_reactor();
    }

    fn abort(self: Rc<Self>) {
        self.end_with_reactor();
    }

    fn panicked(self: Rc<Self>, panic: Panic) {
        self.fail(&ConnectError::Factory(panic));
    }

    fn describe(&self) -> String {
        format!("an attempt to connect to {}", self.destination)
    }
}
