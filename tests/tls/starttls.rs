//! TLS in mid-stream: the switch at an exact byte, and what must not cross it.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::rc::Rc;
use std::time::Duration;

use torsade::policies::{ProtocolWrapper, WrappedProtocol, WrapperTransport};
use torsade::prelude::*;
use torsade::simulated::Simulation;
use torsade::{
    CompressionError, Int16StringReceiver, NetstringReceiver, ProtocolState, StartTlsError, StatefulProtocol, StatefulReceiver,
    StringFrameTransport, StringProtocol, TlsConfig, TlsError,
};

use crate::keys;
use crate::support::{Event, Events, Peer, Probe, address, converse, drain, pattern, peer, run};
use crate::world::{converse_in_clear, side, silent};

/// A line server that answers STARTTLS, and any other line with its length.
struct LineServer {
    config: TlsServerConfig,
    lines: Rc<RefCell<Vec<String>>>,
    with_rest: bool,
}

impl LineProtocol for LineServer {
    fn handshake_completed(&mut self, _transport: &LineTransport) -> Result {
        self.lines.borrow_mut().push("(handshake)".into());
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        match line {
            b"STARTTLS" => {
                transport.send_line("GO");
                Ok(transport.start_tls(&self.config)?)
            }
            b"PROXY" if self.with_rest => Ok(transport.start_tls_with_rest(&self.config)?),
            _ => {
                transport.send_line(line.len().to_string());
                Ok(())
            }
        }
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        self.lines.borrow_mut().push(format!("({})", reason.kind()));
        if let Reason::Tls(error) = reason {
            self.lines.borrow_mut().push(error.to_string());
        }
        transport.reactor().stop()?;
        Ok(())
    }
}

/// A line client that asks for TLS, then sends one more line, and closes when that is answered.
struct LineClient {
    config: TlsClientConfig,
    answers: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for LineClient {
    fn connection_made(&mut self, transport: &LineTransport) -> Result {
        transport.send_line("plain");
        transport.send_line("STARTTLS");
        Ok(())
    }

    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.answers.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        if line == b"GO" {
            transport.start_tls(&self.config)?;
            transport.send_line("secret");
        } else if self.answers.borrow().len() == 3 {
            transport.lose_connection();
        }
        Ok(())
    }
}

#[test]
fn a_conversation_goes_on_encrypted_after_the_switch() {
    let reactor = Reactor::new().unwrap();
    let (lines, answers) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
    let (record, config) = (lines.clone(), keys::server());
    let server = move |_peer| LineReceiver::new(LineServer { config: config.clone(), lines: record.clone(), with_rest: false });
    let port = reactor.listen_tcp("127.0.0.1:0", server).unwrap();
    let (record, config) = (answers.clone(), keys::client());
    let client = move |_peer| LineReceiver::new(LineClient { config: config.clone(), answers: record.clone() });
    reactor.connect_tcp(port.address(), client).unwrap();
    run(&reactor);
    assert_eq!(*lines.borrow(), ["plain", "STARTTLS", "(handshake)", "secret", "(ConnectionDone)"]);
    assert_eq!(*answers.borrow(), ["5", "GO", "6"]);
}

/// The lines that a server receives from a peer that does this.
fn attack(with_rest: bool, act: impl FnOnce(Peer) + Send + 'static) -> Vec<String> {
    let reactor = Reactor::new().unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let (record, config) = (lines.clone(), keys::server());
    let server = move |_peer| LineReceiver::new(LineServer { config: config.clone(), lines: record.clone(), with_rest });
    let port = reactor.listen_tcp("127.0.0.1:0", server).unwrap();
    let peer = peer(address(&port), act);
    run(&reactor);
    peer.join().expect("the peer does not fail");
    lines.take()
}

#[test]
fn plain_bytes_after_the_command_are_refused() {
    let lines = attack(false, |mut stream| {
        stream.write_all(b"STARTTLS\r\nEVIL\r\n").expect("a connection");
        drain(&mut stream).1.ok();
    });
    assert_eq!(lines, ["STARTTLS", "(Tls)", &TlsError::Injected { bytes: 6 }.to_string()]);
}

