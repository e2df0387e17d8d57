//! Groups 4, 5 and 19: detection at the start, under every split; holding with timers; and detection off.

use super::*;

/// Plain beginnings that almost look like an announcement.
fn nasty() -> Vec<Vec<u8>> {
    let announced = stream(&Compression::deflate(), &["x"]);
    let raw = stream(&Compression::deflate_raw(), &["x"]);
    let foreign = stream(&Compression::deflate().announce(false), &["hello, hello"]);
    let gz = stream(&Compression::gzip().announce(false), &["hello, hello"]);
    let mut damaged = announced.clone();
    damaged[16] = 0xfe;
    let sync_first = [&[0x78, 0x9c, 0, 0, 0, 0xff, 0xff][..], &foreign[2..]].concat();
    let mut all: Vec<Vec<u8>> =
        ["x", "x\u{1}", "x^", "x^2", "80 users online", "(", "HELLO\r\n", ""].map(|text| text.as_bytes().to_vec()).into();
    all.extend([b"x\x9c".to_vec(), announced[..16].to_vec(), raw[..14].to_vec(), damaged, foreign, gz, sync_first]);
    all.extend([b"\x28\xb5\x2f\xfd\x04\x00\x01".to_vec(), b"\x04\x22\x4d\x18\x44\x40\xff".to_vec()]);
    // With block checksums, which an empty block would have too.
    let sum = crate::compression::checksum::lz4_header_sum(&[0x54, 0x40]);
    all.push([&[4, 0x22, 0x4d, 0x18, 0x54, 0x40, sum][..], &[0, 0, 0, 0x80].repeat(3)].concat());
    all
}

/// The lengths of the announcement of `stream`: to the end of its mark's first block, and in all.
fn mark(format: Format, stream: &[u8]) -> (usize, usize) {
    let block = if matches!(format, Format::Zstd | Format::Lz4) { 4 } else { 5 };
    let Verdict::Whole { len, .. } = announcement::recognise(stream, Position::Start) else {
        panic!("{format} is not announced")
    };
    let blocks = if format == Format::Zstd { 4 } else { 3 };
    (len - (blocks - 1) * block, len)
}

#[test]
fn every_format_announces_itself_under_every_split_of_its_first_64_bytes() {
    for format in formats() {
        let wire = stream(&format.into(), &messages(3));
        for cut in 0..wire.len().min(64) {
            let mut receiver = detecting();
            let mut plain = receive(&mut receiver, &wire[..cut]);
            plain.extend(receive(&mut receiver, &wire[cut..]));
            assert_eq!(plain, messages(3).concat(), "{format} cut at {cut}");
            let stats = receiver.stats();
            assert!(stats.detected && stats.stream_ended, "{format} cut at {cut}: {stats:?}");
            assert_eq!((stats.format_in, stats.wire_in), (Some(format), wire.len() as u64));
        }
    }
}

#[test]
fn every_format_and_level_announces_itself_byte_by_byte() {
    for format in formats() {
        for level in format.levels().filter(|level| format != Format::Zstd || [1, 3, 22].contains(level)) {
            let wire = stream(&Compression::from(format).level(level), &messages(2));
            let (plain, reason) = receive_in(&mut detecting(), &wire, 1, ROOM);
            assert!(reason.is_none(), "{format} {level}: {reason:?}");
            assert_eq!(plain, messages(2).concat(), "{format} {level}");
        }
    }
}

#[test]
fn what_only_resembles_an_announcement_is_delivered_untouched_under_every_split() {
    for input in nasty() {
        for detect in [Detect::AtStart, Detect::Anywhere] {
            for cut in 0..=input.len() {
                let mut receiver = CompressionLayer::new(&EncoderPool::shared(), detect, 0, 0);
                let mut plain = receive(&mut receiver, &input[..cut]);
                plain.extend(receive(&mut receiver, &input[cut..]));
                receiver.read_end(&mut plain).unwrap();
                assert_eq!(plain, input, "cut at {cut}");
                assert!(!receiver.stats().detected);
            }
        }
    }
}

