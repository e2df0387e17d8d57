//! Events: sent as soon as there are any, also when compressed, and ended with the client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;

use serde_json::Value;
use torsade::content_coding::ContentDecoder;
use torsade::{Decompression, Format};

use crate::asking::{Served, ask, ask_with_body, connect};
use crate::programs::{server_sent_events, web_server};
use crate::simulated::heard;

fn add(address: SocketAddr, text: &str) {
    let note = format!("{{\"text\": \"{text}\"}}");
    assert_eq!(ask_with_body(address, "POST /notes\ncontent-type: application/json", note.as_bytes()).status, 201);
}

fn listeners(address: SocketAddr) -> u64 {
    let status: Value = serde_json::from_slice(&ask(address, "GET /status").body).unwrap();
    status["listeners"].as_u64().unwrap()
}

/// Reads up to a line that begins with `start`.
fn find(reader: &mut impl BufRead, start: &str) -> String {
    let lines = reader.lines().map(|line| line.unwrap());
    { lines }.find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("the stream ended before {start:?}"))
}

#[test]
fn events_come_one_by_one_and_from_where_the_client_was() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    add(served.address, "before");
    let mut stream = BufReader::new(connect(served.address));
    stream.get_mut().write_all(b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    assert_eq!(find(&mut stream, "content-type"), "content-type: text/event-stream");
    assert_eq!(find(&mut stream, "data:"), r#"data: {"id":1,"text":"before"}"#);
    for number in 2..5 {
        // The previous event has arrived, and only then is the next one made.
        add(served.address, "later");
        assert_eq!(find(&mut stream, "id:"), format!("id: {number}"));
    }
    let mut again = BufReader::new(connect(served.address));
    again.get_mut().write_all(b"GET /events HTTP/1.1\r\nhost: test\r\nlast-event-id: 3\r\n\r\n").unwrap();
    assert_eq!(find(&mut again, "id:"), "id: 4");
    assert_eq!(listeners(served.address), 2);
}

#[test]
fn the_server_notices_a_client_that_has_left() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let mut stream = BufReader::new(connect(served.address));
    stream.get_mut().write_all(b"GET /events HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    find(&mut stream, "content-type");
    assert_eq!(listeners(served.address), 1);
    drop(stream);
    // The client may have ended only its own stream: an event that it does not take shows that it has gone.
    while listeners(served.address) > 0 {
        add(served.address, "is anybody there?");
    }
}

#[test]
fn events_come_through_compression_as_they_are_made() {
    let served = Served::new(|reactor| web_server::start(reactor, "127.0.0.1:0", "."));
    let mut stream = BufReader::new(connect(served.address));
    stream.get_mut().write_all(b"GET /events HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip\r\n\r\n").unwrap();
    assert_eq!(find(&mut stream, "content-encoding"), "content-encoding: gzip");
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).unwrap();
    }
    let mut decoder = ContentDecoder::new(Decompression::from(Format::Gzip)).unwrap();
    let mut plain = Vec::new();
    for text in ["first", "second"] {
        add(served.address, text);
        while !plain.ends_with(format!("\"text\":\"{text}\"}}\n\n").as_bytes()) {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let mut chunk = vec![0; usize::from_str_radix(line.trim_end(), 16).unwrap() + 2];
            stream.read_exact(&mut chunk).unwrap();
            let mut wire = &chunk[..chunk.len() - 2];
            while decoder.decode(&mut wire, &mut plain, 64 << 10).unwrap() {}
        }
    }
}

#[test]
fn a_silent_stream_has_a_heartbeat_and_is_hit_by_no_deadline() {
    let heard = heard(|reactor| web_server::start(reactor, "tcp:80", "."), "/events", 200);
    assert_eq!(heard.matches("\n:").count(), 200 / 15, "{heard}");
    assert!(heard.starts_with("HTTP/1.1 200"), "{heard}");
}

#[test]
fn ticks_come_once_a_second() {
    let heard = heard(|reactor| server_sent_events::start(reactor, "tcp:80"), "/events", 100);
    assert!((99..=101).contains(&heard.matches("data: tick").count()), "{heard}");
}
