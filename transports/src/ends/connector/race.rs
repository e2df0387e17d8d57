//! The addresses of one destination, tried as "happy eyeballs" (RFC 8305).
//!
//! IPv4 and IPv6 take turns. The next attempt begins when the one before it has failed, or has not been answered for a quarter
//! of a second; both go on then. The first to be established wins, and in the same step all other sockets are closed. The race is
//! lost when all attempts have failed; as long as it goes on at least one is under way, or room at a UNIX socket is waited for.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{Address, ConnectError};
use torsade_reactor::spi::{Ready, Source, Stream, Token};
use torsade_reactor::{DelayedCall, Panic, Reactor};

use super::{Phase, StreamConnector};

/// How often it is looked whether there is room at a UNIX socket.
const ROOM_WAIT: Duration = Duration::from_millis(10);

/// What is known of the attempts.
pub(super) struct Race {
    /// Ends the whole.
    deadline: DelayedCall,
    /// Addresses that were not tried yet.
    waiting: VecDeque<Address>,
    running: Vec<Rc<Attempt>>,
    /// Begins the next attempt.
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
}

impl Race {
    /// Closes the sockets, and forgets the timers.
    pub(super) fn end(self, reactor: &Reactor) {
        for timer in [Some(self.deadline), self.next].into_iter().flatten() {
            // It may be what is running now.
            timer.cancel().ok();
        }
        for attempt in self.running {
            reactor.remove_source(attempt.token.get());
        }
    }

    /// What all the attempts have come to.
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

/// The addresses in the order in which they are tried: as they came, without those that came before, and IPv4 and IPv6 by
/// turns (RFC 8305, 4), beginning with the family of the first.
fn by_turns(addresses: Vec<Address>) -> VecDeque<Address> {
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
    /// Tries the addresses.
    pub(super) fn race(self: &Rc<Self>, deadline: DelayedCall, addresses: Vec<Address>) {
        let (running, failures) = (Vec::new(), Vec::new());
        let race = Race { deadline, waiting: by_turns(addresses), running, next: None, failures };
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
                Ok(attempt) => return self.note_begun(attempt),
                // As many wait at a UNIX socket as may, and nothing will tell of room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.wait_for_room(address),
                Err(error) => self.note_failure(address, error),
            }
        }
        let error = self.with_race(|race| race.running.is_empty().then(|| race.error())).flatten();
        if let Some(error) = error {
            self.fail(&error);
        }
    }

    /// Tries the address again after a while, until there is room or the time is up.
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
        let reactor = &self.shared.reactor;
        let mut stream = reactor.backend().connect(address, self.options.bind_address, self.options.socket)?;
        let (token, empty) = (Cell::new(Token::from_usize(usize::MAX)), RefCell::default());
        let attempt = Rc::new(Attempt { connector: Rc::clone(self), token, address: address.clone(), stream: empty });
        attempt.token.set(reactor.add_source(Rc::<Attempt>::clone(&attempt)));
        if let Err(error) = stream.register(attempt.token.get()) {
            reactor.remove_source(attempt.token.get());
            return Err(error);
        }
        attempt.stream.replace(Some(stream));
        Ok(attempt)
    }

    fn note_begun(self: &Rc<Self>, attempt: Rc<Attempt>) {
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

    fn note_failure(&self, address: Address, error: io::Error) {
        log::debug!("connecting to {address} failed: {error}");
        self.with_race(|race| race.failures.push((address, error)));
    }

    /// The socket is ready for something: it is established, or has failed.
    fn check(self: &Rc<Self>, attempt: &Rc<Attempt>, ready: Ready) {
        let result = match &*attempt.stream.borrow() {
            Some(stream) => stream.is_connected(),
            None => return,
        };
        let stream = match result {
            Ok(false) => return,
            Ok(true) => Ok(attempt.stream.take()),
            Err(error) => Err(error),
        };
        self.with_race(|race| race.running.retain(|running| !Rc::ptr_eq(running, attempt)));
        match stream {
            Ok(stream) => {
                let race = self.phase.replace(Phase::Building);
                if let (Some(stream), Phase::Connecting(race)) = (stream, race) {
                    race.end(&self.shared.reactor);
                    self.connected(Winner { token: attempt.token.get(), stream, peer: attempt.address.clone() }, ready);
                }
            }
            Err(error) => {
                self.shared.reactor.remove_source(attempt.token.get());
                self.note_failure(attempt.address.clone(), error);
                self.try_next();
            }
        }
    }
}

/// While it is under way; then the connection takes its place.
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
            by_turns(addresses).iter().filter_map(|address| Some(address.ip()?.to_string())).collect::<Vec<_>>()
        };
        assert_eq!(order(&["::1", "::2", "10.0.0.1", "::1", "10.0.0.2"]), ["::1", "10.0.0.1", "::2", "10.0.0.2"]);
        assert_eq!(order(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "::1"]), ["10.0.0.1", "::1", "10.0.0.2", "10.0.0.3"]);
        assert_eq!(order(&["::1"]), ["::1"]);
        assert!(order(&[]).is_empty());
    }
}
