"""How other programs read our partial flushes: each line is sent when the previous one has come out at the far end.

A tunnel's end compresses what we write to it, and this script passes its bytes on, so that each peer receives them as it would from
the connection itself.
"""

import contextlib
import http.server
import select
import socket
import subprocess
import sys
import tempfile
import threading
import zlib

from peers import LIMIT, Skip, check, listening, need, wait_for

LINES = [b'{"id":%d,"room":"lobby","text":"hello"}\n' % number for number in range(50)]

PYTHON = """
import os, sys, zlib
decoder = zlib.decompressobj()
while data := os.read(0, 65536):
    os.write(1, decoder.decompress(data))
"""

NODE = 'process.stdin.pipe(require("zlib").createInflate()).pipe(process.stdout)'

NODE_WEB = """
const stream = new DecompressionStream("deflate");
process.stdin.pipe(require("stream").Duplex.fromWeb(stream)).pipe(process.stdout);
"""

JAVA = """
import java.util.zip.InflaterInputStream;

class Read {
    public static void main(String[] arguments) throws Exception {
        var from = new InflaterInputStream(System.in);
        var buffer = new byte[65536];
        for (int count; (count = from.read(buffer)) > 0;) {
            System.out.write(buffer, 0, count);
            System.out.flush();
        }
    }
}
"""

GO = """
package main

import (
	"compress/zlib"
	"io"
	"os"
)

func main() {
	reader, err := zlib.NewReader(os.Stdin)
	if err != nil {
		panic(err)
	}
	io.Copy(os.Stdout, reader)
}
"""


@contextlib.contextmanager
def partial_leg(format):
    """Both ends of a tunnel's far side: what is written to the first comes out of the second compressed, and vice versa."""
    with socket.create_server(("127.0.0.1", 0)) as service:
        target = service.getsockname()[1]
        with listening("compress_tunnel", "far", "127.0.0.1:0", f"127.0.0.1:{target}", format) as (port, _):
            with socket.create_connection(("127.0.0.1", port), LIMIT) as leg:
                plain, _ = service.accept()
                with plain:
                    plain.settimeout(LIMIT)
                    yield plain, leg


class Partial:
    """The bytes that a tunnel sends for a line, as soon as zlib can decode it from them."""

    def __init__(self, plain, leg, bits=15):
        self.plain, self.leg = plain, leg
        self.decoder = zlib.decompressobj(bits)

    def __call__(self, line):
        self.plain.sendall(line)
        wire, got = b"", b""
        while len(got) < len(line):
            data = self.leg.recv(65536)
            check(data, "the tunnel has ended")
            wire += data
            got += self.decoder.decompress(data)
        check(got == line, f"{got} came for {line}")
        check(not wire.endswith(b"\0\0\xff\xff"), "that was no partial flush")
        return wire


class Sync:
    """The same from Python's zlib, with a sync flush."""

    def __init__(self):
        self.encoder = zlib.compressobj()

    def __call__(self, line):
        return self.encoder.compress(line) + self.encoder.flush(zlib.Z_SYNC_FLUSH)


def comes(file, length, patience=LIMIT):
    """Up to this many bytes, as they arrive."""
    got = b""
    while len(got) < length and select.select([file], [], [], patience)[0]:
        data = file.read1(length - len(got))
        if not data:
            break
        got += data
    return got


def each_comes(flush, write, output):
    wire = 0
    for line in LINES:
        data = flush(line)
        wire += len(data)
        write(data)
        got = comes(output, len(line))
        check(got == line, f"{got} came for {line}")
    return wire


@contextlib.contextmanager
def filter_of(*command):
    need(command[0])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write(data):
        process.stdin.write(data)
        process.stdin.flush()

    try:
        yield write, process.stdout
    finally:
        process.kill()
        process.communicate()


SOURCES = tempfile.TemporaryDirectory()


def source(name, text):
    path = f"{SOURCES.name}/{name}"
    with open(path, "w") as file:
        file.write(text)
    return path


def programs(row):
    readers = [
        ("Python zlib", [sys.executable, "-c", PYTHON]),
        ("Node zlib", ["node", "-e", NODE]),
        ("Node streams", ["node", "-e", NODE_WEB]),
        ("Java", ["java", source("Read.java", JAVA)]),
    ]
    for name, command in readers:
        try:
            with partial_leg("deflate") as leg, filter_of(*command) as (write, output):
                wire = each_comes(Partial(*leg), write, output)
                row(f"{name}, partial flushes", "we send", wire, sum(map(len, LINES)), "each line came before the next was sent")
        except Skip as skip:
            row(f"{name}, partial flushes", "skipped", 0, 0, str(skip))


def go(row):
    need("go")
    program = f"{SOURCES.name}/read"
    subprocess.run(["go", "build", "-o", program, source("read.go", GO)], check=True, timeout=4 * LIMIT)
    with filter_of(program) as (write, output):
        each_comes(Sync(), write, output)
    with partial_leg("deflate") as (plain, leg), filter_of(program) as (write, output):
        flush = Partial(plain, leg)
        pieces = [flush(line) for line in LINES]
        for piece in pieces:
            write(piece)
        # Nothing may arrive here, so this is the one place where the test has to wait for a time.
        check(not comes(output, 1, 0.5), "Go gave something out at a partial flush: the manual says that it does not")
        plain.shutdown(socket.SHUT_WR)
        while data := leg.recv(65536):
            write(data)
        whole = b"".join(LINES)
        check(comes(output, len(whole)) == whole, "Go reads something else")
        row("Go, partial flushes", "we send", sum(map(len, pieces)), len(whole), "NOTHING comes before the end; after sync flushes all does")


def curl(row):
    need("curl")
    done = threading.Event()
    with partial_leg("deflate") as leg:
        flush, pieces = Partial(*leg), []

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Encoding", "deflate")
                self.end_headers()
                pieces.append(self.wfile.write)
                done.wait(LIMIT)

            def log_message(self, *arguments):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        try:
            with filter_of("curl", "-sN", "--noproxy", "*", "--compressed", url) as (_, output):
                wait_for(lambda: pieces, "curl's request")
                wire = each_comes(flush, pieces[0], output)
                row("curl, partial flushes", "we send", wire, sum(map(len, LINES)), "each line came before the next was sent")
        finally:
            done.set()
            server.shutdown()


def pump(leg, peer):
    """Forwards in both directions, in the background; returns the lengths of what it has sent to the peer."""
    given = []

    def pass_on(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if sink is peer:
                    given.append(len(data))
                sink.sendall(data)

    for pair in [(leg, peer), (peer, leg)]:
        threading.Thread(target=pass_on, args=pair, daemon=True).start()
    return given


def ask(peer, questions):
    """Waits for each answer before the next question; returns the length of the questions."""
    lines = peer.makefile("rb", buffering=0)
    for question, answer in questions:
        peer.sendall(question)
        got = b""
        while answer not in got:
            got = lines.readline()
            check(got, f"{answer} did not come")
    return sum(len(question) for question, _ in questions)


def dovecot(row, port):
    """An IMAP client that sends its commands with partial flushes once compressed."""
    with socket.create_connection(("127.0.0.1", port), LIMIT) as server, partial_leg("deflate-raw") as (plain, leg):
        ask(server, [(b"", b"* OK"), (b"a login anna secret\r\n", b"a OK"), (b"b compress deflate\r\n", b"b OK")])
        given = pump(leg, server)
        asked = ask(plain, [(b"c%d noop\r\n" % number, b"c%d OK" % number) for number in range(50)])
        row("Dovecot, partial flushes", "we send", sum(given), asked, "each command was answered before the next was sent")
