//! Groups 9 and 12: how streams end, in order or not, and what the protocol is told.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use log::Level;
use torsade::simulated::Simulation;

use super::*;
use crate::support::logged::logged;

#[test]
fn lose_connection_ends_the_stream_with_its_checksum() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        let hand = Hand::listening(when_made(move |transport| {
            transport.set_compression::<Format>(format)?;
            transport.write("last words");
            transport.lose_connection();
            Ok(())
        }));
        let (wire, reason) = hand.drain();
        assert!(reason.is_clean(), "{reason}");
        assert_eq!(decode(format, &wire), (b"last words".to_vec(), Some(Vec::new())), "{format}");
    }
}

#[test]
fn abort_connection_does_not_end_the_stream() {
    let mut hand = Hand::listening(when_made(|transport| {
        transport.set_compression("deflate")?;
        transport.write("lost");
        Ok(())
    }));
    hand.turn();
    hand.read(Format::Deflate, b"lost");
    let transport = hand.transport.clone();
    transport.abort_connection();
    transport.flush_compression();
    transport.end_compression();
    let (wire, reason) = hand.drain();
    assert!(matches!(reason, Reason::ConnectionAborted));
    assert_eq!(decode(Format::Deflate, &wire), (b"lost".to_vec(), None));
    let stats = transport.compression_stats().expect("counts outlive the connection");
    assert_eq!((stats.plain_out, stats.wire_out), (4, wire.len() as u64));
}

#[test]
fn reading_goes_on_after_our_own_stream_has_ended() {
    let mut hand = Hand::half_closeable(when_made(|transport| {
        transport.set_compression("deflate")?;
        transport.expect_compression("deflate", b"")?;
        transport.write("question");
        transport.lose_write_connection();
        Ok(())
    }));
    hand.turn_until(|events| events.count("write lost") > 0);
    let question = support::drain(&mut hand.peer).0;
    assert_eq!(decode(Format::Deflate, &question), (b"question".to_vec(), Some(Vec::new())));
    hand.send(&foreign(&[b"answer"]));
    assert_eq!(hand.events.data(), b"answer");
    hand.shut();
    assert!(hand.drain().1.is_clean());
}

#[test]
fn compression_can_be_expected_after_our_own_stream_has_ended() {
    let mut hand = Hand::half_closeable(|event, transport| {
        match event {
            Event::Made => transport.lose_write_connection(),
            Event::WriteLost => {
                transport.expect_compression("deflate", b"")?;
                assert_eq!(transport.set_compression("deflate"), Err(CompressionError::Closed));
            }
            _ => {}
        }
        Ok(())
    });
    hand.turn_until(|events| events.count("write lost") > 0);
    assert_eq!(support::drain(&mut hand.peer), (Vec::new(), Ok(())));
    hand.send(&foreign(&[b"the answer"]));
    assert_eq!(hand.events.data(), b"the answer");
    hand.shut();
    assert!(hand.drain().1.is_clean());
}

#[test]
fn writing_goes_on_after_the_peer_has_ended_its_stream() {
    let mut hand = Hand::half_closeable(when_made(|transport| {
        transport.set_compression("deflate")?;
        Ok(transport.expect_compression("deflate", b"")?)
    }));
    hand.send(&foreign(&[b"question"]));
    hand.shut();
    assert_eq!(hand.events.names(), ["made", "data", "read lost"]);
    for word in ["a ", "long ", "answer"] {
        hand.transport.write(word);
        hand.turn();
    }
    hand.transport.lose_connection();
    let (wire, reason) = hand.drain();
    assert!(reason.is_clean(), "{reason}");
    assert_eq!(decode(Format::Deflate, &wire), (b"a long answer".to_vec(), Some(Vec::new())));
}

