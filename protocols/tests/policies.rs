//! Policies around protocols: what they pass on, and what they enforce.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::policies::{
    LimitConnectionsByPeer, LimitTotalConnectionsFactory, ProtocolWrapper, ThrottlingFactory, TimeoutFactory, TimeoutMixin,
    TrafficLoggingFactory, WrappedProtocol, WrapperTransport, WrappingFactory,
};
use torsade_protocols::testing::{ProducerState, StringTransport, StringTransportWithDisconnection};
use torsade_protocols::{
    Address, Callback, Factory, FileSender, FileSenderError, LineProtocol, LineReceiver, LineTransport, Producer, Protocol,
    Reason, Result, Transport, wire,
};
use torsade_reactor::Clock;

type Connection = StringTransportWithDisconnection<Box<dyn Protocol>>;

fn connect(factory: &mut impl Factory) -> Connection {
    let transport = StringTransport::new();
    let protocol = factory.build_protocol(&transport.peer()).unwrap_or_else(|| panic!("nobody is refused"));
    let mut connection = StringTransportWithDisconnection::with_transport(transport, protocol);
    connection.make_connection();
    connection
}

/// Records the names of all callbacks, and keeps its transport for the test.
#[derive(Clone, Default)]
struct Noting {
    events: Rc<RefCell<Vec<&'static str>>>,
    transport: Rc<RefCell<Option<Transport>>>,
}

impl Protocol for Noting {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.fallback(transport, Callback::Data(data))
    }

    fn fallback(&mut self, transport: &Transport, callback: Callback<'_>) -> Result {
        self.transport.replace(Some(transport.clone()));
        self.events.borrow_mut().push(callback.name());
        Ok(())
    }
}

struct Plain;

impl ProtocolWrapper for Plain {}

fn nested(protocol: &Noting) -> impl Factory + 'static {
    let protocol = protocol.clone();
    let wrapped = WrappingFactory::new(move |_| protocol.clone(), |_: &_| Plain);
    let limited = LimitConnectionsByPeer::new(LimitTotalConnectionsFactory::new(wrapped, 10), 10);
    let logged = TrafficLoggingFactory::new(limited, |_| Ok(std::io::sink()));
    TimeoutFactory::new(ThrottlingFactory::new(logged).read_limit(1_000_000).write_limit(1_000_000))
}

#[test]
fn every_callback_passes_through_all_policies() {
    let noting = Noting::default();
    let mut connection = connect(&mut nested(&noting));
    let above = noting.transport.borrow().clone().unwrap();
    connection.deliver(b"x");
    above.pause_producing();
    connection.deliver(b"y");
    assert!(connection.is_paused());
    above.resume_producing();
    connection.settle();
    above.lose_write_connection();
    connection.settle();
    connection.end();
    above.lose_connection();
    connection.settle();
    let told = [
        "connection_made",
        "data_received",
        "reading_resumed",
        "data_received",
        "write_connection_lost",
        "read_connection_lost",
        "connection_lost",
    ];
    assert_eq!(*noting.events.borrow(), told);
    assert_eq!(connection.clock().delayed_calls(), 2, "only the two checks of the throttling are left, for a second");
    connection.advance(Duration::from_secs(1));
    assert_eq!(connection.clock().delayed_calls(), 0);
}

#[test]
fn every_wrapper_passes_every_callback_on() {
    let (noting, transport) = (Noting::default(), StringTransport::new());
    let policies = nested(&noting).build_protocol(&transport.peer()).unwrap();
    let wrappers: [Box<dyn Protocol>; 3] = [policies, Box::new(noting.clone()), Box::new(Rc::new(RefCell::new(noting.clone())))];
    for mut wrapper in wrappers {
        let callbacks = [
            Callback::ConnectionMade,
            Callback::HandshakeCompleted,
            Callback::Data(b"x"),
            Callback::ReadingResumed,
            Callback::ReadConnectionLost,
            Callback::WriteConnectionLost,
            Callback::ConnectionLost(&Reason::ConnectionDone),
        ];
        for callback in callbacks {
            callback.dispatch(&mut *wrapper, &transport).unwrap();
        }
        assert_eq!(noting.events.take(), callbacks.map(Callback::name));
    }
}

