//! RFC 6455 at `/echo`, in the groups of the Autobahn test suite: what is sent, and what comes back. Every case is cut at every
//! position.

use super::frames::*;
use super::{Client, network, run};

/// What is sent after the handshake, the frames that come back before the server's close frame, and the code in that.
struct Case {
    what: String,
    bytes: Vec<u8>,
    frames: Vec<(u8, Vec<u8>)>,
    code: u16,
}

/// What comes back if nothing is wrong: the client then closes with 1000.
fn sound(what: impl Into<String>, bytes: Vec<u8>, frames: &[(u8, &[u8])]) -> Case {
    refused(what, bytes, frames, 1000)
}

fn refused(what: impl Into<String>, bytes: Vec<u8>, frames: &[(u8, &[u8])], code: u16) -> Case {
    let frames = frames.iter().map(|(first, payload)| (*first, payload.to_vec())).collect();
    Case { what: what.into(), bytes, frames, code }
}

/// Runs each case whole, byte by byte, and in two pieces for each position of the cut.
fn check(cases: Vec<Case>) {
    assert!(!cases.is_empty());
    for case in &cases {
        // With a close frame at the end, for cases after which the server still reads.
        let bytes = [&case.bytes[..], &close(1000, "")].concat();
        let places = 1..bytes.len();
        check_in_pieces(case, &[&bytes]);
        // Long payloads are cut only in and around their headers.
        for place in places.filter(|place| *place < 40 || bytes.len() - place < 20) {
            let (first, second) = bytes.split_at(place);
            check_in_pieces(case, &[first, second]);
        }
        if bytes.len() < 300 {
            check_in_pieces(case, &bytes.chunks(1).collect::<Vec<_>>());
        }
    }
}

fn check_in_pieces(case: &Case, pieces: &[&[u8]]) {
    let simulation = network();
    let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
    let lengths: Vec<usize> = pieces.iter().map(Vec::len).collect();
    let mut frames = run(&simulation, |reactor| async move {
        let mut client = Client::upgraded(&reactor, "/echo").await?;
        // The server may have ended before the last piece.
        client.say_in_pieces(&pieces.iter().map(|piece| &piece[..]).collect::<Vec<_>>()).await.ok();
        client.rest().await
    });
    let what = format!("{} in pieces of {lengths:?}", case.what);
    let (first, payload) = frames.pop().unwrap_or_else(|| panic!("no close frame: {what}"));
    assert_eq!(first, FIN | CLOSE, "{what}");
    let code = payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code));
    assert!(payload.len() < 126 && std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok(), "{what}");
    assert_eq!(code, case.code, "{what}: {}", payload.escape_ascii());
    assert_eq!(frames, case.frames, "{what}");
}

#[test]
fn group_1_messages_of_every_length_come_back() {
    let mut cases = Vec::new();
    for kind in [TEXT, BINARY] {
        for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
            let payload = if kind == TEXT { vec![b'*'; length] } else { vec![0xfe; length] };
            cases.push(sound(format!("{kind}, {length} bytes"), frame(FIN | kind, &payload), &[(FIN | kind, &payload)]));
        }
    }
    let long_way =
        |length: &[u8]| [&[FIN | TEXT, 0x80 | if length.len() == 2 { 126 } else { 127 }], length, &[0; 4], b"hello"].concat();
    // "The minimal number of bytes MUST be used" (5.2) applies to the sender: tungstenite accepts more.
    for length in [&5_u16.to_be_bytes()[..], &5_u64.to_be_bytes()] {
        cases.push(sound("a length that takes more bytes than it must", long_way(length), &[(FIN | TEXT, b"hello")]));
    }
    for mask in [[0; 4], [0xff; 4], [1, 2, 3, 4]] {
        cases.push(sound(format!("mask {mask:?}"), masked(FIN | TEXT, mask, b"hello!"), &[(FIN | TEXT, b"hello!")]));
    }
    let unmasked = [header(FIN | TEXT, 0, 5), b"hello".to_vec()].concat();
    cases.push(refused("no mask", unmasked, &[], 1002));
    check(cases);
}

#[test]
fn group_2_a_ping_is_answered_with_the_same_and_a_pong_is_not_answered() {
    let long = [0xfe; 125];
    let mut cases = vec![
        sound("an unasked pong", frame(FIN | PONG, b""), &[]),
        sound("an unasked pong with a payload", frame(FIN | PONG, b"hello"), &[]),
        sound(
            "a pong and a ping",
            [frame(FIN | PONG, b"hello"), frame(FIN | PING, b"there?")].concat(),
            &[(FIN | PONG, b"there?")],
        ),
        refused("a ping of 126 bytes", frame(FIN | PING, &[0xfe; 126]), &[], 1002),
        refused("a pong of 126 bytes", frame(FIN | PONG, &[0xfe; 126]), &[], 1002),
    ];
    for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe, 0xfd, 0], &long] {
        cases.push(sound(format!("a ping of {} bytes", payload.len()), frame(FIN | PING, payload), &[(FIN | PONG, payload)]));
    }
    let pings: Vec<[u8; 1]> = (b'0'..=b'9').map(|digit| [digit]).collect();
    let bytes = pings.iter().flat_map(|ping| frame(FIN | PING, ping)).collect();
    cases.push(sound("ten pings", bytes, &pings.iter().map(|ping| (FIN | PONG, &ping[..])).collect::<Vec<_>>()));
    check(cases);
}

