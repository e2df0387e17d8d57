"""Conversations of our examples with other programs over UNIX sockets, UDP, pipes and terminals; see `run`.

Names: unix, abstract (names without files), tunnels, filter (a child process), terminal, udp. The peers: socat, nc (OpenBSD's),
asyncio, Twisted.
"""

import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

from peers import LIMIT, Skip, check, example, examples, need, wait_for

DATA = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(40_000))
GREETING = "the server said: hello, world!"

ASYNCIO_CLIENT = """
import asyncio, sys
async def main():
    reader, writer = await asyncio.open_unix_connection(sys.argv[1])
    async def send():
        writer.write(sys.stdin.buffer.read())
        await writer.drain()
        writer.write_eof()
    sending = asyncio.create_task(send())
    sys.stdout.buffer.write(await reader.read())
    await sending
asyncio.run(main())
"""

ASYNCIO_SERVER = """
import asyncio, sys
async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
async def main():
    await (await asyncio.start_unix_server(echo, sys.argv[1])).serve_forever()
asyncio.run(main())
"""

TWISTED_CLIENT = """
import sys
from twisted.internet import protocol, reactor
from zope.interface import implementer
from twisted.internet.interfaces import IHalfCloseableProtocol
@implementer(IHalfCloseableProtocol)
class Client(protocol.Protocol):
    def connectionMade(self):
        self.transport.write(sys.stdin.buffer.read())
        self.transport.loseWriteConnection()
    def dataReceived(self, data):
        sys.stdout.buffer.write(data)
    def writeConnectionLost(self):
        pass
    def readConnectionLost(self):
        self.transport.loseConnection()
    def connectionLost(self, reason):
        reactor.stop()
factory = protocol.ClientFactory()
factory.protocol = Client
reactor.connectUNIX(sys.argv[1], factory)
reactor.run()
"""

TWISTED_SERVER = """
import sys
from twisted.internet import protocol, reactor
from twisted.protocols.wire import Echo
factory = protocol.Factory()
factory.protocol = Echo
reactor.listenUNIX(sys.argv[1], factory)
reactor.run()
"""

ASYNCIO_UDP = """
import asyncio, sys
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, address):
        self.transport.sendto(data, address)
async def main():
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=("127.0.0.1", int(sys.argv[1])))
    await asyncio.Event().wait()
asyncio.run(main())
"""

TWISTED_UDP = """
import sys
from twisted.internet import protocol, reactor
class Echo(protocol.DatagramProtocol):
    def datagramReceived(self, data, address):
        self.transport.write(data, address)
reactor.listenUDP(int(sys.argv[1]), Echo(), interface="127.0.0.1")
reactor.run()
"""

RESULTS = []


def result(peer, what):
    RESULTS.append((peer, what))


def note_missing(peer):
    result(peer, "skipped: it is not installed")


@contextlib.contextmanager
def serving(name, *arguments):
    """One of our servers, and where it listens."""
    with example(name, *arguments) as (process, text):
        wait_for(lambda: "listening on" in text() or process.poll() is not None, f"the start of {name}")
        check(process.poll() is None, text())
        yield re.search(r"listening on (\S+)", text())[1]


@contextlib.contextmanager
def peer(*command, ready, **options):
    """A third-party server, once it is `ready`."""
    process = subprocess.Popen(command, **options)
    try:
        wait_for(lambda: ready() or process.poll() is not None, f"the start of {command[0]}")
        check(process.poll() is None, f"{command} has ended")
        yield process
    finally:
        process.kill()
        process.wait()


def says(*command, given=b""):
    """The output of a program with this input."""
    run = subprocess.run(command, input=given, capture_output=True, timeout=LIMIT)
    check(run.returncode == 0, f"{command}: {run.stderr.decode(errors='replace')[-500:]}")
    return run.stdout


def echoes(name, *command):
    """A client gets back what it sends, also after a half-close."""
    got = says(*command, given=DATA)
    check(got == DATA, f"{name}: {len(got)} of {len(DATA)} bytes came back")
    result(name, f"{len(DATA)} bytes there and back")


def greets(name, address):
    """Our client with a third-party server."""
    said = says(os.path.join(examples(), "echo_client"), f"unix:{address}").decode()
    check(GREETING in said, f"{name}: {said}")
    result(name, "answers our client")


def python_peers(asyncio, twisted):
    yield "asyncio", [sys.executable, "-c", asyncio]
    if importlib.util.find_spec("twisted"):
        yield "Twisted", [sys.executable, "-c", twisted]
    else:
        note_missing("Twisted")


def unix(folder):
    need("socat", "nc")
    path = os.path.join(folder, "ours.sock")
    with serving("unix_echo_server", f"unix:{path}"):
        echoes("socat UNIX-CONNECT", "socat", "-t", str(LIMIT), "-", f"UNIX-CONNECT:{path}")
        echoes("nc -U", "nc", "-N", "-U", path)
        for name, command in python_peers(ASYNCIO_CLIENT, TWISTED_CLIENT):
            echoes(f"{name}, client", *command, path)
    check(not os.path.exists(path), "the socket's file was left behind")
    servers = [("socat UNIX-LISTEN", lambda path: ["socat", f"UNIX-LISTEN:{path},fork", "EXEC:cat"])]
    servers += [(f"{name}, server", lambda path, command=command: [*command, path])
                for name, command in python_peers(ASYNCIO_SERVER, TWISTED_SERVER)]
    for number, (name, command) in enumerate(servers):
        theirs = os.path.join(folder, f"{number}.sock")
        with peer(*command(theirs), ready=lambda: os.path.exists(theirs)):
            greets(name, theirs)