#[test]
fn a_wrapper_sees_a_close_from_either_side() {
    let noting = Noting::default();
    let connection = connect(&mut nested(&noting));
    let above = noting.transport.borrow().clone().unwrap();
    assert!(above.is_reading() && above.is_connected());
    connection.lose_connection();
    assert!(above.is_closing() && !above.is_reading());
}

struct PlusOne;

impl ProtocolWrapper for PlusOne {
    fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        data.chunks(2).try_for_each(|pair| above(&pair.iter().map(|byte| byte + 1).collect::<Vec<u8>>()))
    }
}

/// Echoes; gives its first bytes back.
struct GiveBack {
    first: bool,
}

impl Protocol for GiveBack {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if std::mem::take(&mut self.first) {
            transport.unread(data);
        } else {
            transport.write(data);
        }
        Ok(())
    }
}

#[test]
fn bytes_given_back_do_not_pass_the_wrapper_again() {
    let mut connection = connect(&mut WrappingFactory::new(|_| GiveBack { first: true }, |_: &_| PlusOne));
    connection.deliver(b"ab");
    connection.deliver(b"c");
    assert_eq!(connection.value(), b"bcd");
}

#[test]
fn a_pause_of_the_protocol_outlasts_throttling() {
    let noting = Noting::default();
    let inner = noting.clone();
    let mut connection = connect(&mut ThrottlingFactory::new(move |_| inner.clone()).read_limit(10));
    connection.deliver(&[0; 25]);
    connection.advance(Duration::from_secs(1));
    assert_eq!(connection.producer_state(), ProducerState::Paused);
    let above = noting.transport.borrow().clone().unwrap();
    above.pause_producing();
    connection.advance(Duration::from_millis(1500));
    assert_eq!(connection.producer_state(), ProducerState::Paused, "the protocol's own pause goes on");
    above.resume_producing();
    assert_eq!(connection.producer_state(), ProducerState::Producing);
    connection.settle();
    connection.deliver(&[0; 25]);
    connection.advance(Duration::from_secs(1));
    above.resume_producing();
    assert_eq!(connection.producer_state(), ProducerState::Paused, "throttling is not undone by the protocol");
}

#[test]
fn throttling_holds_pull_producers_and_asks_them_again() {
    let mut connection = connect(&mut ThrottlingFactory::new(|_| wire::Chargen).write_limit(10));
    connection.resume_producer().unwrap();
    let line = connection.value();
    connection.advance(Duration::from_secs(1));
    connection.resume_producer().unwrap();
    assert_eq!(connection.value(), line, "nothing is written while it is held");
    connection.advance(Duration::from_secs(60));
    assert_eq!(connection.value(), line.repeat(2), "what was requested meanwhile follows");
}

/// Records its calls; a pause fails if the test asks for that.
#[derive(Clone, Default)]
struct Told {
    calls: Rc<RefCell<Vec<&'static str>>>,
    fails: Option<Failing>,
}

type Failing = fn() -> Result;

impl Producer for Told {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.calls.borrow_mut().push("resume");
        Ok(())
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        self.calls.borrow_mut().push("pause");
        self.fails.map_or(Ok(()), |fail| fail())
    }

    fn stop_producing(&mut self) {
        self.calls.borrow_mut().push("stop");
    }
}

/// Registers its producer, and sends everything back.
struct Producing(Told);

impl Protocol for Producing {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        Ok(transport.register_producer(self.0.clone(), true)?)
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        transport.write(data);
        Ok(())
    }
}