#[test]
fn group_3_reserved_bits_are_of_no_extension_that_was_agreed() {
    let mut cases = Vec::new();
    for bits in 1..=7 {
        for (kind, payload) in [(TEXT, &b"hello"[..]), (BINARY, b""), (PING, b"there?"), (CLOSE, &1000_u16.to_be_bytes())] {
            let bytes = [text("first"), frame(FIN | bits << 4 | kind, payload), frame(FIN | PING, b"")].concat();
            cases.push(refused(format!("bits {bits:03b} of {kind}"), bytes, &[(FIN | TEXT, b"first")], 1002));
        }
    }
    check(cases);
}

#[test]
fn group_4_unknown_opcodes_are_refused() {
    let mut cases = Vec::new();
    for opcode in (3..=7).chain(11..=15) {
        for payload in [&b""[..], b"hello"] {
            let bytes = [text("first"), frame(FIN | opcode, payload), frame(FIN | PING, b"")].concat();
            cases.push(refused(format!("opcode {opcode}"), bytes, &[(FIN | TEXT, b"first")], 1002));
        }
    }
    check(cases);
}

#[test]
fn group_5_fragments_are_one_message_and_control_frames_come_between() {
    let whole: &[(u8, &[u8])] = &[(FIN | TEXT, b"fragments")];
    let pong: &[(u8, &[u8])] = &[(FIN | PONG, b"there?"), (FIN | TEXT, b"fragments")];
    let [first, second, third] = [frame(TEXT, b"frag"), frame(CONTINUATION, b"men"), frame(FIN, b"ts")];
    let ping = frame(FIN | PING, b"there?");
    let join = |frames: &[&[u8]]| frames.concat();
    check(vec![
        refused("a ping in two", join(&[&frame(PING, b"the"), &frame(FIN, b"re?")]), &[], 1002),
        refused("a pong in two", join(&[&frame(PONG, b"the"), &frame(FIN, b"re?")]), &[], 1002),
        refused("a close in two", join(&[&frame(CLOSE, &1000_u16.to_be_bytes()), &frame(FIN, b"bye")]), &[], 1002),
        sound("three fragments", join(&[&first, &second, &third]), whole),
        sound("a ping behind the first", join(&[&first, &ping, &second, &third]), pong),
        sound("a ping behind the second", join(&[&first, &second, &ping, &third]), pong),
        sound("a pong between", join(&[&first, &frame(FIN | PONG, b""), &second, &third]), whole),
        sound(
            "each byte a fragment",
            join(&[&frame(TEXT, b"f"), &frame(0, b"r"), &frame(0, b"agment"), &frame(FIN, b"s")]),
            whole,
        ),
        sound("empty fragments", join(&[&frame(TEXT, b""), &frame(0, b"fragments"), &frame(0, b""), &frame(FIN, b"")]), whole),
        sound("nothing in fragments", join(&[&frame(TEXT, b""), &frame(0, b""), &frame(FIN, b"")]), &[(FIN | TEXT, b"")]),
        sound("binary fragments", join(&[&frame(BINARY, b"\xff"), &frame(FIN, b"\xfe")]), &[(FIN | BINARY, b"\xff\xfe")]),
        sound("two messages", join(&[&first, &second, &third, &text("next")]), &[whole[0], (FIN | TEXT, b"next")]),
        refused("the end of nothing", frame(FIN, b"ts"), &[], 1002),
        refused("a continuation of nothing", frame(CONTINUATION, b"men"), &[], 1002),
        refused("a continuation behind a message", join(&[&text("hello"), &third]), &[(FIN | TEXT, b"hello")], 1002),
        refused("a message in a message", join(&[&first, &text("hello")]), &[], 1002),
        refused("a beginning in a message", join(&[&first, &first]), &[], 1002),
        refused("bytes in a text", join(&[&first, &frame(FIN | BINARY, b"ments")]), &[], 1002),
        refused("a reserved bit on a continuation", join(&[&first, &frame(FIN | 0x40, b"ments")]), &[], 1002),
    ]);
}

