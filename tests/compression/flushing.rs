//! What was written can be read after the turn, with a single flush.

use std::rc::Rc;

use super::*;

fn echo(event: &Event, transport: &Transport) -> Result {
    match event {
        Event::Made => transport.set_compression(Compression::deflate().announce(false))?,
        Event::Data(data) => transport.write(data),
        _ => {}
    }
    Ok(())
}

#[test]
fn one_byte_is_answered_in_its_own_turn() {
    let mut hand = Hand::listening(echo);
    let mut sent = Vec::new();
    for byte in b'a'..=b'z' {
        let turn = hand.reactor.turn_number();
        hand.send(&[byte]);
        assert_eq!(hand.reactor.turn_number(), turn + 1);
        sent.push(byte);
        hand.read(Format::Deflate, &sent);
    }
    assert_eq!(hand.stats().flushes, 26);
}

#[test]
fn no_length_of_output_gets_stuck() {
    // Each length ends the encoder's output at another place in its buffer (madler/zlib#149).
    let mut hand = Hand::listening(echo);
    let mut sent = Vec::new();
    for length in 1..200 {
        let message = noise(length);
        sent.extend_from_slice(&message);
        hand.send(&message);
        hand.read(Format::Deflate, &sent);
    }
    assert_eq!(hand.stats().flushes, 199);
}

#[test]
fn a_thousand_writes_in_a_turn_are_one_flush() {
    let mut hand = Hand::listening(echo);
    for _ in 0..1000 {
        hand.transport.write("word ");
    }
    assert_eq!(hand.stats().flushes, 0);
    hand.turn();
    assert_eq!(hand.stats().flushes, 1);
    hand.read(Format::Deflate, &b"word ".repeat(1000));
    assert!(hand.wire.len() < 100, "{} bytes", hand.wire.len());
}

#[test]
fn idle_turns_send_nothing() {
    let mut hand = Hand::listening(echo);
    hand.send(b"y");
    hand.read(Format::Deflate, b"y");
    let (wire, flushes) = (hand.wire.len(), hand.stats().flushes);
    for _ in 0..50 {
        hand.turn();
        hand.transport.write("");
    }
    hand.turn();
    hand.pull();
    assert_eq!((hand.wire.len(), hand.stats().flushes), (wire, flushes));
    assert_eq!(hand.stats().wire_out as usize, wire);
}

#[test]
fn a_connection_that_says_nothing_sends_not_even_an_announcement() {
    let hand = Hand::half_closeable(when_made(|transport| Ok(transport.set_compression("gzip")?)));
    hand.turn();
    hand.transport.lose_connection();
    hand.shut();
    let (wire, reason) = hand.drain();
    assert!(wire.is_empty() && reason.is_clean(), "{wire:?} {reason}");
}

#[test]
fn a_manual_flush_waits_until_it_is_asked_for() {
    let mut hand = Hand::listening(when_made(|transport| {
        transport.set_compression(Compression::deflate().announce(false).flush(Flush::Manual))?;
        transport.write("kept");
        Ok(())
    }));
    hand.turn();
    hand.pull();
    assert_eq!(decoded(Format::Deflate, &hand.wire), b"");
    hand.transport.flush_compression();
    hand.turn();
    hand.read(Format::Deflate, b"kept");
    assert_eq!(hand.stats().flushes, 1);
}

#[test]
fn what_others_write_to_a_connection_is_flushed_at_most_once_more() {
    // A chat room: each member's line is sent to everyone, and three members speak in the same turn.
    let reactor = started();
    let room: Rc<std::cell::RefCell<Vec<Transport>>> = Rc::default();
    let mut members: Vec<_> = (0..3)
        .map(|_| {
            let room = room.clone();
            accept(
                &reactor,
                move |event, transport| {
                    match event {
                        Event::Made => {
                            transport.set_compression("deflate")?;
                            room.borrow_mut().push(transport.clone());
                        }
                        Event::Data(data) => room.borrow().iter().for_each(|member| member.write(data)),
                        _ => {}
                    }
                    Ok(())
                },
                false,
            )
        })
        .collect();
    for (_, _, peer) in &mut members {
        peer.write_all(b"hello\n").unwrap();
    }
    turn_until(&reactor, || members.iter().all(|(_, events, _)| events.count("data") > 0));
    reactor.iterate(Some(Duration::ZERO)).unwrap();
    for (transport, _, _) in &members {
        let stats = transport.compression_stats().unwrap();
        assert_eq!(stats.plain_out, 18);
        assert!(stats.flushes <= 3, "one after each own callback, one at most for what came after it: {stats:?}");
    }
}

#[test]
fn statistics_count_what_is_on_the_wire() {
    let mut hand = Hand::listening(echo);
    let message = text(5000);
    hand.send(&message);
    hand.read(Format::Deflate, &message);
    let stats = hand.stats();
    assert_eq!((stats.format_out, stats.format_in, stats.detected), (Some(Format::Deflate), None, false));
    assert_eq!((stats.plain_out, stats.wire_out), (5000, hand.wire.len() as u64));
    assert_eq!((stats.plain_in, stats.wire_in, stats.stored.total(), stats.hibernations), (0, 0, 0, 0));
    assert!(stats.ratio_out().is_some_and(|ratio| ratio < 0.5), "{stats:?}");
    assert_eq!(stats.ratio_in(), None);
}

#[test]
fn messages_are_counted_by_writes_of_any_number_of_pieces() {
    let hand = Hand::listening(echo);
    hand.transport.write("one");
    hand.transport.write_sequence(&[b"two", b"", b"\r\n"]);
    hand.transport.write_uncompressed("three");
    hand.transport.write_sequence(&[]);
    hand.transport.write_sequence(&[b"", b""]);
    hand.turn();
    let stats = hand.stats();
    assert_eq!((stats.messages, stats.stored.asked), (3, 5), "{stats}");
}

#[test]
fn an_idle_connection_gives_its_encoder_back_and_goes_on_later() {
    let mut hand = Hand::listening(echo);
    hand.send(b"before ");
    hand.read(Format::Deflate, b"before ");
    let transport = hand.transport.clone();
    hand.turn_until(|_| transport.compression_stats().is_some_and(|stats| stats.hibernations == 1));
    let wire = hand.wire.len();
    hand.send(b"before again");
    hand.read(Format::Deflate, b"before before again");
    assert!(hand.wire.len() - wire < 20, "the history is still known: {} bytes", hand.wire.len() - wire);
    assert_eq!(hand.stats().flushes, 2, "going idle sends nothing");
}