#[test]
fn a_producer_that_fails_when_it_is_throttled_ends_its_connection_and_no_other() {
    let failures: [(Failing, &str); 2] = [
        (|| Err("out of order".into()), "the protocol failed: out of order"),
        (|| panic!("a bug"), "a callback panicked: a bug"),
    ];
    for (fail, reason) in failures {
        let (clock, mut protocols) = (Rc::new(Clock::new()), VecDeque::new());
        let (bad, good) = (Told { fails: Some(fail), ..Told::default() }, Told::default());
        protocols.extend([Producing(bad.clone()), Producing(good.clone())]);
        let mut factory = ThrottlingFactory::new(move |_| protocols.pop_front()).write_limit(10);
        let mut connect = || {
            let transport = StringTransport::with_clock(&clock);
            let protocol = factory.build_protocol(&transport.peer()).unwrap();
            let mut connection = StringTransportWithDisconnection::with_transport(transport, protocol);
            connection.make_connection();
            connection
        };
        let (mut first, mut second) = (connect(), connect());
        second.deliver(&[0; 20]);
        clock.advance(Duration::from_secs(1));
        first.settle();
        assert_eq!(first.reason().map(ToString::to_string).as_deref(), Some(reason));
        clock.advance(Duration::from_secs(1));
        assert_eq!(*bad.calls.borrow(), ["pause", "stop"]);
        assert_eq!(*good.calls.borrow(), ["pause", "resume"]);
    }
}

#[test]
fn connections_that_were_never_established_are_not_counted_forever() {
    let mut throttled = ThrottlingFactory::new(|_| wire::Echo).max_connection_count(1);
    let peer = StringTransport::new().peer();
    drop(throttled.build_protocol(&peer));
    let second = throttled.build_protocol(&peer);
    assert!(second.is_some() && throttled.build_protocol(&peer).is_none());
}

struct Upper;

impl LineProtocol for Upper {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        if line == b"wait" {
            transport.pause_producing();
        }
        transport.send_line(line.to_ascii_uppercase());
        Ok(())
    }
}

#[test]
fn the_factory_of_the_overflow_is_also_started_and_stopped() {
    /// Counts the hooks, and builds nothing.
    #[derive(Clone, Default)]
    struct Hooks(Rc<RefCell<Vec<&'static str>>>);

    impl Factory for Hooks {
        fn build_protocol(&mut self, _: &Address) -> Option<Box<dyn Protocol>> {
            None
        }

        fn start_factory(&mut self) {
            self.0.borrow_mut().push("start");
        }

        fn stop_factory(&mut self) {
            self.0.borrow_mut().push("stop");
        }
    }

    let hooks = Hooks::default();
    let mut factory = LimitTotalConnectionsFactory::new(|_| wire::Discard, 1).overflow(hooks.clone());
    factory.start_factory();
    factory.stop_factory();
    assert_eq!(*hooks.0.borrow(), ["start", "stop"]);
}

#[test]
fn a_timeout_that_is_set_for_another_connection_is_of_that_one() {
    let (clock, timeout) = (Rc::new(Clock::new()), TimeoutMixin::new());
    let (first, second) = (StringTransport::with_clock(&clock), StringTransport::with_clock(&clock));
    let minute = Some(Duration::from_secs(60));
    timeout.set_timeout(&first, minute);
    assert_eq!(timeout.set_timeout(&second, minute), minute);
    clock.advance(Duration::from_secs(60));
    assert_eq!((first.is_closing(), second.is_closing()), (false, true));
    clock.assert_clean();
}

/// Gives back a rest of less than four bytes.
struct Fours(Rc<RefCell<Vec<u8>>>);

impl Protocol for Fours {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        if data.len() < 4 {
            transport.unread(data);
        } else {
            self.0.borrow_mut().extend_from_slice(data);
        }
        Ok(())
    }
}

#[test]
fn bytes_given_back_to_a_wrapper_again_and_again_stay_before_what_follows() {
    let got = Rc::new(RefCell::new(Vec::new()));
    let (transport, mut protocol) = (StringTransport::new(), WrappedProtocol::new(Plain, Fours(Rc::clone(&got))));
    protocol.connection_made(&transport).unwrap();
    protocol.data_received(&transport, b"ab").unwrap();
    protocol.data_received(&transport, b"cdef").unwrap();
    protocol.reading_resumed(&transport).unwrap();
    assert_eq!(*got.borrow(), b"abcdef");
}

