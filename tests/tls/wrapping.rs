//! TLS over any transport: memory, TCP, another TLS.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use torsade::prelude::*;
use torsade::testing::StringTransport;
use torsade::{Clock, TlsError, tls_wrapping_factory};

use crate::keys;
use crate::over_transport::Keep;
use crate::support::{Echo, Event, Events, Probe, pattern, run};

/// A client configuration that names the server.
fn client() -> TlsClientConfig {
    keys::client_builder().server_name("server.test").build().expect("a configuration")
}

fn wrap(
    config: impl Into<torsade::TlsConfig>,
    events: &Events,
    script: impl FnMut(&Event, &Transport) -> Result + 'static,
) -> impl ClientFactory + 'static {
    let events = events.clone();
    let mut script = Some(script);
    tls_wrapping_factory(config, move |_peer: Address| Some(Probe::new(&events, script.take()?)))
}

/// A client and a server in memory; the test carries their bytes.
struct Pair {
    ends: [StringTransport; 2],
    protocols: [Box<dyn Protocol>; 2],
}

impl Pair {
    /// Builds both protocols, and calls their `connection_made`.
    fn join(client: &mut impl Factory, server: &mut impl Factory) -> Self {
        let clock = Rc::new(Clock::new());
        let ends = [StringTransport::with_clock(&clock), StringTransport::with_clock(&clock)];
        let client = client.build_protocol(&ends[0].peer()).expect("a client");
        let server = server.build_protocol(&ends[1].peer()).expect("a server");
        let mut pair = Self { ends, protocols: [client, server] };
        for (protocol, transport) in pair.protocols.iter_mut().zip(&pair.ends) {
            protocol.connection_made(transport).unwrap();
        }
        pair
    }

    /// Does what is due at the end of the turn, and takes what one end has for the other.
    fn take(&self, end: usize) -> Vec<u8> {
        self.ends[end].clock().advance(Duration::ZERO);
        let wire = self.ends[end].value();
        self.ends[end].clear();
        wire
    }

    fn give(&mut self, end: usize, wire: &[u8]) {
        self.protocols[end].data_received(&self.ends[end], wire).unwrap();
    }

    /// Carries bytes in pieces until neither end has more; returns all that passed.
    fn exchange(&mut self, piece: usize) -> Vec<u8> {
        let mut passed = Vec::new();
        loop {
            let written = [self.take(0), self.take(1)];
            if written.iter().all(Vec::is_empty) {
                return passed;
            }
            for (from, to) in [(0, 1), (1, 0)] {
                passed.extend_from_slice(&written[from]);
                written[from].chunks(piece).for_each(|piece| self.give(to, piece));
            }
        }
    }
}