#[test]
fn plain_bytes_in_the_next_segment_are_not_tls() {
    let lines = attack(false, |mut stream| {
        stream.write_all(b"STARTTLS\r\n").expect("a connection");
        let mut go = [0; 4];
        stream.read_exact(&mut go).expect("an answer");
        assert_eq!(&go, b"GO\r\n");
        stream.write_all(b"EVIL\r\n").expect("a connection");
        drain(&mut stream).1.ok();
    });
    assert_eq!(lines, ["STARTTLS", "(Tls)", &TlsError::NotTls.to_string()]);
}

#[test]
fn a_peer_that_does_not_wait_is_understood_if_that_is_allowed() {
    // The beginning of a ClientHello: it has to be read as TLS, not as lines.
    let lines = attack(true, |mut stream| {
        stream.write_all(b"PROXY\r\n\x16\x03\x01\x01\x00\x01\x00\x00\xfc\r\n\r\n").expect("a connection");
    });
    assert_eq!(lines, ["PROXY", "(Tls)", &TlsError::ClosedInHandshake.to_string()]);
}

/// Sends a PROXY header, then TLS without waiting.
struct ProxyHeader(TlsClientConfig);

impl Protocol for ProxyHeader {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        transport.write("PROXY\r\n");
        transport.start_tls(&self.0)?;
        transport.write("hello\r\n");
        Ok(())
    }

    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        assert_eq!(data, b"5\r\n");
        transport.lose_connection();
        Ok(())
    }
}

#[test]
fn a_header_and_a_handshake_may_come_in_one_segment() {
    let reactor = Reactor::new().unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let (record, config) = (lines.clone(), keys::server());
    let server = move |_peer| LineReceiver::new(LineServer { config: config.clone(), lines: record.clone(), with_rest: true });
    let port = reactor.listen_tcp("127.0.0.1:0", server).unwrap();
    let config = keys::client();
    reactor.connect_tcp(port.address(), move |_peer| ProxyHeader(config.clone())).unwrap();
    run(&reactor);
    assert_eq!(*lines.borrow(), ["PROXY", "(handshake)", "hello", "(ConnectionDone)"]);
}

#[test]
fn what_was_written_before_the_switch_leaves_in_clear_and_in_order() {
    for size in [1, 10_000, 1_000_000] {
        let config = keys::server();
        let server = side(move |event, transport| {
            if matches!(event, Event::Made) {
                transport.write(pattern(0, size));
                transport.start_tls(&config)?;
                transport.write(pattern(size, size));
                transport.lose_connection();
            }
            Ok(())
        });
        let config = keys::client();
        let received = Rc::new(RefCell::new(Vec::new()));
        let record = received.clone();
        let client = side(move |event, transport| {
            if let Event::Data(data) = event {
                let mut got = record.borrow_mut();
                let clear = size - got.len().min(size);
                if clear > 0 {
                    let (clear, rest) = data.split_at(clear.min(data.len()));
                    got.extend_from_slice(clear);
                    if got.len() == size {
                        transport.start_tls_with_rest(&config, rest)?;
                    }
                } else {
                    got.extend_from_slice(data);
                }
            }
            Ok(())
        });
        let ends = converse_in_clear(server, client);
        assert!(*received.borrow() == pattern(0, 2 * size), "{} of {} bytes", received.borrow().len(), 2 * size);
        assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
        assert!(ends.server.reason().is_clean(), "{:?}", ends.server.reason());
    }
}

/// Calls `act` in `connection_made` of an accepted connection.
fn in_connection(act: impl FnOnce(&Transport) + 'static) {
    let mut act = Some(act);
    let script = move |event: &Event, transport: &Transport| {
        if matches!(event, Event::Made) {
            act.take().expect("it is called once")(transport);
            transport.abort_connection();
        }
        Ok(())
    };
    converse(script, |mut stream| drop(drain(&mut stream)));
}

