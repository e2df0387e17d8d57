//! A name with several addresses (RFC 8305): the order in which they are tried, and what happens to those that do not answer.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use crate::connecting::hanging;
use crate::support::*;
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{FixedResolver, MemoryReactor};

const DELAY: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_millis(10);
/// How long a slow address takes to answer.
const SLOW: Duration = Duration::from_millis(700);

/// What an address does with an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Answers,
    Refuses,
    Swallows,
    /// Answers with a reset, as something on the way might. TCP reports that as a refusal.
    Resets,
    Unreachable,
    Slow,
}

const FATES: [Fate; 6] = [Fate::Answers, Fate::Refuses, Fate::Swallows, Fate::Resets, Fate::Unreachable, Fate::Slow];

impl Fate {
    /// When the attempt succeeds, or why it fails.
    fn outcome(self) -> Option<(Duration, Result<(), ErrorKind>)> {
        match self {
            Self::Answers => Some((TICK, Ok(()))),
            Self::Refuses => Some((TICK, Err(ErrorKind::ConnectionRefused))),
            Self::Resets => Some((2 * TICK, Err(ErrorKind::ConnectionReset))),
            Self::Unreachable => Some((TICK, Err(ErrorKind::HostUnreachable))),
            Self::Slow => Some((SLOW, Ok(()))),
            Self::Swallows => None,
        }
    }

    fn connects(self) -> bool {
        matches!(self, Self::Answers | Self::Slow)
    }

    /// How long the next address waits for this one.
    fn holds_up(self) -> Duration {
        if let Some((after, Err(_))) = self.outcome() { after } else { DELAY }
    }
}

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

/// The timeout of the whole attempt.
const TIMEOUT: Duration = Duration::from_secs(30);

/// An attempt: when it began, and to which address.
type Begun = (Duration, Address);

/// Connects to a name with these addresses until the factory is told the result; returns that, and the attempts.
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
        let now = reactor.now();
        // In small steps while anything can still begin or end, so that the times are exact.
        let over = begun.len() == addresses.len() && due.is_empty();
        reactor.advance(if over { begin + TIMEOUT - now } else { TICK });
        let now = reactor.now();
        for (_, address, outcome) in due.extract_if(.., |(time, ..)| *time <= now) {
            match outcome {
                Ok(()) => drop(reactor.accept_attempt(address).unwrap()),
                Err(error) => reactor.fail_attempt(address, error).unwrap(),
            }
        }
    }
}

/// Addresses with these fates; those whose bit is set in `families` are IPv6.
fn with_families(fates: &[Fate], families: usize) -> Vec<(IpAddr, Fate)> {
    let address = |(place, fate): (usize, &Fate)| {
        let ip = if families >> place & 1 == 1 { format!("fd00::{}", place + 1) } else { format!("10.0.0.{}", place + 1) };
        (ip.parse().unwrap(), *fate)
    };
    fates.iter().enumerate().map(address).collect()
}

