//! Groups 1, 3, 13 and 14: every format there and back, its first bytes, its limits, and what does not compress.

use super::*;

const M0: &[u8] = b"\xa8\0\0\xff\xff\x50\0\0\xff\xff\xd8\0\0\xff\xff";

/// Sends all of `before` and then, compressed, `plain` from a server to a client, in pieces.
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
            // A switch in mid-stream is looked for only by who asks for it.
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
fn plain_then_compressed_in_one_callback_keeps_the_order_whatever_the_amounts() {
    for (before, after) in [(0, 10), (10, 0), (10, 10), (0, 3_000_000), (1_000_000, 10), (1_000_000, 3_000_000)] {
        there(support::pattern(0, before), Compression::deflate(), support::pattern(before, after), 100_000);
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
fn noise_grows_by_less_than_a_hundredth() {
    for format in formats() {
        let stats = there(Vec::new(), format.into(), noise(2 << 20), 1024);
        assert!(stats.ratio_in().is_some_and(|ratio| ratio < 1.01), "{format}: {:?}", stats.ratio_in());
    }
}

#[test]
fn noise_is_passed_on_and_text_after_it_compressed_again() {
    let plain = [text(200_000), noise(800_000), text(800_000), noise(100_000)].concat();
    let stats = there(Vec::new(), Compression::deflate(), plain, 10_000);
    assert!(stats.ratio_in().is_some_and(|ratio| ratio < 0.75), "{:?}", stats.ratio_in());

    let hand = Hand::listening(when_made(|transport| {
        transport.set_compression(Compression::deflate().announce(false))?;
        transport.write(noise(300_000));
        transport.write(text(700_000));
        Ok(())
    }));
    let stats = hand.stats();
    assert!(stats.stored_bytes > 200_000 && stats.stored_bytes < 600_000, "{stats:?}");
}

#[test]
fn streams_begin_with_their_golden_bytes() {
    let first = |format: Format, level: u32, len: usize| {
        announced(Compression::from(format).level(level), b"", &[b"hello"], false)[..len].to_vec()
    };
    for (level, flags) in [(1, 0x01), (2, 0x5e), (5, 0x5e), (6, 0x9c), (7, 0xda), (9, 0xda)] {
        assert_eq!(first(Format::Deflate, level, 17), [&[0x78, flags], M0].concat());
    }
    assert_eq!(first(Format::DeflateRaw, 6, 15), M0);
    assert_eq!(first(Format::Gzip, 6, 25), [b"\x1f\x8b\x08\0\0\0\0\0\0\xff", M0].concat());
    let mid = announced(Format::Deflate, b"220 ready\r\n", &[b"hello"], false);
    let golden = b"\x78\x9c\xa8\0\0\xff\xff\x50\0\0\xff\xff\xe8\0\0\xff\xff\x58\0\0\xff\xff\0\0\0\xff\xff\0\0\0\xff\xff\
                   \0\0\0\xff\xff\0\0\0\xff\xff\0\0\0\xff\xff\x20\0\0\xff\xff";
    assert_eq!(golden.len(), 52);
    assert_eq!(&mid[11..63], golden);
    #[cfg(feature = "zstd")]
    {
        let zstd = first(Format::Zstd, 3, 22);
        assert_eq!((&zstd[..5], &zstd[6..]), (&b"\x28\xb5\x2f\xfd\x04"[..], &b"\x02\0\0T\x02\0\0r\x02\0\0s\x02\0\x000"[..]));
    }
    #[cfg(feature = "lz4")]
    {
        let lz4 = first(Format::Lz4, 1, 19);
        assert_eq!((&lz4[..4], &lz4[7..]), (&b"\x04\x22\x4d\x18"[..], &[0, 0, 0, 0x80].repeat(3)[..]));
    }
}

#[test]
fn a_limit_of_the_whole_stream_holds_for_every_format() {
    for format in formats() {
        let wire = announced(format, b"", &[&[0; 100_000]], true);
        let mut limits = Decompression::from(format).max_total(Some(70_000));
        let mut hand = Hand::connecting(when_made(move |transport| {
            transport.set_decompression_limits(&limits);
            Ok(())
        }));
        hand.send(&wire);
        hand.turn_until(Events::lost);
        assert_eq!(kind(&hand.events.reason()), Some(DecompressErrorKind::LimitTotal { max: 70_000 }), "{format}");
        assert_eq!(hand.events.data().len(), 70_000, "{format}: up to the limit it is delivered");

        limits = Decompression::from(format).max_ratio(Some((10, 50_000)));
        let mut hand =
            Hand::listening(when_made(move |transport| Ok(transport.expect_compression::<Decompression>(limits.clone(), b"")?)));
        hand.send(&wire);
        hand.turn_until(Events::lost);
        assert_eq!(kind(&hand.events.reason()), Some(DecompressErrorKind::LimitRatio { max: 10 }), "{format}");
    }
}

#[test]
fn a_gzip_header_without_end_is_cut_off() {
    let mut hand = Hand::listening(when_made(|transport| Ok(transport.expect_compression("gzip", b"")?)));
    // FNAME is set, and the name goes on and on.
    hand.send(b"\x1f\x8b\x08\x08\0\0\0\0\0\xff");
    for _ in 0..3 {
        if !hand.events.lost() {
            hand.send(&[b'n'; 30_000]);
        }
    }
    hand.turn_until(Events::lost);
    assert_eq!(kind(&hand.events.reason()), Some(DecompressErrorKind::Skipped { max: 65_536 }));
}

#[cfg(feature = "zstd")]
#[test]
fn zstd_windows_and_skippable_frames_are_bounded() {
    // A window of 2^27 bytes, and a skippable frame of 4 GiB.
    for (wire, wanted) in [
        (&b"\x28\xb5\x2f\xfd\x00\x88"[..], DecompressErrorKind::Window { asked: 1 << 27, max: 8 << 20 }),
        (b"\x50\x2a\x4d\x18\xff\xff\xff\xff", DecompressErrorKind::Skipped { max: 65_536 }),
    ] {
        let mut hand = Hand::listening(when_made(|transport| Ok(transport.expect_compression("zstd", b"")?)));
        hand.send(wire);
        for _ in 0..3 {
            if !hand.events.lost() {
                hand.send(&[0; 30_000]);
            }
        }
        hand.turn_until(Events::lost);
        assert_eq!(kind(&hand.events.reason()), Some(wanted));
    }
}
