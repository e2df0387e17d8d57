//! A name that has several addresses (RFC 8305): in which order they are tried, and what becomes of those that do not answer.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use torsade::MemoryReactor;
use torsade::prelude::*;

const DELAY: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_millis(10);
/// How long an address takes that answers late.
const SLOW: Duration = Duration::from_millis(700);

/// What an address does with an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Answers,
    Refuses,
    Swallows,
    Unreachable,
    Slow,
}

const FATES: [Fate; 5] = [Fate::Answers, Fate::Refuses, Fate::Swallows, Fate::Unreachable, Fate::Slow];

impl Fate {
    /// After which time it is established, or why not.
    fn outcome(self) -> Option<(Duration, Result<(), ErrorKind>)> {
        match self {
            Self::Answers => Some((TICK, Ok(()))),
            Self::Refuses => Some((TICK, Err(ErrorKind::ConnectionRefused))),
            Self::Unreachable => Some((TICK, Err(ErrorKind::HostUnreachable))),
            Self::Slow => Some((SLOW, Ok(()))),
            Self::Swallows => None,
        }
    }

    fn connects(self) -> bool {
        matches!(self, Self::Answers | Self::Slow)
    }
}

/// What the factory was told.
#[derive(Debug)]
enum Told {
    Connected(Address),
    Failed(ConnectError),
}

struct Client(Rc<RefCell<Vec<Told>>>);

impl Factory for Client {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.0.borrow_mut().push(Told::Connected(peer.clone()));
        Some(Box::new(torsade::wire::Discard))
    }
}

impl ClientFactory for Client {
    fn client_connection_failed(&mut self, _connector: &Connector, reason: &ConnectError) -> Result {
        let failures = match reason {
            ConnectError::EveryAddress(failures) => {
                let copies = failures.iter().map(|(address, error)| (address.clone(), error.kind().into()));
                ConnectError::EveryAddress(copies.collect())
            }
            ConnectError::TimedOut(after) => ConnectError::TimedOut(*after),
            ConnectError::Refused => ConnectError::Refused,
            ConnectError::ShuttingDown => ConnectError::ShuttingDown,
            ConnectError::Io(error) => ConnectError::Io(error.kind().into()),
            other => panic!("{other}"),
        };
        self.0.borrow_mut().push(Told::Failed(failures));
        Ok(())
    }
}

/// An attempt: when it began, and at which address.
type Begun = (Duration, Address);

/// Connects to a name with these addresses until the factory is told how it went; gives that, and the attempts.
fn race(addresses: &[(IpAddr, Fate)]) -> (Duration, Told, Vec<Begun>, MemoryReactor) {
    let reactor = MemoryReactor::new();
    reactor.add_host("many.example", addresses.iter().map(|(ip, _)| *ip));
    let told = Rc::new(RefCell::new(Vec::new()));
    reactor.connect_tcp("many.example:80", Client(Rc::clone(&told))).unwrap();
    let mut begun: Vec<Begun> = Vec::new();
    let mut due: Vec<(Duration, Address, Result<(), ErrorKind>)> = Vec::new();
    let begin = reactor.now();
    loop {
        reactor.advance(Duration::ZERO);
        for address in reactor.connected_to().split_off(begun.len()) {
            let fate = addresses.iter().find(|(ip, _)| Some(*ip) == address.ip()).map(|(_, fate)| *fate);
            if let Some((after, outcome)) = fate.and_then(Fate::outcome) {
                due.push((reactor.now() + after, address.clone(), outcome));
            }
            begun.push((reactor.now() - begin, address));
        }
        if let Some(told) = told.take().pop() {
            return (reactor.now() - begin, told, begun, reactor);
        }
        reactor.advance(TICK);
        let now = reactor.now();
        for (_, address, outcome) in due.extract_if(.., |(time, ..)| *time <= now) {
            match outcome {
                Ok(()) => drop(reactor.accept_attempt(address).unwrap()),
                Err(error) => reactor.fail_attempt(address, error).unwrap(),
            }
        }
    }
}

/// The addresses with these fates, of which those whose bit is set in `families` are IPv6.
fn with_families(fates: &[Fate], families: usize) -> Vec<(IpAddr, Fate)> {
    let address = |(place, fate): (usize, &Fate)| {
        let ip = if families >> place & 1 == 1 { format!("fd00::{}", place + 1) } else { format!("10.0.0.{}", place + 1) };
        (ip.parse().unwrap(), *fate)
    };
    fates.iter().enumerate().map(address).collect()
}

/// The order in which RFC 8305 has them tried.
fn by_turns(addresses: &[(IpAddr, Fate)]) -> Vec<(IpAddr, Fate)> {
    let of_family = |is_ipv4: bool| addresses.iter().filter(move |(ip, _)| ip.is_ipv4() == is_ipv4).copied();
    let first = addresses[0].0.is_ipv4();
    let (mut one, mut other) = (of_family(first), of_family(!first));
    std::iter::from_fn(|| Some([one.next(), other.next()]))
        .take_while(|pair| pair.iter().any(Option::is_some))
        .flat_map(|pair| pair.into_iter().flatten())
        .collect()
}

