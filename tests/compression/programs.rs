//! Other programs at the other end of a connection, if they are installed. Those that have to be installed and
//! configured first are in `tests/interop/run`.

use std::process::{Child, Command, Stdio};

use super::*;

const PYTHON: &str = r#"
import socket, sys, zlib
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
format, bits = sys.argv[2], {"deflate": 15, "deflate-raw": -15, "gzip": 31, "zstd": 0}[sys.argv[2]]
if bits:
    decoder = zlib.decompressobj(bits)
else:
    try:
        import zstandard
    except ImportError:
        sys.exit(77)
    decoder = zstandard.ZstdDecompressor().decompressobj()
got = b""
while got.count(b"\n") < 2:
    got += decoder.decompress(peer.recv(65536))
assert got == b"hello\nhello again\n", got
if bits:
    encoder = zlib.compressobj(6, zlib.DEFLATED, bits)
    answer, end = lambda text: encoder.compress(text) + encoder.flush(zlib.Z_SYNC_FLUSH), encoder.flush
else:
    encoder = zstandard.ZstdCompressor().compressobj()
    answer, end = lambda text: encoder.compress(text) + encoder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), encoder.flush
peer.sendall(answer(b"thank you\n"))
peer.sendall(answer(b"very much\n"))
while got.count(b"\n") < 3:
    got += decoder.decompress(peer.recv(65536))
peer.sendall(end())
peer.shutdown(socket.SHUT_WR)
while data := peer.recv(65536):
    got += decoder.decompress(data)
assert got.endswith(b"bye\n"), got
assert decoder.eof, "the stream has not ended"
"#;

const NODE: &str = r#"
const [port, format] = process.argv.slice(1);
const { Duplex } = require("stream");
const socket = require("net").connect({ port, host: "127.0.0.1", allowHalfOpen: true });
const plain = socket.pipe(Duplex.fromWeb(new DecompressionStream(format)));
const out = Duplex.fromWeb(new CompressionStream(format));
out.pipe(socket);
let got = "", answered = false;
plain.on("data", (data) => {
  got += data;
  if (!answered && got.endsWith("hello again\n")) {
    answered = true;
    out.end("thank you\nvery much\n");
  }
});
plain.on("end", () => process.exit(got === "hello\nhello again\nyou are welcome\nbye\n" ? 0 : 1));
plain.on("error", (error) => { console.error(error); process.exit(1); });
"#;

const CURL_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Encoding: ";

/// Starts a program; prints a message and returns `None` if it is not installed.
fn start(program: &str, arguments: &[&str]) -> Option<Child> {
    let child = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    if child.is_err() {
        eprintln!("skipped: {program} is not installed");
    }
    child.ok()
}

/// Runs a conversation with the program that `start` starts for our port, and checks its exit status.
fn converse(format: Format, start: impl FnOnce(&str) -> Option<Child>) {
    let reactor = started();
    let events = Events::default();
    let record = events.clone();
    let script = move |event: &Event, transport: &Transport| {
        match event {
            Event::Made => {
                transport.set_compression::<Format>(format)?;
                transport.expect_compression::<Format>(format, b"")?;
                transport.write("hello\n");
                let later = transport.clone();
                transport.reactor().call_later(Duration::ZERO, move || later.write("hello again\n"));
            }
            Event::Data(data) if data.ends_with(b"very much\n") => transport.write("you are welcome\n"),
            Event::ReadLost => {
                transport.write("bye\n");
                transport.lose_connection();
            }
            _ => {}
        }
        Ok(())
    };
    let mut script = Some(script);
    let port = reactor.listen_tcp("127.0.0.1:0", move |_peer| Some(Probe::new(&record, script.take()?))).unwrap();
    let number = port.address().port().unwrap().to_string();
    let Some(mut child) = start(&number) else { return };
    let mut status = None;
    turn_until(&reactor, || {
        status = child.try_wait().unwrap();
        status.is_some() && (events.lost() || events.names().is_empty())
    });
    if status.and_then(|status| status.code()) == Some(77) {
        eprintln!("skipped: a library for {format} is not installed");
        return;
    }
    assert!(status.is_some_and(|status| status.success()), "{format}: {status:?}");
    assert_eq!(events.data(), b"thank you\nvery much\n", "{format}");
    assert!(events.reason().is_clean(), "{format}: {}", events.reason());
}

#[test]
fn python_converses_in_every_format_it_knows() {
    for format in formats().filter(|format| *format != Format::Lz4) {
        converse(format, |port| start("python3", &["-c", PYTHON, port, format.name()]));
    }
}

#[test]
fn node_converses_through_compression_streams() {
    for format in [Format::Deflate, Format::DeflateRaw, Format::Gzip] {
        converse(format, |port| start("node", &["-e", NODE, port, format.name()]));
    }
}

#[test]
fn curl_reads_our_streams_as_content_encodings() {
    let body = text(2000);
    for (format, coding) in [(Format::Gzip, "gzip"), (Format::Deflate, "deflate"), (Format::DeflateRaw, "deflate")] {
        let reactor = started();
        let events = Events::default();
        let (record, answer) = (events.clone(), body.clone());
        let port = reactor
            .listen_tcp("127.0.0.1:0", move |_peer| {
                let answer = answer.clone();
                Probe::new(&record, move |event, transport| {
                    if let Event::Data(data) = event
                        && data.ends_with(b"\r\n\r\n")
                    {
                        transport.write([CURL_HEAD, coding.as_bytes(), b"\r\n\r\n"].concat());
                        transport.set_compression::<Format>(format)?;
                        transport.write(&answer);
                        transport.lose_connection();
                    }
                    Ok(())
                })
            })
            .unwrap();
        let url = format!("http://{}/", port.address());
        let Some(mut child) = start("curl", &["-s", "--noproxy", "*", "--compressed", "--max-time", "15", &url]) else {
            return;
        };
        turn_until(&reactor, || child.try_wait().unwrap().is_some());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stdout == body, "{format}: {:?}", output.status);
    }
}