#[test]
fn two_torsade_ends_close_in_order_and_both_streams_end() {
    // Both sides compress, and neither side's code expects it: the listening side may be answered in kind.
    for format in formats() {
        let reactor = started();
        let (client, server) = (Events::default(), Events::default());
        let record = server.clone();
        let stats = Rc::new(RefCell::new(Vec::new()));
        let keep = stats.clone();
        let port = reactor
            .listen_tcp("127.0.0.1:0", move |_peer| {
                let keep = keep.clone();
                Probe::new(&record, move |event, transport| {
                    match event {
                        Event::Made => transport.set_compression::<Format>(format)?,
                        Event::Data(data) => transport.write(data),
                        Event::Lost(_) => keep.borrow_mut().extend(transport.compression_stats()),
                        _ => {}
                    }
                    Ok(())
                })
            })
            .unwrap();
        let record = client.clone();
        let keep = stats.clone();
        let script = move |event: &Event, transport: &Transport| {
            match event {
                Event::Made => {
                    transport.set_compression::<Format>(format)?;
                    transport.write("there and back");
                }
                Event::Data(_) => transport.lose_connection(),
                Event::Lost(_) => keep.borrow_mut().extend(transport.compression_stats()),
                _ => {}
            }
            Ok(())
        };
        let mut script = Some(script);
        reactor.connect_tcp(support::address(&port), move |_peer| Some(Probe::new(&record, script.take()?))).unwrap();
        turn_until(&reactor, || client.lost() && server.lost());
        assert!(client.reason().is_clean() && server.reason().is_clean(), "{format}");
        assert_eq!((server.data(), client.data()), (b"there and back".to_vec(), b"there and back".to_vec()), "{format}");
        let stats = stats.take();
        assert_eq!(stats.len(), 2);
        for stats in stats {
            assert!(stats.detected && stats.plain_in == 14 && stats.plain_out == 14, "{format}: {stats:?}");
        }
    }
}

#[test]
fn an_announced_stream_that_is_cut_short_is_an_error_at_every_byte() {
    let wire = announced(Format::Deflate, b"", &[b"one ", b"two ", b"three"], true);
    for cut in 17..wire.len() {
        let mut hand = Hand::connecting(nothing);
        hand.send(&wire[..cut]);
        hand.shut();
        let events = hand.events.clone();
        let (_, reason) = hand.drain();
        assert_eq!(kind(&reason), Some(DecompressErrorKind::Truncated), "cut at {cut}: {reason}");
        assert!(b"one two three".starts_with(&events.data()), "cut at {cut}");
    }
}

#[test]
fn an_expected_stream_that_is_cut_short_is_a_clean_close_unless_it_must_end() {
    let wire = foreign(&[b"one ", b"two"]);
    let wire = &wire[..wire.len() - 6];
    for (truncation, clean) in [(Truncation::Auto, true), (Truncation::Allow, true), (Truncation::Error, false)] {
        let mut hand = Hand::listening(when_made(move |transport| {
            Ok(transport.expect_compression(Decompression::deflate().truncation(truncation), b"")?)
        }));
        hand.send(wire);
        hand.shut();
        assert_eq!(hand.events.data(), b"one two");
        let transport = hand.transport.clone();
        let (_, reason) = hand.drain();
        assert_eq!(reason.is_clean(), clean, "{truncation:?}: {reason}");
        assert!(transport.compression_stats().is_some_and(|stats| !stats.stream_ended));
    }
}

#[test]
fn bytes_after_the_end_are_an_error_and_can_still_be_taken() {
    let trailing = Rc::new(RefCell::new(Vec::new()));
    let keep = trailing.clone();
    let mut hand = Hand::listening(move |event, transport| {
        match event {
            Event::Made => transport.expect_compression("deflate", b"")?,
            Event::Lost(_) => {
                // Has no effect, like every other call by now: the bytes stay where they are.
                transport.unread(b"too late");
                *keep.borrow_mut() = transport.take_trailing();
            }
            _ => {}
        }
        Ok(())
    });
    hand.send(&[foreign(&[b"stream"]), b"text after it".to_vec()].concat());
    let events = hand.events.clone();
    let (_, reason) = hand.drain();
    assert_eq!(kind(&reason), Some(DecompressErrorKind::TrailingData));
    assert_eq!((events.data(), trailing.take()), (b"stream".to_vec(), b"text after it".to_vec()));
}

