//! Groups 1 and 7: every format in both directions, and the order of plain and compressed bytes in any amounts.

use super::*;

/// Sends all of `before` and then `plain`, compressed, from a server to a client, in pieces.
fn there(before: Vec<u8>, options: Compression, plain: Vec<u8>, piece: usize) -> CompressionStats {
    let reactor = Reactor::new().unwrap();
    let (server, client) = (Events::default(), Events::default());
    let record = server.clone();
    let in_mid_stream = !before.is_empty();
    let expected = [&before[..], &plain].concat();
    let port = reactor
        .listen_tcp("127.0.0.1:0", move |_peer| {
            let (before, plain, options) = (before.clone(), plain.clone(), options.clone());
            Probe::new(
                &record,
                when_made(move |transport| {
                    transport.write(&before);
                    transport.set_compression::<Compression>(options.clone())?;
                    plain.chunks(piece.max(1)).for_each(|piece| transport.write(piece));
                    transport.lose_connection();
                    Ok(())
                }),
            )
        })
        .unwrap();
    let record = client.clone();
    let stats = std::rc::Rc::new(std::cell::RefCell::new(None));
    let keep = stats.clone();
    let script = move |event: &Event, transport: &Transport| {
        match event {
            // A switch in mid-stream is detected only on request.
            Event::Made if in_mid_stream => transport.set_detection(Detect::Anywhere),
            Event::Lost(_) => {
                *keep.borrow_mut() = transport.compression_stats();
                transport.reactor().stop()?;
            }
            _ => {}
        }
        Ok(())
    };
    let mut script = Some(script);
    reactor.connect_tcp(support::address(&port), move |_peer| Some(Probe::new(&record, script.take()?))).unwrap();
    support::run(&reactor);
    assert!(client.data() == expected, "{} of {} bytes", client.data().len(), expected.len());
    assert!(client.reason().is_clean() && server.reason().is_clean(), "{} {}", client.reason(), server.reason());
    stats.take().unwrap_or_default()
}

#[test]
fn every_format_arrives_at_a_client_that_calls_nothing() {
    for format in formats() {
        for length in [1, 100, 65_536, 65_537, 1 << 20] {
            let stats = there(Vec::new(), format.into(), text(length), 5000);
            assert!(stats.detected && stats.stream_ended, "{format}: {stats:?}");
            assert_eq!((stats.plain_in, stats.format_in), (length as u64, Some(format)));
        }
        assert_eq!(there(Vec::new(), format.into(), Vec::new(), 1).format_in, None, "nothing written, nothing sent");
    }
}

#[test]
fn every_level_arrives() {
    for format in formats() {
        for level in format.levels() {
            if level <= 9 {
                there(Vec::new(), Compression::from(format).level(level), text(50_000), 1000);
            }
        }
    }
}

#[test]
fn plain_then_compressed_in_one_callback_keeps_the_order_whatever_the_amounts() {
    for (before, after) in [(0, 10), (10, 0), (10, 10), (0, 3_000_000), (1_000_000, 10), (1_000_000, 3_000_000)] {
        there(support::pattern(0, before), Compression::deflate(), support::pattern(before, after), 100_000);
    }
}
