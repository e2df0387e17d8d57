//! Written bytes arrive, however the wire is cut; and how a stream ends.

use torsade_protocols::spi::Work;
use torsade_protocols::{Detect, Reason, TlsError, TlsVersion};

use super::{End, NOW, Pair, configs, pattern};
use crate::compression::{CompressionLayer, EncoderPool};
use crate::connection::chain::Chain;
use crate::connection::shared::READ_SIZE;
use crate::layer::Layer;

#[test]
fn streams_survive_every_cut_of_the_wire_and_every_room() {
    let data = pattern(70_000);
    let cuts =
        [(1, 1), (1, READ_SIZE), (2, 3), (5, 16_384), (333, 1000), (16_389, 16_383), (usize::MAX, 7), (usize::MAX, READ_SIZE)];
    for version in rustls::ALL_VERSIONS {
        for (piece, room) in cuts {
            let mut pair = Pair::speaking(version);
            pair.client.write(&data);
            pair.server.write(b"welcome");
            // Together with the end of the handshake, which the reader gets in a call of its own.
            pair.exchange(piece, room);
            let case = format!("{:?}, pieces of {piece}, room for {room}", version.version);
            assert!(pair.server.plain == data, "{case}");
            assert_eq!(pair.client.plain, b"welcome", "{case}");
            pair.server.write(&data);
            pair.exchange(piece, room);
            assert_eq!(pair.client.plain.len(), data.len() + 7, "{case}");
        }
    }
}

#[test]
fn a_layer_writes_while_what_came_in_waits_for_room() {
    let mut pair = Pair::connected();
    let data = pattern(60_000);
    pair.client.write(&data);
    pair.client.flush();
    let wire = std::mem::take(&mut pair.client.wire);
    let progress = pair.server.layer.read(&wire, &mut pair.server.plain, 10, &Work::unlimited(), NOW).unwrap();
    assert!(progress.more);
    pair.server.write(b"meanwhile");
    pair.server.flush();
    let answer = std::mem::take(&mut pair.server.wire);
    pair.client.read(&answer, READ_SIZE).unwrap();
    assert_eq!(pair.client.plain, b"meanwhile");
    pair.server.read(&wire[progress.consumed..], 100).unwrap();
    assert!(pair.server.plain == data);
}

#[test]
fn a_finished_stream_has_an_end_and_an_unfinished_one_is_truncated() {
    let mut pair = Pair::connected();
    pair.client.write(b"last words");
    pair.client.finish();
    pair.client.finish();
    let wire = std::mem::take(&mut pair.client.wire);
    pair.server.read(&wire, READ_SIZE).unwrap();
    assert_eq!(pair.server.plain, b"last words");
    assert!(pair.server.layer.has_ended());
    assert!(pair.server.layer.read_end(&mut Vec::new()).is_ok());

    // The other direction goes on.
    pair.server.write(b"an answer");
    pair.exchange(1, READ_SIZE);
    assert_eq!(pair.client.plain, b"an answer");
    assert!(!pair.client.layer.has_ended());
    assert!(matches!(pair.client.layer.read_end(&mut Vec::new()), Err(Reason::TlsTruncated)));
}

#[test]
fn an_end_without_close_notify_can_be_allowed_but_not_within_a_record() {
    let ends = |cut: usize| {
        let mut pair = Pair::connected();
        pair.server.layer.set_truncation_allowed(true);
        pair.client.write(b"something");
        pair.client.flush();
        let wire = std::mem::take(&mut pair.client.wire);
        pair.server.read(&wire[..wire.len() - cut], READ_SIZE).unwrap();
        pair.server.layer.read_end(&mut Vec::new())
    };
    assert!(ends(0).is_ok());
    assert!(matches!(ends(1), Err(Reason::TlsTruncated)));
}

#[test]
fn the_end_waits_for_what_was_written_before_the_handshake() {
    for minimum in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut pair = Pair::of(&configs(minimum));
        pair.client.write(b"written early");
        pair.client.finish();
        assert!(pair.client.layer.is_handshaking());
        pair.exchange(100, READ_SIZE);
        assert_eq!(pair.server.plain, b"written early");
        assert!(pair.server.layer.has_ended());
        assert_eq!(pair.client.layer.unsent(), 0);
    }
}

#[test]
fn without_anything_to_send_a_close_waits_for_nothing_and_a_half_close_for_the_handshake() {
    let mut half = Pair::new();
    half.client.finish();
    assert!(half.client.layer.is_handshaking());
    let mut pair = Pair::new();
    pair.client.layer.give_up_pointless_handshake();
    pair.client.finish();
    assert!(!pair.client.layer.is_handshaking());
    assert!(pair.client.layer.read_end(&mut Vec::new()).is_ok());
    pair.client.wire.clear();
    pair.server.layer.give_up_pointless_handshake();
    pair.server.finish();
    assert!(pair.server.wire.is_empty());
}

