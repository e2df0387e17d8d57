//! Switching on compression at any place, and the order of the bytes around it.

use std::cell::RefCell;
use std::rc::Rc;

use super::*;

const PLAIN: &[u8] = b"plain before the switch\r\n";
const REST: &[u8] = b"compressed after it\r\n";

fn switch(transport: &Transport) -> Result {
    transport.write(PLAIN);
    transport.set_compression(Compression::deflate().announce(false))?;
    transport.write(REST);
    Ok(())
}

/// The peer has to find plain bytes up to the switch and a zlib stream from there on.
fn check(mut hand: Hand) {
    let plain = support::read_exactly(&mut hand.peer, PLAIN.len());
    assert_eq!(plain, PLAIN);
    hand.read(Format::Deflate, REST);
    assert_eq!(hand.stats().plain_out as usize, REST.len());
}

#[test]
fn it_can_be_switched_on_in_connection_made() {
    check(Hand::listening(when_made(switch)));
}

#[test]
fn it_can_be_switched_on_in_data_received() {
    let mut hand = Hand::listening(|event, transport| if matches!(event, Event::Data(_)) { switch(transport) } else { Ok(()) });
    hand.send(b"go");
    check(hand);
}

#[test]
fn it_can_be_switched_on_in_a_timer() {
    let hand = Hand::listening(when_made(|transport| {
        let later = transport.clone();
        transport.reactor().call_later(Duration::ZERO, move || switch(&later).unwrap());
        Ok(())
    }));
    // The timer fires in the next turn, and its output leaves at the end of that turn.
    hand.turn();
    check(hand);
}

#[test]
fn it_can_be_switched_on_from_outside_and_on_a_connection_that_we_made() {
    let hand = Hand::connecting(nothing);
    switch(&hand.transport).unwrap();
    hand.turn();
    check(hand);
}

#[test]
fn it_can_be_switched_on_while_the_write_queue_is_full() {
    const MUCH: usize = 12 << 20; // more than any socket buffer holds
    let hand = Hand::listening(when_made(|transport| {
        transport.write(support::pattern(0, MUCH));
        assert_eq!(transport.unsent(), MUCH);
        switch(transport)?;
        transport.lose_connection();
        Ok(())
    }));
    assert!(hand.transport.unsent() > 0, "the queue is still full");
    let (wire, reason) = hand.drain();
    assert!(reason.is_clean(), "{reason}");
    let (plain, stream) = wire.split_at(MUCH + PLAIN.len());
    assert!(plain[..MUCH] == support::pattern(0, MUCH));
    assert_eq!(&plain[MUCH..], PLAIN);
    assert_eq!(decode(Format::Deflate, stream), (REST.to_vec(), Some(Vec::new())));
}

#[test]
fn a_closed_connection_refuses_it_and_stays_as_it_is() {
    let results = Rc::new(RefCell::new(Vec::new()));
    let record = results.clone();
    let hand = Hand::listening(move |event, transport| {
        match event {
            Event::Made => {
                transport.write("plain");
                transport.lose_connection();
            }
            Event::Lost(_) => {}
            _ => return Ok(()),
        }
        record.borrow_mut().push(transport.set_compression("deflate"));
        record.borrow_mut().push(transport.expect_compression("deflate", b""));
        transport.end_compression();
        transport.flush_compression();
        transport.compression_barrier();
        assert_eq!(transport.compression_stats(), None);
        Ok(())
    });
    let (wire, reason) = hand.drain();
    assert!(reason.is_clean(), "{reason}");
    assert_eq!(wire, b"plain");
    assert_eq!(results.take(), vec![Err(CompressionError::Closed); 4]);
}

#[test]
fn an_aborted_connection_refuses_it() {
    let hand = Hand::listening(when_made(|transport| {
        transport.abort_connection();
        assert_eq!(transport.set_compression("deflate"), Err(CompressionError::Closed));
        Ok(())
    }));
    assert!(matches!(hand.drain().1, Reason::ConnectionAborted));
}

#[test]
fn the_same_format_again_is_nothing_and_another_one_is_refused() {
    let mut hand = Hand::listening(when_made(|transport| {
        transport.set_compression("deflate")?;
        transport.write("one ");
        transport.set_compression("zlib")?;
        transport.write("two ");
        let refused = transport.set_compression("gzip");
        assert_eq!(refused, Err(CompressionError::AlreadyOn { running: Format::Deflate, wanted: Format::Gzip }));
        let unknown = transport.set_compression("brotli");
        assert_eq!(unknown, Err(CompressionError::UnknownFormat("brotli".into())));
        transport.write("three");
        Ok(())
    }));
    hand.read(Format::Deflate, b"one two three");
}

#[test]
fn an_unknown_name_switches_nothing() {
    let mut hand = Hand::listening(when_made(|transport| {
        assert!(transport.set_compression("zip").is_err());
        assert!(matches!(transport.set_compression(Compression::gzip().level(11)), Err(CompressionError::Level { .. })));
        transport.write("plain");
        Ok(())
    }));
    assert_eq!(support::read_exactly(&mut hand.peer, 5), b"plain");
    assert_eq!(hand.transport.compression_stats(), None);
}