#[test]
fn two_protocols_speak_tls_in_memory() {
    let (client_events, server_events) = (Events::default(), Events::default());
    let mut server = wrap(&keys::server(), &server_events, |event, transport| {
        if let Event::Data(data) = event {
            transport.write(data);
        }
        Ok(())
    });
    let mut client = wrap(&client(), &client_events, |event, transport| {
        match event {
            Event::Made => transport.write("secret"),
            Event::Handshake => assert_eq!(transport.server_name(), None, "only the server is told"),
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let mut pair = Pair::join(&mut client, &mut server);
    // Byte by byte: the cuts must not matter.
    let wire = pair.exchange(1);
    assert_eq!(client_events.names(), ["made", "handshake", "data"]);
    assert_eq!(server_events.data(), b"secret");
    assert!(!wire.windows(6).any(|bytes| bytes == b"secret"), "it went in plaintext");
    assert!(pair.ends[0].is_closing(), "the close was passed on, after TLS's own end");
    assert!(server_events.names().contains(&"read lost"), "{:?}", server_events.names());
}

#[test]
fn what_came_before_a_bad_record_is_delivered_and_the_peer_gets_an_alert() {
    let (client_events, server_events) = (Events::default(), Events::default());
    let speaker = Rc::new(RefCell::new(None));
    let keep = speaker.clone();
    let mut client = wrap(&client(), &client_events, move |event, transport| {
        if matches!(event, Event::Made) {
            keep.replace(Some(transport.clone()));
        }
        Ok(())
    });
    let mut server = wrap(&keys::server(), &server_events, |_, _| Ok(()));
    let mut pair = Pair::join(&mut client, &mut server);
    pair.exchange(usize::MAX);
    let say = |words: &str| {
        speaker.borrow().as_ref().expect("it is connected").write(words);
        pair.take(0)
    };
    let mut wire = say("good");
    let good = wire.len();
    wire.extend(say("bad"));
    wire[good + 8] ^= 1;
    pair.give(1, &wire);
    assert_eq!(server_events.data(), b"good");
    assert!(pair.ends[1].is_closing() && !pair.ends[1].is_aborted(), "the alert is sent first");
    let alert = pair.take(1);
    pair.give(0, &alert);
    for (protocol, end) in pair.protocols.iter_mut().zip(&pair.ends) {
        protocol.connection_lost(end, &Reason::ConnectionDone).unwrap();
    }
    assert!(matches!(server_events.reason(), Reason::Tls(TlsError::Decrypt)), "{:?}", server_events.reason());
    let told = client_events.reason();
    assert!(matches!(told, Reason::Tls(TlsError::AlertReceived { code: 20, .. })), "{told:?}");
}

struct Noting(Rc<RefCell<Vec<&'static str>>>);

impl Producer for Noting {
    fn resume_producing(&mut self, _: &Transport) -> Result {
        self.0.borrow_mut().push("resume");
        Ok(())
    }

    fn pause_producing(&mut self, _: &Transport) -> Result {
        self.0.borrow_mut().push("pause");
        Ok(())
    }
}

#[test]
fn what_waits_for_the_handshake_congests_and_keeps_nothing_back_afterwards() {
    let (client_events, server_events) = (Events::default(), Events::default());
    let told = Rc::new(RefCell::new(Vec::new()));
    let mut client = wrap(&client(), &client_events, |event, transport| {
        if matches!(event, Event::Made) {
            transport.write("a question");
        }
        Ok(())
    });
    let mut producer = Some(Noting(told.clone()));
    let mut server = wrap(&keys::server(), &server_events, move |event, transport| {
        match event {
            Event::Made => {
                transport.register_producer(producer.take().expect("it is made once"), true)?;
                transport.write(pattern(0, (64 << 10) - 1));
                assert!(transport.is_reading());
                transport.write("too much");
                assert!(!transport.is_reading());
                assert_eq!(transport.unsent(), (64 << 10) + 7);
            }
            Event::Data(_) => assert!(transport.is_reading()),
            _ => {}
        }
        Ok(())
    });
    let mut pair = Pair::join(&mut client, &mut server);
    assert_eq!(*told.borrow(), ["pause"]);
    pair.exchange(usize::MAX);
    assert_eq!(*told.borrow(), ["pause", "resume"]);
    assert_eq!(client_events.data().len(), (64 << 10) + 7);
    assert_eq!(server_events.data(), b"a question", "it arrived together with the end of the handshake");
}

#[test]
fn a_file_is_sent_over_a_transport_that_takes_everything() {
    let events = Events::default();
    let mut client = wrap(&client(), &events, |event, transport| {
        if matches!(event, Event::Made) {
            let file = FileSender::new(std::io::Cursor::new(pattern(0, 300_000)));
            file.begin_file_transfer(transport, |transport, last| {
                last?;
                transport.lose_connection();
                Ok(())
            })?;
        }
        Ok(())
    });
    let server_events = Events::default();
    let mut server = wrap(&keys::server(), &server_events, |_, _| Ok(()));
    let mut pair = Pair::join(&mut client, &mut server);
    pair.exchange(usize::MAX);
    assert!(server_events.data() == pattern(0, 300_000), "{} bytes", server_events.data().len());
    assert!(server_events.names().contains(&"read lost"), "{:?}", server_events.names());
}

#[test]
fn two_protocols_speak_tls_in_a_pump() {
    let (client_events, server_events) = (Events::default(), Events::default());
    let mut server = wrap(&keys::server(), &server_events, |event, transport| {
        if let Event::Data(data) = event {
            transport.write(data);
        }
        Ok(())
    });
    let mut client = wrap(&client(), &client_events, |event, transport| {
        match event {
            Event::Made => transport.write(pattern(0, 300_000)),
            Event::Data(_) if transport.delivery().outstanding == 0 => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let (server, client) = (server.build_protocol(&Address::Unnamed), client.build_protocol(&Address::Unnamed));
    let (server, client) = (server.expect("a server"), client.expect("a client"));
    let mut pump = torsade::testing::connected_server_and_client(server, client).expect("they end");
    assert!(server_events.data() == pattern(0, 300_000), "{} bytes", server_events.data().len());
    pump.advance(Duration::from_secs(1));
    assert!(client_events.reason().is_clean() && server_events.reason().is_clean(), "{:?}", server_events.reason());
}

#[test]
fn what_waits_for_the_handshake_has_a_cap() {
    let events = Events::default();
    let mut client = wrap(&client(), &events, |event, transport| {
        if matches!(event, Event::Made) {
            transport.set_write_buffer_cap(100_000);
            transport.write(pattern(0, 100_000));
            assert!(!transport.is_closing());
            transport.write("!");
            assert!(transport.is_closing());
        }
        Ok(())
    });
    let transport = StringTransport::new();
    let mut protocol = client.build_protocol(&transport.peer()).expect("a client");
    protocol.connection_made(&transport).unwrap();
    assert!(transport.is_aborted());
    protocol.connection_lost(&transport, &Reason::ConnectionAborted).unwrap();
    let limited = matches!(events.reason(), Reason::LimitExceeded { what: "unsent output", limit: 100_000 });
    assert!(limited, "{:?}", events.reason());
}

#[test]
fn wrapped_tls_meets_the_layer_in_both_directions() {
    for wrapped_server in [true, false] {
        let reactor = Reactor::new().unwrap();
        let events = Events::default();
        let talk = |event: &Event, transport: &Transport| {
            match event {
                Event::Made => {
                    transport.set_read_while_congested(true);
                    transport.write(pattern(0, 500_000));
                }
                Event::Handshake => assert!(transport.tls_info().is_some()),
                Event::Lost(_) => transport.reactor().stop()?,
                _ => {}
            }
            Ok(())
        };
        let mut got = 0;
        let leave = move |event: &Event, transport: &Transport| {
            if let Event::Data(data) = event {
                got += data.len();
                if got == 500_000 {
                    transport.lose_connection();
                }
            }
            talk(event, transport)
        };
        if wrapped_server {
            let factory = tls_wrapping_factory(keys::server(), |_peer: Address| Echo);
            let port = reactor.listen_tcp("127.0.0.1:0", factory).unwrap();
            let (record, mut script) = (events.clone(), Some(leave));
            let factory = move |_peer| Some(Probe::new(&record, script.take()?));
            reactor.connect_tls(port.address(), &client(), factory).unwrap();
        } else {
            let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), |_peer| Echo).unwrap();
            reactor.connect_tcp(port.address(), wrap(&client(), &events, leave)).unwrap();
        }
        run(&reactor);
        assert!(events.data() == pattern(0, 500_000), "wrapped server: {wrapped_server}, {} bytes", events.data().len());
        assert!(events.reason().is_clean(), "{:?}", events.reason());
    }
}

#[test]
fn tls_goes_through_tls() {
    let reactor = Reactor::new().unwrap();
    let server = tls_wrapping_factory(keys::server(), |_peer: Address| Echo);
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), server).unwrap();
    let events = Events::default();
    let factory = wrap(&client(), &events, |event, transport| {
        match event {
            Event::Made => transport.write("twice wrapped"),
            Event::Data(_) => transport.lose_connection(),
            Event::Lost(_) => transport.reactor().stop()?,
            _ => {}
        }
        Ok(())
    });
    reactor.connect_tls(port.address(), &client(), factory).unwrap();
    run(&reactor);
    assert_eq!(events.data(), b"twice wrapped");
    assert!(events.reason().is_clean(), "{:?}", events.reason());
}

#[test]
fn a_failed_handshake_is_the_wrapped_protocols_reason() {
    let reactor = Reactor::new().unwrap();
    let port = reactor.listen_tls("127.0.0.1:0", &keys::server(), |_peer| Echo).unwrap();
    let events = Events::default();
    let config = keys::client_builder().server_name("elsewhere.test").build().unwrap();
    let factory = wrap(&config, &events, |event, transport| {
        match event {
            Event::Made => transport.write("secret"),
            Event::Lost(_) => transport.reactor().stop()?,
            _ => {}
        }
        Ok(())
    });
    reactor.connect_tcp(port.address(), factory).unwrap();
    run(&reactor);
    assert_eq!(events.names(), ["made", "lost"]);
    assert!(matches!(events.reason(), Reason::Tls(TlsError::Certificate(_))), "{:?}", events.reason());
}

#[test]
fn a_truncated_stream_is_also_reported_above() {
    let reactor = Reactor::new().unwrap();
    // Plaintext below: ends its stream without TLS's close_notify.
    let below = Rc::new(RefCell::new(None));
    let server = wrap(&keys::server(), &Events::default(), |event, transport| {
        if matches!(event, Event::Handshake) {
            transport.write("the beginning");
        }
        Ok(())
    });
    let keep = below.clone();
    let server = torsade::policies::WrappingFactory::new(server, move |_: &Address| Keep(keep.clone()));
    let port = reactor.listen_tcp("127.0.0.1:0", server).unwrap();
    let events = Events::default();
    let cut = Rc::new(Cell::new(false));
    let factory = wrap(&client(), &events, move |event, transport| {
        match event {
            Event::Data(_) if !cut.replace(true) => below.borrow().as_ref().map(Transport::lose_connection).unwrap_or(()),
            Event::Lost(_) => transport.reactor().stop()?,
            _ => {}
        }
        Ok(())
    });
    reactor.connect_tcp(port.address(), factory).unwrap();
    run(&reactor);
    assert_eq!(events.data(), b"the beginning");
    assert!(matches!(events.reason(), Reason::TlsTruncated), "{:?}", events.reason());
}
