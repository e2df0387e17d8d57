//! Servers and clients on a `MemoryReactor`: the real ports and connectors, with the test as the network.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use torsade_protocols::{
    Address, ClientFactory, ConnectError, Connector, Factory, ListenError, Protocol, Reason, Result, Transport,
};
use torsade_reactor::{MemoryError, MemoryReactor};
use torsade_transports::ReactorTcp;

type Log = Rc<RefCell<Vec<String>>>;

/// Echoes, and records callbacks and hooks.
#[derive(Clone, Default)]
struct Noted(Log);

impl Noted {
    fn note(&self, what: impl Into<String>) {
        self.0.borrow_mut().push(what.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Protocol for Noted {
    fn connection_made(&mut self, _transport: &Transport) -> Result {
        self.note("made");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        self.note(data.escape_ascii().to_string());
        transport.write(data);
        if data == b"quit" {
            transport.lose_connection();
        }
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &Transport, reason: &Reason) -> Result {
        self.note(reason.kind());
        Ok(())
    }
}

impl Factory for Noted {
    fn build_protocol(&mut self, peer: &Address) -> Option<Box<dyn Protocol>> {
        self.note(format!("build for {peer}"));
        Some(Box::new(self.clone()))
    }

    fn start_factory(&mut self) {
        self.note("start");
    }

    fn stop_factory(&mut self) {
        self.note("stop");
    }
}

impl ClientFactory for Noted {
    fn started_connecting(&mut self, _connector: &Connector) -> Result {
        self.note("connecting");
        Ok(())
    }

    fn client_connection_failed(&mut self, _connector: &Connector, error: &ConnectError) -> Result {
        self.note(match error {
            ConnectError::TimedOut(_) => "failed: timed out",
            ConnectError::UnknownHost { .. } => "failed: unknown host",
            other if other.to_string().contains("refused") => "failed: refused",
            _ => "failed",
        });
        Ok(())
    }

    fn client_connection_lost(&mut self, _connector: &Connector, reason: &Reason) -> Result {
        self.note(format!("lost: {}", reason.kind()));
        Ok(())
    }
}

#[expect(clippy::unwrap_used, reason = "the tests' own texts")]
fn address(text: &str) -> Address {
    Address::Tcp(text.parse().unwrap())
}

#[test]
fn what_is_listened_on_and_connected_to_is_recorded_in_order() -> Result {
    let reactor = MemoryReactor::new();
    let port = reactor.listen_tcp("127.0.0.1:0", Noted::default())?;
    reactor.listen_tcp("0.0.0.0:80", Noted::default())?;
    reactor.connect_tcp("192.0.2.1:25", Noted::default())?;
    reactor.connect_tcp("[2001:db8::1]:110", Noted::default())?;
    reactor.advance(Duration::ZERO);
    assert_eq!(reactor.listened(), [address("127.0.0.1:49152"), address("0.0.0.0:80")]);
    assert_eq!(port.address(), address("127.0.0.1:49152"));
    assert_eq!(reactor.connected_to(), [address("192.0.2.1:25"), address("[2001:db8::1]:110")]);
    Ok(())
}

#[test]
fn a_peer_reaches_the_factory_of_a_port_and_both_ends_make_a_clean_close() -> Result {
    let (reactor, server) = (MemoryReactor::new(), Noted::default());
    let port = reactor.listen_tcp("0.0.0.0:7", server.clone())?;
    let peer = reactor.connect_peer(address("192.0.2.9:1234"), address("10.0.0.1:7"))?;
    peer.send(b"one");
    assert!(server.take().is_empty(), "methods only queue");
    reactor.advance(Duration::ZERO);
    assert_eq!(server.take(), ["start", "build for 192.0.2.9:1234", "made", "one"]);
    assert_eq!(peer.take_received(), b"one");
    peer.send(b"quit");
    reactor.advance(Duration::ZERO);
    assert_eq!(peer.take_received(), b"quit");
    assert!(peer.has_end() && !peer.is_reset());
    assert_eq!(server.take(), ["quit"], "the close waits for the peer");
    peer.end();
    port.stop_listening();
    reactor.advance(Duration::ZERO);
    assert_eq!(server.take().concat().replace("stop", ""), "ConnectionDone");
    let nobody = reactor.connect_peer(address("192.0.2.9:1234"), address("10.0.0.1:7")).unwrap_err();
    assert_eq!(nobody, MemoryError::NobodyListens(address("10.0.0.1:7")));
    assert_eq!(reactor.source_count() + reactor.delayed_calls(), 0);
    Ok(())
}

#[test]
fn an_attempt_that_is_accepted_runs_the_hooks_in_order() -> Result {
    let (reactor, client, there) = (MemoryReactor::new(), Noted::default(), address("192.0.2.1:80"));
    reactor.connect_tcp(there.clone(), client.clone())?;
    assert_eq!(
        reactor.accept_attempt(there.clone()).unwrap_err(),
        MemoryError::NobodyConnects(there.clone()),
        "it begins in the next turn"
    );
    reactor.advance(Duration::ZERO);
    assert_eq!(client.take(), ["start", "connecting"]);
    let peer = reactor.accept_attempt(there)?;
    peer.send(b"hello");
    peer.end();
    reactor.advance(Duration::ZERO);
    assert_eq!(client.take(), ["build for 192.0.2.1:80", "made", "hello", "ConnectionDone", "lost: ConnectionDone", "stop"]);
    assert_eq!(peer.take_received(), b"hello");
    Ok(())
}

#[test]
fn an_attempt_can_be_failed_or_left_to_time_out() -> Result {
    let (reactor, client, there) = (MemoryReactor::new(), Noted::default(), address("192.0.2.1:80"));
    reactor.connect_tcp(there.clone(), client.clone())?;
    reactor.advance(Duration::ZERO);
    reactor.fail_attempt(there.clone(), io::ErrorKind::ConnectionRefused)?;
    reactor.advance(Duration::ZERO);
    assert_eq!(client.take()[2..], ["failed: refused", "stop"]);
    reactor.connect_tcp(there.clone(), client.clone())?;
    reactor.advance(Duration::ZERO);
    reactor.advance(Duration::from_secs(30));
    assert_eq!(client.take()[2..], ["failed: timed out", "stop"]);
    assert!(reactor.accept_attempt(there).is_err(), "it was abandoned");
    Ok(())
}

#[test]
fn a_reset_comes_after_what_was_sent_before_it() -> Result {
    let (reactor, server) = (MemoryReactor::new(), Noted::default());
    reactor.listen_tcp("127.0.0.1:7", server.clone())?;
    let peer = reactor.connect_peer(address("127.0.0.1:1234"), address("127.0.0.1:7"))?;
    reactor.advance(Duration::ZERO);
    peer.send(b"last");
    peer.reset();
    reactor.advance(Duration::ZERO);
    assert_eq!(server.take()[3..], ["last", "ConnectionLost"]);
    Ok(())
}

#[test]
fn a_peer_without_room_leaves_the_rest_unsent_until_it_takes_some() -> Result {
    let (reactor, server) = (MemoryReactor::new(), Noted::default());
    reactor.listen_tcp("127.0.0.1:7", server)?;
    let peer = reactor.connect_peer(address("127.0.0.1:1234"), address("127.0.0.1:7"))?;
    peer.set_room(3);
    peer.send(b"12345");
    reactor.advance(Duration::ZERO);
    assert_eq!(peer.take_received(), b"123");
    reactor.advance(Duration::ZERO);
    assert_eq!(peer.take_received(), b"45");
    Ok(())
}

#[test]
fn a_port_that_is_taken_or_refused_is_an_error_and_not_recorded() -> Result {
    let reactor = MemoryReactor::new();
    reactor.listen_tcp("127.0.0.1:7", Noted::default())?;
    let taken = reactor.listen_tcp("127.0.0.1:7", Noted::default()).unwrap_err();
    assert!(matches!(taken, ListenError::Io { cause, .. } if cause.kind() == io::ErrorKind::AddrInUse));
    reactor.refuse_to_listen(Some(io::ErrorKind::PermissionDenied));
    let refused = reactor.listen_tcp("127.0.0.1:8", Noted::default()).unwrap_err();
    assert!(matches!(refused, ListenError::Io { cause, .. } if cause.kind() == io::ErrorKind::PermissionDenied));
    assert_eq!(reactor.listened(), [address("127.0.0.1:7")]);
    Ok(())
}

#[test]
fn names_lead_to_the_addresses_that_were_added_in_turn() -> Result {
    let (reactor, client) = (MemoryReactor::new(), Noted::default());
    reactor.add_host("mail.example", [address("192.0.2.1:0"), address("192.0.2.2:0")].iter().filter_map(Address::ip));
    reactor.connect_tcp("mail.example:25", client.clone())?;
    reactor.advance(Duration::ZERO);
    reactor.fail_attempt(address("192.0.2.1:25"), io::ErrorKind::ConnectionRefused)?;
    reactor.advance(Duration::ZERO);
    reactor.accept_attempt(address("192.0.2.2:25"))?;
    reactor.advance(Duration::ZERO);
    assert_eq!(client.take()[2..], ["build for 192.0.2.2:25", "made"]);
    reactor.connect_tcp("nowhere.example:25", client.clone())?;
    reactor.advance(Duration::ZERO);
    assert_eq!(client.take()[2..], ["failed: unknown host", "stop"]);
    Ok(())
}
