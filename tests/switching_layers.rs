//! Bytes leave in the order written, and a switch of layers happens at an exact byte.

#[path = "support/support.rs"]
mod support;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use support::*;
use torsade::prelude::*;
use torsade::{CompressionError, Truncation};

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// Runs a server that speaks on `connection_made` and closes, and a torsade client; gives what the client got and why it ended.
fn server_speaks(
    speak: impl Fn(&Transport) -> Result + 'static,
    listen: impl Fn(&Transport) -> Result + 'static,
) -> (Events, Events) {
    let reactor = Reactor::new().unwrap();
    let (server, client) = (Events::default(), Events::default());
    let (speak, listen) = (Rc::new(speak), Rc::new(listen));
    let record = server.clone();
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            let speak = speak.clone();
            Probe::new(&record, move |event, transport| if matches!(event, Event::Made) { speak(transport) } else { Ok(()) })
        })
        .unwrap();
    let ends = Rc::new(Cell::new(0));
    let (record, watched) = (client.clone(), server.clone());
    reactor
        .connect_tcp(address(&port), move |_peer| {
            let (listen, ends) = (listen.clone(), ends.clone());
            Probe::new(&record, move |event, transport| {
                ends.set(ends.get() + 1);
                if matches!(event, Event::Made) { listen(transport) } else { Ok(()) }
            })
        })
        .unwrap();
    fn wait(reactor: &Reactor, both: [Events; 2]) {
        if both.iter().all(Events::lost) {
            return stop(reactor);
        }
        let again = reactor.clone();
        reactor.call_later(Duration::from_millis(1), move || wait(&again, both));
    }
    wait(&reactor, [watched, client.clone()]);
    run(&reactor);
    (server, client)
}

#[test]
fn plain_then_compressed_in_one_callback_keeps_the_order_whatever_the_amounts() {
    for (before, after) in [(0, 10), (10, 0), (10, 10), (0, 3_000_000), (1_000_000, 10), (1_000_000, 3_000_000)] {
        let (server, client) = server_speaks(
            move |transport| {
                transport.write(pattern(0, before));
                transport.set_compression("deflate")?;
                transport.set_compression("deflate")?;
                for at in (0..after).step_by(100_000) {
                    transport.write(pattern(before + at, 100_000.min(after - at)));
                }
                transport.lose_connection();
                Ok(())
            },
            |transport| {
                // A switch in mid-stream is looked for only by who asks for it.
                transport.set_detection(Detect::Anywhere);
                Ok(())
            },
        );
        assert!(server.reason().is_clean() && client.reason().is_clean(), "{before} {after}: {}", client.reason());
        assert!(client.data() == pattern(0, before + after), "{before} and {after} bytes: {}", client.data().len());
    }
}

#[test]
fn the_client_calls_nothing_and_its_own_plain_bytes_reach_the_server_unharmed() {
    // Bytes that look like streams of every kind, and the announcement itself.
    let mut said = zlib(b"not for decompressing");
    said.splice(..0, *b"\x78\x9c\xa8\x00\x00\xff\xff\x50\x00\x00\xff\xff\xd8\x00\x00\xff\xff");
    said.extend_from_slice(b"\x1f\x8b\x08\x00\x28\xb5\x2f\xfd plain");
    let sent = said.clone();
    let reactor = Reactor::new().unwrap();
    let events = Events::default();
    let record = events.clone();
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            Probe::new(&record, |event, transport| {
                match event {
                    Event::Made => {
                        transport.set_compression("deflate")?;
                        // The article's server: its peer's bytes are plain.
                        transport.set_detection(Detect::Off);
                        transport.write("compressed greeting");
                    }
                    Event::Lost(_) => stop(transport.reactor()),
                    _ => {}
                }
                Ok(())
            })
        })
        .unwrap();
    let client = Events::default();
    let record = client.clone();
    reactor
        .connect_tcp(address(&port), move |_peer| {
            let said = said.clone();
            Probe::new(&record, move |event, transport| {
                if matches!(event, Event::Data(_)) {
                    transport.write(&said);
                    transport.lose_connection();
                }
                Ok(())
            })
        })
        .unwrap();
    run(&reactor);
    assert_eq!(client.data(), b"compressed greeting");
    assert!(events.data() == sent, "{}", events.data().escape_ascii());
}

