//! Content codings, as the client prefers them.

use std::path::Path;

use torsade::Decompression;
use torsade::content_coding::{self, ContentDecoder};

use crate::asking::{Answer, Folder, Served, ask};
use crate::programs::web_server;

fn served(folder: &Path) -> Served {
    let folder = folder.to_owned();
    Served::new(move |reactor| web_server::start(reactor, "127.0.0.1:0", folder))
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let coding = answer.header("content-encoding");
    if coding.is_empty() {
        return answer.body.clone();
    }
    let format = content_coding::format(coding).expect("a coding");
    let mut decoder = ContentDecoder::new(Decompression::from(format)).unwrap();
    let (mut wire, mut plain) = (&answer.body[..], Vec::new());
    while decoder.decode(&mut wire, &mut plain, 64 << 10).unwrap() {}
    decoder.finish().unwrap();
    plain
}

#[test]
fn text_is_compressed_as_the_client_likes_it() {
    let folder = Folder::new("encodings");
    let text = "all work and no play makes jack a dull boy\n".repeat(10_000);
    folder.file("text.txt", &text);
    let served = served(&folder.0);
    for (accepted, coding) in [
        ("accept-encoding: gzip, deflate, br, zstd", "zstd"),
        ("accept-encoding: gzip", "gzip"),
        ("accept-encoding: x-gzip", "gzip"),
        ("accept-encoding: zstd;q=0.5, gzip;q=0.6", "gzip"),
        ("accept-encoding: br\naccept-encoding: gzip", "gzip"),
        ("accept-encoding: *", "zstd"),
        ("accept-encoding: identity", ""),
        ("accept-encoding: br", ""),
        ("accept-encoding: gzip;q=0", ""),
        ("accept-encoding:", ""),
        ("accept-encoding: identity;q=0", ""), // nothing is acceptable: sent uncompressed
        ("", ""),
    ] {
        let answer = ask(served.address, &format!("GET /files/text.txt\n{accepted}"));
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding), "{accepted}");
        assert_eq!(answer.header("vary"), "accept-encoding", "{accepted}");
        // Ranges refer to the uncompressed file.
        assert_eq!(answer.header("accept-ranges"), if coding.is_empty() { "bytes" } else { "" }, "{accepted}");
        assert_eq!(decoded(&answer), text.as_bytes(), "{accepted}");
        assert_eq!(answer.body.len() < text.len() / 10, !coding.is_empty(), "{accepted}");
        let head = ask(served.address, &format!("HEAD /files/text.txt\n{accepted}"));
        for header in ["content-encoding", "vary", "accept-ranges", "content-length"] {
            assert_eq!(head.header(header), answer.header(header), "{header} for {accepted}");
        }
    }
}

#[test]
fn ranges_small_bodies_and_what_is_no_text_are_sent_as_they_are() {
    let folder = Folder::new("identity");
    folder.file("text.txt", "some text ".repeat(1000));
    folder.file("small.txt", "small");
    folder.file("noise.bin", "no text ".repeat(1000));
    let served = served(&folder.0);
    for (request, status) in [
        ("GET /files/text.txt\nrange: bytes=0-999", 206),
        ("GET /files/small.txt", 200),
        ("GET /files/noise.bin", 200),
        ("GET /files/none.txt", 404),
        ("GET /files/text.txt\nif-modified-since: Fri, 01 Jan 2100 00:00:00 GMT", 304),
    ] {
        let answer = ask(served.address, &format!("{request}\naccept-encoding: gzip"));
        assert_eq!((answer.status, answer.header("content-encoding")), (status, ""), "{request}");
    }
}