#[test]
fn after_the_first_plain_byte_the_layer_steps_aside() {
    let mut receiver = detecting();
    assert!(!receiver.reads_directly());
    let mut plain = Vec::new();
    receiver.read(b"HELLO", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"HELLO");
    assert!(receiver.reads_directly());
    assert_eq!(receiver.deadline(), None);
}

#[test]
fn a_held_beginning_and_what_follows_it_come_in_one_piece() {
    let mut receiver = detecting();
    let mut plain = Vec::new();
    receiver.read(b"x", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"");
    receiver.read(b"yz", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"xyz");
}

#[test]
fn a_lone_x_is_delivered_after_250_ms() {
    let mut receiver = detecting();
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    let start = Duration::from_secs(7);
    receiver.read(b"x", &mut plain, ROOM, &Work::unlimited(), start).unwrap();
    let due = start + Duration::from_millis(250);
    assert_eq!(receiver.deadline(), Some(due));
    receiver.expire(&mut wire, &mut plain, due - Duration::from_millis(1)).unwrap();
    assert_eq!(plain, b"");
    receiver.expire(&mut wire, &mut plain, due).unwrap();
    assert_eq!(plain, b"x");
    assert_eq!(receiver.deadline(), None);
    // What follows is plain as well.
    receiver.read(b"y", &mut plain, ROOM, &Work::unlimited(), due).unwrap();
    assert_eq!(plain, b"xy");
    assert!(receiver.reads_directly());
}