/// The order in which RFC 8305 tries them.
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
    let mut due = Duration::ZERO;
    for ((time, _), (_, fate)) in begun.iter().zip(&order) {
        assert_eq!(*time, due, "{context}");
        due += fate.holds_up();
    }
    match told {
        Told::Connected(peer) => {
            let place = order.iter().position(|(ip, _)| Some(*ip) == peer.ip()).unwrap();
            let (after, _) = order[place].1.outcome().unwrap();
            assert_eq!(time, begun[place].0 + after, "{context}");
            // The first answer wins. The attempt at place N begins after at most N delays, so this is the latest time to connect.
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
            let refused = order.iter().all(|(_, fate)| matches!(fate, Fate::Refuses | Fate::Resets));
            match error {
                ConnectError::TimedOut(after) => assert!(swallowed && after == TIMEOUT, "{context}"),
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

/// The fates of `count` addresses in this combination.
fn combination(count: u32, number: usize) -> Vec<Fate> {
    (0..count).map(|place| FATES[number / FATES.len().pow(place) % FATES.len()]).collect()
}

/// Runs up to `limit` of the combinations of `count` addresses, evenly spread; returns how many.
fn check_combinations(count: u32, limit: usize) -> usize {
    let families = 1 << count;
    let all = FATES.len().pow(count) * families;
    // Coprime to the number of fates and of families, so that each appears in every place.
    let step = all / limit / 6 * 6 + 1;
    (0..all).step_by(step).map(|number| check(&combination(count, number / families), number % families)).count()
}

/// All combinations of up to 4 addresses, a sample of those of more; with `TORSADE_ALL_RACES` all 3,257,436.
#[test]
fn whatever_the_addresses_do_one_that_answers_is_connected_to_in_time_and_no_socket_is_left() {
    let all = std::env::var_os("TORSADE_ALL_RACES").is_some();
    let limit = |count| if all || count <= 4 { usize::MAX } else { 5_000 };
    let run: usize = (1..=6).map(|count| check_combinations(count, limit(count))).sum();
    println!("{run} races");
}

#[test]
fn the_next_address_is_tried_at_once_when_one_fails_and_after_the_delay_when_it_is_silent() {
    let begun = |fates: &[Fate]| {
        let (_, _, begun, _) = race(&with_families(fates, 0));
        begun.iter().map(|(time, _)| time.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(begun(&[Fate::Refuses, Fate::Resets, Fate::Answers]), [0, 10, 30]);
    assert_eq!(begun(&[Fate::Swallows, Fate::Swallows, Fate::Answers]), [0, 250, 500]);
    assert_eq!(begun(&[Fate::Swallows, Fate::Refuses, Fate::Answers]), [0, 250, 260]);
    assert_eq!(begun(&[Fate::Answers, Fate::Answers]), [0]);
}

#[test]
fn the_error_names_every_address_and_what_it_did() {
    let (_, told, ..) = race(&with_families(&[Fate::Refuses, Fate::Unreachable], 2));
    let Told::Failed(error) = told else { panic!("{told:?}") };
    let text = error.to_string();
    let parts = ["all 2 addresses", "10.0.0.1:80 (connection refused)", "[fd00::2]:80 (host unreachable)"];
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
    // The remaining attempts end when the program stops connecting.
    connector.stop_connecting().unwrap();
    reactor.advance(Duration::ZERO);
    assert_eq!((reactor.source_count(), reactor.backend().open_streams()), (0, 0));
    let late = reactor.accept_attempt(SocketAddr::new(addresses[0], 80));
    assert!(late.is_err(), "nobody waits for it any more");
}

#[test]
fn a_stop_while_several_attempts_are_under_way_is_reported_once() {
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

#[test]
fn an_address_may_have_a_deadline_of_its_own() {
    let reactor = MemoryReactor::new();
    let addresses: [IpAddr; 2] = ["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()];
    reactor.add_host("many.example", addresses);
    let told = Rc::new(RefCell::new(Vec::new()));
    let second = Duration::from_secs(1);
    let options = ConnectOptions { attempt_timeout: Some(second), ..ConnectOptions::default() };
    reactor.connect_tcp_with("many.example:80", options, Client(Rc::clone(&told))).unwrap();
    reactor.pump([Duration::ZERO, DELAY, second - DELAY]);
    assert_eq!(reactor.backend().open_streams(), 1, "the first is given up");
    reactor.advance(DELAY);
    let Some(Told::Failed(ConnectError::EveryAddress(failures))) = told.take().pop() else { panic!("both are abandoned") };
    assert!(failures.iter().all(|(_, error)| error.kind() == ErrorKind::TimedOut), "{failures:?}");
    assert_eq!(failures.len(), 2);
    assert_eq!((reactor.source_count(), reactor.backend().open_streams()), (0, 0));
    reactor.assert_clean();
}

#[test]
fn an_address_that_answers_within_its_deadline_stays_connected() {
    let reactor = MemoryReactor::new();
    let told = Rc::new(RefCell::new(Vec::new()));
    let options = ConnectOptions { attempt_timeout: Some(DELAY), ..ConnectOptions::default() };
    reactor.connect_tcp_with("10.0.0.1:80", options, Client(Rc::clone(&told))).unwrap();
    reactor.advance(Duration::ZERO);
    let _peer = reactor.accept_attempt("10.0.0.1:80".parse::<SocketAddr>().unwrap()).unwrap();
    reactor.pump([Duration::ZERO, DELAY, DELAY]);
    assert!(matches!(told.borrow()[..], [Told::Connected(_)]), "{told:?}");
    assert_eq!(reactor.backend().open_streams(), 1);
}

#[test]
fn from_an_address_of_ours_only_those_of_its_family_are_tried() {
    let reactor = MemoryReactor::new();
    reactor.add_host("many.example", ["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()]);
    let options = ConnectOptions { bind_address: Some("[fd00::2]:0".parse().unwrap()), ..ConnectOptions::default() };
    let told = Rc::new(RefCell::new(Vec::new()));
    reactor.connect_tcp_with("many.example:80", options, Client(Rc::clone(&told))).unwrap();
    reactor.advance(Duration::ZERO);
    assert_eq!(reactor.connected_to(), ["[fd00::1]:80".parse::<SocketAddr>().unwrap().into()]);
    reactor.connect_tcp_with("10.0.0.1:80", options, Client(Rc::clone(&told))).unwrap();
    reactor.advance(Duration::ZERO);
    let Some(Told::Failed(ConnectError::Io(error))) = told.take().pop() else { panic!("there is no other") };
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable);
}

/// The same on simulated hosts, where an answer takes a round trip.
#[test]
fn on_a_network_a_name_is_connected_to_if_one_of_its_hosts_answers() {
    for seed in 0..300 {
        let simulation = Simulation::new(seed);
        let client = simulation.host("10.0.1.1");
        let count = 1 + u32::try_from(seed % 6).unwrap();
        let number = usize::try_from(seed).unwrap().wrapping_mul(7919) % FATES.len().pow(count);
        let addresses = with_families(&combination(count, number), usize::try_from(seed / 6).unwrap() % (1 << count));
        let (order, connected) = (by_turns(&addresses), Rc::new(RefCell::new(Vec::new())));
        for (ip, fate) in &addresses {
            simulation.add_name("many.example", ip.to_string());
            let host = simulation.host(&ip.to_string());
            match fate {
                Fate::Answers => drop(host.listen_tcp(("::", 80), |_peer| Echo).unwrap()),
                Fate::Refuses => {}
                Fate::Swallows => simulation.partition(&client, &host),
                Fate::Resets => drop(host.listen_tcp(("::", 81), |_peer| Echo).unwrap()),
                Fate::Unreachable => host.crash(),
                // The second SYN is sent after a second, and is answered.
                Fate::Slow => {
                    host.listen_tcp(("::", 80), |_peer| Echo).unwrap();
                    simulation.partition(&client, &host);
                    let (healing, from, to) = (simulation.clone(), client.clone(), host.clone());
                    client.call_later(SLOW, move || healing.heal(&from, &to));
                }
            }
        }
        client.connect_tcp("many.example:80", Client(Rc::clone(&connected))).unwrap();
        simulation.run_for(Duration::from_secs(40)).unwrap();
        let told = connected.take();
        let context = format!("seed {seed}: {order:?}: {told:?}");
        match &told[..] {
            [Told::Connected(peer)] => {
                assert!(order.iter().any(|(ip, fate)| Some(*ip) == peer.ip() && fate.connects()), "{context}");
                assert_eq!(client.backend().open_streams(), 1, "{context}");
            }
            [Told::Failed(_)] => {
                assert!(order.iter().all(|(_, fate)| !fate.connects()), "{context}");
                assert_eq!(client.backend().open_streams(), 0, "{context}");
            }
            _ => panic!("{context}"),
        }
    }
}

/// Real sockets: the first address drops SYNs because its queue is full, and the second answers.
#[test]
fn a_real_address_that_swallows_requests_holds_up_the_next_for_no_longer_than_the_delay() {
    let Some((_listener, _waiting, silent)) = hanging() else { return };
    let answering: IpAddr = [127, 0, 0, 2].into();
    let Ok(_server) = std::net::TcpListener::bind((answering, silent.port())) else {
        return println!("skipped: the loopback has one address here");
    };
    let reactor = Reactor::new().unwrap();
    reactor.set_resolver(FixedResolver::new().with("many.example", [silent.ip(), answering]));
    let own = reactor.clone();
    let connecting = async move {
        let begin = own.now();
        let endpoint = ClientEndpoint::tcp(("many.example", silent.port()))?;
        let transport = own.connect_protocol(endpoint, torsade::wire::Discard).await?;
        assert_eq!(transport.peer().ip(), Some(answering));
        Ok(own.now() - begin)
    };
    let took = run_until(&reactor, connecting).unwrap();
    println!("connected after {took:?}");
    // A busy machine is later, but not by as much as a whole attempt (30 s) or the system's second SYN (after 1 s) would take.
    assert!(took >= DELAY, "{took:?}");
    assert!(took < TIMEOUT / 2, "{took:?}");
}
