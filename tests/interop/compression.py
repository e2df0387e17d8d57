"""Conversations of our examples with other programs, each over a compressed connection; see `run`.

Names: stream (programs that read and write whole streams), dictionaries (the same with a shared dictionary), partial, go, page
(readers of partial flushes: see flushing.py; the last is curl's), imap (Dovecot), irc (ngIRCd), telnetlib3, tintin, websockets
(the Python package), ws (the npm package).
"""

import gzip
import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import zlib

import flushing
from peers import LIMIT, Skip, accepts, check, example, examples, free_port, listening, need, wait_for

ROWS = []
FAILED = []


def row(peer, direction, wire, plain, note=""):
    ROWS.append((peer, direction, wire, plain, note))


def counts(text):
    """Plain and wire bytes, sent and received, as our statistics print them."""
    sent = re.findall(r"sent (\d+) bytes as (\d+) of", text)
    got = re.findall(r"got (\d+) bytes as (\d+) of", text)
    check(sent and got, f"no statistics in: {text[-500:]}")
    return [int(number) for number in (*sent[-1], *got[-1])]


TEXT = b"".join(
    b'{"id":%d,"room":"lobby","text":"%s"}\n' % (number, [b"hello", b"what is new", b"nothing much"][number % 3])
    for number in range(1000)
)