#[test]
fn with_detection_off_the_client_gets_the_raw_bytes() {
    let (_, client) = server_speaks(
        |transport| {
            transport.set_compression("deflate")?;
            transport.write("hello, hello, hello");
            transport.lose_connection();
            Ok(())
        },
        |transport| {
            transport.set_detection(Detect::Off);
            Ok(())
        },
    );
    let raw = client.data();
    let mut plain = Vec::new();
    flate2::read::ZlibDecoder::new(&raw[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, b"hello, hello, hello");
}

/// Sends `wire` in pieces, each in a segment of its own as far as the system lets us.
fn send_in_pieces(stream: &mut std::net::TcpStream, pieces: &[&[u8]]) {
    stream.set_nodelay(true).unwrap();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        stream.write_all(piece).unwrap();
        std::thread::yield_now();
    }
}

/// Reads `STARTZIP` as a line, and everything after it as compressed lines.
struct Negotiating {
    lines: Rc<RefCell<Vec<String>>>,
}

impl LineProtocol for Negotiating {
    fn line_received(&mut self, transport: &LineTransport, line: &[u8]) -> Result {
        self.lines.borrow_mut().push(String::from_utf8_lossy(line).into_owned());
        if line == b"STARTZIP" {
            transport.expect_compression("deflate")?;
        }
        Ok(())
    }

    fn connection_lost(&mut self, transport: &LineTransport, reason: &Reason) -> Result {
        self.lines.borrow_mut().push(reason.to_string());
        transport.reactor().stop()?;
        Ok(())
    }
}

#[test]
fn expected_compression_begins_at_the_byte_after_the_line_at_every_split() {
    let mut wire = b"plain\r\nSTARTZIP\r\n".to_vec();
    wire.extend(zlib(b"one\r\ntwo\r\n"));
    for split in 0..=wire.len() {
        let reactor = Reactor::new().unwrap();
        let lines = Rc::new(RefCell::new(Vec::new()));
        let list = lines.clone();
        let port =
            reactor.listen_tcp("127.0.0.1:0", move |_peer| LineReceiver::new(Negotiating { lines: list.clone() })).unwrap();
        let sent = wire.clone();
        let peer = peer(address(&port), move |mut stream| {
            send_in_pieces(&mut stream, &[&sent[..split], &sent[split..]]);
            stream.shutdown(Shutdown::Write).unwrap();
            drain(&mut stream).1
        });
        run(&reactor);
        peer.join().unwrap().unwrap();
        assert_eq!(*lines.borrow(), ["plain", "STARTZIP", "one", "two", "connection was closed cleanly"], "split at {split}");
    }
}

#[test]
fn expect_compression_takes_the_rest_that_the_protocol_has_already() {
    let compressed = zlib(b"decompressed");
    for split in 0..=compressed.len() {
        let wire = [b"GO", &compressed[..]].concat();
        let sent = wire.clone();
        let (events, ()) = converse(
            |event, transport| {
                if let Event::Data(data) = event
                    && let Some(rest) = data.strip_prefix(b"GO")
                {
                    transport.expect_compression("deflate", rest)?;
                }
                Ok(())
            },
            move |mut stream| send_in_pieces(&mut stream, &[&sent[..2 + split], &sent[2 + split..]]),
        );
        assert!(events.reason().is_clean(), "{}", events.reason());
        let data = events.data();
        assert!(data.starts_with(b"GO") && data.ends_with(b"decompressed"), "split at {split}: {}", data.escape_ascii());
    }
}

#[test]
fn compression_can_be_expected_after_our_own_stream_has_ended() {
    let (events, ()) = converse_half_closeable(
        |event, transport| {
            match event {
                Event::Made => transport.lose_write_connection(),
                Event::WriteLost => {
                    transport.expect_compression("deflate", b"")?;
                    let error = transport.set_compression("deflate").unwrap_err();
                    assert_eq!(error, CompressionError::Closed);
                }
                _ => {}
            }
            Ok(())
        },
        |mut stream| {
            assert_eq!(drain(&mut stream).1, Ok(()));
            stream.write_all(&zlib(b"the answer")).unwrap();
        },
    );
    assert!(events.reason().is_clean(), "{}", events.reason());
    assert_eq!(events.data(), b"the answer");
}

