//! Groups 10 and 11: streams that inflate to many times their size, in bounded pieces, paused, and fairly.

use std::cell::Cell;
use std::rc::Rc;

use super::*;

/// A zlib stream of `plain` zeros, and its size.
fn bomb(plain: usize) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = [0; 65_536];
    let mut left = plain;
    while left > 0 {
        let piece = left.min(zeros.len());
        encoder.write_all(&zeros[..piece]).unwrap();
        left -= piece;
    }
    encoder.finish().unwrap()
}

fn expect(transport: &Transport) -> Result {
    Ok(transport.expect_compression("deflate", b"")?)
}

#[test]
fn a_turn_delivers_at_most_one_buffer_and_the_next_one_goes_on_by_itself() {
    const PLAIN: usize = 10 << 20;
    let wire = bomb(PLAIN);
    let mut hand = Hand::listening(when_made(expect));
    // All of the input has arrived; nothing more ever comes.
    hand.send(&wire);
    let mut seen = hand.events.data().len();
    assert!(seen > 0 && seen <= 65_536, "{seen}");
    let first = hand.reactor.turn_number();
    while seen < PLAIN {
        hand.turn();
        let now = hand.events.data().len();
        assert!(now > seen && now - seen <= 65_536, "{} bytes in a turn, after {seen}", now - seen);
        seen = now;
        if seen > 1 << 20 {
            break; // the rest is the same, and recording it would make the test slow
        }
    }
    assert!(hand.reactor.turn_number() - first >= 16);
    hand.transport.abort_connection();
    hand.turn_until(Events::lost);
}

#[test]
fn another_connection_is_served_in_every_turn_meanwhile() {
    let wire = bomb(100 << 20);
    assert!(wire.len() < 110_000, "{}", wire.len());
    let total = Rc::new(Cell::new(0));
    let counted = total.clone();
    let reactor = started();
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| Sink { total: counted.clone() }).unwrap();
    let mut bomber = support::connect(support::address(&port));
    let (_, _, mut other) = accept(
        &reactor,
        |event, transport| {
            if let Event::Data(data) = event {
                transport.write(data);
            }
            Ok(())
        },
        false,
    );
    bomber.write_all(&wire).unwrap();
    turn_until(&reactor, || total.get() > 0);
    let (mut turns, mut answers, mut answer) = (0, 0, Vec::new());
    while total.get() < 100 << 20 {
        if answer.len() == answers {
            other.write_all(b"?").unwrap();
            answers += 1;
        }
        let before = total.get();
        reactor.iterate(Some(Duration::ZERO)).unwrap();
        assert!(total.get() - before <= 65_536);
        received(&mut other, &mut answer);
        turns += 1;
    }
    assert!(turns >= 1500, "{turns}");
    // One answer in each turn, but the kernel may be a little late with it.
    assert!(turns <= 2 * answers, "{answers} answers in {turns} turns");
    turn_until(&reactor, || total.get() == 100 << 20);
}

/// Counts the bytes of an expected stream.
struct Sink {
    total: Rc<Cell<usize>>,
}

impl Protocol for Sink {
    fn connection_made(&mut self, transport: &Transport) -> Result {
        expect(transport)
    }

    fn data_received(&mut self, _transport: &Transport, data: &[u8]) -> Result {
        self.total.set(self.total.get() + data.len());
        Ok(())
    }
}

#[test]
fn a_pause_in_the_first_call_stops_it_and_resuming_needs_no_new_input() {
    let wire = bomb(1 << 20);
    let mut hand = Hand::listening(|event, transport| {
        match event {
            Event::Made => expect(transport)?,
            Event::Data(_) => transport.pause_producing(),
            _ => {}
        }
        Ok(())
    });
    hand.send(&wire);
    for _ in 0..10 {
        hand.turn();
    }
    assert_eq!(hand.events.count("data"), 1);
    assert!(hand.events.data().len() <= 65_536);
    for call in 2..=16 {
        hand.transport.resume_producing();
        hand.turn();
        assert_eq!(hand.events.count("data"), call);
    }
    hand.transport.resume_producing();
    hand.turn_until(|events| events.data().len() == 1 << 20);
    assert!(hand.stats().stream_ended);
}

