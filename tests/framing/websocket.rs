//! The WebSocket example against hand-made frames. For real clients: `tests/interop/run websockets ws`.

use std::net::SocketAddr;
use std::time::Duration;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use torsade::{MemoryPeer, MemoryReactor};

#[allow(dead_code)]
#[path = "../../examples/websocket_echo/main.rs"]
mod websocket_echo;

const DEFLATE: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// A client whose peer is the example.
struct Client {
    reactor: MemoryReactor,
    peer: MemoryPeer,
    deflate: Compress,
    inflate: Decompress,
}

impl Client {
    fn new() -> Self {
        Self::with_limit(1 << 20)
    }

    fn with_limit(max_message: usize) -> Self {
        let reactor = MemoryReactor::new();
        websocket_echo::start(&reactor, "127.0.0.1:8765", max_message).expect("a port");
        let [there, here] = [8765, 50_000].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let peer = reactor.connect_peer(here, there).expect("it listens");
        Self { reactor, peer, deflate: Compress::new(Compression::default(), false), inflate: Decompress::new(false) }
    }

    /// A client whose upgrade was answered; its request has these extensions.
    fn upgraded(extensions: &str) -> Self {
        let client = Self::new();
        let answer = client.say(request(extensions).as_bytes());
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", answer.escape_ascii());
        client
    }

    fn say(&self, bytes: &[u8]) -> Vec<u8> {
        self.peer.send(bytes);
        for _ in 0..200 {
            self.reactor.advance(Duration::ZERO);
        }
        self.peer.take_received()
    }

    fn pack(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut wire = Vec::with_capacity(plain.len() + 100);
        self.deflate.compress_vec(plain, &mut wire, FlushCompress::Sync).expect("an encoder");
        wire.strip_suffix(&TAIL).expect("a flush").to_vec()
    }

    fn unpack(&mut self, wire: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(2 << 20);
        self.inflate.decompress_vec(&[wire, &TAIL].concat(), &mut plain, FlushDecompress::Sync).expect("a stream");
        plain
    }
}

fn request(extensions: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: localhost\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extensions}\r\n"
    )
}

