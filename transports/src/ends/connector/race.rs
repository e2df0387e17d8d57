//! Trying the addresses of one destination: "happy eyeballs" (RFC 8305).
//!
//! IPv4 and IPv6 alternate. The next attempt begins when the one before it has failed, or has not been answered for a quarter
//! of a second; then both go on. The first to be established wins, and all other sockets are closed in the same step. The race is
//! lost when all attempts have failed. Until then at least one is under way, or the race waits for room at a UNIX socket.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, ConnectError};
use torsade_reactor::spi::{Ready, Source, Stream, Token};
use torsade_reactor::{DelayedCall, Panic};

use super::{Phase, StreamConnector};
use crate::ends::process_stream;

/// The time between two attempts at a UNIX socket whose backlog is full.
const ROOM_WAIT: Duration = Duration::from_millis(10);

/// The state of the attempts.
pub(super) struct Race {
    /// Ends the whole race.
    deadline: DelayedCall,
    /// Addresses that were not tried yet.
    waiting: VecDeque<Address>,
    running: Vec<Rc<Attempt>>,
    next: Option<DelayedCall>,
    failures: Vec<(Address, io::Error)>,
}

/// The socket that was established first.
pub(super) struct Winner {
    pub(super) token: Token,
    pub(super) stream: Box<dyn Stream>,
    pub(super) peer: Address,
}

/// A socket that is being connected.
struct Attempt {
    connector: Rc<StreamConnector>,
    token: Cell<Token>,
    address: Address,
    stream: RefCell<Option<Box<dyn Stream>>>,
    /// Gives up this attempt, if it has its own deadline.
    deadline: RefCell<Option<DelayedCall>>,
}

impl Race {
    /// Closes the sockets and cancels the timers.
    pub(super) fn end(self) {
        for timer in [Some(self.deadline), self.next].into_iter().flatten() {
            // It may be what is running now.
            timer.cancel().ok();
        }
        for attempt in self.running {
            attempt.leave();
        }
    }

    /// The error of all attempts together.
    fn error(&mut self) -> ConnectError {
        let mut failures = std::mem::take(&mut self.failures);
        match failures.pop() {
            None => io::Error::new(io::ErrorKind::NotFound, "the name has no address").into(),
            Some((_, last)) if failures.iter().all(|(_, error)| both_refused(error, &last)) => last.into(),
            Some(last) => {
                failures.push(last);
                ConnectError::EveryAddress(failures)
            }
        }
    }
}