def service():
    """Sends TEXT to each client, and keeps what it receives."""
    got = []

    def serve(connection):
        with connection:
            connection.sendall(TEXT)
            connection.shutdown(socket.SHUT_WR)
            received = b""
            while data := connection.recv(65536):
                received += data
            got.append(received)

    server = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            serve(server.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    return server.getsockname()[1], got


def exchange(port, stream):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as peer:
        peer.sendall(stream)
        peer.shutdown(socket.SHUT_WR)
        wire = b""
        while data := peer.recv(65536):
            wire += data
        return wire


NODE = """
const stream = new %s(process.argv[1]);
process.stdin.pipe(require("stream").Duplex.fromWeb(stream)).pipe(process.stdout);
"""


def command(*arguments):
    def run(data):
        need(arguments[0])
        return subprocess.run(arguments, input=data, capture_output=True, timeout=LIMIT, check=True).stdout
    return run


def python_zlib(bits, dictionary=b""):
    def read(wire):
        decoder = zlib.decompressobj(bits, zdict=dictionary)
        plain = b"".join(decoder.decompress(wire[at:at + 7]) for at in range(0, len(wire), 7))
        check(decoder.eof and not decoder.unused_data, "the stream has not ended")
        return plain

    def write(plain):
        encoder = zlib.compressobj(6, zlib.DEFLATED, bits, zdict=dictionary)
        lines = plain.splitlines(True)
        flushed = (encoder.compress(line) + encoder.flush(zlib.Z_SYNC_FLUSH) for line in lines)
        return b"".join(flushed) + encoder.flush()

    return read, write


def library(name, read, write):
    def call(function):
        def run(data):
            try:
                module = __import__(name, fromlist=["frame"])
            except ImportError:
                raise Skip(f"the Python library {name} is not installed") from None
            return function(module, data)
        return run
    return call(read), call(write)


def curl(coding):
    def read(wire):
        need("curl")

        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Encoding", coding)
                self.send_header("Content-Length", str(len(wire)))
                self.end_headers()
                self.wfile.write(wire)

            def log_message(self, *arguments):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return command("curl", "-s", "--noproxy", "*", "--compressed", f"http://127.0.0.1:{server.server_port}/")(b"")
        finally:
            server.shutdown()
    return read


def node(name, format):
    return command("node", "-e", NODE % name, format)


PROGRAMS = [  # format, program, how to read, how to write
    ("deflate", "Python zlib", *python_zlib(15)),
    ("deflate", "Node streams", node("DecompressionStream", "deflate"), node("CompressionStream", "deflate")),
    ("deflate", "pigz -z", command("pigz", "-dcz"), command("pigz", "-cz")),
    ("deflate", "curl", curl("deflate"), None),
    ("deflate-raw", "Python zlib", *python_zlib(-15)),
    ("deflate-raw", "Node streams", node("DecompressionStream", "deflate-raw"), node("CompressionStream", "deflate-raw")),
    ("deflate-raw", "curl", curl("deflate"), None),
    ("gzip", "Python gzip", gzip.decompress, gzip.compress),
    ("gzip", "Node streams", node("DecompressionStream", "gzip"), node("CompressionStream", "gzip")),
    ("gzip", "gzip", command("gzip", "-dc"), command("gzip", "-c")),
    ("gzip", "pigz", command("pigz", "-dc"), command("pigz", "-c")),
    ("gzip", "curl", curl("gzip"), None),
    ("zstd", "zstd", command("zstd", "-dcq"), command("zstd", "-cq")),
    ("zstd", "Python zstandard", *library(
        "zstandard", lambda zstd, data: zstd.ZstdDecompressor().decompressobj().decompress(data),
        lambda zstd, data: zstd.ZstdCompressor().compress(data))),
    ("lz4", "lz4", command("lz4", "-dcq"), command("lz4", "-cq")),
    ("lz4", "Python lz4", *library(
        "lz4.frame", lambda lz4, data: lz4.decompress(data), lambda lz4, data: lz4.compress(data))),
]


WORDS = TEXT[:200]
TRAINED = os.path.join(os.path.dirname(__file__), "../../transports/src/compression/tests/trained.zdict")


def known_to(tool):
    """How to read and write with a dictionary file, `tool -D`."""
    def run(flags):
        def call(data, file):
            return command(tool, "-D", file, *flags)(data)
        return call
    return run(["-dcq"]), run(["-cq"])


def python_zstandard():
    def known(zstd, file):
        with open(file, "rb") as dictionary:
            return zstd.ZstdCompressionDict(dictionary.read())

    read, write = library(
        "zstandard", lambda zstd, it: zstd.ZstdDecompressor(dict_data=known(zstd, it[1])).decompressobj().decompress(it[0]),
        lambda zstd, it: zstd.ZstdCompressor(dict_data=known(zstd, it[1])).compress(it[0]))
    return (lambda data, file: read((data, file))), (lambda data, file: write((data, file)))


def without_file(read, write):
    return (lambda data, _: read(data)), (lambda data, _: write(data))


DICTIONARY_PROGRAMS = [  # as above; these also take the dictionary file
    ("deflate", "Python zlib, zdict", *without_file(*python_zlib(15, WORDS))),
    ("deflate-raw", "Python zlib, zdict", *without_file(*python_zlib(-15, WORDS))),
    ("zstd", "zstd -D", *known_to("zstd")),
    ("zstd", "zstandard, ZstdCompressionDict", *python_zstandard()),
    ("lz4", "lz4 -D", *known_to("lz4")),
]


def both_ways(port, got, name, read, write, empty):
    """One connection to the tunnel: a program reads what it sends, and writes what it receives."""
    try:
        peers_own = write(TEXT) if write else None
        wire = exchange(port, peers_own or empty)
        check(read(wire) == TEXT, f"{name} reads it wrong")
        row(name, "we send", len(wire), len(TEXT))
        if peers_own:
            wait_for(lambda: got, "the plain bytes")
            check(got.pop() == TEXT, f"we read {name} wrong")
            row("", "we get", len(peers_own), len(TEXT))
        else:
            wait_for(lambda: got, "the end")
            got.pop()
    except Skip as skip:
        row(name, "skipped", 0, 0, str(skip))


def stream():
    """The far end of a tunnel, in front of a plain service."""
    target, got = service()
    for format in dict.fromkeys(format for format, *_ in PROGRAMS):
        with listening("compress_tunnel", "far", "127.0.0.1:0", f"127.0.0.1:{target}", format) as (port, _):
            for _, name, read, write in (entry for entry in PROGRAMS if entry[0] == format):
                both_ways(port, got, f"{name} ({format})", read, write, PROGRAMS_EMPTY.get(format))


def dictionaries():
    """The same with a shared dictionary."""
    target, got = service()
    with tempfile.NamedTemporaryFile() as words:
        words.write(WORDS)
        words.flush()
        for format, name, read, write in DICTIONARY_PROGRAMS:
            file = TRAINED if format == "zstd" else words.name
            with listening("compress_tunnel", "far", "127.0.0.1:0", f"127.0.0.1:{target}", format, file) as (port, _):
                both_ways(port, got, f"{name} ({format})", lambda data: read(data, file), lambda data: write(data, file), None)


PROGRAMS_EMPTY = {"deflate": python_zlib(15)[1](b""), "deflate-raw": python_zlib(-15)[1](b""), "gzip": gzip.compress(b"")}


def partial():
    flushing.programs(row)


def go():
    flushing.go(row)


def page():
    flushing.curl(row)


DOVECOT = """
protocols = imap
listen = 127.0.0.1
base_dir = {d}/run
state_dir = {d}/lib
log_path = {d}/log
ssl = no
disable_plaintext_auth = no
mail_location = maildir:{d}/mail/%u
mail_plugins = zlib
first_valid_uid = 1
default_login_user = nobody
protocol imap {{
  mail_plugins = $mail_plugins imap_zlib
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={d}/mail/%u
}}
"""


def imap():
    need("dovecot")
    if os.getuid() != 0:
        raise Skip("Dovecot wants to be started by root")
    import imaplib
    directory, port = tempfile.mkdtemp(), free_port()
    os.chmod(directory, 0o755)
    for name in ("run", "lib", "mail"):
        os.mkdir(f"{directory}/{name}")
    shutil.chown(f"{directory}/mail", "mail", "mail")
    with open(f"{directory}/dovecot.conf", "w") as file:
        file.write(DOVECOT.format(d=directory, port=port))
    dovecot = shutil.which("dovecot", path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([dovecot, "-F", "-c", f"{directory}/dovecot.conf"])
    try:
        wait_for(accepts(port), "Dovecot")
        with imaplib.IMAP4("127.0.0.1", port) as filler:
            filler.login("anna", "secret")
            for number in range(100):
                filler.append("INBOX", "", None, b"From: a@example.org\r\nTo: b@example.org\r\nSubject: letter %d\r\n\r\nhi\r\n" % number)
        with example("imap_client", f"127.0.0.1:{port}", "anna", "secret") as (client, text):
            check(client.wait(LIMIT) == 0, text())
        check(text().count("ENVELOPE") == 100 and "letter 99" in text(), "not all letters were listed")
        check("(expected, ended)" in text() and "closed cleanly" in text(), text()[-500:])
        plain_out, wire_out, plain_in, wire_in = counts(text())
        row("Dovecot (IMAP COMPRESS)", "we send", wire_out, plain_out, "announced: it does not mind")
        row("", "we get", wire_in, plain_in, "ends its stream at LOGOUT")
        flushing.dovecot(row, port)
    finally:
        process.terminate()
        process.wait(LIMIT)
        shutil.rmtree(directory)


NGIRCD = """
[Global]
Name = irc.example.org
Info = test
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
[Options]
PAM = no
DNS = no
Ident = no
[Server]
Name = link.example.org
MyPassword = ours
PeerPassword = theirs
Passive = yes
"""


def irc():
    need("ngircd")
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(NGIRCD.format(port=port))
        file.flush()
        os.chmod(file.name, 0o644)
        program = shutil.which("ngircd", path=os.environ["PATH"] + ":/usr/sbin")
        process = subprocess.Popen([program, "-n", "-f", file.name], stdout=subprocess.DEVNULL)
        try:
            wait_for(accepts(port), "ngircd")
            person = socket.create_connection(("127.0.0.1", port), LIMIT)
            lines = person.makefile("r", newline="\r\n")
            person.sendall(b"NICK anna\r\nUSER anna 0 * :Anna\r\nJOIN #torsade\r\n")

            def read_to(word):
                for line in lines:
                    if line.startswith("PING"):
                        person.sendall(b"PONG " + line.split()[1].encode() + b"\r\n")
                    if word in line:
                        return
                raise AssertionError(f"{word} did not come")

            read_to("366")  # the end of the list of names: joined
            with example("ngircd_link", f"127.0.0.1:{port}", "ours") as (link, text):
                read_to("JOIN")
                for number in range(1, 101):
                    person.sendall(b"PRIVMSG #torsade :count, and count again: this is the same each time\r\n")
                    read_to(f"that was number {number}")
            plain_out, wire_out, plain_in, wire_in = counts(text())
            row("ngIRCd (server link, flag Z)", "we send", wire_out, plain_out)
            row("", "we get", wire_in, plain_in, "never ends its stream")
            person.close()
        finally:
            process.terminate()
            process.wait(LIMIT)


MUD_CLIENT = """
import asyncio, sys, telnetlib3

async def main():
    reader, writer = await telnetlib3.open_connection("127.0.0.1", int(sys.argv[1]), encoding=False)
    got = b""

    async def read_to(word):
        nonlocal got
        while word not in got:
            data = await asyncio.wait_for(reader.read(4096), 20)
            assert data, got[-300:]
            got += data

    await read_to(b"your name?")
    writer.write(b"Anna\\r\\n")
    await read_to(b"Anna walks in.")
    for number in range(10):
        writer.write(b"look\\r\\nsay %d\\r\\n" % number)
        await read_to(b"Anna says: say %d\\r\\n" % number)
    assert got.count(b"over and over") == 200, got.count(b"over and over")
    writer.write(b"plain\\r\\n")
    await read_to(b"plain text.")
    writer.write(b"afterwards\\r\\n")
    await read_to(b"Anna says: afterwards")
    writer.write(b"quit\\r\\n")

asyncio.run(main())
"""


def mud_row(peer, text, note):
    wait_for(lambda: "sent " in text(), "the statistics")
    plain, wire = map(int, re.search(r"sent (\d+) bytes as (\d+) of", text()).groups())
    row(peer, "we send", wire, plain, note)


def telnetlib3():
    try:
        import telnetlib3 as found
    except ImportError:
        raise Skip("the Python library telnetlib3 is not installed") from None
    check(found, "a module")
    with listening("mccp_server", "127.0.0.1:0") as (port, text):
        done = subprocess.run([sys.executable, "-c", MUD_CLIENT, str(port)], capture_output=True, timeout=LIMIT)
        check(done.returncode == 0, done.stderr.decode()[-500:])
        mud_row("telnetlib3 (MCCP2)", text, "and plain text after the end of the stream")


def tintin():
    need("tt++", "script")
    program = shutil.which("tt++", path=os.environ["PATH"] + ":/usr/games")
    with listening("mccp_server", "127.0.0.1:0") as (port, text), tempfile.TemporaryDirectory() as directory:
        with open(f"{directory}/f.tin", "w") as file:
            file.write(f"#session t 127.0.0.1 {port}\n#delay 1 {{#t Bob}}\n#delay 1.3 {{#t look}}\n")
            file.write("#delay 1.6 {#t hello there}\n#delay 2 {#t quit}\n")
        process = subprocess.Popen(  # it requires a terminal
            ["script", "-qfc", f"stty rows 24 cols 80; {program} -r {directory}/f.tin", f"{directory}/log"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
        wait_for(lambda: "sent " in text() or process.poll() is not None, "the end of tt++'s connection")
        process.stdin.close()
        process.wait(LIMIT)
        with open(f"{directory}/log", "rb") as log:
            screen = log.read()
        check(b"over and over" in screen and b"Bob says: hello there" in screen, screen[-1000:])
        mud_row("tt++ (MCCP2)", text, "stays on to the end")


# The messages: text in pieces, one in many fragments, and an empty one; then 64 MB of zeros, which our server refuses.
WEBSOCKETS_CLIENT = """
import asyncio, sys, websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

async def main():
    text = sys.stdin.read()
    url = "ws://127.0.0.1:" + sys.argv[1]
    for offer in [Deflate(), Deflate(server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=10)]:
        async with websockets.connect(url, compression=None, extensions=[offer], proxy=None) as socket:
            assert [extension.name for extension in socket.protocol.extensions] == ["permessage-deflate"]
            for line in text.splitlines():
                await socket.send(line)
                assert await socket.recv() == line
            await socket.send(piece.encode() for piece in text.splitlines(True))
            assert await socket.recv() == text.encode()
            await socket.send("")
            assert await socket.recv() == ""
            await (await socket.ping())
        assert socket.close_code == 1000, socket.close_code
    async with websockets.connect(url, proxy=None) as socket:
        try:
            await socket.send(bytes(64 << 20))
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            assert closed.rcvd.code == 1009, closed
        else:
            raise AssertionError("the bomb came back")

asyncio.run(main())
"""

WS_CLIENT = """
const WebSocket = require("ws"), assert = require("assert");
const text = require("fs").readFileSync(0, "utf8"), lines = text.split("\\n");
const perMessageDeflate = { threshold: 0, serverNoContextTakeover: process.argv[2] === "fresh" };
const socket = new WebSocket("ws://127.0.0.1:" + process.argv[1], { perMessageDeflate });
let got = 0;
socket.on("open", () => {
  assert(socket.extensions.startsWith("permessage-deflate"), socket.extensions);
  lines.forEach((line) => socket.send(line));
  text.match(/[^]{1,1000}/g).forEach((piece, at, all) => socket.send(piece, { fin: at === all.length - 1 }));
});
socket.on("message", (data) => {
  assert.equal(data.toString(), got < lines.length ? lines[got] : text);
  if (got++ === lines.length) socket.close(1000);
});
socket.on("close", (code) => { assert.equal(code, 1000); assert.equal(got, lines.length + 1); });
"""


def websocket_rows(peer, *clients):
    """Each client is a command; the note on the rows is about the first one, whose bytes are counted."""
    for at, (client, note) in enumerate(clients):
        with listening("websocket_echo", "127.0.0.1:0") as (port, text):
            done = subprocess.run(client(port), input=TEXT, capture_output=True, timeout=LIMIT)
            check(done.returncode == 0, done.stderr.decode()[-1000:])
            wait_for(lambda: "sent " in text(), "the statistics")
            plain_out, wire_out, plain_in, wire_in = map(int, re.search(
                r"sent (\d+) bytes as (\d+) of permessage-deflate; got (\d+) bytes as (\d+)", text()).groups())
            row("" if at else peer, "we send", wire_out, plain_out, note)
            row("", "we get", wire_in, plain_in)


def websockets():
    try:
        import websockets as found
    except ImportError:
        raise Skip("the Python library websockets is not installed") from None
    check(found, "a module")
    websocket_rows("websockets (RFC 7692)", (lambda port: [sys.executable, "-c", WEBSOCKETS_CLIENT, str(port)],
                                             "and a bomb of 64 MB, closed with 1009"))


def ws():
    need("node")
    modules = os.path.join(os.path.dirname(os.path.dirname(examples())), "interop", "node_modules")
    os.environ["NODE_PATH"] = modules
    if not os.path.isdir(os.path.join(modules, "ws")):
        raise Skip("the npm library ws is not installed")
    websocket_rows("ws (RFC 7692)", (lambda port: ["node", "-e", WS_CLIENT, str(port)], ""),
                   (lambda port: ["node", "-e", WS_CLIENT, str(port), "fresh"], "no context takeover"))


def main():
    everything = [stream, dictionaries, partial, go, page, imap, irc, telnetlib3, tintin, websockets, ws]
    wanted = sys.argv[1:]
    for conversation in everything:
        if wanted and conversation.__name__ not in wanted:
            continue
        try:
            conversation()
        except Skip as skip:
            row(conversation.__name__, "skipped", 0, 0, str(skip))
        except Exception as error:  # the other conversations still run
            FAILED.append(conversation.__name__)
            row(conversation.__name__, "FAILED", 0, 0, f"{type(error).__name__}: {error}")
    if ROWS:
        print(f"{'peer':32} {'direction':9} {'wire':>8} {'plain':>8} {'share':>6}")
    for peer, direction, wire, plain, note in ROWS:
        numbers = f"{wire:8} {plain:8} {100 * wire / plain:5.1f}%" if plain else " " * 24
        print(f"{peer:32} {direction:9} {numbers}  {note}".rstrip())
    sys.exit(1 if FAILED else 0)


if __name__ == "__main__":
    main()
