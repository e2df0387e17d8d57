//! The handshake: what comes before it, with it and after it.

use torsade::TlsVersion;
use torsade::prelude::*;

use crate::keys;
use crate::support::Event;
use crate::world::{converse, echo, side};

#[test]
fn what_is_written_before_the_handshake_arrives_after_it() {
    let client = side(|event, transport| {
        match event {
            Event::Made => transport.write("hello"),
            Event::Data(data) if data.ends_with(b"o") => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    let ends = converse(&keys::server(), &keys::client(), echo(), client);
    assert_eq!(ends.client.data(), b"hello");
    assert!(ends.client.reason().is_clean(), "{:?}", ends.client.reason());
    assert!(ends.server.reason().is_clean(), "{:?}", ends.server.reason());
    assert_eq!(ends.server.names(), ["made", "handshake", "data", "read lost", "lost"]);
    assert_eq!(ends.client.names()[..3], ["made", "handshake", "data"]);
}

#[test]
fn both_ends_learn_what_was_agreed_on() {
    let look = |event: &Event, transport: &Transport| {
        match event {
            Event::Made => assert_eq!(transport.tls_info(), None),
            Event::Handshake => {
                let info = transport.tls_info().expect("the handshake is complete");
                assert_eq!(info.version, TlsVersion::Tls13);
                assert!(info.cipher_suite.starts_with("TLS13_"), "{info:?}");
                assert_eq!(transport.negotiated_protocol().as_deref(), Some(&b"chat"[..]));
                transport.lose_connection();
            }
            _ => {}
        }
        Ok(())
    };
    let server = keys::server_builder().application_protocols(["chat", "http/1.1"]).build().unwrap();
    let client = keys::client_builder().application_protocols(["other", "chat"]).server_name("localhost").build().unwrap();
    let ends = converse(&server, &client, side(look), side(look));
    assert_eq!(ends.server.count("handshake"), 1);
    assert_eq!(ends.client.count("handshake"), 1);
}