#[test]
fn a_damaged_stream_ends_with_what_is_wrong_and_where() {
    let mut wire = foreign(&[b"hello"]);
    *wire.last_mut().unwrap() ^= 1;
    let mut hand = Hand::listening(when_made(|transport| Ok(transport.expect_compression("deflate", b"")?)));
    hand.send(&wire);
    let events = hand.events.clone();
    let (_, reason) = hand.drain();
    assert_eq!(events.data(), b"hello", "what arrived before is delivered");
    let Reason::Decompress(error) = &reason else { panic!("{reason}") };
    assert_eq!((error.format, &error.kind), (Format::Deflate, &DecompressErrorKind::Checksum));
    assert_eq!((error.input_offset, error.output_offset), (wire.len() as u64, 5));

    for (wire, wanted) in [
        (&b"\x78\xbb\x00\x00\x00\x01"[..], DecompressErrorKind::NeedDictionary { id: 1 }),
        (b"\x79\x9c", DecompressErrorKind::Header),
        (b"hello, I am plain", DecompressErrorKind::Header),
        (b"\x78\x9c\xff", DecompressErrorKind::Data),
    ] {
        let mut hand = Hand::listening(when_made(|transport| Ok(transport.expect_compression("deflate", b"")?)));
        hand.send(wire);
        assert_eq!(kind(&hand.drain().1), Some(wanted), "{wire:?}");
    }
}

#[test]
fn a_second_member_is_read_on_and_another_format_after_it_is_trailing() {
    let member = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let wire = [member(b"one "), member(b"two ")].concat();
    let mut hand = Hand::listening(when_made(|transport| Ok(transport.expect_compression("gzip", b"")?)));
    hand.send(&wire);
    assert_eq!(hand.events.data(), b"one two ");
    hand.send(b"plain");
    assert_eq!(kind(&hand.drain().1), Some(DecompressErrorKind::TrailingData));
}

/// Produces incompressible bytes until it has produced enough.
struct Source {
    piece: Vec<u8>,
    left: usize,
    most_unsent: Rc<Cell<usize>>,
}

impl Producer for Source {
    fn resume_producing(&mut self, consumer: &Transport) -> Result {
        consumer.write(&self.piece);
        self.most_unsent.set(self.most_unsent.get().max(consumer.unsent()));
        self.left -= 1;
        if self.left == 0 {
            consumer.unregister_producer();
        }
        Ok(())
    }
}

#[test]
fn a_producer_of_much_data_stays_under_the_high_watermark_in_wire_bytes() {
    // 100 MB of text, much smaller on the wire: the wire is what counts.
    const PIECE: usize = 1 << 20;
    let most_unsent = Rc::new(Cell::new(0));
    let counted = most_unsent.clone();
    let (events, (wire, end)) = support::converse(
        move |event, transport| {
            if matches!(event, Event::Made) {
                transport.set_compression(Compression::deflate().level(1).announce(false))?;
                let source =
                    Source { piece: b"the same again and again, ".repeat(PIECE / 26), left: 100, most_unsent: counted.clone() };
                transport.register_producer(source, false)?;
                transport.lose_connection();
            }
            Ok(())
        },
        |mut stream| support::drain(&mut stream),
    );
    assert!(events.reason().is_clean() && end.is_ok(), "{}", events.reason());
    let (plain, rest) = decode(Format::Deflate, &wire);
    assert_eq!((plain.len(), rest), (100 * (PIECE / 26) * 26, Some(Vec::new())));
    assert!(most_unsent.get() <= 64 << 10, "{} bytes", most_unsent.get());
}