#[test]
fn a_switch_that_makes_no_sense_is_a_typed_error_and_changes_nothing() {
    in_connection(|transport| {
        assert_eq!(transport.start_tls(keys::client()), Err(StartTlsError::NoServerName));
        assert_eq!(transport.start_tls(TlsConfig::new("of somebody else")), Err(StartTlsError::Unsupported));
        assert_eq!(transport.start_tls(keys::server()), Ok(()));
        assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::AlreadyOn));
    });
    in_connection(|transport| {
        transport.set_compression("deflate").unwrap();
        assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::Compressing));
    });
    in_connection(|transport| {
        transport.expect_compression("deflate", b"").unwrap();
        assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::Compressing));
    });
    in_connection(|transport| {
        transport.lose_connection();
        assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::Closed));
    });
    in_connection(|transport| {
        transport.lose_write_connection();
        assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::Closed));
    });
}

#[test]
fn bytes_given_back_in_clear_are_not_delivered_after_the_switch() {
    for before in [true, false] {
        let server = side(move |event, transport| {
            if let Event::Data(_) = event {
                if before {
                    transport.unread(b"in clear");
                    assert_eq!(transport.start_tls(keys::server()), Err(StartTlsError::Injected { bytes: 8 }));
                } else {
                    transport.start_tls(keys::server())?;
                    transport.unread(b"in clear");
                }
            }
            Ok(())
        });
        let client = side(|event, transport| {
            if matches!(event, Event::Made) {
                transport.write("STARTTLS");
            }
            Ok(())
        });
        let ends = converse_in_clear(server, client);
        assert_eq!(ends.server.data(), b"STARTTLS");
        let reason = ends.server.reason();
        assert!(matches!(reason, Reason::Tls(TlsError::Injected { bytes: 8 })), "{reason:?}");
    }
}

#[test]
fn a_rest_in_clear_that_is_to_be_decompressed_is_refused_at_once_also_from_outside() {
    let (result, stayed) = (Rc::new(Cell::new(None)), Rc::new(Cell::new(false)));
    let (seen_result, has_stayed) = (result.clone(), stayed.clone());
    let server = side(move |event, transport| {
        if matches!(event, Event::Made) {
            transport.start_tls(keys::server())?;
            let (result, stayed) = (result.clone(), stayed.clone());
            let (late, reactor) = (transport.clone(), transport.reactor().clone());
            transport.reactor().call_later(Duration::from_millis(10), move || {
                result.set(Some(late.expect_compression("deflate", b"in clear")));
                let stayed = stayed.clone();
                reactor.call_later(Duration::from_millis(10), move || {
                    stayed.set(late.is_connected());
                    late.abort_connection();
                });
            });
        }
        Ok(())
    });
    let ends = converse_in_clear(server, silent());
    let reason = ends.server.reason();
    assert_eq!(seen_result.take(), Some(Err(CompressionError::Closed)));
    assert!(!has_stayed.get(), "it waited for another event");
    assert!(matches!(reason, Reason::Tls(TlsError::Injected { bytes: 8 })), "{reason:?}");
}

#[test]
fn compression_goes_above_tls_whenever_it_is_switched_on() {
    for (at_once, format) in [(true, "deflate"), (false, "gzip"), (true, "deflate-raw")] {
        let config = keys::server();
        let server = side(move |event, transport| {
            let compress = match event {
                Event::Made => {
                    transport.start_tls(&config)?;
                    at_once
                }
                Event::Handshake => !at_once,
                Event::Data(data) => {
                    transport.write(data);
                    false
                }
                _ => false,
            };
            if compress {
                transport.set_compression(format)?;
                transport.expect_compression(format, b"")?;
                transport.write(pattern(0, 100_000));
            }
            Ok(())
        });
        let config = keys::client();
        let mut got = 0;
        let client = side(move |event, transport| {
            match event {
                Event::Made => {
                    transport.start_tls(&config)?;
                    transport.expect_compression(format, b"")?;
                    transport.set_compression(format)?;
                    transport.write("an echo, please");
                }
                Event::Data(data) => {
                    got += data.len();
                    if got == 100_015 {
                        let stats = transport.compression_stats().expect("it is on");
                        assert!(stats.wire_in > 0 && stats.wire_out > 0, "{stats:?}");
                        transport.lose_connection();
                    }
                }
                _ => {}
            }
            Ok(())
        });
        let ends = converse_in_clear(server, client);
        let mut wanted = pattern(0, 100_000);
        wanted.extend_from_slice(b"an echo, please");
        assert!(ends.client.data() == wanted, "{format}: {} bytes", ends.client.data().len());
        assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
        assert!(ends.server.reason().is_clean(), "{:?}", ends.server.reason());
    }
}