#[test]
fn lines_are_kept_back_while_a_wrapped_receiver_is_paused() {
    let mut connection = connect(&mut TimeoutFactory::new(|_| LineReceiver::new(Upper)));
    connection.deliver(b"one\r\nwait\r\ntwo\r\n");
    assert_eq!(connection.value(), b"ONE\r\nWAIT\r\n");
    connection.call(|transport| transport.resume_producing());
    assert_eq!(connection.value(), b"ONE\r\nWAIT\r\nTWO\r\n");
}

#[test]
fn policies_may_be_called_while_shared_state_is_borrowed() {
    let noting = Noting::default();
    let mut connection = connect(&mut nested(&noting));
    let above = noting.transport.borrow().clone().unwrap();
    let events = noting.events.borrow_mut();
    above.write("x");
    above.pause_producing();
    above.resume_producing();
    above.unread(b"y");
    above.lose_write_connection();
    above.lose_connection();
    above.abort_connection();
    drop(events);
    connection.settle();
    assert_eq!(noting.events.borrow().last(), Some(&"connection_lost"));
}

struct Broken;

impl std::io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_the_producer_detached() {
    let transport = StringTransport::new();
    let told = Rc::new(RefCell::new(None));
    let there = Rc::clone(&told);
    FileSender::new(Broken)
        .begin_file_transfer(&transport, move |_, sent| {
            there.replace(Some(sent));
            Ok(())
        })
        .unwrap();
    transport.resume_producer().unwrap();
    assert!(matches!(told.take(), Some(Err(FileSenderError::Read(_)))));
    assert_eq!(transport.producer(), None);
}

/// Delivers each byte by itself.
struct Bytewise;

impl ProtocolWrapper for Bytewise {
    fn data_received(&self, _: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        data.chunks(1).try_for_each(above)
    }
}

/// Pauses after each byte, and gives the first back.
struct Reluctant(Rc<RefCell<Vec<u8>>>);

impl Protocol for Reluctant {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.0.borrow_mut().extend_from_slice(data);
        if self.0.borrow().len() == 1 {
            transport.unread(data);
        }
        transport.pause_producing();
        Ok(())
    }
}

#[test]
fn a_wrapper_that_delivers_more_than_is_wanted_does_so_later_and_in_order() {
    let got = Rc::new(RefCell::new(Vec::new()));
    let mut connection = StringTransportWithDisconnection::new(WrappedProtocol::new(Bytewise, Reluctant(Rc::clone(&got))));
    connection.deliver(b"abc");
    assert_eq!(*got.borrow(), b"a", "it has paused");
    connection.call(|transport| transport.resume_producing());
    assert_eq!(*got.borrow(), b"aabc");
}

#[test]
fn a_pause_while_bytes_come_back_from_a_wrapper_holds_what_follows() {
    let got = Rc::new(RefCell::new(Vec::new()));
    let (transport, mut protocol) = (StringTransport::new(), WrappedProtocol::new(Plain, Reluctant(Rc::clone(&got))));
    protocol.data_received(&transport, b"a").unwrap();
    transport.resume_producing();
    protocol.data_received(&transport, b"b").unwrap();
    assert_eq!(*got.borrow(), b"aa", "it has paused");
    transport.resume_producing();
    protocol.reading_resumed(&transport).unwrap();
    assert_eq!(*got.borrow(), b"aab");
}