def abstract(folder):
    need("socat")
    name = f"torsade-interop-{os.getpid()}"
    with serving("unix_echo_server", f"unix:@{name}"):
        echoes("socat ABSTRACT-CONNECT", "socat", "-t", str(LIMIT), "-", f"ABSTRACT-CONNECT:{name}")
    listens = lambda: f"@{name}2" in open("/proc/net/unix").read()
    with peer("socat", f"ABSTRACT-LISTEN:{name}2,fork", "EXEC:cat", ready=listens):
        greets("socat ABSTRACT-LISTEN", f"@{name}2")


def tunnels(folder):
    need("socat", "nc")
    target, middle, near, far = (os.path.join(folder, f"{name}.sock") for name in ("target", "middle", "near", "far"))
    with peer("socat", f"UNIX-LISTEN:{target},fork", "EXEC:cat", ready=lambda: os.path.exists(target)):
        with serving("portforward", f"unix:{middle}", f"unix:{target}"):
            echoes("nc, portforward, socat", "nc", "-N", "-U", middle)
        with serving("compress_tunnel", "far", f"unix:{far}", f"unix:{target}"), \
                serving("compress_tunnel", "near", f"unix:{near}", f"unix:{far}"):
            echoes("nc, compress_tunnel, socat", "nc", "-N", "-U", near)


def filter(folder):
    need("socat", "nc", "tr")
    with serving("process_filter", "127.0.0.1:0", "tr", "a-z", "A-Z") as address:
        host, port = address.rsplit(":", 1)
        for name, command in (("nc", ["nc", "-N", host, port]), ("socat", ["socat", "-t", str(LIMIT), "-", f"TCP:{address}"])):
            got = says(*command, given=DATA)
            check(got == DATA.upper(), f"{name}: {len(got)} of {len(DATA)} bytes")
            result(f"{name}, process_filter, tr", f"{len(DATA)} bytes filtered")


def terminal(folder):
    """Our line client in a terminal from socat, and in a pipe."""
    need("socat")
    server = socket.create_server(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % server.getsockname()[1]

    def serve():
        while True:
            connection, _ = server.accept()
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    connection.sendall(b"you said " + line)

    threading.Thread(target=serve, daemon=True).start()
    program = os.path.join(examples(), "stdin_client")
    said = says(program, address, given=b"hello\n")
    check(said.strip() == b"you said hello", f"in a pipe: {said}")
    result("sh", "a pipe into stdin_client")
    escaped = f"{program} {address}".replace(":", "\\:")
    # Ctrl-D ends the typed input.
    said = says("socat", "-t", str(LIMIT), "-", f"EXEC:{escaped},pty,setsid,ctty,echo=0", given=b"hello\n\x04")
    check(b"you said hello" in said, f"in a terminal: {said}")
    result("socat EXEC,pty", "stdin_client in a terminal")


def udp(folder):
    need("socat", "nc")
    program = os.path.join(examples(), "udp_echo")
    if not os.path.exists(program):
        raise Skip("there is no example udp_echo")
    with serving("udp_echo", "127.0.0.1:0") as address:
        host, port = address.rsplit(":", 1)
        for name, command in (("nc -u", ["nc", "-u", "-w", "1", host, port]), ("socat UDP4", ["socat", "-t", "1", "-", f"UDP4:{address}"])):
            said = says(*command, given=b"hello")
            check(said == b"hello", f"{name}: {said}")
            result(name, "a datagram there and back")
    servers = [("socat UDP4-RECVFROM", lambda port: ["socat", f"UDP4-RECVFROM:{port},bind=127.0.0.1,fork", "EXEC:cat"])]
    servers += [(f"{name}, UDP server", lambda port, command=command: [*command, port])
                for name, command in python_peers(ASYNCIO_UDP, TWISTED_UDP)]
    for name, command in servers:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        local = "0100007F:%04X" % port
        with peer(*command(str(port)), ready=lambda: local in open("/proc/net/udp").read()):
            said = says(program, "ask", f"127.0.0.1:{port}").decode()
            check("hello" in said, f"{name}: {said}")
            result(name, "answers our client")


def main():
    failed = False
    wanted = sys.argv[1:]
    conversations = (unix, abstract, tunnels, filter, terminal, udp)
    unknown = set(wanted) - {conversation.__name__ for conversation in conversations}
    if unknown:
        sys.exit(f"there is no conversation named {', '.join(sorted(unknown))}")
    for conversation in conversations:
        if wanted and conversation.__name__ not in wanted:
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                conversation(folder)
            except Skip as skip:
                result(conversation.__name__, f"skipped: {skip}")
            except Exception as error:  # the other conversations still run
                failed = True
                result(conversation.__name__, f"FAILED: {type(error).__name__}: {error}")
    for name, what in RESULTS:
        print(f"{name:32} {what}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