/// Starts TLS at the first bytes from its adapter; the second ones were injected.
struct Switch {
    config: TlsServerConfig,
    received: Rc<RefCell<Vec<String>>>,
}

impl Switch {
    fn note(&self, what: &[u8]) {
        self.received.borrow_mut().push(String::from_utf8_lossy(what).into_owned());
    }

    fn lost(&self, transport: &Transport, reason: &Reason) -> Result {
        self.note(reason.to_string().as_bytes());
        Ok(transport.reactor().stop()?)
    }
}

impl StringProtocol for Switch {
    fn string_received(&mut self, transport: &StringFrameTransport, string: &[u8]) -> Result {
        self.note(string);
        Ok(transport.start_tls(&self.config)?)
    }

    fn connection_lost(&mut self, transport: &StringFrameTransport, reason: &Reason) -> Result {
        self.lost(transport, reason)
    }
}

impl StatefulProtocol for Switch {
    fn initial_state(&mut self) -> ProtocolState<Self> {
        ProtocolState::new(
            |switch, transport, bytes| {
                switch.note(bytes);
                transport.start_tls(&switch.config)?;
                Ok(None)
            },
            4,
        )
    }

    fn connection_lost(&mut self, transport: &FrameTransport, reason: &Reason) -> Result {
        self.lost(transport, reason)
    }
}

/// Gives back what follows the first four bytes, and switches.
impl Protocol for Switch {
    fn data_received(&mut self, transport: &Transport, data: &[u8]) -> Result {
        let (first, rest) = data.split_at(4);
        self.note(first);
        transport.unread(rest);
        Ok(transport.start_tls(&self.config)?)
    }

    fn connection_lost(&mut self, transport: &Transport, reason: &Reason) -> Result {
        self.lost(transport, reason)
    }
}

/// Wraps it in an adapter.
type Adapter = fn(Switch) -> Box<dyn Protocol>;

/// Passes everything on.
struct Nothing;

impl ProtocolWrapper for Nothing {}

#[test]
fn no_adapter_delivers_after_the_switch_what_arrived_in_clear() {
    let adapters: [(&str, Adapter); 5] = [
        ("4:goal,4:EVIL,", |switch| Box::new(NetstringReceiver::new(switch))),
        ("\0\x04goal\0\x04EVIL", |switch| Box::new(Int16StringReceiver::new(switch))),
        ("goalEVIL", |switch| Box::new(StatefulReceiver::new(switch))),
        ("goalEVIL", |switch| Box::new(switch)),
        ("goalEVIL", |switch| Box::new(WrappedProtocol::new(Nothing, switch))),
    ];
    for (sent, adapter) in adapters {
        let reactor = Reactor::new().unwrap();
        let received = Rc::new(RefCell::new(Vec::new()));
        let (record, config) = (received.clone(), keys::server());
        let factory = move |_peer| adapter(Switch { config: config.clone(), received: record.clone() });
        let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
        let peer = peer(address(&port), move |mut stream| {
            stream.write_all(sent.as_bytes()).expect("a connection");
            drain(&mut stream).1.ok();
        });
        run(&reactor);
        peer.join().expect("the peer does not fail");
        let received = received.borrow();
        assert_eq!(received.len(), 2, "{received:?}");
        assert_eq!(received[0], "goal");
        assert!(received[1].contains("bytes arrived before TLS was on"), "{received:?}");
    }
}