#[cfg(not(feature = "zstd"))]
#[test]
fn a_format_that_is_not_built_in_says_which_feature_brings_it() {
    let hand = Hand::listening(nothing);
    let missing = CompressionError::NotBuilt { format: Format::Zstd, feature: "zstd" };
    assert_eq!(hand.transport.set_compression("zstd"), Err(missing.clone()));
    assert_eq!(hand.transport.expect_compression("zstd", b""), Err(missing));
}

#[test]
fn a_stream_can_end_and_another_one_begin() {
    let hand = Hand::listening(when_made(|transport| {
        transport.end_compression();
        transport.write("plain, ");
        transport.set_compression(Compression::deflate().announce(false))?;
        transport.write("zlib");
        transport.end_compression();
        transport.end_compression();
        transport.write("plain again, ");
        transport.set_compression(Compression::gzip().announce(false))?;
        transport.write("gzip");
        transport.lose_connection();
        Ok(())
    }));
    let (wire, reason) = hand.drain();
    assert!(reason.is_clean(), "{reason}");
    assert_eq!(&wire[..7], b"plain, ");
    let (first, rest) = decode(Format::Deflate, &wire[7..]);
    let rest = rest.expect("the first stream has ended");
    assert_eq!((first, &rest[..13]), (b"zlib".to_vec(), &b"plain again, "[..]));
    assert_eq!(decode(Format::Gzip, &rest[13..]), (b"gzip".to_vec(), Some(Vec::new())));
}

#[test]
fn a_torsade_peer_reads_on_after_the_end_if_it_was_told_to() {
    let wire = [announced(Format::Deflate, b"", &[b"compressed "], true), b"and plain".to_vec()].concat();
    // From the end of the announcement on: part of an announcement is held back, though not for ever.
    for split in 17..wire.len() {
        let mut hand = Hand::connecting(when_made(|transport| {
            transport.set_decompression_limits(&Decompression::deflate().after_end(AfterEnd::Plain));
            Ok(())
        }));
        hand.send(&wire[..split]);
        hand.send(&wire[split..]);
        hand.turn_until(|events| events.data().len() >= 20);
        assert_eq!(hand.events.data(), b"compressed and plain", "split at {split}");
        assert!(hand.stats().stream_ended);
    }
}

/// A line protocol that one line makes expect compression; its next lines are inside the stream.
struct Negotiating {
    lines: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl LineProtocol for Negotiating {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines.borrow_mut().push(line.to_vec());
        if line == b"COMPRESS DEFLATE" {
            transport.send_line("OK");
            transport.set_compression(Compression::deflate_raw().announce(false))?;
            transport.expect_compression("deflate")?;
        } else {
            transport.send_line([b"got ", line].concat());
        }
        Ok(())
    }
}

#[test]
fn a_line_that_switches_hands_over_the_rest_of_the_buffer_wherever_it_is_cut() {
    let command = b"first\r\nCOMPRESS DEFLATE\r\n";
    let wire = [command.to_vec(), foreign(&[b"one\r\ntwo\r", b"\nthree\r\n"])].concat();
    for split in 1..wire.len() {
        let reactor = started();
        let lines = Rc::default();
        let record = Rc::clone(&lines);
        let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| LineReceiver::new(Negotiating { lines: Rc::clone(&record) }));
        let port = port.unwrap();
        let mut peer = support::connect(support::address(&port));
        turn_until(&reactor, || reactor.source_count() == 2);
        for _ in 0..2 {
            reactor.iterate(Some(Duration::ZERO)).unwrap();
        }
        for part in [&wire[..split], &wire[split..]] {
            peer.write_all(part).unwrap();
            reactor.iterate(Some(Duration::from_secs(1))).unwrap();
        }
        turn_until(&reactor, || lines.borrow().len() >= 5);
        assert_eq!(lines.take().join(&b"|"[..]), b"first|COMPRESS DEFLATE|one|two|three", "split at {split}");
        let head = b"got first\r\nOK\r\n";
        assert_eq!(support::read_exactly(&mut peer, head.len()), head);
        peer.shutdown(Shutdown::Write).unwrap();
        turn_until(&reactor, || reactor.source_count() == 1);
        let (answers, _) = support::drain(&mut peer);
        assert_eq!(decode(Format::DeflateRaw, &answers), (b"got one\r\ngot two\r\ngot three\r\n".to_vec(), Some(vec![])));
    }
}

#[test]
fn compressed_bytes_behind_a_switch_are_read_with_no_new_input() {
    // Command and stream in one segment, and the protocol itself finds where the stream begins.
    let wire = [b"switch\n".to_vec(), foreign(&[b"inside"])].concat();
    let mut hand = Hand::listening(|event, transport| {
        if let Event::Data(data) = event
            && let Some(rest) = data.strip_prefix(b"switch\n")
        {
            transport.expect_compression("deflate", rest)?;
        }
        Ok(())
    });
    hand.send(&wire);
    hand.turn();
    assert_eq!(hand.events.data(), [&wire[..], b"inside"].concat());
    assert!(hand.stats().stream_ended);
    assert_eq!(hand.stats().wire_in as usize, wire.len() - 7);
}