#[test]
fn a_damaged_stream_ends_the_connection_after_the_good_bytes_before_it() {
    let good = zlib(&pattern(0, 200_000));
    for damage in ["cut", "flipped", "followed"] {
        let mut wire = good.clone();
        match damage {
            "cut" => wire.truncate(good.len() - 5),
            "flipped" => *wire.last_mut().unwrap() ^= 1,
            _ => wire.extend_from_slice(b"more"),
        }
        let (events, ()) = converse(
            |event, transport| {
                if matches!(event, Event::Made) {
                    transport.expect_compression(Decompression::deflate().truncation(Truncation::Error), b"")?;
                }
                Ok(())
            },
            move |mut stream| {
                stream.write_all(&wire).ok();
                stream.shutdown(Shutdown::Write).ok();
                drain(&mut stream).1.ok();
            },
        );
        assert!(matches!(events.reason(), Reason::Decompress(_)), "{damage}: {}", events.reason());
        assert!(pattern(0, 200_000).starts_with(&events.data()), "{damage}");
        if damage != "cut" {
            assert_eq!(events.data().len(), 200_000, "{damage}");
        }
    }
}

#[test]
fn a_cut_connection_is_no_clean_end_of_an_announced_stream() {
    let (_, client) = server_speaks(
        |transport| {
            transport.set_compression("deflate")?;
            transport.write("before the cut");
            let cut = transport.clone();
            transport.reactor().call_later(Duration::from_millis(20), move || cut.abort_connection());
            Ok(())
        },
        |_| Ok(()),
    );
    assert_eq!(client.data(), b"before the cut");
    assert!(!client.reason().is_clean(), "{}", client.reason());
}

#[test]
fn a_single_byte_that_may_begin_an_announcement_is_delivered_and_the_pause_it_meets_is_kept() {
    for paused in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"x").unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            drain(&mut stream).1.ok();
        });
        let reactor = Reactor::new().unwrap();
        let (events, seen) = (Events::default(), Rc::new(RefCell::new(Vec::new())));
        let (record, while_paused) = (events.clone(), seen.clone());
        reactor
            .connect_tcp(address, move |_peer| {
                let (all, while_paused) = (record.clone(), while_paused.clone());
                Probe::new(&record, move |event, transport| {
                    match event {
                        Event::Data(_) if paused => {
                            transport.pause_producing();
                            let (all, while_paused, later) = (all.clone(), while_paused.clone(), transport.clone());
                            transport.reactor().call_later(Duration::from_millis(20), move || {
                                *while_paused.borrow_mut() = all.names();
                                later.resume_producing();
                            });
                        }
                        Event::Lost(_) => stop(transport.reactor()),
                        _ => {}
                    }
                    Ok(())
                })
            })
            .unwrap();
        run(&reactor);
        server.join().unwrap();
        assert_eq!(events.data(), b"x");
        assert!(events.reason().is_clean());
        if paused {
            assert_eq!(*seen.borrow(), ["made", "data"], "nothing comes while paused");
        }
    }
}

#[test]
fn unread_bytes_come_again_before_all_others_and_in_bounded_pieces() {
    for size in [1, 1000, 200_000] {
        let mut put_back = false;
        let (done, wait) = std::sync::mpsc::channel();
        let (events, ()) = converse(
            move |event, transport| {
                if let Event::Data(data) = event {
                    assert!(data.len() <= 65_536, "{} bytes in one call", data.len());
                    if !std::mem::replace(&mut put_back, true) {
                        assert_eq!(data, b"!");
                        transport.unread(&pattern(1, size));
                        transport.unread(&pattern(0, 1));
                        done.send(())?;
                    }
                }
                Ok(())
            },
            move |mut stream| {
                stream.write_all(b"!").unwrap();
                wait.recv().unwrap();
                stream.write_all(b"?").unwrap();
            },
        );
        let data = events.data();
        assert!(events.reason().is_clean(), "{}", events.reason());
        assert!(data == [b"!", &pattern(0, size + 1)[..], b"?"].concat(), "{size}: {} bytes", data.len());
    }
}