/// tungstenite refuses at the end of the frame with the invalid byte: for a fragmented text, of the first such fragment.
#[test]
fn group_6_text_is_utf_8() {
    let mut cases = Vec::new();
    let sounds = [
        "κόσμε",
        "\0",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{ffff}",
        "\u{10000}",
        "\u{10ffff}",
    ];
    for good in sounds {
        cases.push(sound(good.escape_unicode().to_string(), text(good), &[(FIN | TEXT, good.as_bytes())]));
        // Each byte a fragment.
        let mut bytes = frame(TEXT, b"");
        bytes.extend(good.bytes().flat_map(|byte| frame(CONTINUATION, &[byte])));
        bytes.extend(frame(FIN, b""));
        cases.push(sound(format!("{} in fragments", good.escape_unicode()), bytes, &[(FIN | TEXT, good.as_bytes())]));
    }
    let wrong: &[&[u8]] = &[
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\xc0",
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xc1\xbf",
        b"\xc3",
        b"\xc3(",
        b"\xe0\x80",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf0\x9d\x84",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xfe\xfe\xff\xff",
    ];
    for bad in wrong {
        let what = bad.escape_ascii().to_string();
        let bytes = [b"\xce\xba", *bad].concat();
        cases.push(refused(what.clone(), frame(FIN | TEXT, &bytes), &[], 1007));
        let bytes = [frame(TEXT, b"\xce\xba"), frame(CONTINUATION, bad), frame(FIN | PING, b""), frame(FIN, b"a")].concat();
        let answered: &[(u8, &[u8])] =
            if std::str::from_utf8(bad).is_err_and(|error| error.error_len().is_none()) { &[(FIN | PONG, b"")] } else { &[] };
        cases.push(refused(format!("{what} in fragments"), bytes, answered, 1007));
        cases.push(sound(format!("{what} as bytes"), frame(FIN | BINARY, bad), &[(FIN | BINARY, bad)]));
    }
    check(cases);
}

#[test]
fn group_7_a_close_is_answered_with_its_code_and_ends_it() {
    let mut cases = vec![
        refused("no code", frame(FIN | CLOSE, b""), &[], 1005),
        refused("half a code", frame(FIN | CLOSE, b"\x03"), &[], 1002),
        refused("a reason", close(1000, "κόσμε"), &[], 1000),
        refused("the longest reason", close(1000, &"*".repeat(123)), &[], 1000),
        refused("a reason that is too long", close(1000, &"*".repeat(124)), &[], 1002),
        refused("a reason that is no text", frame(FIN | CLOSE, b"\x03\xe8\xce\xba\xed\xa0\x80"), &[], 1007),
        refused("a message first", [text("hello"), close(1001, "")].concat(), &[(FIN | TEXT, b"hello")], 1001),
        refused("two closes", [close(1001, ""), close(1002, "")].concat(), &[], 1001),
        refused("a ping behind it", [close(1001, ""), frame(FIN | PING, b"")].concat(), &[], 1001),
        refused("a message behind it", [close(1001, ""), text("hello")].concat(), &[], 1001),
        refused("in a message", [frame(TEXT, b"frag"), close(1001, ""), frame(FIN, b"ments")].concat(), &[], 1001),
        refused(
            "much behind it",
            [close(1001, ""), frame(FIN | BINARY, &[0; 30_000]), frame(FIN | BINARY, &[0; 30_000])].concat(),
            &[],
            1001,
        ),
    ];
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999] {
        cases.push(refused(format!("code {code}"), close(code, "so"), &[], code));
    }
    // 1014 was registered after tungstenite's list.
    for code in [0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(refused(format!("code {code}"), close(code, "so"), &[], 1002));
    }
    check(cases);
}

#[test]
fn group_9_what_is_too_long_is_refused_at_its_header() {
    let half = vec![0; 32_768];
    check(vec![
        refused("a frame of a byte too much", header(FIN | BINARY, 0x80, 65_537), &[], 1009),
        refused("the longest length", header(FIN | BINARY, 0x80, u64::MAX >> 1), &[], 1009),
        refused("a length with its highest bit set", header(FIN | BINARY, 0x80, u64::MAX), &[], 1009),
        refused("a ping of a gigabyte", header(FIN | PING, 0x80, 1 << 30), &[], 1009),
        sound("the most in fragments", [frame(BINARY, &half), frame(FIN, &half)].concat(), &[(FIN | BINARY, &[0; 65_536])]),
        refused("a byte more", [frame(BINARY, &half), frame(CONTINUATION, &half), frame(FIN, b"x")].concat(), &[], 1009),
    ]);
}

#[test]
fn group_10_a_message_of_many_frames_comes_back_whole() {
    let payload: Vec<u8> = (0..65_536_u32).map(|place| place as u8).collect();
    for size in [1, 1300] {
        let mut pieces: Vec<Vec<u8>> = payload.chunks(size).map(|piece| frame(CONTINUATION, piece)).collect();
        pieces[0][0] = BINARY;
        pieces.push(frame(FIN, b""));
        check_in_pieces(
            &sound(format!("frames of {size}"), vec![], &[(FIN | BINARY, &payload)]),
            &[&pieces.concat(), &close(1000, "")],
        );
    }
}

#[test]
fn a_frame_may_come_in_one_segment_with_the_request() {
    let simulation = network();
    let got = run(&simulation, |reactor| async move {
        let mut client = Client::connect(&reactor).await?;
        client.say(&[super::request("/echo", super::KEY).as_bytes(), &text("hello"), &close(1000, "")].concat()).await?;
        assert!(client.head().await?.starts_with("HTTP/1.1 101 "));
        client.rest().await
    });
    assert_eq!(got, [(FIN | TEXT, b"hello".to_vec()), (FIN | CLOSE, close_payload(1000, ""))]);
}