#[test]
fn watermarks_count_the_bytes_on_the_wire() {
    let hand = Hand::listening(when_made(|transport| {
        transport.set_compression("deflate")?;
        transport.write(vec![b'z'; 1 << 20]);
        assert!(transport.unsent() < 64 << 10, "{}", transport.unsent());
        assert!(transport.is_reading(), "a megabyte of the same byte is not congestion");
        transport.write(noise(1 << 20));
        assert!(transport.unsent() > 64 << 10);
        assert!(!transport.is_reading(), "a megabyte of noise is");
        Ok(())
    }));
    drop(hand);
}

#[test]
fn the_log_says_at_the_end_what_compression_did() {
    let (mut peer, mut wire) = (String::new(), Vec::new());
    let lines = logged(Level::Debug, || {
        let hand = Hand::listening(when_made(|transport| {
            transport.set_compression("gzip")?;
            transport.write([b'x'; 12_345]);
            transport.lose_connection();
            Ok(())
        }));
        peer = hand.transport.peer().to_string();
        wire = hand.drain().0;
    });
    let (level, line) = lines.iter().find(|(_, line)| line.contains(&peer) && line.contains("lost")).expect("it ended");
    assert_eq!(*level, Level::Debug, "{line}");
    for part in ["gzip", "12345", &wire.len().to_string()] {
        assert!(line.contains(part), "no {part} in: {line}");
    }
}

/// What a peer that reads to the end receives of an answer cut off by `cause`, and how its connection ends.
fn cut_answer(format: Format, cause: fn(&Transport) -> Result) -> (Vec<u8>, Reason) {
    let simulation = Simulation::new(1);
    let server = simulation.host("10.0.0.1");
    let answering = move |_peer: Address| {
        when_made(move |transport| {
            transport.set_compression::<Compression>(Compression::from(format).announce(false))?;
            transport.write(b"the first half");
            transport.spawn(async move |transport| {
                transport.reactor().sleep(Duration::from_secs(1)).await?;
                cause(&transport)
            });
            Ok(())
        })
    };
    let answering = move |peer: Address| Probe::new(&Events::default(), answering(peer));
    server.listen_tcp("10.0.0.1:80", answering).unwrap();
    let events = Events::default();
    let reading = Probe::new(&events, move |event, transport| match event {
        Event::Made => Ok(transport.expect_compression(Decompression::from(format), b"")?),
        _ => Ok(()),
    });
    let mut reading = Some(reading);
    simulation.host("10.0.0.2").connect_tcp("10.0.0.1:80", move |_peer: Address| reading.take()).unwrap();
    simulation.run_for(Duration::from_secs(300)).unwrap();
    (events.data(), events.reason())
}

#[test]
fn an_answer_that_is_cut_for_a_fault_or_a_stop_never_looks_whole() {
    let causes: [fn(&Transport) -> Result; 3] = [
        |_| Err("the answer cannot go on".into()),
        |transport| Ok(transport.reactor().stop()?),
        |_| panic!("deliberate, in a test"),
    ];

    for format in formats() {
        for cause in causes {
            let (got, reason) = cut_answer(format, cause);
            assert_eq!(got, b"the first half", "{format}");
            assert_eq!(kind(&reason), Some(DecompressErrorKind::Truncated), "{format}: {reason}");
        }
        let (got, reason) = cut_answer(format, |transport| {
            transport.lose_connection();
            Ok(())
        });
        assert_eq!((&got[..], reason.is_clean()), (&b"the first half"[..], true), "{format}: {reason}");
    }
}

#[test]
fn a_stream_that_was_opened_is_one_also_if_nothing_is_written_before_its_end() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        let hand = Hand::listening(when_made(move |transport| {
            transport.set_compression::<Format>(format)?;
            transport.flush_compression();
            transport.end_compression();
            transport.write("plain");
            transport.lose_connection();
            Ok(())
        }));
        let (wire, _) = hand.drain();
        assert_eq!(decode(format, &wire), (Vec::new(), Some(b"plain".to_vec())), "{format}");
    }
}
