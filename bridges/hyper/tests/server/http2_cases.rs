//! What RFC 9113 and RFC 7541 require of a server, case by case, in the order of h2spec.

use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use torsade_hyper::{HttpServer, RequestBody};

use crate::frames::*;
use crate::world::{Answer, World};

#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The next request is answered.
    Fine,
    /// The connection ends, with one of these codes.
    Connection(&'static [u32]),
    /// The stream or the connection ends, with one of these codes; the next request need not be answered.
    Stream(&'static [u32]),
}
use Outcome::{Connection, Fine, Stream};

/// GET / and POST /, with `host` as its authority.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

const OPEN: u8 = END_HEADERS;
const WHOLE: u8 = END_HEADERS | END_STREAM;

/// For frames of a wrong size and blocks that cannot be decoded h2 may also send the more general code.
const SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
const FLOW: &[u32] = &[FLOW_CONTROL_ERROR];
const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
const COMPRESSION: &[u32] = &[COMPRESSION_ERROR, PROTOCOL_ERROR];

/// A header that is in no table and is not added to one.
fn header(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).expect("short");
    [&[0, length(name)], name.as_bytes(), &[length(value)], value.as_bytes()].concat()
}

/// A request with these headers, in one frame.
fn request(pieces: &[&[u8]]) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &pieces.concat())
}

fn setting(number: u8, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&[0, number], &value.to_be_bytes()[..]].concat())
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

fn check(cases: &[(&str, Vec<Vec<u8>>, Outcome)]) {
    for (name, frames, outcome) in cases {
        let world = World::new(HttpServer::new(service_fn(|request: Request<RequestBody>| async move {
            if request.uri().path() == "/never" {
                std::future::pending::<()>().await;
            }
            request.into_body().collect().await?;
            Answer::Ok(Response::new(Full::from("hello")))
        })));
        let client = talk(&world, &[], frames);
        if !client.ended() {
            client.send(get(1001, "/"));
        }
        world.run_for(1);
        let (fine, ended) = (is_answered(&client, 1001), client.ended());
        let (connection, stream) = (codes(&client, GOAWAY), codes(&client, RST_STREAM));
        let any = |codes: &[u32], found: &[u32]| found.iter().any(|code| codes.contains(code));
        let good = match outcome {
            Fine => fine && connection.is_empty(),
            Connection(codes) => any(codes, &connection) && ended,
            Stream(codes) => any(codes, &stream) && fine || any(codes, &connection) && ended,
        };
        assert!(
            good,
            "{name}: {outcome:?} expected, but GOAWAY {connection:?}, RST_STREAM {stream:?}, the next answered: {fine}"
        );
    }
}

#[test]
fn frames_and_header_blocks() {
    let (first, rest) = GET.split_at(2);
    check(&[
        ("4.1 an unknown frame", vec![frame(0x16, 0, 0, b"12345678")], Fine),
        ("4.1 undefined flags", vec![frame(PING, 0x16, 0, b"12345678")], Fine),
        ("4.1 the reserved bit", vec![frame(PING, 0, 1 << 31, b"12345678")], Fine),
        ("4.2 the longest DATA", vec![frame(HEADERS, OPEN, 1, POST), frame(DATA, END_STREAM, 1, &[0; 1 << 14])], Fine),
        ("4.2 DATA too long", vec![frame(HEADERS, OPEN, 1, POST), frame(DATA, 0, 1, &[0; 1 << 15])], Connection(SIZE)),
        ("4.2 HEADERS too long", vec![frame(HEADERS, WHOLE, 1, &[0; 1 << 15])], Connection(SIZE)),
        ("4.3 a block that is none", vec![frame(HEADERS, WHOLE, 1, &[0x80])], Connection(COMPRESSION)),
        ("4.3 PRIORITY in a block", vec![frame(HEADERS, 1, 1, first), frame(PRIORITY, 0, 1, &[0; 5])], Connection(PROTOCOL)),
        ("4.3 another stream in a block", vec![frame(HEADERS, 1, 1, first), get(3, "/")], Connection(PROTOCOL)),
        ("5.5 an unknown frame in a block", vec![frame(HEADERS, 1, 1, first), frame(0x16, 0, 0, b"x")], Connection(PROTOCOL)),
        ("6.10 CONTINUATION", vec![frame(HEADERS, 1, 1, first), frame(CONTINUATION, 4, 1, rest)], Fine),
        ("6.10 of no stream", vec![frame(HEADERS, 1, 1, first), frame(CONTINUATION, 4, 0, rest)], Connection(PROTOCOL)),
        ("6.10 of another stream", vec![frame(HEADERS, 1, 1, first), frame(CONTINUATION, 4, 3, rest)], Connection(PROTOCOL)),
        ("6.10 behind the end", vec![frame(HEADERS, OPEN, 1, POST), frame(CONTINUATION, 4, 1, rest)], Connection(PROTOCOL)),
        ("6.10 behind DATA", vec![frame(HEADERS, 0, 1, POST), frame(DATA, 1, 1, b"x")], Connection(PROTOCOL)),
    ]);
}