fn check(fates: &[Fate], families: usize) {
    let addresses = with_families(fates, families);
    let order = by_turns(&addresses);
    let (time, told, begun, reactor) = race(&addresses);
    let context = format!("{order:?}: {told:?} after {time:?}, {begun:?}");
    let tried: Vec<_> = begun.iter().map(|(_, address)| address.ip().unwrap()).collect();
    assert_eq!(tried, order.iter().map(|(ip, _)| *ip).take(tried.len()).collect::<Vec<_>>(), "{context}");
    for pair in begun.windows(2) {
        assert!(pair[1].0 - pair[0].0 <= DELAY, "{context}");
    }
    match told {
        Told::Connected(peer) => {
            let place = order.iter().position(|(ip, _)| Some(*ip) == peer.ip()).unwrap();
            let (after, _) = order[place].1.outcome().unwrap();
            assert_eq!(time, begun[place].0 + after, "{context}");
            // Whichever answers first wins, so none could have been established sooner than at its place's latest.
            let latest = |(place, (_, fate)): (usize, &(IpAddr, Fate))| {
                fate.connects().then(|| DELAY * u32::try_from(place).unwrap() + fate.outcome().unwrap().0)
            };
            assert!(time <= order.iter().enumerate().filter_map(latest).min().unwrap(), "{context}");
            assert_eq!(reactor.backend().open_streams(), 1, "{context}");
            assert_eq!(reactor.source_count(), 1, "{context}");
        }
        Told::Failed(error) => {
            assert!(order.iter().all(|(_, fate)| !fate.connects()), "{context}");
            assert_eq!(tried.len(), order.len(), "{context}");
            let swallowed = order.iter().any(|(_, fate)| *fate == Fate::Swallows);
            let refused = order.iter().all(|(_, fate)| *fate == Fate::Refuses);
            match error {
                ConnectError::TimedOut(after) => assert!(swallowed && after == Duration::from_secs(30), "{context}"),
                ConnectError::Refused => assert!(refused, "{context}"),
                ConnectError::Io(_) => assert!(order.len() == 1 && !refused && !swallowed, "{context}"),
                ConnectError::EveryAddress(failures) => {
                    assert!(!swallowed && !refused, "{context}");
                    let failed: Vec<_> = failures.iter().map(|(address, _)| address.ip().unwrap()).collect();
                    assert_eq!(failed, tried, "{context}");
                }
                other => panic!("{other}: {context}"),
            }
            assert_eq!(reactor.backend().open_streams(), 0, "{context}");
            assert_eq!(reactor.source_count(), 0, "{context}");
        }
    }
}

/// The fates of `count` addresses, by the number of their combination.
fn combination(count: u32, number: usize) -> Vec<Fate> {
    (0..count).map(|place| FATES[number / FATES.len().pow(place) % FATES.len()]).collect()
}

#[test]
fn whatever_the_addresses_do_one_that_answers_is_connected_to_in_time_and_no_socket_is_left() {
    for count in 1..=3 {
        for number in 0..FATES.len().pow(count) {
            for families in 0..1 << count {
                check(&combination(count, number), families);
            }
        }
    }
    for number in 0..FATES.len().pow(6) {
        check(&combination(6, number), number % 64);
    }
}

#[test]
fn the_next_address_is_tried_at_once_when_one_fails_and_after_the_delay_when_it_is_silent() {
    let begun = |fates: &[Fate]| {
        let (_, _, begun, _) = race(&with_families(fates, 0));
        begun.iter().map(|(time, _)| time.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(begun(&[Fate::Refuses, Fate::Unreachable, Fate::Answers]), [0, 10, 20]);
    assert_eq!(begun(&[Fate::Swallows, Fate::Swallows, Fate::Answers]), [0, 250, 500]);
    assert_eq!(begun(&[Fate::Swallows, Fate::Refuses, Fate::Answers]), [0, 250, 260]);
    assert_eq!(begun(&[Fate::Answers, Fate::Answers]), [0]);
}

#[test]
fn the_error_names_every_address_and_what_it_did() {
    let (_, told, ..) = race(&with_families(&[Fate::Refuses, Fate::Unreachable], 2));
    let Told::Failed(error) = told else { panic!("{told:?}") };
    let text = error.to_string();
    let parts = ["every one of 2 addresses", "10.0.0.1:80 (connection refused)", "[fd00::2]:80 (host unreachable)"];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn an_attempt_is_given_as_long_as_was_set() {
    let reactor = MemoryReactor::new();
    let addresses: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    reactor.add_host("many.example", addresses);
    let told = Rc::default();
    let options = ConnectOptions { attempt_delay: Duration::from_millis(300), ..ConnectOptions::default() };
    let connector = reactor.connect_tcp_with("many.example:80", options, Client(Rc::clone(&told))).unwrap();
    reactor.advance(Duration::ZERO);
    reactor.advance(Duration::from_millis(299));
    assert_eq!(reactor.connected_to().len(), 1);
    reactor.advance(Duration::from_millis(1));
    assert_eq!(reactor.connected_to().len(), 2);
    // Those that are left go when the program ends the attempt.
    connector.stop_connecting().unwrap();
    reactor.advance(Duration::ZERO);
    assert_eq!((reactor.source_count(), reactor.backend().open_streams()), (0, 0));
    let late = reactor.accept_attempt(SocketAddr::new(addresses[0], 80));
    assert!(late.is_err(), "nobody waits for it any more");
}

#[test]
fn a_stop_while_several_attempts_are_under_way_is_told_once() {
    let reactor = MemoryReactor::new();
    let addresses: [IpAddr; 3] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), "10.0.0.3".parse().unwrap()];
    reactor.add_host("many.example", addresses);
    let told = Rc::new(RefCell::new(Vec::new()));
    reactor.connect_tcp("many.example:80", Client(Rc::clone(&told))).unwrap();
    for _ in 0..3 {
        reactor.advance(Duration::ZERO);
        reactor.advance(DELAY);
    }
    assert_eq!(reactor.connected_to().len(), 3);
    reactor.stop().unwrap();
    reactor.advance(Duration::ZERO);
    assert!(matches!(told.borrow()[..], [Told::Failed(ConnectError::ShuttingDown)]), "{told:?}");
}