#[test]
fn tasks_end_with_the_recorded_connection_and_their_errors_are_its_reason() {
    struct Silent;
    impl Protocol for Silent {
        fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
            let (fails, waits) = (data == b"fail", transport.reactor().sleep(Duration::from_secs(1)));
            transport.spawn(move |transport| async move {
                waits.await?;
                transport.write("late");
                if fails { Err("no more".into()) } else { Ok(()) }
            });
            Ok(())
        }
    }

    let second = Duration::from_secs(1);
    let mut connection = StringTransportWithDisconnection::new(Silent);
    connection.deliver(b"go on");
    connection.lose(Reason::ConnectionDone);
    connection.advance(second);
    assert_eq!(connection.value(), b"", "the task was cancelled");
    let mut connection = StringTransportWithDisconnection::new(Silent);
    connection.deliver(b"fail");
    connection.advance(second);
    connection.advance(Duration::ZERO);
    assert_eq!(connection.reason().map(ToString::to_string), Some("the protocol failed: no more".to_owned()));
}

/// Builds a protocol for a peer with this address, if the factory allows it.
fn peer(factory: &mut impl Factory, peer: &str) -> Option<Box<dyn Protocol>> {
    let peer: SocketAddr = peer.parse().unwrap_or_else(|error| panic!("{peer}: {error}"));
    factory.build_protocol(&peer.into())
}

#[test]
fn each_host_has_its_own_limit() {
    let mut factory = LimitConnectionsByPeer::new(|_| wire::Discard, 2);
    let first = peer(&mut factory, "10.0.0.1:1");
    assert!(first.is_some() && peer(&mut factory, "[::ffff:10.0.0.1]:2").is_some(), "the second one is dropped at once");
    let second = peer(&mut factory, "10.0.0.1:3");
    assert!(second.is_some() && peer(&mut factory, "10.0.0.1:4").is_none());
    assert!(peer(&mut factory, "10.0.0.2:1").is_some());
    drop(first);
    assert!(peer(&mut factory, "10.0.0.1:5").is_some());
    drop(second);
    assert!(format!("{factory:?}").contains("peers: 0"), "nothing is kept of hosts that have gone: {factory:?}");
}

#[test]
fn an_ipv6_peer_is_its_network_of_64_bits_however_it_changes_its_address() {
    let mut factory = LimitConnectionsByPeer::new(|_| wire::Discard, 2);
    let held = [peer(&mut factory, "[2001:db8::1]:1"), peer(&mut factory, "[2001:db8::ffff:0:0:2]:1")];
    assert!(held.iter().all(Option::is_some) && peer(&mut factory, "[2001:db8::3]:1").is_none());
    assert!(peer(&mut factory, "[2001:db8:0:1::1]:1").is_some(), "the next network");
    drop(held);
    assert!(peer(&mut factory, "[2001:db8::4]:1").is_some());
}

/// Returns whether two peers count as one.
fn are_one(first: &str, second: &str, ipv6_prefix: u32) -> bool {
    let mut factory = LimitConnectionsByPeer::new(|_| wire::Discard, 1).ipv6_prefix(ipv6_prefix);
    let [first, second] =
        [first, second].map(|ip| format!("{}:1", if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() }));
    let held = peer(&mut factory, &first);
    assert!(held.is_some());
    peer(&mut factory, &second).is_none()
}

#[test]
fn the_bits_that_tell_ipv6_peers_apart_can_be_set() {
    assert!(are_one("2001:db8:0:1::", "2001:db8:0:2::", 48) && !are_one("2001:db8::", "2001:db8:1::", 48));
    assert!(are_one("2001:db8::1", "fd00::1", 0) && are_one("2001:db8::2", "2001:db8::3", 127));
    for whole in [128, 129, u32::MAX] {
        assert!(!are_one("2001:db8::2", "2001:db8::3", whole) && are_one("::1", "::1", whole));
    }
}

#[test]
fn mapped_and_link_local_addresses_are_not_taken_for_one_network() {
    assert!(are_one("::ffff:10.0.0.1", "10.0.0.1", 64) && !are_one("::ffff:10.0.0.1", "::ffff:10.0.0.2", 64));
    assert!(!are_one("fe80::1", "fe80::2", 64), "they are all in one network, on every link");
}