#[test]
fn a_lone_x_is_delivered_at_once_at_the_end() {
    let mut receiver = detecting();
    let mut plain = Vec::new();
    receiver.read(b"x", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    receiver.read_end(&mut plain).unwrap();
    assert_eq!(plain, b"x");
}

#[test]
fn a_longer_beginning_is_held_for_two_seconds_from_its_last_byte() {
    let wire = stream(&Compression::deflate(), &["x"]);
    let mut receiver = detecting();
    let mut plain = Vec::new();
    receiver.read(&wire[..3], &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(receiver.deadline(), Some(Duration::from_secs(2)));
    let later = Duration::from_millis(1500);
    receiver.read(&wire[3..6], &mut plain, ROOM, &Work::unlimited(), later).unwrap();
    assert_eq!(receiver.deadline(), Some(later + Duration::from_secs(2)));
    receiver.read(&wire[6..], &mut plain, ROOM, &Work::unlimited(), later).unwrap();
    assert_eq!(receiver.deadline(), None);
    assert_eq!(plain, b"x");
}

#[test]
fn from_the_first_block_of_the_mark_on_a_beginning_waits_for_its_rest_without_a_clock() {
    for format in formats() {
        let wire = stream(&format.into(), &["x"]);
        let (sure, whole) = mark(format, &wire);
        for cut in 1..whole {
            let mut receiver = detecting();
            let (mut none, mut plain) = (Vec::new(), Vec::new());
            receiver.read(&wire[..cut], &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
            assert_eq!(receiver.deadline().is_none(), cut >= sure, "{format} cut at {cut}");
            if cut >= sure {
                receiver.expire(&mut none, &mut plain, Duration::from_secs(3600)).unwrap();
                assert_eq!(receive(&mut receiver, &wire[cut..]), b"x", "{format} cut at {cut}");
            }
        }
        // Bytes that rule out an announcement, and the end of the stream, still release it.
        let mut receiver = detecting();
        let nearly = [&wire[..sure], b"?"].concat();
        assert_eq!(receive(&mut receiver, &nearly), nearly, "{format}");
        let mut receiver = detecting();
        let mut plain = receive(&mut receiver, &wire[..sure]);
        receiver.read_end(&mut plain).unwrap();
        assert_eq!(plain, &wire[..sure], "{format}");
    }
}

#[test]
fn the_late_rest_of_an_announcement_is_a_typed_error_at_every_split() {
    for format in formats() {
        let wire = stream(&format.into(), &["x"]);
        let (sure, _) = mark(format, &wire);
        for cut in 1..sure {
            for piece in [1, 1000] {
                let mut receiver = detecting();
                let (mut none, mut plain) = (Vec::new(), Vec::new());
                receiver.read(&wire[..cut], &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
                receiver.expire(&mut none, &mut plain, Duration::from_secs(9)).unwrap();
                assert_eq!(plain, &wire[..cut]);
                assert!(!receiver.reads_directly(), "the rest may still arrive");
                let (_, reason) = receive_in(&mut receiver, &wire[cut..], piece, ROOM);
                assert_eq!(kind(reason), Some(DecompressErrorKind::AnnouncementSplit), "{format} cut at {cut}");
            }
        }
    }
}

#[test]
fn detection_off_passes_an_announced_stream_and_lets_the_next_one_detect_it() {
    for format in formats() {
        let wire = stream(&format.into(), &messages(3));
        let mut proxy = layer(&EncoderPool::shared());
        assert!(proxy.reads_directly());
        let passed = receive(&mut proxy, &wire);
        assert_eq!(passed, wire);
        assert_eq!(receive(&mut detecting(), &passed), messages(3).concat());
    }
}

#[test]
fn a_peer_that_compresses_may_be_answered_in_kind_unless_forbidden() {
    let answer = stream(&Compression::gzip(), &["answer"]);
    let mut server = layer(&EncoderPool::shared());
    server.compress(&Compression::deflate()).unwrap();
    assert_eq!(receive(&mut server, &answer), b"answer");
    let mut proxy = layer(&EncoderPool::shared());
    proxy.compress(&Compression::deflate()).unwrap();
    proxy.set_detect(Detect::Off);
    assert!(proxy.reads_directly());
    assert_eq!(receive(&mut proxy, &answer), answer);
    // Bytes have come already: an answer can no longer be announced at the start.
    let mut late = layer(&EncoderPool::shared());
    late.passed_in(3);
    late.compress(&Compression::deflate()).unwrap();
    assert!(late.reads_directly());
}

#[test]
fn turning_detection_off_gives_back_what_was_held() {
    let mut receiver = detecting();
    let (mut wire, mut plain) = (Vec::new(), Vec::new());
    receiver.read(b"x\x9c", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    receiver.set_detect(Detect::Off);
    let due = receiver.deadline().unwrap();
    receiver.expire(&mut wire, &mut plain, due).unwrap();
    assert_eq!(plain, b"x\x9c");
    assert!(receiver.reads_directly());

    let mut receiver = detecting();
    let mut plain = Vec::new();
    receiver.read(b"x\x9c", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    receiver.set_detect(Detect::Off);
    receiver.read(b"more", &mut plain, ROOM, &Work::unlimited(), NOW).unwrap();
    assert_eq!(plain, b"x\x9cmore");
}

#[test]
fn an_announced_format_that_is_not_built_in_says_so() {
    let openings: [(&[u8], Format); 2] = [
        (b"\x28\xb5\x2f\xfd\x04\x48\x02\0\0T\x02\0\0r\x02\0\0s\x02\0\0\x30", Format::Zstd),
        (b"\x04\x22\x4d\x18\x44\x40\x5e\0\0\0\x80\0\0\0\x80\0\0\0\x80", Format::Lz4),
    ];
    for (opening, format) in openings {
        let Some(feature) = crate::compression::missing_feature(format) else {
            continue;
        };
        let (_, reason) = receive_all(&mut detecting(), &[opening, b"data"].concat());
        assert_eq!(kind(reason), Some(DecompressErrorKind::NotBuilt { feature }));
        let error = layer(&EncoderPool::shared()).compress(&format.into()).unwrap_err();
        assert!(error.to_string().contains(feature), "{error}");
        assert!(layer(&EncoderPool::shared()).expect(&format.into(), b"").is_err());
    }
}