/// Delivers four bytes at a time, and switches to TLS itself.
struct SwitchesBelow(TlsServerConfig);

impl ProtocolWrapper for SwitchesBelow {
    fn data_received(&self, below: &WrapperTransport, data: &[u8], above: &mut dyn FnMut(&[u8]) -> Result) -> Result {
        data.chunks(4).try_for_each(above)?;
        Ok(below.start_tls(&self.0)?)
    }
}

#[test]
fn what_a_wrapper_kept_in_clear_is_not_delivered_during_the_handshake_that_it_began() {
    let (reactor, events) = (Reactor::new().unwrap(), Events::default());
    let record = events.clone();
    let factory = move |_peer| {
        let pausing = Probe::new(&record, |event, transport| {
            match event {
                Event::Data(_) => {
                    transport.pause_producing();
                    let paused = transport.clone();
                    transport.reactor().call_later(Duration::ZERO, move || paused.resume_producing());
                }
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        });
        WrappedProtocol::new(SwitchesBelow(keys::server()), pausing)
    };
    let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
    let peer = peer(address(&port), move |mut stream| {
        stream.write_all(b"goalEVIL").expect("a connection");
        drain(&mut stream).1.ok();
    });
    run(&reactor);
    peer.join().expect("the peer does not fail");
    assert_eq!(events.data(), b"goal");
    let reason = events.reason();
    assert!(matches!(reason, Reason::Tls(TlsError::Injected { bytes: 4 })), "{reason}");
}

/// A line receiver whose protocol starts TLS on the plain transport, bypassing the receiver.
struct SwitchesPast {
    lines: Rc<RefCell<Vec<String>>>,
    waits: bool,
}

impl LineProtocol for SwitchesPast {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines.borrow_mut().push(line.escape_ascii().to_string());
        let plain = Transport::clone(transport);
        if !self.waits {
            return Ok(plain.start_tls(keys::server())?);
        }
        transport.pause_producing();
        let (later, reactor) = (plain.clone(), plain.reactor().clone());
        reactor.call_later(Duration::from_millis(100), move || later.start_tls(keys::server()).unwrap());
        reactor.call_later(Duration::from_secs(2), move || plain.resume_producing());
        Ok(())
    }

    fn connection_lost(&mut self, _transport: &LineTransport, reason: &Reason) -> Result {
        self.lines.borrow_mut().push(reason.to_string());
        Ok(())
    }
}

/// It used to be delivered after the switch, as if it had come encrypted.
#[test]
fn a_line_that_arrived_in_clear_is_not_delivered_after_a_switch_that_bypassed_the_receiver() {
    for waits in [false, true] {
        let simulation = Simulation::new(1);
        let lines = Rc::new(RefCell::new(Vec::new()));
        let record = Rc::clone(&lines);
        let server = move |_peer| LineReceiver::new(SwitchesPast { lines: Rc::clone(&record), waits });
        simulation.host("10.0.0.1").listen_tcp("0.0.0.0:7", server).unwrap();
        let client = |event: &Event, transport: &Transport| {
            if matches!(event, Event::Made) {
                transport.write("goal\r\nEVIL\r\n");
                let later = transport.clone();
                let switch = move || drop(later.start_tls(keys::client()));
                transport.reactor().call_later(Duration::from_secs(1), switch);
            }
            Ok(())
        };
        let client = move |_peer| Probe::new(&Events::default(), client);
        simulation.host("10.0.0.2").connect_tcp("10.0.0.1:7", client).unwrap();
        simulation.run_for(Duration::from_secs(60)).unwrap();
        let lines = lines.borrow();
        assert_eq!(lines.len(), 2, "waits {waits}: {lines:?}");
        assert!(lines[0] == "goal" && lines[1].contains("6 bytes arrived before TLS was on"), "waits {waits}: {lines:?}");
    }
}
