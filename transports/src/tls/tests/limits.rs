//! How much memory a layer keeps, and how many bytes it adds to what is written.

use std::time::Duration;

use torsade_protocols::spi::Work;
use torsade_protocols::{Deadline, Reason, TlsError};

use super::super::hello::HANDSHAKE_TIMEOUT;
use super::{NOW, Pair, pattern};
use crate::connection::shared::READ_SIZE;
use crate::layer::Layer;

/// The types and lengths of the records in a piece of wire.
fn records(wire: &[u8]) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    let mut rest = wire;
    while let [kind, _, _, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        found.push((*kind, length));
        rest = &tail[length..];
    }
    found
}

#[test]
fn a_thousand_small_writes_of_one_turn_become_one_record() {
    let mut pair = Pair::connected();
    for _ in 0..1000 {
        pair.client.write(b"0123456789");
    }
    assert!(pair.client.wire.is_empty(), "nothing leaves before the turn ends");
    assert_eq!(pair.client.layer.unsent(), 10_000);
    pair.client.flush();
    assert_eq!(records(&pair.client.wire).len(), 1);
    assert_eq!(pair.client.layer.unsent(), 0);
}

#[test]
fn large_writes_leave_in_full_records_at_once() {
    let mut pair = Pair::connected();
    pair.client.write(&pattern(1_000_000));
    assert_eq!(records(&pair.client.wire).len(), 61);
    assert!(pair.client.layer.unsent() < 16_384);
    for _ in 0..20 {
        pair.client.write(&pattern(10_000));
        assert!(pair.client.layer.unsent() < 16_384, "at most one record waits");
    }
}

#[test]
fn an_idle_layer_keeps_no_buffers() {
    let mut pair = Pair::connected();
    pair.client.write(&pattern(200_000));
    pair.server.write(&pattern(200_000));
    pair.exchange(1000, READ_SIZE);
    assert_eq!((pair.client.layer.kept(), pair.server.layer.kept()), (0, 0));
}

#[test]
fn half_a_record_costs_no_more_than_its_bytes() {
    let mut pair = Pair::connected();
    pair.client.write(&pattern(60_000));
    pair.client.flush();
    let wire = std::mem::take(&mut pair.client.wire);
    pair.server.read(&wire[..wire.len() - 1], READ_SIZE).unwrap();
    assert!(pair.server.layer.kept() < 17_000, "{}", pair.server.layer.kept());
}

#[test]
fn a_handshake_message_without_end_is_refused() {
    let mut pair = Pair::new();
    // A ClientHello with a stated length of 16 MB, in records of 16,000 bytes.
    let mut record = vec![0x16, 3, 1, 0x3e, 0x80];
    record.resize(16_005, 0);
    record[5..9].copy_from_slice(&[1, 0xff, 0xff, 0xff]);
    let mut fed = 0;
    let refused = loop {
        match pair.server.read(&record, READ_SIZE) {
            Ok(()) => fed += record.len(),
            Err(reason) => break reason,
        }
        record[5..9].copy_from_slice(&[0; 4]);
        assert!(fed < 200_000, "it still takes bytes");
    };
    assert!(matches!(refused, Reason::Tls(_)), "{refused:?}");
}

#[test]
fn a_handshake_message_whose_records_are_larger_than_itself_is_refused() {
    let mut pair = Pair::new();
    // A ClientHello of 60 KB, about the largest allowed, in records of one byte.
    let hello = [1, 0, 0xf0, 0].into_iter().chain(std::iter::repeat(0)).take(60_000);
    let read = |byte| {
        let result = pair.server.read(&[0x16, 3, 1, 0, 1, byte], READ_SIZE);
        assert!(pair.server.layer.kept() < 140_000, "{}", pair.server.layer.kept());
        result
    };
    let refused = hello.map(read).find(Result::is_err);
    assert!(matches!(refused, Some(Err(Reason::Tls(TlsError::Misbehaved(_))))), "{refused:?}");
}

#[test]
fn the_handshake_has_a_deadline_and_nothing_else_has() {
    let mut pair = Pair::new();
    assert_eq!(pair.server.layer.deadline(), Some(HANDSHAKE_TIMEOUT));
    let mut expire = |now| pair.server.layer.expire(&mut Vec::new(), &mut Vec::new(), now);
    assert!(expire(HANDSHAKE_TIMEOUT - Duration::from_nanos(1)).is_ok());
    assert!(matches!(expire(HANDSHAKE_TIMEOUT), Err(Reason::TimedOut(Deadline::Handshake))));
    assert_eq!(Pair::connected().server.layer.deadline(), None);
}

#[test]
fn a_paused_connection_decrypts_nothing() {
    let mut pair = Pair::connected();
    pair.client.write(&pattern(60_000));
    pair.client.flush();
    let wire = std::mem::take(&mut pair.client.wire);
    let progress = pair.server.layer.read(&wire, &mut pair.server.plain, 0, &Work::unlimited(), NOW).unwrap();
    assert!(progress.more && pair.server.plain.is_empty());
    pair.server.read(&wire[progress.consumed..], READ_SIZE).unwrap();
    assert!(pair.server.plain == pattern(60_000));
}

#[test]
fn tiny_records_are_taken_some_in_each_turn_and_all_in_the_end() {
    const RECORDS: usize = 2000;
    let reactor = torsade_reactor::MemoryReactor::new();
    let mut pair = Pair::connected();
    for _ in 0..RECORDS {
        pair.client.write(b"x");
        pair.client.flush();
    }
    let wire = std::mem::take(&mut pair.client.wire);
    let (work, mut rest, mut turns) = (Work::default(), &wire[..], 0);
    loop {
        turns += 1;
        reactor.turn();
        work.begin_turn(&reactor);
        let before = pair.server.plain.len();
        let progress = pair.server.layer.read(rest, &mut pair.server.plain, READ_SIZE, &work, NOW).unwrap();
        rest = &rest[progress.consumed..];
        assert!(pair.server.plain.len() - before <= 1000, "{} records in a turn", pair.server.plain.len() - before);
        // What it has to send does not wait for input that it has not taken.
        pair.server.write(b"y");
        pair.server.flush();
        assert!(!std::mem::take(&mut pair.server.wire).is_empty());
        if !progress.more {
            break;
        }
    }
    assert_eq!((pair.server.plain.len(), rest.len()), (RECORDS, 0));
    assert!((3..100).contains(&turns), "{turns} turns");
}