/// A frame as clients send it: `first` is the flags and the opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..0x1_0000 => frame.extend([&[0x80 | 126][..], &(length as u16).to_be_bytes()].concat()),
        length => frame.extend([&[0x80 | 127][..], &(length as u64).to_be_bytes()].concat()),
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The frames that the server sent: flags and opcode, and the payload.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, short, rest @ ..] = bytes {
        let (length, rest) = match short {
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => (u64::from_be_bytes(rest[..8].try_into().unwrap()) as usize, &rest[8..]),
            short => (usize::from(*short), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    frames
}

fn closed_with(code: u16) -> Vec<(u8, Vec<u8>)> {
    vec![(0x88, code.to_be_bytes().to_vec())]
}

#[test]
fn the_key_is_answered_as_in_rfc_6455() {
    let answer = Client::new().say(request("").as_bytes());
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(!answer.contains("Extensions"), "nothing was offered: {answer}");
}

#[test]
fn the_first_offer_that_can_be_taken_is_taken() {
    let answered = |offers: &str| {
        let answer = Client::new().say(request(&format!("Sec-WebSocket-Extensions: {offers}\r\n")).as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        answer.split("\r\n").find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: ")).map(str::to_owned)
    };
    let deflate = |parameters: &str| Some(format!("permessage-deflate{parameters}"));
    assert_eq!(answered("permessage-deflate"), deflate(""));
    assert_eq!(answered("permessage-deflate; client_max_window_bits=10"), deflate(""));
    assert_eq!(answered("x-snappy, permessage-deflate;server_max_window_bits=9"), deflate("; server_max_window_bits=9"));
    assert_eq!(answered("permessage-deflate; server_max_window_bits=8, permessage-deflate"), deflate(""));
    assert_eq!(
        answered("permessage-deflate; client_no_context_takeover; server_no_context_takeover"),
        deflate("; server_no_context_takeover; client_no_context_takeover")
    );
    for refused in ["window_bits", "server_max_window_bits=+10", "server_no_context_takeover=1", "server_max_window_bits"] {
        assert_eq!(answered(&format!("permessage-deflate; {refused}")), None, "{refused}");
    }
    assert_eq!(answered("permessage-deflate; server_no_context_takeover; server_no_context_takeover"), None);
}

#[test]
fn what_is_not_a_websocket_request_is_refused_in_http() {
    let no_key = request("").replace("Sec-WebSocket-Key", "Key");
    let old = request("").replace("Version: 13", "Version: 8");
    for (request, wanted) in [
        ("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "),
        (&request("").replace("GET", "POST"), "HTTP/1.1 400 "),
        (&no_key, "HTTP/1.1 400 "),
        (&old, "HTTP/1.1 426 "),
        (&"x".repeat(9000), "HTTP/1.1 400 "),
        (&request("Sec-WebSocket-Extensions: permessage-deflate; =\r\n"), "HTTP/1.1 400 "),
    ] {
        let client = Client::new();
        let answer = client.say(request.as_bytes());
        assert!(answer.starts_with(wanted.as_bytes()), "{request}: {}", answer.escape_ascii());
        assert!(client.peer.has_end());
    }
}

#[test]
fn frames_may_follow_the_request_in_one_segment_and_come_byte_by_byte() {
    let client = Client::new();
    let answer = client.say(&[request("").as_bytes(), &frame(0x81, b"hello")].concat());
    assert!(answer.ends_with(b"\r\n\r\n\x81\x05hello"), "{}", answer.escape_ascii());
    let mut got = Vec::new();
    for byte in [frame(0x82, &[7; 300]), frame(0x81, b"")].concat() {
        got.extend(client.say(&[byte]));
    }
    assert_eq!(frames(&got), [(0x82, vec![7; 300]), (0x81, vec![])]);
}

#[test]
fn a_fragmented_compressed_message_is_one_message_and_control_frames_may_come_between() {
    let mut client = Client::upgraded(DEFLATE);
    let text = "the same again, and again the same; ".repeat(30);
    let packed = client.pack(text.as_bytes());
    let (first, rest) = packed.split_at(packed.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let parts = [frame(0x41, first), frame(0x89, b"there?"), frame(0x00, second), frame(0x8a, b""), frame(0x80, third)];
    let got = frames(&client.say(&parts.concat()));
    assert_eq!(got[0], (0x8a, b"there?".to_vec()), "the pong does not wait");
    assert_eq!((got.len(), got[1].0), (2, 0xc1), "{got:?}");
    assert_eq!(client.unpack(&got[1].1), text.as_bytes());
}

#[test]
fn the_context_is_kept_from_message_to_message_unless_that_was_agreed_not_to_be() {
    let text = b"no word of it stands in it more than once, quickly jumping over foxes";
    let lengths = |client: &mut Client, fresh: bool| {
        let mut length = || {
            let packed = client.pack(text);
            if fresh {
                client.deflate.reset();
            }
            let got = frames(&client.say(&frame(0xc1, &packed)));
            assert_eq!(client.unpack(&got[0].1), text);
            if fresh {
                client.inflate.reset(false);
            }
            got[0].1.len()
        };
        [length(), length()]
    };
    let [first, second] = lengths(&mut Client::upgraded(DEFLATE), false);
    assert!(second < first / 4, "{first} {second}");
    let none = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    let [first, second] = lengths(&mut Client::upgraded(none), true);
    assert_eq!(first, second);
}

#[test]
fn a_client_may_leave_a_message_uncompressed_or_end_its_stream_in_one() {
    let mut client = Client::upgraded(DEFLATE);
    let got = frames(&client.say(&frame(0x81, b"plain")));
    assert_eq!(client.unpack(&got[0].1), b"plain");
    // RFC 7692, 7.2.3.5: a final block, and the byte that continues before the tail.
    for _ in 0..2 {
        let got = frames(&client.say(&frame(0xc1, &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00])));
        assert_eq!(client.unpack(&got[0].1), b"Hello");
    }
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let mut client = Client::upgraded(DEFLATE);
    let zeros = vec![0; 1 << 20];
    let fits = client.pack(&zeros);
    let got = frames(&client.say(&frame(0xc2, &fits)));
    assert_eq!(client.unpack(&got[0].1), zeros, "a message exactly at the limit");
    let bomb: Vec<u8> = (0..64).flat_map(|_| [client.pack(&zeros), TAIL.to_vec()].concat()).collect();
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert_eq!(frames(&client.say(&frame(0xc2, &bomb))), closed_with(1009));
    assert!(client.peer.has_end());
}

#[test]
fn a_message_of_many_megabytes_is_sent_back_as_it_arrives_to_a_peer_that_reads_slowly() {
    let client = Client::with_limit(20 << 20);
    client.say(request("").as_bytes());
    let message: Vec<u8> = (0..5_u32 << 20).flat_map(u32::to_le_bytes).collect();
    client.peer.set_room(100_000);
    client.peer.send(&frame(0x82, &message));
    let mut got = Vec::new();
    while got.len() < message.len() {
        let piece = client.say(b"");
        assert!(!piece.is_empty() && !client.peer.has_end(), "after {} bytes", got.len());
        got.extend(piece);
    }
    let frames = frames(&got);
    assert!(frames.len() > 20, "{} fragments", frames.len());
    assert_eq!((frames[0].0, frames.last().map(|(first, _)| *first)), (0x02, Some(0x80)));
    assert!(frames.into_iter().flat_map(|(_, payload)| payload).eq(message));
}

#[test]
fn text_is_refused_at_the_first_byte_that_cannot_be_of_it() {
    for (sound, wrong) in
        [("κόσμε", &b"\xf4\x90"[..]), ("", b"\xff"), ("a", b"\xc3("), ("", b"\xe0\x80"), ("ü", b"\xed\xa0"), ("€𝄞", b"\x80")]
    {
        for packed in [false, true] {
            let mut client = Client::upgraded(DEFLATE);
            let text = [sound.as_bytes(), wrong, &b" and so on".repeat(100)[..]].concat();
            // Stored blocks, with five bytes before the text, so that each byte can be read as soon as it arrives.
            client.deflate = Compress::new(Compression::none(), false);
            let (flags, before, payload) = if packed { (0xc1, 5, client.pack(&text)) } else { (0x81, 0, text) };
            let frame = frame(flags, &payload);
            let until = frame.len() - payload.len() + before + sound.len() + wrong.len();
            for (at, byte) in frame[..until].iter().enumerate() {
                let wanted = if at + 1 == until { closed_with(1007) } else { vec![] };
                let what = format!("{sound} {} {packed}, byte {at} of {until}", wrong.escape_ascii());
                assert_eq!(frames(&client.say(&[*byte])), wanted, "{what}");
            }
        }
    }
    // A character may be cut anywhere, also between fragments, but not by the end.
    let client = Client::upgraded("");
    let parts = [frame(0x01, b"\xf0"), frame(0x00, b"\x9d\x84"), frame(0x80, b"\x9e")].concat();
    let got: Vec<u8> = parts.iter().flat_map(|byte| client.say(&[*byte])).collect();
    assert_eq!(frames(&got), [(0x81, "𝄞".into())]);
    assert_eq!(frames(&client.say(&frame(0x81, b"\xf0\x9d\x84"))), closed_with(1007));
}

#[test]
fn every_violation_has_its_close_code() {
    for (what, bytes, code) in [
        ("not masked", vec![0x81, 2, b'h', b'i'], 1002),
        ("a reserved bit", frame(0xa1, b"hi"), 1002),
        ("an unknown opcode", frame(0x83, b"hi"), 1002),
        ("a long ping", frame(0x89, &[0; 126]), 1002),
        ("a ping in fragments", frame(0x09, b"hi"), 1002),
        ("a compressed ping", frame(0xc9, b"hi"), 1002),
        ("a continuation of nothing", frame(0x80, b"hi"), 1002),
        ("a message in a message", [frame(0x01, b"hi"), frame(0x81, b"hi")].concat(), 1002),
        ("a compressed continuation", [frame(0x01, b"hi"), frame(0xc0, b"hi")].concat(), 1002),
        ("no deflate stream", frame(0xc1, b"\xff\xff\xff"), 1002),
        ("no text", frame(0x81, b"\xff\xfe"), 1007),
        ("a frame that is too long", frame(0x82, &[0; (1 << 20) + 1])[..14].to_vec(), 1009),
        (
            "fragments that are too long",
            [frame(0x02, &[0; 1 << 19]), frame(0x00, &[0; 1 << 19]), frame(0x80, b"x")].concat(),
            1009,
        ),
        ("half a close code", frame(0x88, b"x"), 1002),
        ("a reserved close code", frame(0x88, &1006_u16.to_be_bytes()), 1002),
        ("a close", frame(0x88, &[&1000_u16.to_be_bytes()[..], b"bye"].concat()), 1000),
        ("a close of one's own", frame(0x88, &4321_u16.to_be_bytes()), 4321),
    ] {
        let client = Client::upgraded(DEFLATE);
        assert_eq!(frames(&client.say(&bytes)), closed_with(code), "{what}");
        assert!(client.peer.has_end(), "{what}");
    }
    let client = Client::upgraded("");
    assert_eq!(frames(&client.say(&frame(0xc1, b"hi"))), closed_with(1002), "compressed, although that was not agreed");
    assert_eq!(frames(&Client::upgraded("").say(&frame(0x88, b""))), [(0x88, vec![])], "a close without a code");
}

#[test]
fn arbitrary_bytes_are_answered_with_a_close_code_or_waited_for() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut luck = || {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let mut closed = 0;
    for _ in 0..500 {
        let client = Client::upgraded(DEFLATE);
        let payload: Vec<u8> = (0..luck() % 40).map(|_| luck()).collect();
        // A valid frame with random content, often compressed, and random bytes after it.
        let first = [0xc1, 0xc2, 0x41, 0x02, 0x89, 0x88, luck()][usize::from(luck() % 7)];
        let mut bytes = frame(first, &payload);
        bytes.extend((0..luck() % 60).map(|_| luck()));
        let answers = frames(&client.say(&bytes));
        let close = answers.iter().position(|(first, _)| *first == 0x88);
        assert!(close.is_none_or(|at| at + 1 == answers.len()), "{answers:?} to {}", bytes.escape_ascii());
        assert_eq!(close.is_some(), client.peer.has_end(), "it failed: {}", bytes.escape_ascii());
        closed += usize::from(close.is_some());
    }
    assert!((100..500).contains(&closed), "{closed}: some are waited for");
}
