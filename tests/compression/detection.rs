//! Groups 4, 5, 6 and 19: detection, which never mistakes plain bytes for compressed ones.

use std::rc::Rc;

use super::*;

#[path = "../../examples/portforward.rs"]
#[allow(dead_code, reason = "its main is not called")]
mod portforward;

fn detect(detect: Detect) -> impl FnMut(&Event, &Transport) -> Result + 'static {
    when_made(move |transport| {
        transport.set_detection(detect);
        Ok(())
    })
}

/// Sends the parts in a turn each, then the end; returns what was delivered and why the connection ended.
fn deliver(mut hand: Hand, parts: &[&[u8]]) -> (Vec<u8>, Reason, Option<CompressionStats>) {
    for part in parts.iter().filter(|part| !part.is_empty()) {
        hand.peer.write_all(part).ok();
        hand.reactor.iterate(Some(Duration::from_millis(100))).unwrap();
    }
    // A failed connection has been reset.
    hand.peer.shutdown(Shutdown::Write).ok();
    hand.turn_until(Events::lost);
    (hand.events.data(), hand.events.reason(), hand.transport.compression_stats())
}

#[test]
fn what_is_not_an_announcement_passes_untouched() {
    let raw = announced(Format::DeflateRaw, b"", &[b"x"], false);
    let mut nearly = raw[..15].to_vec();
    nearly[14] ^= 1;
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"a file").unwrap();
        encoder.finish().unwrap()
    };
    let flushed_first = [&b"\x78\x9c\x00\x00\x00\xff\xff"[..], &foreign(&[b"hello"])[2..]].concat();
    let inputs: [&[u8]; 12] = [
        b"x",
        b"x\x9c",
        b"x^2 + 1",
        b"80 users online\r\n",
        b"(S)",
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        &raw[..14],
        &nearly,
        &foreign(&[b"a foreign stream"]),
        &gzip,
        &flushed_first,
    ];
    for input in inputs {
        for detection in [Detect::Off, Detect::AtStart, Detect::Anywhere] {
            for split in [1, 2, input.len() / 2, input.len()] {
                let (first, second) = input.split_at(split.min(input.len()));
                let (plain, reason, stats) = deliver(Hand::connecting(detect(detection)), &[first, second]);
                assert_eq!(plain, input, "{detection:?}, split at {split}");
                assert!(reason.is_clean() && stats.is_none(), "{reason} {stats:?}");
            }
        }
    }
}

#[test]
fn a_server_detects_nothing_unless_asked_or_compressing() {
    let wire = announced(Format::Deflate, b"", &[b"hello"], true);
    let (plain, _, stats) = deliver(Hand::listening(nothing), &[&wire]);
    assert_eq!(plain, wire);
    assert_eq!(stats.and_then(|stats| stats.unsought), Some(Format::Deflate), "the caller is told why");
    let (plain, _, stats) = deliver(Hand::listening(detect(Detect::AtStart)), &[&wire]);
    assert!(plain == b"hello" && stats.is_some());
    let script = when_made(|transport| Ok(transport.set_compression("gzip")?));
    let (plain, _, _) = deliver(Hand::listening(script), &[&wire]);
    assert_eq!(plain, b"hello", "a peer that compresses may be answered in kind");
    let script = when_made(|transport| {
        transport.set_compression("gzip")?;
        transport.set_detection(Detect::Off);
        Ok(())
    });
    let (plain, _, _) = deliver(Hand::listening(script), &[&wire]);
    assert_eq!(plain, wire, "unless that is turned off");
}

#[test]
fn the_pause_that_a_held_byte_meets_when_the_end_tells_is_kept() {
    let mut hand = Hand::connecting(|event, transport| {
        if matches!(event, Event::Data(_)) {
            transport.pause_producing();
        }
        Ok(())
    });
    hand.send(b"x");
    hand.peer.shutdown(Shutdown::Write).unwrap();
    hand.turn_until(|events| events.count("data") > 0);
    for _ in 0..10 {
        hand.turn();
    }
    assert_eq!(hand.events.names(), ["made", "data"], "nothing arrives while paused");
    hand.transport.resume_producing();
    hand.turn_until(Events::lost);
    assert!(hand.events.data() == b"x" && hand.events.reason().is_clean(), "{}", hand.events.reason());
}

#[test]
fn an_announcement_whose_rest_comes_too_late_is_an_error_of_its_own() {
    let wire = announced(Format::Deflate, b"", &[b"hello"], true);
    let mut hand = Hand::connecting(nothing);
    hand.send(&wire[..1]);
    hand.turn_until(|events| !events.data().is_empty());
    hand.send(&wire[1..]);
    let events = hand.events.clone();
    let (_, reason) = hand.drain();
    assert_eq!(kind(&reason), Some(DecompressErrorKind::AnnouncementSplit), "{reason}");
    assert_eq!(events.data(), b"x");
}

#[test]
fn held_bytes_of_a_closed_connection_do_not_keep_anything_alive() {
    let mut hand = Hand::connecting(nothing);
    hand.send(b"x");
    hand.transport.abort_connection();
    hand.turn_until(Events::lost);
    assert_eq!(hand.reactor.delayed_calls(), 0);
    assert_eq!(hand.events.data(), b"");
}