#[test]
fn the_states_of_streams() {
    let never = |stream| get(stream, "/never");
    check(&[
        ("5.1 idle: DATA", vec![frame(DATA, 1, 1, b"x")], Connection(PROTOCOL)),
        ("5.1 idle: RST_STREAM", vec![reset(1)], Connection(PROTOCOL)),
        ("5.1 idle: WINDOW_UPDATE", vec![window(1, 100)], Connection(PROTOCOL)),
        ("5.1 idle: CONTINUATION", vec![frame(CONTINUATION, 4, 1, GET)], Connection(PROTOCOL)),
        ("5.1 half-closed: DATA", vec![never(1), frame(DATA, 1, 1, b"x")], Stream(CLOSED)),
        ("5.1 half-closed: HEADERS", vec![never(1), frame(HEADERS, WHOLE, 1, GET)], Stream(CLOSED)),
        ("5.1 half-closed: CONTINUATION", vec![never(1), frame(CONTINUATION, 4, 1, GET)], Connection(CLOSED)),
        ("5.1 half-closed: WINDOW_UPDATE", vec![never(1), window(1, 100)], Fine),
        ("5.1 half-closed: PRIORITY", vec![never(1), frame(PRIORITY, 0, 1, &[0; 5])], Fine),
        ("5.1 half-closed: RST_STREAM", vec![never(1), reset(1)], Fine),
        ("5.1 reset: DATA", vec![frame(HEADERS, OPEN, 1, POST), reset(1), frame(DATA, 1, 1, b"x")], Stream(CLOSED)),
        ("5.1 reset: HEADERS", vec![frame(HEADERS, OPEN, 1, POST), reset(1), frame(HEADERS, WHOLE, 1, GET)], Stream(CLOSED)),
        ("5.1.1 an even number", vec![get(2, "/")], Connection(PROTOCOL)),
        ("5.1.1 a lower number", vec![get(5, "/"), get(3, "/")], Connection(CLOSED)),
        (
            "5.1.2 too many",
            (0..129).map(|i| never(2 * i + 1)).chain([reset(1)]).collect(),
            Stream(&[REFUSED_STREAM, PROTOCOL_ERROR]),
        ),
        ("6.6 PUSH_PROMISE", vec![frame(PUSH_PROMISE, 4, 1, &[&[0, 0, 0, 2], GET].concat())], Connection(PROTOCOL)),
    ]);
}