fn both_refused(one: &io::Error, other: &io::Error) -> bool {
    [one, other].iter().all(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The addresses in the order in which they are tried: as given, without repetitions, IPv4 and IPv6 alternating (RFC 8305, 4),
/// beginning with the family of the first.
fn alternating(addresses: Vec<Address>) -> VecDeque<Address> {
    let mut order = VecDeque::with_capacity(addresses.len());
    let family = |address: &Address| address.ip().is_some_and(|ip: IpAddr| ip.is_ipv4());
    let first = addresses.first().is_some_and(family);
    let (one, other): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| family(address) == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    loop {
        let pair = [one.next(), other.next()];
        if pair.iter().all(Option::is_none) {
            return order;
        }
        for address in pair.into_iter().flatten() {
            if !order.contains(&address) {
                order.push_back(address);
            }
        }
    }
}

impl StreamConnector {
    pub(super) fn race(self: &Rc<Self>, deadline: DelayedCall, addresses: Vec<Address>) {
        let (running, failures) = (Vec::new(), Vec::new());
        let race = Race { deadline, waiting: alternating(addresses), running, next: None, failures };
        self.phase.replace(Phase::Connecting(race));
        self.stop_waiting();
        self.try_next();
    }

    fn with_race<T>(&self, act: impl FnOnce(&mut Race) -> T) -> Option<T> {
        if let Phase::Connecting(race) = &mut *self.phase.borrow_mut() { Some(act(race)) } else { None }
    }

    /// Begins the next attempt, or gives up if there is none and none is under way.
    fn try_next(self: &Rc<Self>) {
        while let Some(address) = self.with_race(|race| race.waiting.pop_front()).flatten() {
            match self.open(&address) {
                Ok(attempt) => return self.record_attempt(attempt),
                // The backlog of the UNIX socket is full, and no event will report room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && matches!(address, Address::Unix(_)) => {
                    return self.wait_for_room(address);
                }
                Err(error) => self.record_failure(address, error),
            }
        }
        let error = self.with_race(|race| race.running.is_empty().then(|| race.error())).flatten();
        if let Some(error) = error {
            self.fail(&error);
        }
    }

    /// Retries the address until there is room or the time is up.
    fn wait_for_room(self: &Rc<Self>, address: Address) {
        self.waiting.set(Some(self.shared.reactor.add_source(Rc::<Self>::clone(self))));
        let next = self.next_turn(ROOM_WAIT, |connector| {
            connector.stop_waiting();
            connector.try_next();
        });
        self.with_race(|race| {
            race.waiting.push_front(address);
            race.next = Some(next);
        });
    }

    fn open(self: &Rc<Self>, address: &Address) -> io::Result<Rc<Attempt>> {
        let (reactor, options) = (&self.shared.reactor, &self.options);
        check_family(address, options.bind_address)?;
        let mut stream = match &self.command {
            None => reactor.backend().connect(address, options.bind_address, options.socket)?,
            Some(command) => process_stream::open(reactor, command)?,
        };
        let attempt = Rc::new(Attempt {
            connector: Rc::clone(self),
            token: Cell::new(Token::from_usize(usize::MAX)),
            address: address.clone(),
            stream: RefCell::default(),
            deadline: RefCell::default(),
        });
        attempt.token.set(reactor.add_source(Rc::<Attempt>::clone(&attempt)));
        if let Err(error) = stream.register(attempt.token.get()) {
            attempt.leave();
            return Err(error);
        }
        attempt.stream.replace(Some(stream));
        if let Some(timeout) = options.attempt_timeout {
            let late = Rc::clone(&attempt);
            let deadline = self.next_turn(timeout, move |connector| {
                let error = io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {timeout:?}"));
                connector.give_up(&late, error);
            });
            attempt.deadline.replace(Some(deadline));
        }
        Ok(attempt)
    }

    fn record_attempt(self: &Rc<Self>, attempt: Rc<Attempt>) {
        let more = self.with_race(|race| {
            race.running.push(attempt);
            !race.waiting.is_empty()
        });
        let next = (more == Some(true)).then(|| self.next_turn(self.options.attempt_delay, Self::try_next));
        let old = self.with_race(|race| std::mem::replace(&mut race.next, next)).flatten();
        if let Some(old) = old {
            // It may be what is running now.
            old.cancel().ok();
        }
    }

    fn record_failure(&self, address: Address, error: io::Error) {
        log::debug!("connecting to {address} failed: {error}");
        self.with_race(|race| race.failures.push((address, error)));
    }

    /// Finds out whether the socket is established or has failed.
    fn check(self: &Rc<Self>, attempt: &Rc<Attempt>, ready: Ready) {
        let result = match &*attempt.stream.borrow() {
            Some(stream) => stream.is_connected(),
            None => return,
        };
        match result {
            Ok(false) => {}
            Ok(true) => {
                self.forget(attempt);
                attempt.cancel_deadline();
                let (stream, race) = (attempt.stream.take(), self.phase.replace(Phase::Building));
                if let (Some(stream), Phase::Connecting(race)) = (stream, race) {
                    race.end();
                    self.connected(Winner { token: attempt.token.get(), stream, peer: attempt.address.clone() }, ready);
                }
            }
            Err(error) => self.give_up(attempt, error),
        }
    }

    /// Ends this attempt, which has failed; the others go on.
    fn give_up(self: &Rc<Self>, attempt: &Rc<Attempt>, error: io::Error) {
        self.forget(attempt);
        attempt.leave();
        self.record_failure(attempt.address.clone(), error);
        self.try_next();
    }

    fn forget(&self, attempt: &Rc<Attempt>) {
        self.with_race(|race| race.running.retain(|running| !Rc::ptr_eq(running, attempt)));
    }
}

impl Attempt {
    /// Closes the socket, unless it has become a connection's.
    fn leave(&self) {
        self.cancel_deadline();
        self.connector.shared.reactor.remove_source(self.token.get());
    }

    fn cancel_deadline(&self) {
        if let Some(deadline) = self.deadline.take() {
            // It may be what is running now.
            deadline.cancel().ok();
        }
    }
}

/// An error if the local address has another family than the destination.
fn check_family(to: &Address, from: Option<SocketAddr>) -> io::Result<()> {
    match (to.ip(), from) {
        (Some(to), Some(from)) if to.is_ipv4() != from.is_ipv4() => {
            let text = format!("not tried: the address to connect from, {from}, is of the other family");
            Err(io::Error::new(io::ErrorKind::AddrNotAvailable, text))
        }
        _ => Ok(()),
    }
}

/// Until the connection takes over its entry in the reactor's table.
impl Source for Attempt {
    fn ready(self: Rc<Self>, ready: Ready) {
        self.connector.check(&self, ready);
    }

    fn end_of_turn(self: Rc<Self>) {}

    fn shut_down(self: Rc<Self>) {
        self.connector.end_with_reactor();
    }

    fn abort(self: Rc<Self>) {
        self.connector.end_with_reactor();
    }

    fn panicked(self: Rc<Self>, panic: Panic) {
        self.connector.fail(&ConnectError::Factory(panic));
    }

    fn describe(&self) -> String {
        format!("an attempt to connect to {}", self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_no_address_is_tried_twice() {
        let order = |texts: &[&str]| {
            let addresses = texts.iter().map(|ip| Address::Tcp((ip.parse::<IpAddr>().unwrap(), 80).into())).collect();
            alternating(addresses).iter().filter_map(|address| Some(address.ip()?.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(order(&["::1", "::2", "10.0.0.1", "::1", "10.0.0.2"]), ["::1", "10.0.0.1", "::2", "10.0.0.2"]);
        assert_eq!(order(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"]), ["10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(order(&["::1"]), ["::1"]);
        assert!(order(&[]).is_empty());
    }
}