#[test]
fn a_switch_in_mid_stream_is_plain_bytes_unless_looked_for() {
    let wire = announced(Format::Deflate, b"220 ready\r\n", &[b"compressed"], true);
    let (plain, _, stats) = deliver(Hand::connecting(nothing), &[&wire]);
    assert_eq!(plain, wire);
    let stats = stats.expect("there was something to count");
    assert_eq!((stats.unsought, stats.format_in), (Some(Format::Deflate), None));
    assert_eq!(stats.to_string(), "the peer announced deflate, which was not expected");
}

#[test]
fn a_mark_at_another_position_than_it_says_is_plain_bytes() {
    // A stored copy of a stream, sent at every offset but its own.
    let wire = announced(Format::Deflate, b"220 ready\r\n", &[b"compressed"], true);
    let mark = &wire[11..];
    for before in [0, 1, 10, 12, 100] {
        let blob = [vec![b'.'; before], mark.to_vec()].concat();
        let (plain, reason, stats) = deliver(Hand::connecting(detect(Detect::Anywhere)), &[&blob]);
        assert!(plain == blob && reason.is_clean() && stats.is_none(), "after {before} bytes");
    }
}

#[test]
fn the_count_of_a_mark_covers_what_was_read_before_one_looked() {
    let wire = announced(Format::Deflate, b"220 ready\r\n", &[b"compressed"], true);
    let mut hand = Hand::connecting(when_made(|transport| {
        transport.set_detection(Detect::Off);
        Ok(())
    }));
    hand.send(&wire[..5]);
    assert_eq!(hand.events.data(), &wire[..5]);
    hand.transport.set_detection(Detect::Anywhere);
    hand.send(&wire[5..]);
    assert_eq!(hand.events.data(), b"220 ready\r\ncompressed");
}

#[test]
fn a_connection_that_has_looked_and_found_nothing_can_still_look_expect_and_compress() {
    let wire = announced(Format::Deflate, b"220 ready\r\n", &[b"compressed"], true);
    // By default an outgoing connection looks only at its first byte, and keeps no state of that afterwards.
    let mut hand = Hand::connecting(nothing);
    hand.send(&wire[..1]);
    hand.send(&wire[1..5]);
    hand.transport.set_detection(Detect::Anywhere);
    hand.send(&wire[5..]);
    assert_eq!(hand.events.data(), b"220 ready\r\ncompressed");
    assert!(hand.stats().detected);

    let mut hand = Hand::connecting(nothing);
    hand.send(b"x");
    hand.send(b"y");
    assert_eq!(hand.events.data(), b"xy");
    assert_eq!(hand.transport.compression_stats(), None);
    hand.transport.write("plain;");
    hand.transport.set_compression(Compression::deflate_raw().announce(false)).unwrap();
    hand.transport.expect_compression("deflate-raw", b"").unwrap();
    hand.transport.write("packed");
    hand.send(&announced(Compression::deflate_raw().announce(false), b"", &[b"answer"], true));
    hand.turn_until(|events| events.data() == b"xyanswer");
    let sent = hand.stats();
    assert_eq!((sent.plain_out, sent.plain_in), (6, 6));
}

#[test]
fn detection_turned_off_lets_an_announced_stream_through_byte_for_byte() {
    for format in formats() {
        let wire = announced(format, b"", &[b"for others"], true);
        let (plain, reason, stats) = deliver(Hand::connecting(detect(Detect::Off)), &[&wire]);
        assert!(plain == wire && reason.is_clean() && stats.is_none(), "{format}");
    }
}

#[test]
fn detection_can_be_turned_off_while_something_is_held() {
    let mut hand = Hand::connecting(nothing);
    hand.send(b"x");
    hand.transport.set_detection(Detect::Off);
    hand.send(b"\x9c");
    hand.turn_until(|events| events.data() == b"x\x9c");
}

#[test]
fn a_client_behind_a_proxy_finds_the_stream_that_the_proxy_passed_on() {
    let reactor = started();
    let (server, client) = (Events::default(), Events::default());
    let record = server.clone();
    let greeting = |event: &Event, transport: &Transport| {
        match event {
            Event::Made => {
                transport.set_compression("deflate")?;
                transport.write("welcome, ");
            }
            Event::Data(data) => transport.write(data),
            _ => {}
        }
        Ok(())
    };
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| Probe::new(&record, greeting)).unwrap();
    let proxy = portforward::start(&reactor, "127.0.0.1:0", &port.address().to_string()).unwrap();
    let record = client.clone();
    let stats = Rc::new(std::cell::RefCell::new(None));
    let keep = stats.clone();
    let asking = move |event: &Event, transport: &Transport| {
        match event {
            Event::Made => transport.write("who is there"),
            Event::Lost(_) => *keep.borrow_mut() = transport.compression_stats(),
            _ => {}
        }
        Ok(())
    };
    let mut asking = Some(asking);
    reactor.connect_tcp(support::address(&proxy), move |_peer| Some(Probe::new(&record, asking.take()?))).unwrap();
    turn_until(&reactor, || client.data().len() >= 21);
    assert_eq!(client.data(), b"welcome, who is there");
    reactor.stop().unwrap();
    turn_until(&reactor, || client.lost());
    assert!(stats.take().is_some_and(|stats| stats.detected));
}