#[test]
fn each_kind_of_frame() {
    let open = || frame(HEADERS, OPEN, 1, POST);
    let padded = [&[9], GET].concat();
    let itself = [&[0, 0, 0, 1, 9], GET].concat();
    check(&[
        ("5.3.1 HEADERS that depend on themselves", vec![frame(HEADERS, WHOLE | WITH_PRIORITY, 1, &itself)], Stream(PROTOCOL)),
        ("6.1 DATA of no stream", vec![open(), frame(DATA, 1, 0, b"x")], Connection(PROTOCOL)),
        ("6.1 DATA of padding that is too long", vec![open(), frame(DATA, 1 | PADDED, 1, &[6, 1, 2])], Connection(PROTOCOL)),
        ("6.1 DATA with padding", vec![open(), frame(DATA, 1 | PADDED, 1, &[1, 1, 0])], Fine),
        ("6.2 HEADERS of no stream", vec![frame(HEADERS, WHOLE, 0, GET)], Connection(PROTOCOL)),
        ("6.2 HEADERS of padding that is too long", vec![frame(HEADERS, WHOLE | PADDED, 1, &padded)], Connection(PROTOCOL)),
        ("6.3 PRIORITY of no stream", vec![frame(PRIORITY, 0, 0, &[0; 5])], Connection(PROTOCOL)),
        ("6.3 PRIORITY of 4 bytes", vec![open(), frame(PRIORITY, 0, 1, &[0; 4])], Stream(SIZE)),
        ("6.4 RST_STREAM of no stream", vec![reset(0)], Connection(PROTOCOL)),
        ("6.4 RST_STREAM of 3 bytes", vec![open(), frame(RST_STREAM, 0, 1, &[0; 3])], Connection(SIZE)),
        ("6.5 an acknowledgement that says something", vec![frame(SETTINGS, 1, 0, &[0; 6])], Connection(SIZE)),
        ("6.5 SETTINGS of a stream", vec![frame(SETTINGS, 0, 1, &[])], Connection(PROTOCOL)),
        ("6.5 SETTINGS of 3 bytes", vec![frame(SETTINGS, 0, 0, &[0; 3])], Connection(SIZE)),
        ("6.5.2 ENABLE_PUSH of 2", vec![setting(2, 2)], Connection(PROTOCOL)),
        ("6.5.2 a window that is too large", vec![setting(4, 1 << 31)], Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR])),
        ("6.5.2 frames that are too small", vec![setting(5, 16383)], Connection(PROTOCOL)),
        ("6.5.2 frames that are too large", vec![setting(5, 1 << 24)], Connection(PROTOCOL)),
        ("6.5.2 an unknown setting", vec![setting(0xff, 1)], Fine),
        ("6.7 an answer to no PING", vec![frame(PING, 1, 0, b"invalid!")], Fine),
        ("6.7 PING of a stream", vec![frame(PING, 0, 1, b"12345678")], Connection(PROTOCOL)),
        ("6.7 PING of 6 bytes", vec![frame(PING, 0, 0, b"123456")], Connection(SIZE)),
        ("6.8 GOAWAY of a stream", vec![frame(GOAWAY, 0, 1, &[0; 8])], Connection(PROTOCOL)),
        ("6.9 no more room for all", vec![window(0, 0)], Connection(PROTOCOL)),
        ("6.9 no more room for one", vec![open(), window(1, 0)], Stream(PROTOCOL)),
        ("6.9 WINDOW_UPDATE of 3 bytes", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])], Connection(SIZE)),
        ("6.9.1 too much room for all", vec![window(0, (1 << 31) - 1)], Connection(FLOW)),
        ("6.9.1 too much room for one", vec![open(), window(1, (1 << 31) - 1)], Stream(FLOW)),
        ("6.9.2 a setting that makes it too much", vec![open(), window(1, 1 << 30), setting(4, (1 << 31) - 1)], Stream(FLOW)),
    ]);
}

