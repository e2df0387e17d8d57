//! Bodies of HTTP messages: the choice of a coding, and the body.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::rc::Rc;

use torsade_protocols::{CompressionError, Truncation};
use torsade_reactor::Reactor;

use super::outside::run;
use super::*;
use crate::compression::content_coding::{self, ContentDecoder, ContentEncoder, NotAcceptable, choose};
use crate::connection::shared::Shared;

fn encoded(options: impl Into<Compression>, pieces: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let options: Compression = options.into();
    let mut encoder = ContentEncoder::new(options).unwrap();
    let mut wire = Vec::new();
    for piece in pieces {
        encoder.write(piece.as_ref(), &mut wire).unwrap();
    }
    encoder.finish(&mut wire).unwrap();
    wire
}

/// Reads a body that arrives in pieces, with so much room at a time; includes the output before an error.
fn decoded(mut decoder: ContentDecoder, wire: &[u8], piece: usize, room: usize) -> (Vec<u8>, Option<DecompressErrorKind>) {
    let mut all = Vec::new();
    for mut piece in wire.chunks(piece) {
        loop {
            let mut plain = Vec::new();
            let more = decoder.decode(&mut piece, &mut plain, room);
            assert!(plain.len() <= room, "{} bytes where {room} are allowed", plain.len());
            all.extend(plain);
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    assert_eq!(decoder.decode(&mut piece, &mut Vec::new(), room), Err(error.clone()), "it stays");
                    assert_eq!(decoder.finish(), Err(error.clone()));
                    return (all, Some(error.kind));
                }
            }
        }
        assert!(piece.is_empty(), "a piece was left although no more were to come");
    }
    (all, decoder.finish().err().map(|error| error.kind))
}

fn decoder(options: impl Into<Decompression>) -> ContentDecoder {
    let options: Decompression = options.into();
    ContentDecoder::new(options).unwrap()
}

#[test]
fn codings_have_the_names_of_http() {
    assert_eq!(content_coding::format("GZip"), Some(Format::Gzip));
    assert_eq!(content_coding::format("X-GZIP"), Some(Format::Gzip));
    assert_eq!(content_coding::format("deflate"), Some(Format::Deflate));
    assert_eq!(content_coding::format("zstd"), Some(Format::Zstd));
    for other in ["identity", "", "br", "lz4", "deflate-raw", "zlib", "compress", "gzip "] {
        assert_eq!(content_coding::format(other), None, "{other}");
    }
}

#[test]
fn the_coding_that_the_client_likes_best_is_chosen_and_the_servers_order_decides_between_equals() {
    let offered = [Format::DeflateRaw, Format::Lz4, Format::Gzip, Format::Deflate];
    for (header, chosen) in [
        ("gzip", Ok(Some(Format::Gzip))),
        ("deflate, gzip", Ok(Some(Format::Gzip))),
        ("GZIP ; q=0.5 ,\tDeflate;Q=0.501", Ok(Some(Format::Deflate))),
        ("x-gzip", Ok(Some(Format::Gzip))),
        ("gzip;q=0, x-gzip", Ok(None)),
        ("*", Ok(Some(Format::Gzip))),
        ("gzip;q=0, *;q=0.1", Ok(Some(Format::Deflate))),
        ("gzip;q=0.5, identity;q=0.5", Ok(Some(Format::Gzip))),
        ("gzip;q=0.5, identity", Ok(None)),
        ("gzip;q=0.3, *;q=0.5, deflate;q=0", Ok(None)),
        ("gzip;q=0.001", Ok(Some(Format::Gzip))),
        ("identity;q=0, deflate;q=0.1", Ok(Some(Format::Deflate))),
        ("", Ok(None)),
        ("br, compress", Ok(None)),
        ("gzip;q=0", Ok(None)),
        ("identity;q=0", Err(NotAcceptable)),
        ("*;q=0", Err(NotAcceptable)),
        ("br, *;q=0.000", Err(NotAcceptable)),
        ("*;q=0, identity;q=0.1", Ok(None)),
        // Elements with invalid syntax are ignored.
        ("gzip;q=2, deflate", Ok(Some(Format::Deflate))),
        ("gzip;q=0.1234", Ok(None)),
        ("gzip;q=-1, gzip;q=+1, gzip;q=, gzip;q=1.001, gzip;level=9, gzip;q=1;q=1", Ok(None)),
        (",,gzip;q=1.000,,", Ok(Some(Format::Gzip))),
        ("gzip, gzip;q=0", Ok(Some(Format::Gzip))),
        ("gzip;q=0.é", Ok(None)),
    ] {
        assert_eq!(choose(header, &offered), chosen, "{header}");
    }
    assert_eq!(choose("gzip, *", &[]), Ok(None));
    assert_eq!(choose("gzip, identity;q=0", &[]), Err(NotAcceptable));
    let built = cfg!(feature = "zstd").then_some(Format::Zstd);
    assert_eq!(choose("zstd", &[Format::Zstd]), Ok(built), "only what is built in");
}