#[test]
fn a_changed_byte_is_never_delivered_and_the_peer_gets_an_alert() {
    let mut pair = Pair::connected();
    pair.client.write(b"first");
    pair.client.flush();
    let good = pair.client.wire.len();
    pair.client.write(b"second");
    pair.client.flush();
    let mut wire = std::mem::take(&mut pair.client.wire);
    wire[good + 8] ^= 1;
    let failed = pair.server.read(&wire, READ_SIZE);
    assert!(matches!(failed, Err(Reason::Tls(TlsError::Decrypt))), "{failed:?}");
    assert_eq!(pair.server.plain, b"first", "what was good is delivered");
    assert!(pair.server.layer.wants_flush());
    pair.server.flush();
    let told = pair.client.read(&std::mem::take(&mut pair.server.wire), READ_SIZE);
    assert!(matches!(told, Err(Reason::Tls(TlsError::AlertReceived { code: 20, .. }))), "{told:?}");
    assert!(pair.server.read(b"", READ_SIZE).is_err(), "a failure is final");
}

#[test]
fn a_changed_byte_after_our_own_end_is_a_failure_as_well() {
    for version in rustls::ALL_VERSIONS {
        let mut pair = Pair::speaking(version);
        pair.exchange(usize::MAX, READ_SIZE);
        pair.server.finish();
        pair.client.write(b"a question");
        pair.client.flush();
        let mut wire = std::mem::take(&mut pair.client.wire);
        *wire.last_mut().unwrap() ^= 1;
        let failed = pair.server.read(&wire, READ_SIZE);
        assert!(matches!(failed, Err(Reason::Tls(_))), "{failed:?}");
    }
}

#[test]
fn what_came_before_a_bad_record_goes_through_a_layer_above() {
    let mut pair = Pair::connected();
    let mut chain = Chain::default();
    chain.with_compression(|| CompressionLayer::new(&EncoderPool::shared(), Detect::AtStart, 0, 0), |_| {});
    chain.insert_tls(pair.client.layer, b"");
    for words in [b"good", b"evil"] {
        pair.server.write(words);
        pair.server.flush();
    }
    let mut wire = pair.server.wire;
    *wire.last_mut().unwrap() ^= 1;
    let mut plain = Vec::new();
    let result = chain.read(&wire, &mut plain, &Work::unlimited(), NOW);
    assert!(matches!(result, Err(Reason::Tls(TlsError::Decrypt))), "{result:?}");
    assert_eq!(plain, b"good");
}

#[test]
fn garbage_is_no_tls_and_delivers_nothing() {
    let garbage: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &[0; 100], &[0xff; 100], b"\x16\x03\x01\xff\xff\x01"];
    for wire in garbage {
        for piece in [1, 100] {
            let mut pair = Pair::new();
            let read = |end: &mut End| wire.chunks(piece).try_for_each(|piece| end.read(piece, READ_SIZE));
            let failed = read(&mut pair.server);
            assert!(matches!(failed, Err(Reason::Tls(_))), "{failed:?} for {wire:?}");
            assert!(pair.server.plain.is_empty());
            let failed = read(&mut pair.client);
            assert!(matches!(failed, Err(Reason::Tls(_))), "{failed:?} for {wire:?}");
        }
    }
    let mut pair = Pair::new();
    let failed = pair.server.read(garbage[0], READ_SIZE);
    assert!(matches!(failed, Err(Reason::Tls(TlsError::NotTls))), "{failed:?}");
}

#[test]
fn what_follows_the_peers_end_is_ignored() {
    let mut pair = Pair::connected();
    pair.client.finish();
    let mut wire = std::mem::take(&mut pair.client.wire);
    wire.extend_from_slice(b"and then something that is no TLS at all");
    pair.server.read(&wire, READ_SIZE).unwrap();
    assert!(pair.server.layer.has_ended());
    pair.server.read(&[7; 100_000], READ_SIZE).unwrap();
    assert!(pair.server.plain.is_empty());
}

fn carry_once(from: &mut End, to: &mut End) {
    from.flush();
    let wire = std::mem::take(&mut from.wire);
    if wire.is_empty() {
        return;
    }
    to.layer.read(&wire, &mut to.plain, READ_SIZE, &Work::unlimited(), NOW).expect("valid TLS");
    to.completed |= to.layer.take_completed();
}

/// A protocol may pause reading at the moment when the handshake is complete on our side.
#[test]
fn our_last_message_of_a_handshake_leaves_without_a_further_read() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut pair = Pair::speaking(version);
        for _ in 0..10 {
            carry_once(&mut pair.client, &mut pair.server);
            carry_once(&mut pair.server, &mut pair.client);
        }
        assert!(pair.client.completed && pair.server.completed, "{version:?}");
    }
}

#[test]
fn after_a_failed_handshake_nothing_waits_for_it() {
    let mut pair = Pair::new();
    pair.client.write(b"never sent");
    pair.client.finish();
    pair.client.read(b"no TLS at all", READ_SIZE).unwrap_err();
    pair.client.wire.clear();
    pair.client.flush();
    assert!(!pair.client.wire.is_empty(), "the alert");
    assert_eq!(pair.client.layer.unsent(), 0);
}