#[test]
fn a_paused_stream_does_not_read_the_socket() {
    // More compressed bytes than one turn reads: while there is undecoded input, the rest stays in the socket and slows the peer.
    let plain = noise(4 << 20);
    let wire = foreign(&[&plain]);
    let paused = Rc::new(Cell::new(true));
    let flag = paused.clone();
    let hand = Hand::listening(move |event, transport| {
        match event {
            Event::Made => expect(transport)?,
            Event::Data(_) if flag.get() => transport.pause_producing(),
            _ => {}
        }
        Ok(())
    });
    let mut peer = hand.peer.try_clone().unwrap();
    let sender = std::thread::spawn(move || peer.write_all(&wire).is_ok());
    hand.turn_until(|events| events.count("data") == 1);
    for _ in 0..20 {
        hand.turn();
    }
    assert_eq!(hand.events.count("data"), 1);
    assert!(hand.stats().wire_in <= 65_536, "{} bytes were taken", hand.stats().wire_in);
    paused.set(false);
    hand.transport.resume_producing();
    hand.turn_until(|events| events.count("data") > 60);
    let transport = hand.transport.clone();
    hand.turn_until(|_| transport.compression_stats().is_some_and(|stats| stats.stream_ended));
    assert!(hand.events.data() == plain);
    assert!(sender.join().unwrap());
}

#[test]
fn the_end_comes_after_everything_that_was_still_to_be_inflated() {
    // The peer's FIN arrives long before the last piece is decoded.
    let plain = text(3 << 20);
    let hand = Hand::listening(when_made(expect));
    let mut peer = hand.peer.try_clone().unwrap();
    let wire = foreign(&[&plain]);
    let sender = std::thread::spawn(move || peer.write_all(&wire).and_then(|()| peer.shutdown(Shutdown::Write)));
    hand.turn_until(Events::lost);
    assert!(hand.events.reason().is_clean(), "{}", hand.events.reason());
    assert!(hand.events.data() == plain);
    sender.join().unwrap().unwrap();
}

#[test]
fn output_that_ends_exactly_at_a_buffers_end_is_delivered_whole() {
    // netty#17392: a full last buffer was mistaken for the end of the output.
    for format in formats() {
        for length in [65_535, 65_536, 65_537, 131_072] {
            let wire = announced(format, b"", &[&vec![0; length]], true);
            let mut hand = Hand::connecting(nothing);
            hand.send(&wire);
            let transport = hand.transport.clone();
            hand.turn_until(|_| transport.compression_stats().is_some_and(|stats| stats.stream_ended));
            assert_eq!(hand.events.data().len(), length, "{format}");
        }
    }
}

#[test]
fn a_closing_connection_inflates_no_more() {
    let wire = bomb(100 << 20);
    let mut hand = Hand::listening(|event, transport| {
        match event {
            Event::Made => expect(transport)?,
            Event::Data(_) => transport.lose_connection(),
            _ => {}
        }
        Ok(())
    });
    hand.send(&wire);
    hand.peer.shutdown(Shutdown::Write).unwrap();
    let first = hand.reactor.turn_number();
    hand.turn_until(Events::lost);
    assert!(hand.reactor.turn_number() - first < 50, "it did not have to inflate all of it");
    assert_eq!(hand.events.count("data"), 1);
    assert!(hand.events.reason().is_clean());
}

#[test]
#[cfg(feature = "zstd")]
fn a_closing_connection_delivers_what_it_promised_though_its_decoder_gives_way() {
    // A window of 8 MiB, filled by blocks of 128 KiB in four bytes each, then five plain bytes.
    const PLAIN: usize = (65 << 17) + 5;
    let blocks = [&[0x02, 0x00, 0x10, b'a'].repeat(65)[..], &[5 << 3, 0, 0], b"hello"].concat();
    let bomb = [&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x68][..], &blocks].concat();
    // More than the system's buffers hold.
    let promised = vec![7; 15 << 20];
    let reactor = started();
    reactor.set_decompression_memory(64 << 20);
    let (promise, total) = (promised.clone(), Rc::new(Cell::new(0)));
    let counted = total.clone();
    let script = move |event: &Event, transport: &Transport| {
        match event {
            Event::Made => transport.expect_compression("zstd", b"")?,
            Event::Data(data) => {
                counted.set(counted.get() + data.len());
                if counted.get() == PLAIN {
                    transport.write(&promise);
                    transport.lose_connection();
                }
            }
            _ => {}
        }
        Ok(())
    };
    let (_, events, mut closing) = accept(&reactor, script.clone(), false);
    closing.write_all(&bomb).unwrap();
    turn_until(&reactor, || total.get() == PLAIN);
    assert!(!events.lost());
    let (_, _, mut other) = accept(&reactor, script, false);
    other.write_all(&bomb).unwrap();
    turn_until(&reactor, || total.get() == 2 * PLAIN);
    assert_eq!(reactor.refused_decompressions(), 1);
    assert!(!events.lost(), "the peer did not get what was promised");
    let mut got = Vec::new();
    turn_until(&reactor, || {
        received(&mut closing, &mut got);
        got.len() >= promised.len()
    });
    assert!(got == promised);
    drop(closing);
    turn_until(&reactor, || events.lost());
    assert!(events.reason().is_clean(), "{}", events.reason());
}