#[test]
fn bodies_are_the_same_in_every_format_and_in_any_pieces() {
    for format in formats() {
        for body in [text(0), text(1), text(300), text(100_000), noise(200_000)] {
            let pieces: Vec<&[u8]> = body.chunks(9000).collect();
            let wire = encoded(format, &pieces);
            for (piece, room) in [(1, 1000), (usize::MAX, 777), (1000, usize::MAX)] {
                assert!(decoded(decoder(format), &wire, piece, room) == (body.clone(), None), "{format}: {} bytes", body.len());
            }
        }
    }
}

#[test]
fn a_body_has_no_announcement_and_an_empty_one_is_a_whole_stream() {
    assert_eq!(encoded(Format::Deflate, &[b""]), b"\x78\x9c\x03\x00\x00\x00\x00\x01");
    let empty = encoded(Compression::gzip().announce(true), &[b""]);
    assert_eq!(empty, b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0");
    for format in formats() {
        let wire = encoded(format, &[b"something"]);
        assert_eq!(receive(&mut detecting(), &wire), wire, "{format}: nothing takes it for an announced stream");
    }
    assert_eq!(decoded(decoder(Format::Gzip), b"", 1, 1), (vec![], None), "as browsers treat an empty body");
}

#[test]
fn what_was_flushed_can_be_read() {
    for format in formats() {
        let (mut encoder, mut decoder) = (ContentEncoder::new(format.name()).unwrap(), decoder(format));
        for message in messages(20) {
            let (mut wire, mut plain) = (Vec::new(), Vec::new());
            encoder.write(&message, &mut wire).unwrap();
            encoder.flush(&mut wire).unwrap();
            assert_eq!(decoder.decode(&mut &wire[..], &mut plain, ROOM), Ok(false));
            assert_eq!(plain, message, "{format}");
        }
    }
}

#[test]
fn a_body_that_is_cut_off_anywhere_is_truncated_unless_that_is_allowed() {
    for format in formats() {
        let mut encoder = ContentEncoder::new(format).unwrap();
        let mut wire = Vec::new();
        encoder.write(b"hello ", &mut wire).unwrap();
        encoder.flush(&mut wire).unwrap();
        encoder.write(b"hello", &mut wire).unwrap();
        encoder.finish(&mut wire).unwrap();
        for end in 1..wire.len() {
            let (plain, error) = decoded(decoder(format), &wire[..end], usize::MAX, ROOM);
            assert!(b"hello hello".starts_with(&plain[..]) && error == Some(DecompressErrorKind::Truncated), "{format} {end}");
            let lax = Decompression::from(format).truncation(Truncation::Allow);
            assert_eq!(decoded(decoder(lax), &wire[..end], usize::MAX, ROOM), (plain, None));
        }
    }
}

#[test]
fn every_limit_holds_and_bytes_behind_the_end_are_what_the_options_say() {
    let bomb = encoded(Format::Gzip, &[vec![0; 10 << 20]]);
    let (plain, error) = decoded(decoder(Decompression::gzip().max_total(Some(1 << 20))), &bomb, usize::MAX, 64 << 10);
    assert_eq!((plain.len(), error), (1 << 20, Some(DecompressErrorKind::LimitTotal { max: 1 << 20 })));
    let ratio = Decompression::gzip().max_ratio(Some((100, 1 << 20)));
    assert_eq!(decoded(decoder(ratio), &bomb, 1000, 1000).1, Some(DecompressErrorKind::LimitRatio { max: 100 }));

    let one = encoded(Format::Deflate, &[b"one"]);
    let more = [&one[..], b"more"].concat();
    for (after_end, expected) in [
        (AfterEnd::Error, Some(DecompressErrorKind::TrailingData)),
        (AfterEnd::Plain, Some(DecompressErrorKind::TrailingData)),
        (AfterEnd::NextStream, Some(DecompressErrorKind::TrailingData)),
        (AfterEnd::Drop, None),
    ] {
        for piece in [1, usize::MAX] {
            let options = Decompression::deflate().after_end(after_end);
            assert_eq!(decoded(decoder(options), &more, piece, 1), (b"one".to_vec(), expected.clone()), "{after_end:?}");
        }
    }
    let raw = encoded(Format::DeflateRaw, &[b"raw"]);
    assert_eq!(decoded(decoder(Decompression::deflate_any()), &raw, 1, 10), (b"raw".to_vec(), None));
    assert_eq!(decoded(decoder(Format::Deflate), &raw, 1, 10).1, Some(DecompressErrorKind::Header));
}

#[test]
fn options_that_cannot_be_had_are_refused_and_the_memory_counts_for_the_reactor() {
    assert!(matches!(ContentEncoder::new("br"), Err(CompressionError::UnknownFormat(_))));
    assert!(matches!(ContentEncoder::new(Compression::gzip().level(10)), Err(CompressionError::Level { .. })));
    assert!(matches!(ContentDecoder::new("br"), Err(CompressionError::UnknownFormat(_))));
    #[cfg(not(feature = "zstd"))]
    assert!(matches!(ContentDecoder::new("zstd"), Err(CompressionError::NotBuilt { feature: "zstd", .. })));

    let reactor = Reactor::new().unwrap();
    let pool = Rc::clone(&Shared::of(&reactor).encoders);
    let mut counted = decoder(Format::Gzip).counted_in(&reactor);
    let wire = encoded(Format::Gzip, &[b"hello"]);
    counted.decode(&mut &wire[..12], &mut Vec::new(), ROOM).unwrap();
    assert!(pool.borrow().decoders().held() > 20_000);
    drop(counted);
    assert_eq!(pool.borrow().decoders().held(), 0);
}

#[test]
fn python_and_node_read_our_bodies_and_we_read_theirs() {
    let body = text(100_000);
    let python = |function: &str, input: &[u8]| {
        let program = format!("import gzip, sys, zlib; sys.stdout.buffer.write({function}(sys.stdin.buffer.read()))");
        run("python3", &["-c", &program], input)
    };
    let node = |function: &str, input: &[u8]| {
        let program = format!("process.stdout.write(require('zlib').{function}(require('fs').readFileSync(0)))");
        run("node", &["-e", &program], input)
    };
    for (format, reads, writes) in
        [(Format::Gzip, "gzip.decompress", "gzip.compress"), (Format::Deflate, "zlib.decompress", "zlib.compress")]
    {
        assert!(python(reads, &encoded(format, &[&body])).is_none_or(|plain| plain == body), "{reads}");
        let wire = python(writes, &body);
        assert!(wire.is_none_or(|wire| decoded(decoder(format), &wire, 999, ROOM) == (body.clone(), None)), "{writes}");
    }
    for (format, reads, writes) in [(Format::Gzip, "gunzipSync", "gzipSync"), (Format::Deflate, "inflateSync", "deflateSync")] {
        assert!(node(reads, &encoded(format, &[&body])).is_none_or(|plain| plain == body), "{reads}");
        let wire = node(writes, &body);
        assert!(wire.is_none_or(|wire| decoded(decoder(format), &wire, 999, ROOM) == (body.clone(), None)), "{writes}");
    }
}

#[test]
fn curl_reads_our_bodies_as_it_has_asked_for_them() {
    let body = text(100_000);
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    let answer = body.clone();
    let serve = std::thread::spawn(move || {
        let (mut peer, _) = server.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            peer.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        let Some(accepted) = String::from_utf8_lossy(&request)
            .to_lowercase()
            .lines()
            .find_map(|line| line.strip_prefix("accept-encoding:").map(str::to_owned))
        else {
            return; // the one who wakes us where there is no curl
        };
        let format = choose(accepted.trim(), &[Format::Zstd, Format::Gzip]).unwrap().expect("curl reads one of them");
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: {format}\r\n\r\n");
        peer.write_all(&[head.as_bytes(), &encoded(format, &[&answer])].concat()).unwrap();
    });
    match run("curl", &["-s", "--noproxy", "*", "--compressed", "--max-time", "30", &url], b"") {
        Some(page) => assert!(page == body),
        None => {
            let address = url.trim_start_matches("http://").trim_end_matches('/');
            std::net::TcpStream::connect(address).unwrap().write_all(b"\r\n\r\n").unwrap();
        }
    }
    serve.join().unwrap();
}