#[test]
fn requests_that_are_malformed() {
    let with = |name: &str, value: &str| vec![request(&[GET, &header(name, value)])];
    let length = |of: &str| frame(HEADERS, OPEN, 1, &[POST, &header("content-length", of)].concat());
    let open = || frame(HEADERS, OPEN, 1, POST);
    let trailers = [header("x", "y"), header(":method", "GET")].concat();
    let authority = &[0x41, 1, b'a'][..];
    check(&[
        ("8.1 trailers that do not end", vec![open(), frame(HEADERS, OPEN, 1, &header("x", "y"))], Stream(PROTOCOL)),
        ("8.1 trailers", vec![open(), frame(HEADERS, WHOLE, 1, &header("x", "y"))], Fine),
        ("8.1.1 a length that is too large", vec![length("2"), frame(DATA, 1, 1, b"x")], Stream(PROTOCOL)),
        (
            "8.1.1 a length that is too small",
            vec![length("1"), frame(DATA, 0, 1, b"x"), frame(DATA, 1, 1, b"y")],
            Stream(PROTOCOL),
        ),
        ("8.1.1 a length that is right", vec![length("2"), frame(DATA, 0, 1, b"x"), frame(DATA, 1, 1, b"y")], Fine),
        ("8.2.1 capitals in a name", with("X-Test", "y"), Stream(PROTOCOL)),
        ("8.2.2 connection", with("connection", "keep-alive"), Stream(PROTOCOL)),
        ("8.2.2 transfer-encoding", with("transfer-encoding", "chunked"), Stream(PROTOCOL)),
        ("8.2.2 te", with("te", "trailers, deflate"), Stream(PROTOCOL)),
        ("8.2.2 te: trailers", with("te", "trailers"), Fine),
        ("8.3 an unknown pseudo-header", with(":test", "y"), Stream(PROTOCOL)),
        ("8.3 that of an answer", with(":status", "200"), Stream(PROTOCOL)),
        ("8.3 one in the trailers", vec![open(), frame(HEADERS, WHOLE, 1, &trailers)], Stream(PROTOCOL)),
        (
            "8.3 one behind another header",
            vec![request(&[&[0x82, 0x86], authority, &header("x", "y"), &[0x84]])],
            Stream(PROTOCOL),
        ),
        ("8.3.1 an empty path", vec![request(&[&[0x82, 0x86, 0x04, 0], authority])], Stream(PROTOCOL)),
        ("8.3.1 no method", vec![request(&[&[0x86, 0x84], authority])], Stream(PROTOCOL)),
        ("8.3.1 no scheme", vec![request(&[&[0x82, 0x84], authority])], Stream(PROTOCOL)),
        ("8.3.1 no path", vec![request(&[&[0x82, 0x86], authority])], Stream(PROTOCOL)),
        ("8.3.1 two methods", vec![request(&[&[0x82, 0x82, 0x86, 0x84], authority])], Stream(PROTOCOL)),
        ("8.3.1 two schemes", vec![request(&[&[0x82, 0x86, 0x86, 0x84], authority])], Stream(PROTOCOL)),
        ("8.3.1 two paths", vec![request(&[&[0x82, 0x86, 0x84, 0x84], authority])], Stream(PROTOCOL)),
        ("HPACK 2.3.3 an index past the tables", vec![request(&[GET, &[0xc6]])], Connection(COMPRESSION)),
        ("HPACK 4.2 a table that is too large", vec![request(&[&[0x3f, 0xe2, 0x1f], GET])], Connection(COMPRESSION)),
        ("HPACK 4.2 a size behind headers", vec![request(&[GET, &[0x20]])], Connection(COMPRESSION)),
        ("HPACK 5.1 a number without end", vec![request(&[GET, &[0xff; 12]])], Connection(COMPRESSION)),
        (
            "HPACK 5.2 padding of Huffman's of 8 bits",
            vec![request(&[GET, &[0, 1, b'x', 0x82, 0x1f, 0xff]])],
            Connection(COMPRESSION),
        ),
        ("HPACK 5.2 padding with zeros", vec![request(&[GET, &[0, 1, b'x', 0x81, 0x18]])], Connection(COMPRESSION)),
        (
            "HPACK 5.2 an end in a string",
            vec![request(&[GET, &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]])],
            Connection(COMPRESSION),
        ),
        ("HPACK 6.1 the index 0", vec![request(&[GET, &[0x80]])], Connection(COMPRESSION)),
    ]);
}
