//! Bad input gets a typed error with a helpful text, never a panic; and which socket options can be read.

use std::error::Error;
use std::net::TcpListener;
use std::time::Duration;

use crate::support::*;
use torsade::prelude::*;
use torsade::{AddressError, HostPort};

/// Checks that the text names the thing and is a sentence, not a type's name.
fn assert_helps(error: &dyn Error, thing: &str) {
    let text = error.to_string();
    assert!(text.contains(thing) && text.len() > thing.len() + 15, "{text}");
    assert!(!text.contains("Error {") && !text.contains("Os {"), "{text}");
}

#[test]
fn an_address_that_cannot_be_parsed_is_an_error_that_shows_how_to_write_one() {
    let reactor = Reactor::new().unwrap();
    for text in [
        "",
        ":",
        "nonsense",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:80",
        "[::1]",
        "[::1",
        "[]:80",
        "256.1.1.1:80",
        "1.2.3:80",
        "host name:80",
        "h\u{f6}st:80",
        "a:b:80",
        "\0:80",
        " 127.0.0.1:80",
        "127.0.0.1:80 ",
    ] {
        let listen = reactor.listen_tcp(text, |_peer| Echo).map(drop).unwrap_err();
        assert!(matches!(listen, ListenError::Address(_)), "{text:?}: {listen:?}");
        assert_helps(&listen, "127.0.0.1:8000");
        let connect = reactor.connect_tcp(text, |_peer| Echo).map(drop).unwrap_err();
        assert!(matches!(connect, ConnectError::Address(_)), "{text:?}: {connect:?}");
        assert_helps(&connect, "127.0.0.1:8000");
    }
    let long = format!("{}:80", "a".repeat(100_000));
    assert!(matches!(long.parse::<HostPort>(), Err(AddressError::Host { .. })));
    assert_eq!(reactor.source_count(), 0, "nothing is left behind");
}

#[test]
fn a_port_in_use_and_a_name_to_listen_on_are_errors_with_the_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let reactor = Reactor::new().unwrap();
    let error = reactor.listen_tcp(address, |_peer| Echo).map(drop).unwrap_err();
    assert!(matches!(&error, ListenError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse), "{error:?}");
    assert_helps(&error, &address.to_string());
    assert!(error.to_string().contains("in use") && error.source().is_some(), "{error}");
    // A port of this reactor is in use too.
    let port = reactor.listen_tcp("127.0.0.1:0", |_peer| Echo).unwrap();
    assert!(reactor.listen_tcp(socket_address(&port.address()), |_peer| Echo).is_err());
    let error = reactor.listen_tcp("localhost:0", |_peer| Echo).map(drop).unwrap_err();
    assert!(matches!(error, ListenError::Name(_)));
    assert_helps(&error, "localhost:0");
    // An address that is not local (RFC 5737).
    let error = reactor.listen_tcp("192.0.2.1:0", |_peer| Echo).map(drop).unwrap_err();
    assert!(matches!(error, ListenError::Io { .. }), "{error:?}");
    assert_helps(&error, "192.0.2.1:0");
}

#[test]
fn ipv6_works_and_addresses_are_reported_on_both_sides() {
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let listened = reactor.listen_tcp("[::1]:0", move |peer: Address| {
        assert!(peer.ip().is_some_and(|ip| ip.is_ipv6()));
        Probe::new(&record, move |event, transport| {
            match event {
                Event::Made => {
                    assert_eq!(transport.peer(), peer);
                    assert!(transport.host().to_string().starts_with("[::1]:"), "{}", transport.host());
                    transport.write("over IPv6");
                    transport.lose_connection();
                }
                Event::Lost(_) => stop(transport.reactor()),
                _ => {}
            }
            Ok(())
        })
    });
    let port = match listened {
        Ok(port) => port,
        Err(error) => return println!("skipped: no IPv6 here: {error}"),
    };
    let client = Events::default();
    let record = client.clone();
    reactor.connect_tcp(port.address(), move |_peer| Probe::new(&record, |_, _| Ok(()))).unwrap();
    run(&reactor);
    assert_eq!(client.data(), b"over IPv6");
    assert!(events.reason().is_clean());
}

#[test]
fn socket_options_are_set_and_read_back() {
    let (events, ()) = converse(
        |event, transport| {
            if matches!(event, Event::Made) {
                for on in [true, false, true] {
                    transport.set_tcp_nodelay(on)?;
                    assert_eq!(transport.tcp_nodelay()?, on);
                    transport.set_tcp_keepalive(on)?;
                    assert_eq!(transport.tcp_keepalive()?, on);
                }
            }
            Ok(())
        },
        drop,
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
}

#[test]
fn limits_of_zero_and_without_end_do_no_harm() {
    let (events, got) = converse(
        |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_write_buffer_limits(usize::MAX, 0);
                transport.set_close_timeout(Duration::MAX);
                transport.write(pattern(0, 3_000_000));
                transport.lose_connection();
            }
            Ok(())
        },
        |mut stream| drain(&mut stream),
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert!(got.0 == pattern(0, 3_000_000));
    let (events, ()) = converse(
        |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_write_buffer_cap(0);
                transport.write("");
                assert!(!transport.is_closing());
                transport.write("x");
            }
            Ok(())
        },
        |mut stream| drain(&mut stream).1.unwrap_or_default(),
    );
    assert!(matches!(events.reason(), Reason::LimitExceeded { limit: 0, .. }));
}
